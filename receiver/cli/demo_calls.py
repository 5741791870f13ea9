"""The app of ``receiver demo``, its calls and their expected outcomes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from receiver.calls import Call
from receiver.declarations.ivr import Ivr
from receiver.pbx.callback_trace import Outcome
from receiver.replies import Forward, Hangup, Repeat, Reply

sales = Ivr("8000")
support = Ivr("8100")


@sales.dtmf("1;22", fallback=Forward("0"))
async def extension(call: Call) -> Reply:
    return Forward("222")


@sales.dtmf("2", method="GET", auth="basic")
async def queue(call: Call) -> Reply:
    return Forward("6000")


@sales.dtmf("3", auth="digest")
async def card(call: Call) -> Reply:
    return Repeat()


@sales.dtmf("4000-4999", method="GET", auth="digest")
async def room(call: Call) -> Reply:
    return Forward("7" + call.digits)


@sales.dtmf("5", auth=None)
async def bye(call: Call) -> Reply:
    return Hangup()


@sales.dtmf("6", fallback=Forward("0"))
async def slow(call: Call) -> Reply:
    await asyncio.sleep(10)
    return Forward("222")


@sales.dtmf("7")
async def locked(call: Call) -> Reply:
    return Forward("700")


@support.caller("100-199")
async def colleague(call: Call) -> Reply:
    return Forward("300")


@support.caller("+1900*******", method="GET", auth="basic")
async def premium(call: Call) -> Reply:
    return Hangup()


@dataclass(frozen=True, slots=True)
class DemoCall:
    """One call and the expected outcome of each step."""

    title: str
    ivr: str
    caller: str
    presses: tuple[str, ...]
    ends: tuple[Outcome, ...]
    name: str = ""


NO_ACTION = Outcome("menu")
FAILED = Outcome("failed", "401")
"""Failures match by substring, because their text varies."""

CALLS = (
    DemoCall(
        "CALLER by POST, bearer: a colleague is connected before the prompt",
        *("8100", "101", (), (Outcome("forwarded", "300"),)),
    ),
    DemoCall(
        "CALLER by GET, basic: a call from a premium number is ended",
        *("8100", "+19005550100", (), (Outcome("hung up"),)),
    ),
    DemoCall(
        "DTMF by POST, bearer: 22 is an extension",
        *("8000", "101", ("22",), (NO_ACTION, Outcome("forwarded", "222"))),
        name="Jason",
    ),
    DemoCall(
        "DTMF by GET, basic: 2 is the queue; the name is beyond ASCII",
        *("8000", "+4930123456", ("2",), (NO_ACTION, Outcome("forwarded", "6000"))),
        name="Jürgen Groß",
    ),
    DemoCall(
        "DTMF by POST, digest: 3 repeats the prompt, then 1 is an extension",
        *("8000", "102", ("3", "1")),
        ends=(NO_ACTION, Outcome("repeated"), Outcome("forwarded", "222")),
    ),
    DemoCall(
        "DTMF by GET, digest: a range of rooms",
        *("8000", "103", ("4711",), (NO_ACTION, Outcome("forwarded", "74711"))),
    ),
    DemoCall(
        "DTMF by POST, no authentication: 5 ends the call",
        *("8000", "104", ("5",), (NO_ACTION, Outcome("hung up"))),
    ),
    DemoCall(
        "A handler that sleeps for 10 s: the caller gets the fallback",
        *("8000", "105", ("6",), (NO_ACTION, Outcome("forwarded", "0"))),
    ),
)

LOCKED = DemoCall(
    "Wrong credentials: the token of 7 was changed on the PBX",
    *("8000", "106", ("7",), (NO_ACTION, FAILED)),
)
REPAIRED = DemoCall(
    "The same call after apply restored the token",
    *("8000", "106", ("7",), (NO_ACTION, Outcome("forwarded", "700"))),
)
