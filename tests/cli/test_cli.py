"""The command line: results of commands, and errors in one line."""

import asyncio
import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result

from receiver.cli import COMMANDS, GROUPS, exit_status, main
from receiver.credentials import Secret
from receiver.declarations.actions import Handler
from receiver.execution.blocking_calls import BlockingCall, BlockingCallDetector, Report
from receiver.server.uvicorn_server import running
from receiver.simulator.api import Api, make_api
from receiver.simulator.logins import Account
from receiver.simulator.model import Pbx
from tests.cli.apps import THREE_ACTIONS
from tests.command_line import CliRunner
from tests.processes import Processes, kill_group
from tests.support import OFFICE_HOURS

ROOT = Path(__file__).parents[2]
SECRET = "6d0f2c9ab17e4583f4c8d25e90ab3716"
APP = f"""{THREE_ACTIONS}
@sales.dtmf("4", auth=None, enabled=False)
async def off(call: Call) -> Reply:
    return Forward("555")

app = Receiver(sales)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "myapp.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(tmp_path) in (getattr(module, "__file__", None) or ""):
            del sys.modules[name]


def run(command: str) -> Result:
    return CliRunner().invoke(main, shlex.split(command), catch_exceptions=False)


def run_apart(command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a new process, because the simulated PBX runs in this one."""
    return subprocess.run(
        [sys.executable, "-m", "receiver", *shlex.split(command)],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def fails(command: str, status: int, problem: str) -> None:
    done = run(command)
    assert done.exit_code == status
    assert re.search(problem, done.stderr), done.stderr
    assert "Traceback" not in done.output


def test_check_lists_the_actions(project: Path) -> None:
    done = run("check myapp:app")
    assert done.exit_code == 0
    assert "8000/pick   DTMF    1;22" in done.stdout
    assert "2 s  fallback repeat" in done.stdout
    assert "no authentication" in done.stdout
    assert "switched off" in done.stdout
    assert "4 actions on 1 IVR. The declarations are valid." in done.stdout
    assert "Before it can be served: RECEIVER_SECRET is not set" in done.stdout


def test_check_prints_json(project: Path) -> None:
    data = json.loads(run("check myapp:app --json").stdout)
    pick, *_, off = data["actions"]
    assert pick == {
        "name": "pick",
        "was": None,
        "pbx": None,
        "ivr": "8000",
        "kind": "DTMF",
        "mask": "1;22",
        "method": "POST",
        "auth": "bearer",
        "request_timeout": 2,
        "fallback": "0",
        "enabled": True,
        "where": pick["where"],
    }
    assert pick["where"].endswith("myapp.py:6")
    assert (off["name"], off["auth"], off["enabled"]) == ("off", None, False)
    assert data["warnings"] == []
    assert [text[:26] for text in data["settings_problems"]] == ["RECEIVER_SECRET is not set"]


def test_check_warns_of_masks_in_another_number_format(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "callers.py").write_text(
        "from receiver import Call, Forward, Ivr, Receiver, Reply\n"
        "ivr = Ivr('8000')\n"
        "@ivr.caller('030*****')\n"
        "async def vip(call: Call) -> Reply: return Forward('222')\n"
        "app = Receiver(ivr)\n"
    )
    assert "Warning" not in run("check callers:app").stdout
    monkeypatch.setenv("RECEIVER_NUMBER_FORMAT", "e164")
    assert "says e164, so all numbers from outside have a +" in run("check callers:app").stdout
    monkeypatch.setenv("RECEIVER_NUMBER_FORMAT", "nonsense")
    done = run("check callers:app")
    assert (done.exit_code, "Before it can be served" in done.stdout) == (0, True)


def test_check_of_an_app_without_actions(project: Path) -> None:
    (project / "bare.py").write_text("from receiver import Receiver\napp = Receiver()\n")
    assert run("check bare").stdout.startswith("0 actions on 0 IVRs.")


@pytest.mark.parametrize(
    ("command", "status", "problem"),
    [
        ("check nowhere:app", 2, "there is no module 'nowhere'"),
        ("check nowhere.py", 2, "there is no file nowhere.py"),
        ("check myapp:nothing", 2, "myapp has no 'nothing'"),
        ("check myapp:sales", 2, "is of type Ivr, not a Receiver"),
        ("check", 2, "Missing argument 'APP'. Name the app, as in app:app, or its file"),
        ("check .", 2, r"\. is a folder: name the app, as in app:app"),
        ("check ./gone:app", 2, "./gone is not a module: name the app, as in app:app"),
        ("serve myapp:app --port 99999", 2, "99999 is not in the range"),
        ("plan myapp:app", 2, "RECEIVER_SECRET is not set"),
        ("apply myapp:app", 2, "RECEIVER_SECRET is not set"),
        ("destroy myapp:app", 2, "RECEIVER_SECRET is not set"),
        ("curl myapp:app pick", 2, "RECEIVER_SECRET is not set"),
        ("dial myapp:app 9999", 2, "declares no IVR '9999': choose one of 8000"),
        ("load myapp:app 9999", 2, "declares no IVR '9999': choose one of 8000"),
        ("dial myapp:app 8000 --at noon", 2, 'write a date and time, as in "2026-11-22 09:00"'),
        ("dial myapp:app 8000 --from 1 --press x", 2, "a telephone has the keys"),
        ("nonsense", 2, "No such command 'nonsense'"),
        ("dail", 2, "No such command 'dail': did you mean dial"),
    ],
)
def test_bad_input_is_one_clear_line(
    command: str, status: int, problem: str, project: Path
) -> None:
    fails(command, status, problem)


@pytest.mark.parametrize(
    ("variables", "status", "problem"),
    [
        (
            {},
            2,
            "RECEIVER_PUBLIC_URL is not set: .*\nError: RECEIVER_PBX_URL is not set: .*\n"
            "Error: the PBX needs a token or an account",
        ),
        ({"PUBLIC_URL": "ivr.example"}, 2, "RECEIVER_PUBLIC_URL is not a URL"),
        ({"PUBLIC_URL": "http://x.example"}, 2, "RECEIVER_PBX_URL is not set"),
        (
            {"PUBLIC_URL": "http://x.example", "PBX_URL": "http://127.0.0.1:9"},
            2,
            "set RECEIVER_PBX_TOKEN, or RECEIVER_PBX_USERNAME",
        ),
        (
            {
                "PUBLIC_URL": "http://x.example",
                "PBX_URL": "http://127.0.0.1:9",
                "PBX_TOKEN": "t",
            },
            1,
            r"127\.0\.0\.1:9",
        ),
        ({"PUBLIC_URL": "http://" + "x" * 120}, 2, r"myapp\.py:\d+: .* the PBX takes 128"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(
    variables: dict[str, str],
    status: int,
    problem: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RECEIVER_SECRET", SECRET)
    if "x" * 120 in variables.get("PUBLIC_URL", ""):
        variables = {**variables, "PBX_URL": "http://127.0.0.1:9", "PBX_TOKEN": "t"}
    for name, value in variables.items():
        monkeypatch.setenv(f"RECEIVER_{name}", value)
    fails("plan myapp:app", status, problem)


def test_an_unexpected_error_is_one_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.cli.check.describe", lambda *args: 1 / 0)
    fails("check myapp:app", 70, "unexpected ZeroDivisionError; run receiver --traceback")
    with pytest.raises(ZeroDivisionError):
        run("--traceback check myapp:app")

    def full(*args: object) -> list[str]:
        raise OSError(errno.EMFILE, "text that may have data")

    monkeypatch.setattr("receiver.cli.check.describe", full)
    fails("check myapp:app", 70, r"unexpected OSError \(Too many open files\); run receiver")


def test_an_interrupted_command_is_no_finding(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr("receiver.cli.check.describe", interrupt)
    fails("check myapp:app", 130, "^Interrupted.$")


def test_a_misspelt_setting_is_a_warning(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECEIVER_PUBLICURL", "http://x.example")
    done = run("check myapp:app")
    assert done.exit_code == 0
    assert "RECEIVER_PUBLICURL is not a setting; did you mean RECEIVER_PUBLIC_URL?" in done.stderr
    (project / ".env").write_text("RECEIVER_STOREE=x\n")
    done = run("check myapp:app")
    assert "RECEIVER_STOREE is not a setting; did you mean RECEIVER_STORE?" in done.stderr
    (project / ".env").write_bytes(b"RECEIVER_SECRET=\xff\n")
    assert "not text in UTF-8" in run("serve myapp:app").stderr


def test_dial_shows_the_http_messages_and_the_end_of_the_call(project: Path) -> None:
    done = run("dial myapp:app 8000 --from 4930123 --name Jürgen --press 22 --press 1 --press 34")
    assert done.exit_code == 0
    assert '"from_name":"Jürgen"' in done.stdout
    assert "Authorization: Bearer ***" in done.stdout
    assert "= forwarded to 222 (" in done.stdout
    assert "the call has ended: 3 further keys not pressed" in done.stdout


@pytest.mark.parametrize(
    ("at", "number"),
    [
        ("2026-11-30 10:00", "222"),
        ("2026-11-30T18:00", "8999"),
        ("2026-11-29 10:00:00", "8999"),
    ],
)
def test_dial_at_sets_the_time_of_the_pbx_and_of_handlers(
    project: Path, at: str, number: str
) -> None:
    (project / "office.toml").write_text(OFFICE_HOURS)
    done = run(f"dial office.toml 8000 --press 1 --at '{at}'")
    assert (done.exit_code, f"= forwarded to {number}" in done.stdout) == (0, True), done.output


def test_dial_fails_if_a_callback_fails(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.callbacks.endpoint.encode", lambda reply: b"nonsense")
    done = run("dial myapp:app 8000 --from 101")
    assert done.exit_code == 1
    assert "= failed: the answer is not JSON" in done.stdout


def test_dial_names_a_call_that_blocks_the_event_loop(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "blocks.py").write_text(BLOCKS)

    class Detector(BlockingCallDetector):
        def watched(self, handler: Handler, report: Report) -> Handler:
            def release(what: BlockingCall) -> None:
                report(what)
                sys.modules["blocks"].released.set()

            return super().watched(handler, release)

    monkeypatch.setattr("receiver.cli.dial.BlockingCallDetector", Detector)
    done = run("dial blocks:app 8000")
    assert done.exit_code == 0, done.output
    *_, answer, warning = done.stdout.splitlines()
    assert answer.strip().startswith("= forwarded to 222 (")
    assert warning.startswith(
        "blocks.py:9: released.wait in ask blocked the event loop for more than 100 ms; await an "
    )


BLOCKS = """
import threading
from receiver import Call, Forward, Ivr, Receiver, Reply
released = threading.Event()
sales = Ivr("8000")

@sales.caller("1**")
async def ask(call: Call) -> Reply:
    released.wait(60)
    return Forward("222")

app = Receiver(sales)
"""


@pytest.mark.allow_secrets
@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("pick", ["--max-time 2", "Authorization: Bearer ", '"input": "1"', "/action/8000/pick"]),
        (
            "8000/pick --digits 22 --caller 5 --session abc",
            ['"input": "22"', '"from": "5"', '"session_id": "abc"'],
        ),
        (
            "queue --session 12345678",
            ["--basic -u ", "X-Site: hush-of-a-header", "?session_id=12345678&from=101&to=8000"],
        ),
        ("known", ["--digest -u ", '"input": ""']),
        ("off", ["curl --max-time 2 -H 'Content-Type"]),
    ],
)
def test_curl_prints_what_the_pbx_would_send(
    arguments: str, parts: list[str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECEIVER_SECRET", SECRET)
    done = run(f"curl myapp:app {arguments}")
    assert done.exit_code == 0
    for part in parts:
        assert part in done.stdout


@pytest.mark.allow_secrets
def test_each_curl_command_is_another_call(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECEIVER_SECRET", SECRET)
    printed = [run("curl myapp:app pick").stdout for _ in range(2)]
    one, other = (re.findall(r'"session_id": "([0-9]+)"', text) for text in printed)
    assert one != other


def test_curl_lists_the_actions_if_the_name_is_unknown(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECEIVER_SECRET", SECRET)
    problem = "'nope' is the name of no action: choose one of 8000/pick, 8000/queue"
    fails("curl myapp:app nope", 2, problem)
    (project / "bare.py").write_text("from receiver import Receiver\napp = Receiver()\n")
    fails("curl bare nope", 2, "this app declares no action")


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"rotate"}))  # its list is as it is
def test_help_fits_a_narrow_terminal(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text, *_ = run(f"{command} --help").stdout.partition("Options:")
    assert all(len(line) <= 40 for line in text.splitlines())


@pytest.mark.parametrize("columns", ["1", "4"])
def test_help_in_a_terminal_of_a_few_columns(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert run("--help").exit_code == 0
    assert exit_status.documented(click.Command("x", help="Do it."), "x").epilog


def test_demo_succeeds() -> None:
    done = run("demo")
    assert done.exit_code == 0, done.output
    assert "12 calls, 0 failed." in done.stdout
    assert "in the CRM: Grace Hopper talked with 222 for 95 s\n" in done.stdout
    assert "in the CRM: 222: call back Grace Hopper\n" in done.stdout
    assert "Nothing to do." in done.stdout
    assert "forwarded to 0 (1" in done.stdout
    assert "failed: HTTP status 401" in done.stdout


def test_demo_reports_which_calls_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.callbacks.endpoint.encode", lambda reply: b"nonsense")
    fails("demo", 1, "12 calls did not end as expected: CALLER by POST, bearer: ")


# against a simulated PBX ---------------------------------------------------------------------


@pytest.fixture
async def api() -> AsyncIterator[tuple[Api, str]]:
    pbx = Pbx()
    pbx.add_ivr("8000", "Sales")
    made = make_api(
        pbx,
        token=Secret("the-token"),
        accounts=[Account("admin", Secret("the-password"), "example.com")],
    )
    async with running(made, lifespan="off") as url:
        yield made, url


@pytest.fixture
def environ(api: tuple[Api, str], project: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("RECEIVER_SECRET", SECRET)
    monkeypatch.setenv("RECEIVER_PUBLIC_URL", "https://ivr.example/calls")
    monkeypatch.setenv("RECEIVER_PBX_URL", api[1])
    monkeypatch.setenv("RECEIVER_PBX_TOKEN", "the-token")
    return api[1]


async def apart(command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(run_apart, command, **environ)


async def test_plan_apply_plan_destroy(api: tuple[Api, str], environ: str) -> None:
    plan = await apart("plan myapp:app --exit-code")
    assert (plan.returncode, plan.stderr) == (1, "")
    assert (
        "+ pick  DTMF 1;22, POST, bearer, https://ivr.example/calls/action/8000/pick" in plan.stdout
    )
    assert "Plan: 4 to create." in plan.stdout
    applied = await apart("apply myapp:app --unchecked")
    assert (applied.returncode, applied.stderr) == (0, "")
    assert "4 changes made and read back." in applied.stdout
    again = await apart("plan myapp:app --exit-code")
    assert (again.returncode, "Nothing to do." in again.stdout) == (0, True)
    api[0].requests.clear()
    assert (await apart("apply myapp:app --unchecked")).returncode == 0
    assert {method for method, _ in api[0].requests} == {"GET"}
    data = json.loads((await apart("plan myapp:app --json")).stdout)
    assert data["pending"] is False
    assert data["counts"]["unchanged"] == 4
    refused = await apart("destroy myapp:app")
    assert refused.returncode == 2
    assert refused.stderr.endswith("needs a yes at a terminal, or --yes\n")
    gone = await apart("destroy myapp:app --yes")
    assert (gone.returncode, "4 action URLs deleted." in gone.stdout) == (0, True)
    assert "Nothing to do." in (await apart("destroy myapp:app --yes")).stdout
    for done in (plan, applied, again, refused, gone):
        assert SECRET not in done.stdout
        assert "the-token" not in done.stdout


async def test_deletes_need_to_be_allowed(
    api: tuple[Api, str], environ: str, project: Path
) -> None:
    await apart("apply myapp:app --unchecked")
    (project / "myapp.py").write_text(APP.replace('"1;22"', '"1;23"').replace("queue", "line"))
    done = await apart("apply myapp:app --unchecked")
    assert (done.returncode, "2 changes made" in done.stdout) == (3, True)
    assert "dtmf_mask: 1;22 → 1;23" in done.stdout
    assert "1 action URL of this service to be deleted (8000/queue)" in done.stderr
    assert not [path for _, path in api[0].requests if path.endswith("/destroy")]
    done = await apart("apply myapp:app --allow-deletes")
    assert (done.returncode, "1 change made" in done.stdout) == (0, True)


async def test_an_account_signs_in(environ: str) -> None:
    account = {
        "RECEIVER_PBX_TOKEN": "",
        "RECEIVER_PBX_USERNAME": "admin",
        "RECEIVER_PBX_PASSWORD": "the-password",
        "RECEIVER_PBX_DOMAIN": "example.com",
    }
    assert (await apart("apply myapp:app --unchecked", **account)).returncode == 0
    wrong = await apart("plan myapp:app", **account | {"RECEIVER_PBX_PASSWORD": "wrong-one"})
    assert wrong.returncode == 1
    assert wrong.stderr.count("\n") == 1
    assert "check RECEIVER_PBX_USERNAME, _PASSWORD and _DOMAIN" in wrong.stderr
    assert "wrong-one" not in wrong.stderr


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"RECEIVER_PBX_TOKEN": "wrong"}, "RECEIVER_PBX_TOKEN is wrong or has expired"),
        ({"RECEIVER_PBX_URL": "{url}/nowhere"}, "RECEIVER_PBX_URL"),
    ],
)
async def test_a_pbx_that_refuses(variables: dict[str, str], problem: str, environ: str) -> None:
    filled = {name: value.format(url=environ) for name, value in variables.items()}
    done = await apart("plan myapp:app", **filled)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert problem in done.stderr


async def test_an_unknown_ivr(environ: str, project: Path) -> None:
    (project / "myapp.py").write_text(APP.replace('"8000"', '"8001"'))
    done = await apart("apply myapp:app --unchecked")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "8001" in done.stderr
    assert "8000" in done.stderr


# serving -------------------------------------------------------------------------------------


Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def start(project: Path, processes: Processes) -> Start:
    def start(command: str) -> subprocess.Popen[str]:
        return processes.start(
            [sys.executable, "-m", "receiver", *shlex.split(command)],
            env={**os.environ, "RECEIVER_SECRET": SECRET},
            cwd=project,
            stderr=subprocess.PIPE,
        )

    return start


def until(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """Return the match of ``pattern`` in the log; kill the process after 20 seconds without it."""
    assert process.stderr is not None
    timer = threading.Timer(20, kill_group, [process.pid])
    timer.start()
    try:
        for line in process.stderr:
            if found := re.search(pattern, line):
                return found
    finally:
        timer.cancel()
    raise AssertionError(f"the process ended without writing {pattern!r}")


@pytest.mark.allow_secrets
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_serve_answers_curl_and_stops_at_a_signal(
    ending: signal.Signals,
    start: Start,
    program: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = start("serve myapp:app --port 0")
    url = until(process, r"serving on (http://\S+)")[1]
    monkeypatch.setenv("RECEIVER_SECRET", SECRET)
    monkeypatch.setenv("RECEIVER_PUBLIC_URL", url)
    for name, digits in (("pick", "222"), ("queue", "333"), ("known", "444"), ("off", "555")):
        command = shlex.split(run(f"curl myapp:app {name}").stdout)
        answer = subprocess.run([*command, "-s"], capture_output=True, timeout=120)
        assert json.loads(answer.stdout)["destination"] == digits
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{url}/action/8000/queue?input=3", timeout=120)
    process.send_signal(ending)
    _, log = process.communicate(timeout=120)
    assert "8000/pick DTMF digits <1> from <3>: call, handled" in log
    assert "input=" not in log
    assert process.returncode in (0, -ending)


def test_serve_on_a_port_in_use(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECEIVER_SECRET", SECRET)
    first = start("serve myapp:app --port 0")
    port = until(first, r"serving on http://127.0.0.1:(\d+)")[1]
    fails(f"serve myapp:app --port {port}", 2, f"cannot listen on 127.0.0.1 port {port}: .*in use")
    fails("serve myapp:app --host 203.0.113.9", 2, "cannot listen on 203.0.113.9 .*with --host and")
    monkeypatch.setenv("RECEIVER_CONSOLE", f"127.0.0.1:{port}")
    fails(
        "serve myapp:app --port 0",
        2,
        f"port {port}: .* choose another with RECEIVER_CONSOLE.*, or end the",
    )
    first.terminate()
    first.communicate(timeout=120)


def test_serve_warns_of_open_actions(start: Start) -> None:
    process = start("serve myapp:app --port 0")
    assert until(process, "every client can call (.*): auth")[1] == "8000/off"
    process.terminate()
    process.communicate(timeout=120)


def test_demo_keep_runs_until_a_signal(processes: Processes) -> None:
    process = processes.start(
        [sys.executable, "-u", "-m", "receiver", "demo", "--keep"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    urls = next(
        found
        for line in process.stdout
        if (found := re.search(r"stays on (\S+), .* on (\S+)\.", line))
    )
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{urls[2]}/api/ivrs", timeout=120)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def test_a_closed_pipe_is_no_error() -> None:
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-m", "receiver", "schema"], **pipe) as command:  # type: ignore[call-overload]
        command.stdout.close()
        assert (command.wait(60), command.stderr.read()) == (1, b"")


@pytest.mark.parametrize(
    ("command", "heavy"),
    [
        ("--help", ("asyncio", "httpx", "starlette", "uvicorn", "rich")),
        ("--version", ("asyncio", "httpx", "starlette", "uvicorn", "rich")),
        ("check examples/01_first.py:app", ("httpx", "uvicorn", "rich")),
    ],
)
def test_a_command_imports_what_it_needs(command: str, heavy: tuple[str, ...]) -> None:
    program = (
        "import sys; from receiver.cli import main; "
        f"main({shlex.split(command)}, standalone_mode=False); "
        f"print('imported:', [name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1:] == ["imported: []"], done.stderr


def help_texts(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command, str]]:
    """Yield the path, the command and the help text at 80 columns of each command."""
    done = CliRunner().invoke(main, [*path, "--help"], terminal_width=80)
    assert done.exit_code == 0, done.output
    yield path, command, done.output
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from help_texts(found, (*path, name))


def test_the_help_of_every_command_is_complete_at_80_columns() -> None:
    seen = 0
    for path, command, text in help_texts(main):
        seen += 1
        assert command.help, path
        lines = {" ".join(line.split()) for line in text.splitlines()}
        assert not [line for line in lines if line.endswith("...") and "[ARGS]" not in line], path
        if isinstance(command, click.Group):  # each subcommand with its summary, on one line
            commands = command.list_commands(click.Context(command))
            assert commands
            assert all(any(line.startswith(f"{name} ") for line in lines) for name in commands)
    assert seen > 50


def test_the_help_lists_the_commands_in_groups() -> None:
    lines = [line.split() for line in run("--help").output.splitlines()]
    for group, commands in GROUPS.items():
        assert [*f"{group}:".split()] in lines
        for name, (_, summary) in commands.items():
            assert [name, *summary.split()] in lines
