"""The pytest plugin, in separate pytest runs."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import httpcore  # noqa: F401 - what children in this process import first is imported again later,
import pytest

import receiver.testing.scenario_run  # noqa: F401 - and its errors are then no longer the same

pytest_plugins = "pytester"

ROOT = Path(__file__).parent.parent.parent
ASYNCIO = "asyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
INI = "[pytest]\nreceiver_app = app:app\nfilterwarnings = error\n" + ASYNCIO

APP = """
from receiver import Call, Forward, Ivr, Receiver

sales = Ivr("8000")
done = []

async def slowly(what):
    done.append(what)

@sales.dtmf("1", secret_header="X-Key", fallback=Forward("0"))
async def pick(call: Call):
    call.after(slowly, call.caller)
    return Forward("222")

app = Receiver(sales)
"""

GOOD = """
async def test_sales(phone):
    call = await phone.dial("8000", caller="101")
    await call.press("1")
    assert call.forwarded_to == "222"
"""


def flags() -> list[str]:
    """Return the options that load the plugin once, whether or not it is installed."""
    installed = {entry.value for entry in entry_points(group="pytest11")}
    by_hand = (
        ()
        if "receiver.testing.pytest_plugin" in installed
        else ("-p", "receiver.testing.pytest_plugin")
    )
    return ["-p", "no:cacheprovider", *by_hand]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)  # CI's coverage is not for the child
    monkeypatch.syspath_prepend(pytester.path)
    pytester.makepyfile(app=APP)
    pytester.makeini(INI)
    return Run(pytester)


class Run:
    """Writes a test and runs it."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester

    def __call__(self, *more: str, **files: str) -> pytest.RunResult:
        if files:
            self.pytester.makepyfile(**files)
        return self.pytester.runpytest_inprocess(*flags(), *more)


# Fixtures ------------------------------------------------------------------------------------


def test_the_phone_calls_the_app_of_the_ini_file(run: Run) -> None:
    run(test_it=GOOD).assert_outcomes(passed=1)


def test_over_real_http(run: Run) -> None:
    text = """
        async def test_sales(http_phone):
            call = await http_phone.dial("8000")
            step = await call.press("1")
            assert call.forwarded_to == "222"
            assert not step.exchanges[0].url.startswith("http://127.0.0.1/")
    """
    run(test_it=text).assert_outcomes(passed=1)


@pytest.mark.parametrize("given", ["Receiver(other)", "'elsewhere:app'"])
def test_the_app_by_a_fixture(run: Run, given: str) -> None:
    run.pytester.makeini("[pytest]\n" + ASYNCIO)
    run.pytester.makepyfile(elsewhere=APP.replace("222", "333"))
    text = f"""
        import pytest
        from receiver import Call, Forward, Ivr, Receiver

        other = Ivr("8000")

        @other.dtmf("1")
        async def pick(call): return Forward("333")

        @pytest.fixture
        def receiver_app(): return {given}

        async def test_sales(phone):
            call = await phone.dial("8000")
            await call.press("1")
            assert call.forwarded_to == "333"
    """
    run(test_it=text).assert_outcomes(passed=1)


def test_a_test_closes_its_phone_and_finishes_its_work(run: Run) -> None:
    text = (
        GOOD
        + """
def test_what_was_to_be_done_after_the_answer_is_done():
    from app import done
    assert done == ["101"]
"""
    )
    run(test_it=text).assert_outcomes(passed=2)


def test_with_anyio_instead(run: Run) -> None:
    text = "import pytest\npytestmark = pytest.mark.anyio\n" + GOOD
    backend = "import pytest\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'"
    run.pytester.makeini(INI.replace(ASYNCIO, ""))
    run("-p", "no:asyncio", test_it=text, conftest=backend).assert_outcomes(passed=1)


IN_A_CLASS = """
import pytest
import app

class TestSales:
    number = "222"

    async def test_sales(self, phone):
        call = await phone.dial("8000")
        await call.press("1")
        assert call.forwarded_to == self.number

    @pytest.mark.parametrize("number", ["222"])
    async def test_again(self, phone, number):
        assert app.done == ["101"]
        await self.test_sales(phone)
        self.number = number
"""


@pytest.mark.parametrize("plugin", ["asyncio", "anyio"])
def test_methods_of_a_class(run: Run, plugin: str) -> None:
    backend = "import pytest\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'"
    text = IN_A_CLASS.replace("import app", f"import app\npytestmark = pytest.mark.{plugin}")
    run.pytester.makeini(INI.replace("asyncio_mode = auto\n", ""))
    run(test_it=text, conftest=backend).assert_outcomes(passed=2)


def test_one_loop_for_several_tests(run: Run) -> None:
    text = "import pytest\npytestmark = pytest.mark.asyncio(loop_scope='module')\n" + GOOD
    run(test_it=text + GOOD.replace("test_sales", "test_again")).assert_outcomes(passed=2)


