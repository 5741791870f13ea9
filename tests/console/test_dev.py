"""``receiver dev`` as a process: calls, reloads, and the end."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from receiver.cli import main
from tests.console.developing import APP, Dev, is_alive, wait_until_gone

Start = Callable[..., Dev]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Dev] = []

    def run(app: str = APP, *options: str, **env: str) -> Dev:
        (tmp_path / "app.py").write_text(app)
        started.append(dev := Dev(tmp_path, *options, **env))
        return dev

    yield run
    for dev in started:
        dev.stop(signal.SIGKILL)


def callbacks(call: dict[str, Any]) -> list[dict[str, Any]]:
    return [step["callback"] for step in call["steps"] if step["type"] == "callback"]


def test_a_call_and_changes_of_the_code(start: Start) -> None:
    dev = start()
    first = dev.until_service("running")
    assert first["changes"] == ["+ IVR 8000", "+ action 8000/arrive"]
    children = dev.children()

    # From dial to forward, with what the service tells of it.
    call = dev.dial(name="Ann")
    assert call["end"] == {"kind": "forwarded", "text": "forwarded to 222"}
    told = dev.until(
        lambda e: e["type"] == "step" and bool((e["step"]["callback"] or {}).get("log"))
    )
    (callback,) = callbacks(dev.call(call["id"]))
    assert [one["status"] for one in callback["exchanges"]] == [401, 200]
    assert callback["handler"] == "app.arrive"
    assert callback["reason"] == "handled"
    assert told["step"]["callback"]["log"][0]["message"] == "asked by 101"
    assert callback["stages"].keys() == {"authentication", "body", "handler", "whole"}

    # A change counts, and says what it changed on the PBX.
    dev.write('"222"', '"333"')
    assert dev.until_service("running")["changes"] == []
    assert dev.dial()["end"]["text"] == "forwarded to 333"
    dev.write('"1**"', '"10*"')
    (change,) = dev.until_service("running")["changes"]
    assert change == "~ action 8000/arrive: caller_mask: 1** → 10*"
    wait_until_gone(children)

    # A broken change is shown with its place, and the version before it stays.
    for good, bad, said in (
        ("import logging", "import logging, (", "app.py:2: invalid syntax"),
        ('"10*"', '"x"', "app.py:8: mask entry"),
        ('Ivr("8000")', "Ivr(80)", "app.py:6: an Ivr has"),
        ("log = ", "log = 1 / 0 #", "app.py:5: ZeroDivisionError: division by zero"),
    ):
        dev.write(good, bad)
        told = dev.until_service("broken")
        assert (said in told["text"], told["serves"]) == (True, True)
        dev.until_printed("The version before it goes on answering")
        assert dev.dial()["end"]["text"] == "forwarded to 333"
        dev.write(bad, good)
        dev.until_service("running")

    # What a handler raises is shown with its place.
    dev.write('return Forward("333")', "return {}[call.caller_name]")
    dev.until_service("running")
    key = dev.post("phone/dial", {"ivr": "8000", "caller": "101", "name": "Ann"})["call"]
    failed = dev.until(
        lambda e: e["type"] == "step" and bool((e["step"]["callback"] or {}).get("error"))
    )["step"]["callback"]
    assert failed["error"]["code"] == "return {}[call.caller_name]"
    assert (failed["error"]["file"], failed["error"]["line"]) == ("app.py", 11)
    assert failed["error"]["trace"].startswith("Traceback (most recent call last):\n  File")
    assert "reporting.py" not in failed["error"]["trace"]
    dev.post(f"phone/{key}/hangup", {})
    assert dev.ended(key)["end"]["kind"] == "caller left"
    assert dev.browser.post("phone/dial", json={"ivr": "8000"}).status_code == 403

    # It ends with all that it started.
    children = dev.children()
    assert dev.stop() == 0
    wait_until_gone(children)


SLOW = """
import os, time
from pathlib import Path
from receiver import Call, Forward, Ivr, Receiver, Reply

Path(f"loading-{os.getpid()}").touch()
while Path("hold").exists():
    time.sleep(0.01)
ivr = Ivr("8000")

