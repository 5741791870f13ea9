"""Scenario files: their values, their errors, and the results of running them."""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver import Call, Forward, Ivr, Receiver, Repeat, Reply
from receiver.config.load_app import load_app
from receiver.pbx.callback_trace import Outcome
from receiver.testing import LineError
from receiver.testing.scenario_run import read, run_scenario
from receiver.testing.scenarios import Act, Scenario, ScenarioError, parse
from tests.support import OFFICE_HOURS

CALL = '[[call]]\nivr = "8000"\nexpect = "prompt"\n'

ALL = """
app = "app:app"
caller = "200"

[[call]]
ivr = "8000"
expect = "prompt"

[[call]]
name = "all of it"
ivr = "north/8000"
caller = "101"
caller_name = "Jürgen"
at = 2026-12-25T10:00:00
fault = "slow 1.5"
press = ["1", "wait 30", "22#", "hang up"]
asks = ["pick", "pick~2"]
expect = "voicemail 222"
"""


def one(text: str) -> Scenario:
    [scenario] = parse(text, "x").calls
    return scenario


def test_all_that_may_be_said() -> None:
    found = parse(ALL, "a.calls.toml")
    plain, full = found.calls
    assert found.app == "app:app"
    assert plain == Scenario(
        5, "call 1", "8000", "200", "", None, "", 0.0, (), asks=None, expect=None
    )
    assert full == Scenario(
        line=9,
        name="all of it",
        ivr="north/8000",
        caller="101",
        caller_name="Jürgen",
        at=datetime(2026, 12, 25, 10),
        fault="slow",
        slow=1.5,
        acts=(Act("1"), Act(seconds=30), Act("22#"), Act()),
        asks=("pick", "pick~2"),
        expect=Outcome("voicemail", "222"),
    )
    assert [str(act) for act in full.acts] == ["press 1", "wait 30", "press 22#", "hang up"]


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("forward +49301", Outcome("forwarded", "+49301")),
        ("voicemail 300", Outcome("voicemail", "300")),
        ("hang up", Outcome("hung up")),
        ("dial out", Outcome("disa")),
        ("left", Outcome("left")),
        ("prompt", None),
    ],
)
def test_what_may_be_expected(text: str, outcome: Outcome | None) -> None:
    assert one(f'[[call]]\nivr = "8000"\nexpect = "{text}"').expect == outcome


def test_one_act_needs_no_list() -> None:
    assert one(CALL + 'press = "22"').acts == (Act("22"),)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "x:1: the file has no [[call]]"),
        ("[[call]\n", "x:1: not valid TOML: "),
        ("call = 3", "x:1: begin each call with a line [[call]]"),
        ("[call]\nivr = '8000'", "x:1: begin each call with a line [[call]]"),
        ("\n[[call]]\nivr = '8000'", 'x:2: the call needs expect = "forward 222"'),
        (CALL + "\n[[call]]\nexpect = 'prompt'", 'x:5: the call needs ivr = "8000"'),
        ("call = [{expect = 'prompt'}]", "x:1: the call needs ivr"),
        (CALL + "\nprss = '1'", "x:5: 'prss' is not a key here; the keys are name, ivr, caller"),
        ("prss = 1\n" + CALL, "x:1: 'prss' is not a key here; the keys are app, ivr"),
        ("[prss]\n" + CALL, "x:1: 'prss' is not a key here"),
        ("\ncaller = 1\n" + CALL, "x:2: caller is '1'; expected the caller's number"),
        (
            CALL + CALL + "press = ['1', 'A']",
            "x:7: press is \"['1', 'A']\"; expected a list of keys",
        ),
        (CALL + "press = 22", "x:4: press is '22'; expected a list of keys"),
        (CALL + "press = 'wait 0'", "x:4: press is"),
        (CALL + "caller_name = '\\u0007'\nname=''", "x:5: name is ''; expected a name"),
        (CALL + 'caller_name = "\\u0007"', "x:4: caller_name is"),
        (CALL + "fault = 'slow'", "x:4: fault is 'slow'; expected \"late\""),
        (CALL + "at = 2026-01-01", "x:4: at is '2026-01-01'; expected a date and time"),
        (CALL + "at = 2026-01-01T10:00:00Z", "x:4: at is"),
        (CALL + "at = 9999-12-31T23:59:59", "x:4: at is"),
        (CALL + "asks = 'pick'", "x:4: asks is 'pick'; expected a list of names"),
        ("[[call]]\nivr = ''\nexpect = 'prompt'", "x:2: ivr is ''"),
        ("[[call]]\nivr = '1'\nexpect = 'forward'", "x:3: expect is 'forward'"),
        ("[[call]]\nivr = '1'\nexpect = 222", "x:3: expect is '222'"),
    ],
)
def test_errors_name_the_line_and_the_possible_values(text: str, problem: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse(text, "x")
    assert str(caught.value).startswith(problem)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


words = st.sampled_from(
    ["[[call]]", "call", "ivr", "expect", "press", "at", "=", '"8000"', '"prompt"', "[", "]", "\n"]
)


@given(st.one_of(st.text(), st.lists(words, max_size=30).map(" ".join)))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ScenarioError):
        assert parse(text, "x").calls


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.calls.toml"
    with pytest.raises(ScenarioError, match=r"a\.calls\.toml cannot be read: No such file"):
        read(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ScenarioError, match="not text in UTF-8"):
        read(path)
    path.write_text(CALL)
    assert len(read(path).calls) == 1


