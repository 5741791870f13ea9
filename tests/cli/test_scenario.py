"""``receiver scenario`` and ``receiver load``."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import Result

from receiver.cli import main
from receiver.config.loader import load
from receiver.server.uvicorn_server import running
from tests.command_line import CliRunner

APP = """
from receiver import Call, Forward, Ivr, Receiver

sales = Ivr("8000")

@sales.dtmf("1", fallback=Forward("0"))
async def pick(call: Call):
    return Forward("222")

app = Receiver(sales)
"""

CALLS = """
[[call]]
name = "sales"
ivr = "8000"
press = ["1"]
expect = "forward 222"

[[call]]
ivr = "8000"
expect = "prompt"
"""

SECRET = "6d0f2c9ab17e4583f4c8d25e90ab3716"


@pytest.fixture(autouse=True)
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rehearsed.py").write_text(APP)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


# Scenarios -----------------------------------------------------------------------------------


def test_calls_with_the_expected_end() -> None:
    Path("a.calls.toml").write_text(CALLS)
    done = run("scenario", "a.calls.toml", "rehearsed.py:app")
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "ok      sales",
        "ok      call 2",
        "2 calls, 0 failed",
    ]


def test_a_call_with_another_end_is_printed() -> None:
    Path("a.calls.toml").write_text('app = "rehearsed.py"\n' + CALLS.replace("222", "223"))
    done = run("scenario", "a.calls.toml")
    assert done.exit_code == 1
    assert "failed  sales (a.calls.toml:3)" in done.output
    assert "expected: forwarded to 223; got: forwarded to 222" in done.output
    assert "> Authorization: Bearer ***" in done.output
    assert "2 calls, 1 failed" in done.output


def test_the_results_as_json() -> None:
    Path("a.calls.toml").write_text(CALLS.replace("222", "223"))
    done = run("scenario", "a.calls.toml", "rehearsed.py", "--json")
    data = json.loads(done.stdout)
    assert (done.exit_code, data["failed"]) == (1, 1)
    failed, passed = data["calls"]
    assert (failed["name"], failed["line"], failed["passed"]) == ("sales", 2, False)
    assert failed["problem"] == "expected: forwarded to 223; got: forwarded to 222"
    assert "> Authorization: Bearer ***" in failed["transcript"]
    assert passed == {
        "name": "call 2",
        "line": 8,
        "passed": True,
        "problem": None,
        "transcript": None,
    }


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        ("[[call]]", ["rehearsed.py"], "Error: a.calls.toml:1: the call needs ivr"),
        (None, ["rehearsed.py"], "Error: a.calls.toml cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_read(text: str | None, arguments: list[str], expected: str) -> None:
    if text is not None:
        Path("a.calls.toml").write_text(text)
    done = run("scenario", "a.calls.toml", *arguments)
    assert (done.exit_code, done.output.startswith(expected)) == (2, True)


@pytest.mark.parametrize("ivr", ["9000", "north/8000"])
def test_an_unknown_ivr_is_reported_with_its_line(ivr: str) -> None:
    Path("a.calls.toml").write_text(CALLS.replace("8000", ivr))
    done = run("scenario", "a.calls.toml", "rehearsed.py")
    assert (done.exit_code, done.output.startswith("Error: a.calls.toml:2: ")) == (2, True)


def test_a_missing_app_is_an_error() -> None:
    Path("a.calls.toml").write_text(CALLS)
    done = run("scenario", "a.calls.toml")
    assert "a.calls.toml names no app" in done.output
    assert done.exit_code not in (0, 1)


SENSITIVE = """
from receiver import Call, Forward, Ivr, Receiver

sales = Ivr("8000")

@sales.dtmf("470000-479999", sensitive=True, auth="digest", method="GET")
async def pin(call: Call):
    return Forward("2" + call.digits[2:])

@sales.dtmf("1")
async def plain(call: Call):
    return Forward("222")