@ivr.caller("1**", request_timeout=30)
def arrive(call: Call) -> Reply:
    Path(f"asked-{call.caller}").touch()
    while not Path("answer").exists():
        time.sleep(0.01)
    return Forward("222")

app = Receiver(ivr)
"""


def wait_for(folder: Path, pattern: str, count: int = 1) -> None:
    give_up = 6000
    while len(list(folder.glob(pattern))) < count:
        give_up -= 1
        assert give_up, pattern
        signal.sigtimedwait([], 0.01)


def test_a_change_during_a_call_loses_no_callback(start: Start, tmp_path: Path) -> None:
    dev = start(SLOW)
    dev.until_service("running")
    old = min(dev.children())
    in_hand = dev.post("phone/dial", {"ivr": "8000", "caller": "101"})["call"]
    wait_for(tmp_path, "asked-101")
    (tmp_path / "hold").touch()
    dev.write('"222"', '"333"')
    wait_for(tmp_path, "loading-*", 2)

    # The new version is being loaded: what is due now waits for it.
    held = dev.post("phone/dial", {"ivr": "8000", "caller": "102"})["call"]
    dev.until_call(held, state="waiting")
    (tmp_path / "hold").unlink()
    dev.until_service("running", "app.py changed")
    wait_for(tmp_path, "asked-102")
    (tmp_path / "answer").touch()
    first, second = dev.ended(in_hand), dev.ended(held)
    assert first["end"]["text"] == "forwarded to 222"
    assert second["end"]["text"] == "forwarded to 333"
    dev.until_call(in_hand, reason="handled")  # told by the old one, as the last thing it does
    (callback,) = callbacks(second)
    assert callback["exchanges"][0]["status"] == 200
    wait_until_gone([old])
    assert dev.stop(signal.SIGTERM) == 0


def test_a_killed_parent_leaves_no_child(start: Start) -> None:
    stuck = APP.replace('return Forward("222")', "while True: pass")
    dev = start(stuck)
    dev.until_service("running")
    dev.post("phone/dial", {"ivr": "8000", "caller": "101"})
    dev.until(lambda e: e["type"] == "step" and e["step"]["type"] == "callback")
    children = dev.children()
    assert all(map(is_alive, children))
    assert dev.stop(signal.SIGKILL) == -signal.SIGKILL
    wait_until_gone(children)


def test_what_is_broken_from_the_beginning_can_be_mended(start: Start) -> None:
    dev = start(APP.replace("Receiver(sales)", "Receiver(sales"))
    told = dev.until_service("broken")
    assert ("app.py:" in told["text"], told["serves"]) == (True, False)
    assert "goes on answering" not in "".join(dev.lines)
    dev.write("Receiver(sales", "Receiver(sales)")
    dev.until_service("running")
    assert dev.dial()["end"]["text"] == "forwarded to 222"


def test_a_configuration_file_is_watched_like_code(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "app.toml"
    text = '[[ivr]]\nnumber = "8000"\n[[ivr.caller]]\nname = "x"\nmask = "1**"\nthen = "222"\n'
    file.write_text(text)
    dev = start(target="app.toml")
    dev.until_service("running")
    assert dev.dial()["end"]["text"] == "forwarded to 222"
    file.write_text(text.replace("then", "than"))
    assert "app.toml:6: ivr.caller.than" in dev.until_service("broken", "than")["text"]
    file.write_text(text.replace("222", "333"))
    dev.until_service("running")
    assert dev.dial()["end"]["text"] == "forwarded to 333"


REMEMBERING = """
from receiver import Call, Forward, Ivr, Receiver, Reply

ivr = Ivr("8000")

async def note(caller: str) -> None:
    print("noted", flush=True)

@ivr.caller("1**")
async def arrive(call: Call) -> Reply:
    async with call.session() as session:
        session["seen"] = True
    await call.after.durably(note, call.caller, idempotency_key=call.session_id)
    return Forward("222")

