"""A simulated call: keys, time, the events of a listener, network faults."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import httpx
import pytest

from receiver.pbx.callback_request import CallbackFaults
from receiver.pbx.callback_trace import Outcome
from receiver.replies import Forward, Hangup, Repeat, Reply, encode
from receiver.simulator.events import Event
from receiver.simulator.line import Line, LineError, PhoneCall
from receiver.simulator.model import Pbx

TOO_LATE = Outcome("failed", "no complete answer within the request timeout")


def make_pbx(request_timeout: int = 2, **ivr: Any) -> Pbx:
    pbx = Pbx()
    key = pbx.ivrs.create({"name": "Sales", "extension_number": "888", **ivr})
    row: dict[str, Any] = {
        "name": "pick",
        "enabled": True,
        "type": "DTMF",
        "method": "POST",
        "auth": "BASIC",
    }
    row |= {"request_timeout": request_timeout}
    more = {"dtmf_mask": "22", "url": "http://action", "username": "username"}
    pbx.action_urls(key).create({**row, **more, "password": "password"})
    return pbx


class Service:
    """Answers in its process, and counts who asked with which credentials."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies) or [Forward("222")]
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.headers["Authorization"])
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return httpx.Response(200, content=encode(reply))


def make_line(service: Any = None, pbx: Pbx | None = None, **options: Any) -> Line:
    transport = httpx.MockTransport(service or Service())
    return Line(pbx or make_pbx(), transport=transport, **options)


# Keys and time -------------------------------------------------------------------------------


async def test_one_key_after_the_other() -> None:
    call = await make_line().dial("888", caller="101")
    assert await call.key("2") == ()
    assert (call.digits, call.due, call.ended) == ("2", 2, False)
    assert await call.wait(1.5) == ()
    await call.key("2")
    [step] = await call.wait(2)
    assert (step.digits, step.outcome) == ("22", Outcome("forwarded", "222"))
    assert (call.forwarded_to, call.now, call.due) == ("222", 3.5, None)


async def test_time_passes_timer_by_timer() -> None:
    rule = {"timeout": 5, "repeat_times": 2, "action": "HANGUP"}
    call = await make_line(pbx=make_pbx(timeout_forward_rule=rule)).dial("888", caller="101")
    steps = await call.wait(60)
    assert [step.outcome.kind for step in steps] == ["repeated", "repeated", "hung up"]
    assert [event.seconds for event in call.events if event.kind == "prompt"] == [0, 5, 10]
    assert (call.prompts, call.now, call.outcome) == (3, 60, Outcome("hung up"))


async def test_a_line_with_a_clock() -> None:
    now = 100.0
    call = await make_line(seconds=lambda: now).dial("888", caller="101")
    await call.key("2")
    await call.key("2")
    assert call.due == 102
    now = 101.0
    assert await call.on_time() == ()
    now = 102.0
    assert [step.outcome.kind for step in await call.on_time()] == ["forwarded"]


async def test_keys_after_the_end_are_ignored() -> None:
    pbx = make_pbx()
    rule = {"action": "FORWARD_TO_NUMBER", "number": "300"}
    entry = {"user_input": "1", "office_hours_forward_rule": rule}
    pbx.ivrs.update(next(iter(pbx.ivrs))["id"], {"custom_forward_rules": [entry]})
    call = await make_line(pbx=pbx).dial("888", caller="101")
    assert (await call.press("122")).outcome == Outcome("forwarded", "300")
    assert [event.text for event in call.events if event.kind == "key"] == ["the caller presses 1"]


async def test_waiting_advances_the_local_time_of_office_hours() -> None:
    pbx = make_pbx()
    hours = {"mode": "CUSTOM", "monday": {"enabled": True, "ranges": [{"to": "12:00"}]}}
    entry = {
        "user_input": "1",
        "office_hours": hours,
        "office_hours_forward_rule": {"action": "FORWARD_TO_NUMBER", "number": "300"},
        "non_office_hours_forward_rule": {"action": "HANGUP"},
    }
    rule = {"timeout": 600}
    found = next(iter(pbx.ivrs))["id"]
    pbx.ivrs.update(found, {"custom_forward_rules": [entry], "timeout_forward_rule": rule})
    line = make_line(pbx=pbx, today=lambda: datetime(2026, 1, 5, 11, 59))
    early, late = [await line.dial("888", caller="101") for _ in range(2)]
    await late.wait(60)
    await early.key("1")
    await late.key("1")
    assert (early.forwarded_to, late.forwarded_to) == ("300", None)
    assert late.outcome == Outcome("hung up")


