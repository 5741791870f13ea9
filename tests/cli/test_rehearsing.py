"""``receiver scenario`` and ``receiver load``."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from receiver.cli import main
from receiver.loader import load
from receiver.serving.server import running

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

SECRET = "a secret that the load knows, too"


@pytest.fixture(autouse=True)
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rehearsed.py").write_text(APP)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


# Scenarios -----------------------------------------------------------------------------------


def test_calls_that_end_as_they_should() -> None:
    Path("a.calls.toml").write_text(CALLS)
    done = run("scenario", "a.calls.toml", "rehearsed.py:app")
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "ok      sales",
        "ok      call 2",
        "2 calls, 0 ended otherwise",
    ]


def test_a_call_that_does_not_is_shown() -> None:
    Path("a.calls.toml").write_text('app = "rehearsed.py"\n' + CALLS.replace("222", "223"))
    done = run("scenario", "a.calls.toml")
    assert done.exit_code == 1
    assert "failed  sales (a.calls.toml:3)" in done.output
    assert "expected: forwarded to 223; in fact: forwarded to 222" in done.output
    assert "> Authorization: Bearer ***" in done.output
    assert "2 calls, 1 ended otherwise" in done.output


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("[[call]]", ["rehearsed.py"], "Error: a.calls.toml:1: the call needs ivr"),
        (None, ["rehearsed.py"], "Error: a.calls.toml cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_read(text: str | None, arguments: list[str], said: str) -> None:
    if text is not None:
        Path("a.calls.toml").write_text(text)
    done = run("scenario", "a.calls.toml", *arguments)
    assert (done.exit_code, done.output.startswith(said)) == (2, True)


@pytest.mark.parametrize("ivr", ["9000", "north/8000"])
def test_an_ivr_that_is_not_there_has_its_place(ivr: str) -> None:
    Path("a.calls.toml").write_text(CALLS.replace("8000", ivr))
    done = run("scenario", "a.calls.toml", "rehearsed.py")
    assert (done.exit_code, done.output.startswith("Error: a.calls.toml:2: ")) == (2, True)


def test_which_app() -> None:
    Path("a.calls.toml").write_text(CALLS)
    done = run("scenario", "a.calls.toml")
    assert "a.calls.toml names no app" in done.output
    assert done.exit_code not in (0, 1)


# Load ----------------------------------------------------------------------------------------


def test_load_within_the_process() -> None:
    done = run("load", "rehearsed.py", "8000", "--press", "1", "--rate", "500", "--for", "0.1")
    assert "50 callbacks" in done.output
    assert "50  forwarded to 222" in done.output
    assert "answered in time: 50, 100.00%" in done.output
    assert done.exit_code == 0


def test_load_of_nothing_is_no_success() -> None:
    done = run("load", "rehearsed.py", "8000", "--press", "9", "--for", "0.1")
    assert "no action URL was asked" in done.output
    assert done.exit_code == 1


@pytest.mark.parametrize("option", ["--rate", "--for", "--least"])
@pytest.mark.parametrize("number", ["nan", "inf", "-1"])
def test_load_with_what_is_no_number(option: str, number: str) -> None:
    done = run("load", "rehearsed.py", "8000", "--press", "1", "--for", "0.1", option, number)
    assert (done.exit_code, f"Invalid value for '{option}'" in done.output) == (2, True)


def test_load_of_an_ivr_that_is_not_there() -> None:
    done = run("load", "rehearsed.py", "9000", "--press", "9", "--for", "0.1")
    assert "Error: the PBX has no IVR with the extension number '9000'" in done.output


def test_load_of_another_machine_must_be_told_aloud() -> None:
    done = run("load", "rehearsed.py", "8000", "--http", "http://ivr.example.com")
    assert "Error: ivr.example.com is not this machine: add --remote" in done.output
    assert done.exit_code != 0


@pytest.mark.parametrize(
    ("secret", "said", "code"),
    [
        (SECRET, "50  forwarded to 222", 0),
        ("another secret, that is wrong", "failed: HTTP status 401", 1),
    ],
)
async def test_load_on_the_wire(
    secret: str, said: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECEIVER_SECRET", SECRET)
    served = load("rehearsed.py")
    assert served.settings.secret.reveal() == SECRET  # type: ignore[attr-defined]
    async with running(served) as url:  # type: ignore[arg-type]
        monkeypatch.setenv("RECEIVER_SECRET", secret)
        Path("again.py").write_text(APP)
        more = ("--press", "1", "--rate", "200", "--for", "0.25", "--http", url)
        done = await asyncio.to_thread(run, "load", "again.py", "8000", *more)
    assert said in done.output
    assert done.exit_code == code
