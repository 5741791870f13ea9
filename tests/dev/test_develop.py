"""``receiver dev`` as a process: calls, reloads, and the end."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from receiver.cli import main
from tests.command_line import CliRunner
from tests.dev.dev_process import APP, Dev, is_alive, wait_until_gone

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
        dev.stop()


def callbacks(call: dict[str, Any]) -> list[dict[str, Any]]:
    return [step["callback"] for step in call["steps"] if step["type"] == "callback"]


BLOCKS = """
import logging, threading
from receiver import Call, Forward, Ivr, Receiver, Reply

released = threading.Event()
sales = Ivr("8000")

@sales.caller("1**")
async def arrive(call: Call) -> Reply:
    released.wait(60)
    return Forward("222")

class Release(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        released.set()

logging.getLogger("receiver.dev").addHandler(Release())
app = Receiver(sales)
"""


def test_a_call_that_blocks_the_event_loop_is_printed_and_shown(start: Start) -> None:
    dev = start(BLOCKS)
    dev.until_service("running")
    dev.dial()
    dev.until_printed(r"app\.py:10: released\.wait in arrive blocked the event loop .*plain def")
    shown = dev.until(
        lambda e: e["type"] == "step" and bool((e["step"]["callback"] or {}).get("blocking"))
    )
    [found] = shown["step"]["callback"]["blocking"]
    assert (found["file"], found["line"]) == ("app.py", 10)


def test_a_call_shows_its_callback_with_what_the_service_reports(start: Start) -> None:
    dev = start()
    first = dev.until_service("running")
    assert first["changes"] == ["+ IVR 8000", "+ action 8000/arrive"]
    call = dev.dial(name="Ann")
    assert call["end"] == {"kind": "forwarded", "text": "forwarded to 222"}
    found = dev.until(
        lambda e: e["type"] == "step" and bool((e["step"]["callback"] or {}).get("log"))
    )
    (callback,) = callbacks(dev.call(call["id"]))
    assert [one["status"] for one in callback["exchanges"]] == [401, 200]
    assert callback["handler"] == "app.arrive"
    assert callback["reason"] == "handled"
    assert found["step"]["callback"]["log"][0]["message"] == "asked by 101"
    assert callback["stages"].keys() == {"authentication", "body", "handler", "whole"}
    assert dev.browser.post("phone/dial", json={"ivr": "8000"}).status_code == 403


def test_a_change_of_the_code_counts_and_shows_what_it_changed_on_the_pbx(start: Start) -> None:
    dev = start()
    dev.until_service("running")
    children = dev.children()
    dev.write('"222"', '"333"')
    assert dev.until_service("running")["changes"] == []
    assert dev.dial()["end"]["text"] == "forwarded to 333"
    dev.write('"1**"', '"10*"')
    (change,) = dev.until_service("running")["changes"]
    assert change == "~ action 8000/arrive: caller_mask: 1** → 10*"
    wait_until_gone(children)


def test_broken_code_is_shown_with_its_place_and_the_version_before_it_answers(
    start: Start,
) -> None:
    dev = start()
    dev.until_service("running")
    for right, bad, text in (
        ("import logging", "import logging, (", "app.py:2: invalid syntax"),
        ('"1**"', '"x"', "app.py:8: mask entry"),
        ('Ivr("8000")', 'Ivr("80")', "app.py:6: an Ivr has"),
        ("log = ", "log = 1 / 0 #", "app.py:5: ZeroDivisionError: division by zero"),
    ):
        dev.write(right, bad)
        found = dev.until_service("broken")
        assert (text in found["text"], found["serves"]) == (True, True)
        dev.until_printed("The previous version keeps running")
        assert dev.dial()["end"]["text"] == "forwarded to 222"
        dev.write(bad, right)
        dev.until_service("running")


def test_an_exception_of_a_handler_is_shown_with_its_place(start: Start) -> None:
    dev = start(APP.replace('return Forward("222")', "return {}[call.caller_name]"))
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


def test_it_ends_with_all_processes_that_it_started(start: Start) -> None:
    dev = start()
    dev.until_service("running")
    children = dev.children()
    assert dev.stop() == 0
    wait_until_gone(children)


CLOCK = """
import httpx
from receiver import Call, Forward, Ivr, Receiver, Reply

ivr = Ivr("8000")

@ivr.caller("1**")
async def arrive(call: Call) -> Reply:
    return Forward(f"{call.now('Europe/Berlin'):%Y%m%d%H}")

@ivr.caller("2**", fallback=Forward("0"))
def ask_crm(call: Call) -> Reply:
    return Forward(str(httpx.get(call.caller_name).status_code))

app = Receiver(ivr)
"""


def end_of(dev: Dev, wanted: str, **call: str) -> str:
    """Return how a call ends; the child may get what is simulated a moment after the callback."""
    for _ in range(50):
        found = str(dev.dial(**call)["end"]["text"])
        if found == wanted:
            break
    return found


def test_the_clock_and_the_crm_of_the_page_reach_the_handlers(start: Start) -> None:
    dev = start(CLOCK)
    dev.until_service("running")
    dev.post("pbx/clock", {"at": "2031-03-04T05:06"})
    assert end_of(dev, "forwarded to 2031030405") == "forwarded to 2031030405"
    crm = {"caller": "201", "name": f"{dev.url}state"}
    assert end_of(dev, "forwarded to 401", **crm) == "forwarded to 401"
    dev.post("faults", {"crm": "down"})
    assert end_of(dev, "forwarded to 0", **crm) == "forwarded to 0"

    # A new version of the code has them, too.
    dev.write("return Forward(f", "return Forward('7' + f")
    dev.until_service("running", "app.py changed")
    assert end_of(dev, "forwarded to 72031030405") == "forwarded to 72031030405"
    assert end_of(dev, "forwarded to 0", **crm) == "forwarded to 0"
    dev.post("pbx/clock", {"at": None})
    assert "2031" not in end_of(dev, "", caller="101")


SENSITIVE = """
import logging, httpx
from contextlib import suppress
from receiver import Call, Forward, Ivr, Receiver, Reply

log = logging.getLogger("app")
logging.getLogger().addHandler(own := logging.StreamHandler())
own.setFormatter(logging.Formatter("own %(message)s"))
ivr = Ivr("8000")

@ivr.dtmf("470000000-479999999", sensitive=True, auth="digest", method="GET")
async def pin(call: Call) -> Reply:
    log.info("the caller keyed %s", call.digits)
    try:
        raise LookupError(f"unknown: {call.digits}")
    except LookupError:
        log.exception("a failure with %s", call.digits)
    async with httpx.AsyncClient() as client:
        with suppress(httpx.HTTPError):
            await client.get(f"URL/accounts/{call.digits}")
    if call.digits.endswith("7"):
        raise KeyError(call.digits)
    return Forward("2" + call.digits[2:])

@ivr.dtmf("1")
async def plain(call: Call) -> Reply:
    return Forward("222")

app = Receiver(ivr)
"""


def is_of(call: str, kind: str, event: dict[str, Any]) -> bool:
    return bool(event["type"] == kind and event["id"] == call)


def is_answered(call: str, event: dict[str, Any]) -> bool:
    return is_of(call, "step", event) and bool((event["step"]["callback"] or {}).get("reason"))


def test_handlers_of_events_get_the_calls_of_the_page_while_they_happen(start: Start) -> None:
    dev = start(
        APP.replace('sales.caller("1**", auth="digest")', 'sales.dtmf("1")')
        + """
@app.on("call_started")
def log_start(event):
    log.info("started: %s", event.caller)

@app.on("call_ended")
def log_end(event):
    log.info("ended: %s, %s", event.forwarded_to, event.answered_by.talk_duration)
"""
    )
    dev.until_service("running")
    key = dev.post("phone/dial", {"ivr": "8000", "caller": "101"})["call"]
    dev.until_printed("started: 101")
    assert dev.call(key)["state"] == "prompt"
    dev.post(f"phone/{key}/key", {"key": "1"})
    dev.until_printed("ended: 222, 5.0")
    dev.until(lambda e: is_of(key, "step", e) and e["step"]["text"].endswith("call_cdr"))
    assert [step["text"] for step in dev.call(key)["steps"] if step["type"] == "event"] == [
        "the PBX reports call_start, cdr_target_add, cdr_target_ringing, cdr_target_answer",
        "the PBX reports cdr_target_end, cdr_target_add, cdr_target_ringing",
        "the PBX reports cdr_target_answer",
        "the PBX reports cdr_target_end, call_cdr",
    ]


def test_digits_of_a_sensitive_action_are_shown_nowhere(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as crm:  # not one that answers
        url = f"http://127.0.0.1:{crm.getsockname()[1]}"
    dev = start(SENSITIVE.replace("URL", url))
    dev.until_service("running")
    for keys in ("472193845", "472193847", "480001845"):  # forwarded, raised, no action
        call = dev.post("phone/dial", {"ivr": "8000", "caller": "101"})["call"]
        dev.until(partial(is_of, call, "now"))
        for digit in keys:
            dev.post(f"phone/{call}/key", {"key": digit})
        if keys[:2] == "47":
            found = dev.until(partial(is_answered, call))["step"]["callback"]
            assert (found["digits"], found["handler"]) == ("•" * 9, "app.pin")
            assert [one["path"] for one in found["upstream"]] == ["/***"]
        else:
            dev.until(lambda e: e["type"] == "step" and "no DTMF" in e["step"]["text"])
            dev.post(f"phone/{call}/hangup", {})
        shown = json.dumps(dev.call(call), ensure_ascii=False)
        assert keys[2:] not in shown
        assert "•" * 9 in shown
    state = dev.browser.get("state").text
    for text in (state, json.dumps(dev.events), "".join(dev.lines)):
        for secret in ("2193845", "2193847", "0001845"):
            assert secret not in text
    assert f"own the caller keyed {'•' * 9}" in "".join(dev.lines)
    dev.until_printed("KeyError .its text is withheld")


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
    dev.until_call(in_hand, reason="handled")  # reported by the old child before it ends
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
    found = dev.until_service("broken")
    assert ("app.py:" in found["text"], found["serves"]) == (True, False)
    assert "keeps running" not in "".join(dev.lines)
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
        RECEIVER_JOBS=str(real / "jobs.db"),
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
    found = dev.until(
        lambda e: e["type"] == "step" and bool((e["step"]["callback"] or {}).get("upstream"))
    )["step"]["callback"]["upstream"][0]
    assert (found["host"], found["path"], found["status"]) == ("127.0.0.1:9", "/contacts", None)
    assert found["from"] == "network"
    assert asked["end"]["text"] == "forwarded to 0"

    dev.post("faults", {"slow": 5})
    calls = (dev.dial() for _ in range(9))  # the child gets the fault a moment later
    slow = next(call for call in calls if callbacks(call)[0]["seconds"] > 1)
    assert slow["end"]["text"] == "forwarded to 0"
    dev.until(lambda e: e["type"] == "call" and e["call"]["reason"] == "late")

    for fault, text in (
        ({"slow": 0, "network": "refuse"}, "connection was refused"),
        ({"network": "drop"}, ""),
        ({"network": "ok", "password": "wrong"}, "401"),
    ):
        dev.post("faults", fault)
        key = dev.post("phone/dial", {"ivr": "8000", "caller": "101"})["call"]
        dev.until_call(key, reason="failed")
        (callback,) = callbacks(dev.call(key))
        assert text in callback["outcome"]["text"]
        dev.post(f"phone/{key}/hangup", {})


@pytest.mark.allow_secrets  # the URL of the console
@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nothing:app", "there is no module 'nothing'"),
        ("app:nothing", "app has no 'nothing'"),
        ("app:log", "not a Receiver"),
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