async def test_key_takes_exactly_one_key() -> None:
    call = await make_line().dial("888", caller="101")
    with pytest.raises(LineError, match="keys"):
        await call.key("22")


# During a callback ---------------------------------------------------------------------------


async def test_the_caller_leaves_during_a_callback() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.set()
        await go_on.wait()
        return httpx.Response(200, content=encode(Forward("222")))

    call = await make_line(answer, make_pbx(request_timeout=60)).dial("888", caller="101")
    pressed = asyncio.create_task(call.press("22"))
    await asked.wait()
    assert call.asking
    assert await call.key("3") == ()
    assert call.events[-1].kind == "deaf"
    with pytest.raises(LineError, match="a callback is running"):
        await call.press("3")
    await call.hang_up()
    await call.hang_up()
    go_on.set()
    assert (await pressed).outcome == Outcome("forwarded", "222")
    assert (call.outcome, call.forwarded_to) == (Outcome("left"), None)
    with pytest.raises(LineError, match="the call was left"):
        await call.press("1")


async def test_a_listener_is_called_before_and_after_a_callback() -> None:
    events: list[tuple[str, int]] = []
    service = Service()

    def listen(call: PhoneCall, event: Event) -> None:
        events.append((event.kind, len(service.asked)))

    call = await make_line(service).dial("888", caller="101", listener=listen)
    await call.press("22")
    assert events[-3:] == [("asking", 0), ("decided", 1), ("ended", 1)]
    assert len(events) == len(call.events)


async def test_a_transcript_for_people() -> None:
    line = make_line(Service(Repeat(), Hangup()))
    call = await line.dial("888", caller="101", caller_name="Jason")
    await call.press("22")
    await call.wait(5)
    await call.press("22")
    text = call.transcript.splitlines()
    assert text[0] == '101 "Jason" calls 888, "Sales"'
    assert text[1].startswith("    0.0 s  the call arrives: no CALLER action URL matches: ")
    assert text[2] == "    0.0 s  the IVR plays its prompt"
    assert '    2.0 s  the PBX asks the DTMF action URL "pick"' in text
    assert "             > Authorization: Basic ***" in text
    assert text[-1] == "    9.0 s  the IVR's part of the call ends: hung up"
    assert [step.action for step in call.callbacks] == ["pick", "pick"]
    assert "\n" not in (await line.dial("888", caller="\n1")).transcript.splitlines()[0]


# Faults of the network ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "outcome", "asked"),
    [
        (CallbackFaults(), Outcome("forwarded", "222"), 1),
        (CallbackFaults(dropped=True), Outcome("failed", "the connection broke off"), 1),
        (CallbackFaults(refused=True), Outcome("failed", "the connection was refused"), 0),
        (CallbackFaults(slow=2.5), TOO_LATE, 0),
        (CallbackFaults(slow=0.5), Outcome("forwarded", "222"), 1),
    ],
)
@pytest.mark.parametrize("real_time", [True, False])
async def test_callback_faults(
    faults: CallbackFaults, outcome: Outcome, asked: int, real_time: bool
) -> None:
    service = Service()
    line = make_line(service, real_time=real_time)
    call = await line.dial("888", caller="101")
    line.faults = faults
    step = await call.press("22")
    assert (line.faults, step.outcome, len(service.asked)) == (faults, outcome, asked)
    assert step.seconds >= min(faults.slow, 2)


async def test_a_wrong_password_is_sent() -> None:
    service = Service()
    line = make_line(service)
    call = await line.dial("888", caller="101")
    line.faults = CallbackFaults(wrong_password=True)
    await call.press("22")
    line.faults = CallbackFaults()
    other = await line.dial("888", caller="101")
    await other.press("22")
    assert service.asked[0] != service.asked[1] == "Basic dXNlcm5hbWU6cGFzc3dvcmQ="