app = Receiver(ivr)
"""


def test_nothing_goes_where_the_real_service_keeps_it(start: Start, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    dev = start(
        REMEMBERING,
        RECEIVER_STORE=str(real / "store.db"),
        RECEIVER_AFTER=str(real / "after.db"),
        RECEIVER_RECORD=str(real),
    )
    dev.until_service("running")
    assert dev.dial()["end"]["text"] == "forwarded to 222"
    dev.until_printed("noted")
    assert dev.stop() == 0
    assert list(real.iterdir()) == []


def test_the_clock_has_years_in_which_it_can_go_on(start: Start) -> None:
    dev = start()
    dev.until_service("running")
    headers = {"X-Console-Token": dev.page().partition('console-token" content="')[2][:32]}
    for wrong in ("9999-12-31T23:59", "1066-10-14T09:00", "soon"):
        refused = dev.browser.post("pbx/clock", json={"at": wrong}, headers=headers)
        assert (refused.status_code, list(refused.json())) == (409, ["error"])
    dev.post("pbx/clock", {"at": "2999-12-31T23:59"})
    assert dev.dial()["end"]["text"] == "forwarded to 222"


FAULTY = """
from receiver import Call, Forward, Ivr, Receiver, Reply
from receiver.upstream import Client

crm = Client("http://127.0.0.1:9")
ivr = Ivr("8000")

@ivr.caller("1**", fallback=Forward("0"))
async def arrive(call: Call) -> Reply:
    answer = await crm.get("/contacts", call=call)
    return Forward("222")

app = Receiver(ivr)
"""


def test_faults_at_hand(start: Start) -> None:
    dev = start(FAULTY)
    dev.until_service("running")
    asked = dev.dial()
    told = dev.until(
        lambda e: e["type"] == "step" and bool((e["step"]["callback"] or {}).get("upstream"))
    )["step"]["callback"]["upstream"][0]
    assert (told["host"], told["path"], told["status"]) == ("127.0.0.1:9", "/contacts", None)
    assert told["from"] == "network"
    assert asked["end"]["text"] == "forwarded to 0"

    dev.post("faults", {"slow": 5})
    assert dev.dial()["end"]["text"] == "forwarded to 0"
    dev.until(lambda e: e["type"] == "call" and e["call"]["reason"] == "late")

    for fault, said in (
        ({"slow": 0, "network": "refuse"}, "connection was refused"),
        ({"network": "drop"}, ""),
        ({"network": "ok", "password": "wrong"}, "401"),
    ):
        dev.post("faults", fault)
        key = dev.post("phone/dial", {"ivr": "8000", "caller": "101"})["call"]
        dev.until_call(key, reason="failed")
        (callback,) = callbacks(dev.call(key))
        assert said in callback["outcome"]["detail"]
        dev.post(f"phone/{key}/hangup", {})


@pytest.mark.allow_secrets  # the URL of the console
@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nothing:app", "there is no module 'nothing'"),
        ("app:nothing", "app has no 'nothing'"),
        ("app:log", "app:log is no Receiver"),
        ("gone.py:app", "there is no file gone.py"),
        (":app", "is not of the form module:attribute"),
    ],
)
def test_a_wrong_command_ends_with_one_line(
    target: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["dev", target, "--port", "0", "--no-open"])
    assert done.exit_code == 2
    assert said in done.output
    assert "Traceback" not in done.output


@pytest.mark.allow_secrets
def test_wrong_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(APP)
    for options in (["--port", "x"], ["--port", "70000"], []):
        assert CliRunner().invoke(main, ["dev", *options]).exit_code == 2
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = CliRunner().invoke(main, ["dev", "app:app", "--port", port, "--no-open"])
        assert (done.exit_code, "cannot listen" in done.output) == (2, True)
        assert "choose another with --port" in done.output
    monkeypatch.setenv("RECEIVER_MARGIN", "7")
    done = CliRunner().invoke(main, ["dev", "app:app", "--port", "0"])
    assert (done.exit_code, "RECEIVER_MARGIN" in done.output) == (2, True)
    monkeypatch.delenv("RECEIVER_MARGIN")
    done = CliRunner().invoke(main, ["dev", "app:app", "--port", "0", "--pbx", "--no-open"])
    assert (done.exit_code, "RECEIVER_PBX_URL is not set" in done.output) == (2, True)