app = Receiver(sales)
"""


@pytest.mark.parametrize(
    "command",
    [
        "dial rehearsed.py 8000 --press 472193",
        "dial rehearsed.py 8000 --press 482193",
        "dial rehearsed.py 8000 --press 472193 --press 482193",
        "scenario a.calls.toml rehearsed.py",
        "load rehearsed.py 8000 --press 472193 --rate 50 --for 0.1",
    ],
)
def test_digits_of_a_sensitive_action_are_not_printed(command: str) -> None:
    Path("rehearsed.py").write_text(SENSITIVE)
    calls = CALLS.replace('"1"', '"472193", "482193"').replace("222", "333")
    Path("a.calls.toml").write_text(calls)
    done = run(*command.split())
    assert not [one for one in ("472193", "482193", "22193") if one in done.output]
    assert "•••••" in done.output


def test_digits_of_other_actions_of_the_ivr_are_printed_with_their_callback() -> None:
    Path("rehearsed.py").write_text(SENSITIVE)
    done = run("dial", "rehearsed.py", "8000", "--press", "1")
    assert "the caller presses 1: the PBX asks" in done.output
    assert "forwarded to 222" in done.output


# Load ----------------------------------------------------------------------------------------


def test_load_in_the_process() -> None:
    done = run("load", "rehearsed.py", "8000", "--press", "1", "--rate", "500", "--for", "0.1")
    assert "50 callbacks" in done.output
    assert "50  forwarded to 222" in done.output
    assert "answered in time: 50, 100.00%" in done.output
    assert done.exit_code == 0


def test_load_shows_a_histogram_against_the_deadline() -> None:
    done = run("load", "rehearsed.py", "8000", "--press", "1", "--rate", "500", "--for", "0.1")
    lines = done.output.splitlines()
    assert "time to answer:" in lines
    assert lines[-2].strip().startswith("≤ 2000 ms")
    assert lines[-2].endswith("  deadline")
    assert lines[-1].split() == ["none", "in", "time", "0"]


def test_load_writes_a_page_and_json() -> None:
    common = ("load", "rehearsed.py", "8000", "--press", "1", "--rate", "500", "--for", "0.1")
    done = run(*common, "--json", "--html", "load.html")
    data = json.loads(done.stdout)
    assert (data["passed"], data["calls"], data["callbacks"]) == (True, 50, 50)
    assert sum(row["callbacks"] for row in data["histogram"]) == 50
    assert data["outcomes"] == {"forwarded to 222": 50}
    assert "<h1>Load on 8000 of rehearsed.py</h1>" in Path("load.html").read_text()
    failed = run(*common, "--html", "nowhere/load.html")
    assert (failed.exit_code, "--html nowhere/load.html cannot be" in failed.output) == (2, True)


def test_load_without_a_callback_fails() -> None:
    done = run("load", "rehearsed.py", "8000", "--press", "9", "--for", "0.1")
    assert "calls without a callback" in done.output
    assert done.exit_code == 1


@pytest.mark.parametrize("option", ["--rate", "--for", "--least"])
@pytest.mark.parametrize("number", ["nan", "inf", "-1"])
def test_load_with_an_invalid_number(option: str, number: str) -> None:
    done = run("load", "rehearsed.py", "8000", "--press", "1", "--for", "0.1", option, number)
    assert (done.exit_code, f"Invalid value for '{option}'" in done.output) == (2, True)


def test_load_of_an_unknown_ivr() -> None:
    done = run("load", "rehearsed.py", "9000", "--press", "9", "--for", "0.1")
    assert "Error: this app declares no IVR '9000': choose one of 8000" in done.output


def test_load_of_another_machine_needs_an_option() -> None:
    done = run("load", "rehearsed.py", "8000", "--http", "http://ivr.example.com")
    assert "Error: ivr.example.com is another machine: add --remote" in done.output
    assert done.exit_code != 0


@pytest.mark.parametrize(
    ("secret", "expected", "code"),
    [
        (SECRET, "50  forwarded to 222", 0),
        ("e81b5c3f70a94d26b3f7091ac5d64e28", "failed: HTTP status 401", 1),
    ],
)
async def test_load_over_http(
    secret: str, expected: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECEIVER_SECRET", SECRET)
    served = load("rehearsed.py")
    assert served.settings.secret.reveal() == SECRET  # type: ignore[attr-defined]
    async with running(served) as url:  # type: ignore[arg-type]
        monkeypatch.setenv("RECEIVER_SECRET", secret)
        Path("again.py").write_text(APP)
        more = ("--press", "1", "--rate", "200", "--for", "0.25", "--http", url)
        done = await asyncio.to_thread(run, "load", "again.py", "8000", *more)
    assert expected in done.output
    assert done.exit_code == code