def test_a_phone_of_ones_own_for_many_tests_stays_open(run: Run) -> None:
    text = """
        import pytest, pytest_asyncio
        from receiver.testing import Phone
        pytestmark = pytest.mark.asyncio(loop_scope="module")

        @pytest_asyncio.fixture(scope="module", loop_scope="module")
        async def phone():
            async with Phone("app:app") as phone:
                yield phone

        @pytest.mark.parametrize("number", [1, 2])
        async def test_sales(phone, number):
            await phone.dial("8000")
            assert len(phone.calls) == number
    """
    run(test_it=text).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("ini", "text"),
    [
        ("", "*no app to call: set receiver_app =*"),
        ("receiver_app = nowhere:app", "*receiver_app: there is no module 'nowhere'*"),
    ],
)
def test_no_app(run: Run, ini: str, text: str) -> None:
    run.pytester.makeini("[pytest]\n" + ASYNCIO + ini)
    done = run(test_it=GOOD)
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines([text])
    done.stdout.no_fnmatch_line("*Traceback*")


def test_not_without_asyncio(run: Run) -> None:
    text = """
        def test_sales(phone):
            try:
                phone.dial("8000").send(None)
            except Exception as error:
                assert "needs asyncio" in str(error)
            else:
                assert False
    """
    run(test_it=text).assert_outcomes(passed=1)


# Reports -------------------------------------------------------------------------------------


def test_a_test_that_fails_shows_its_calls_without_secrets(run: Run) -> None:
    done = run(test_it=GOOD.replace('== "222"', '== "223"'))
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        [
            "*Calls on the simulated PBX*",
            '101 calls 8000, "Receptionist 8000"',
            '*2.0 s  the PBX asks the DTMF action URL "pick"',
            "*> Authorization: Bearer [*][*][*]",
            "*> X-Key: [*][*][*]",
            "*= forwarded to 222 (*",
        ]
    )


def test_only_the_calls_of_the_test_that_failed_are_shown(run: Run) -> None:
    text = """
        import pytest
        from receiver.testing import Phone
        pytestmark = pytest.mark.asyncio(loop_scope="module")
        phone = Phone("app:app")

        @pytest.mark.parametrize("caller", ["401", "402", "403"])
        async def test_it(caller):
            await phone.dial("8000", caller=caller)
            assert caller != "402"
    """
    done = run(test_it=text)
    done.assert_outcomes(passed=2, failed=1)
    done.stdout.fnmatch_lines(["402 calls 8000*"])
    done.stdout.no_fnmatch_line("40[13] calls 8000*")


def test_a_test_that_fails_without_calls_shows_none(run: Run) -> None:
    done = run(test_it="def test_it(phone): assert 0\ndef test_other(): assert 0")
    done.assert_outcomes(failed=2)
    done.stdout.no_fnmatch_line("*simulated PBX*")


# Scenario files ------------------------------------------------------------------------------

SCENARIOS = """
[[call]]
name = "sales"
ivr = "8000"
press = ["1"]
expect = "forward 222"

[[call]]
ivr = "8000"
expect = "hang up"
"""


def test_scenario_files_are_tests(run: Run) -> None:
    run.pytester.path.joinpath("a.calls.toml").write_text(SCENARIOS)
    done = run("-v")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(
        [
            "a.calls.toml::sales PASSED*",
            "a.calls.toml::call 2 FAILED*",
            "a.calls.toml:8: expected: hung up; got: still at the prompt",
            "*Calls on the simulated PBX*",
            "101 calls 8000*",
        ]
    )
    done.stdout.no_fnmatch_line("*Traceback*")


def test_a_scenario_file_may_name_its_app(run: Run) -> None:
    run.pytester.makeini("[pytest]\n" + ASYNCIO)
    path = run.pytester.path / "a.calls.toml"
    path.write_text('app = "app:app"\n' + SCENARIOS)
    run("-k", "sales").assert_outcomes(passed=1, deselected=1)
    path.write_text(SCENARIOS)
    done = run("-k", "sales")
    done.assert_outcomes(failed=1, deselected=1)
    done.stdout.fnmatch_lines(["*no app to call: *"])


def test_a_scenario_file_that_cannot_be_read(run: Run) -> None:
    run.pytester.path.joinpath("a.calls.toml").write_text("[[call]]\nivr = 8000")
    done = run()
    assert done.ret != 0
    done.stdout.fnmatch_lines(["*a.calls.toml:2: ivr is '8000'; expected*"])
    done.stdout.no_fnmatch_line("*Traceback*")


def test_an_ivr_that_is_not_there_has_its_place(run: Run) -> None:
    run.pytester.path.joinpath("a.calls.toml").write_text(SCENARIOS.replace("8000", "9000"))
    done = run()
    done.assert_outcomes(failed=2)
    done.stdout.fnmatch_lines(
        ["a.calls.toml:?: the PBX has no IVR with the extension number '9000'"]
    )
    done.stdout.no_fnmatch_line("*receiver/simulator*")


# What it costs -------------------------------------------------------------------------------


def test_where_it_is_not_used_nothing_of_ours_is_imported(run: Run) -> None:
    text = """
        import sys

        def test_nothing():
            ours = {name for name in sys.modules if name.partition(".")[0] == "receiver"}
            assert ours == {"receiver", "receiver.testing", "receiver.testing.pytest_plugin"}
            assert not sys.modules.keys() & {"starlette", "httpx", "uvicorn", "msgspec"}
    """
    run.pytester.makeini("[pytest]\n" + ASYNCIO)
    run.pytester.makepyfile(test_it=text)
    run.pytester.runpytest_subprocess(*flags()).assert_outcomes(passed=1)


def test_the_example_passes_its_own_tests() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *flags()],
        cwd=ROOT / "examples" / "tested",
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "10 passed" in done.stdout, done.stdout + done.stderr