# Running -------------------------------------------------------------------------------------


async def pick(call: Call) -> Reply:
    return Repeat() if call.digits == "2" else Forward("222")


sales = Ivr("8000")
sales.add("DTMF", "1;2", pick, fallback=Forward("0"))
APP = Receiver(sales)


GONE = "'press 2' is impossible: the call was forwarded to 222 before"


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        ('press = ["1"]\nexpect = "forward 222"', ""),
        ('press = ["1"]\nexpect = "forward 223"', "expected: forwarded to 223; got: "),
        ('press = ["2"]\nexpect = "hang up"', "expected: hung up; got: still at the prompt"),
        ('press = ["1"]\nexpect = "prompt"', "expected: still at the prompt; got: "),
        ('press = ["2", "wait 5", "1"]\nasks = ["pick", "pick"]\nexpect = "forward 222"', ""),
        ('press = ["2", "hang up"]\nasks = ["pick"]\nexpect = "left"', ""),
        ('asks = ["pick"]\nexpect = "prompt"', "expected callbacks: pick; got: none"),
        ('press = ["1", "2"]\nexpect = "forward 222"', GONE),
        ('press = ["1"]\nfault = "late"\nexpect = "forward 0"', ""),
        ('press = ["1"]\nfault = "dropped"\nexpect = "prompt"', ""),
        ('press = ["1"]\nfault = "refused"\nexpect = "prompt"', ""),
        ('press = ["1"]\nfault = "wrong password"\nexpect = "prompt"', ""),
        ('press = ["1"]\nfault = "slow 3"\nexpect = "prompt"', ""),
        ('press = ["1"]\nfault = "slow 1"\nat = 2026-12-25T10:00:00\nexpect = "forward 222"', ""),
    ],
)  # fmt: skip
async def test_the_result_of_a_scenario(rest: str, problem: str) -> None:
    result = await run_scenario(one(f'[[call]]\nivr = "8000"\n{rest}'), APP)
    assert result.problem.startswith(problem)
    assert bool(result.problem) == bool(problem)
    assert result.call.steps


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        ('press = ["1"]\nexpect = "forward 8100"', ""),
        ('press = ["1"]\nexpect = "prompt"', "expected: still at the prompt; got: forwarded"),
        ('press = ["1", "1"]\nexpect = "forward 222"', ""),
        ('press = ["1", "1"]\nexpect = "forward 8100"', "expected: forwarded to 8100; got: "),
    ],
)  # fmt: skip
async def test_a_scenario_goes_on_in_another_ivr(rest: str, problem: str) -> None:
    first, second = Ivr("8000"), Ivr("8100")
    first.add("DTMF", "1", lambda call: Forward("8100"), name="there")
    second.add("DTMF", "1;2", pick)
    app = Receiver(first, second)
    result = await run_scenario(one(f'[[call]]\nivr = "8000"\n{rest}'), app)
    assert result.problem.startswith(problem)
    assert bool(result.problem) == bool(problem)


async def test_a_scenario_for_an_unknown_ivr() -> None:
    with pytest.raises(LineError, match="no IVR with the extension number"):
        await run_scenario(one(CALL.replace("8000", "9000")), APP)


@pytest.mark.parametrize(
    ("at", "number"),
    [
        ("2026-11-30T08:30:00", "222"),
        ("2026-11-30T18:00:00", "8999"),
        ("2026-11-29T10:00:00", "8999"),
    ],
)
async def test_at_is_the_time_of_handlers_too(tmp_path: Path, at: str, number: str) -> None:
    (tmp_path / "app.toml").write_text(OFFICE_HOURS)
    found = one(f'[[call]]\nivr = "8000"\npress = "1"\nat = {at}\nexpect = "forward {number}"\n')
    assert not (await run_scenario(found, load_app(str(tmp_path / "app.toml")))).problem
