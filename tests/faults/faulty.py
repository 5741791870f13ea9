"""An app whose handlers do what handlers should not, each under another digit.

Rule 1: what a handler does to its process has an end: the table tests the time after it too.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import resource
import time
from pathlib import Path
from typing import Any

from receiver import Call, Forward, Ivr, Receiver, Reply
from receiver.upstream import Client
from tests.limits import extend_limits

MARGIN_OF_MEMORY = 32 * 1024 * 1024
"""Octets that the process may take on top of what it has when it begins to leak."""

LEAK = 4 * 1024 * 1024
"""Octets that one call leaks."""

STDERR = 2

HANDLED = Forward("222")

if "STORE_LIMIT" in os.environ:
    extend_limits(seconds=float(os.environ["STORE_LIMIT"]))

crm = Client(os.environ.get("CRM_URL", "http://127.0.0.1:1"), timeout=1.0, pause=0.5)
ivr = Ivr("8000", fallback=Forward("0"))
leaked: list[bytearray] = []
muted: list[int] = []


@ivr.dtmf("1", auth=None)
async def good(call: Call) -> Reply:
    return HANDLED


@ivr.dtmf("2", auth=None)
def plain(call: Call) -> Reply:
    return HANDLED


@ivr.dtmf("3", auth="digest")
async def known(call: Call) -> Reply:
    return HANDLED


@ivr.dtmf("4", auth="digest")
async def remember(call: Call) -> Reply:
    async with call.session() as session:
        session["attempts"] = session.get("attempts", 0) + 1
    return HANDLED


@ivr.dtmf("5", auth=None)
async def ask(call: Call) -> Reply:
    await crm.get("/contacts", call=call)
    return HANDLED


@ivr.dtmf("6", auth=None)
async def slow(call: Call) -> Reply:
    await asyncio.sleep(30)
    return HANDLED


@ivr.dtmf("7", auth=None)
async def broken(call: Call) -> Reply:
    raise ValueError


@ivr.dtmf("8", auth=None)
async def nonsense(call: Call) -> Any:
    return {"destination": 222}


@ivr.dtmf("9", auth=None)
def block(call: Call) -> Reply:
    time.sleep(2)
    return HANDLED


@ivr.dtmf("10", auth=None)
async def stick(call: Call) -> Reply:
    time.sleep(2.5)  # noqa: ASYNC251 - the event loop is to be blocked
    return HANDLED


@ivr.dtmf("14", auth=None)
async def freeze(call: Call) -> Reply:
    time.sleep(3)  # noqa: ASYNC251 - as synchronous HTTP to a CRM that hangs
    return HANDLED


@ivr.dtmf("11", auth=None)
async def leak(call: Call) -> Reply:
    if not leaked:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MARGIN_OF_MEMORY, resource.RLIM_INFINITY))
    leaked.append(bytearray(LEAK))
    return HANDLED


@ivr.dtmf("13", auth=None)
async def mute(call: Call) -> Reply:
    """Have the log of the process go to a full disk for a second; not at once again."""
    if not muted:
        muted.append(os.dup(STDERR))
        with open("/dev/full", "wb", buffering=0) as full:  # noqa: ASYNC230 - it is no disk
            os.dup2(full.fileno(), STDERR)
        asyncio.get_running_loop().call_later(1, _unmute)
    return HANDLED


@ivr.dtmf("31", auth=None)
async def job(call: Call) -> Reply:
    """Queue a background job that outlives the signal to stop."""
    call.after(asyncio.sleep, 4)
    return HANDLED


@ivr.dtmf("32", auth=None)
async def fork(call: Call) -> Reply:
    """Start a process that outlives the service by some seconds."""
    context = multiprocessing.get_context("fork")
    context.Process(target=time.sleep, args=(6,)).start()
    return HANDLED


@ivr.dtmf("33", auth=None)
def chat(call: Call) -> Reply:
    """Print more than an unread pipe holds."""
    print("x" * 8000)
    return HANDLED


def _unmute() -> None:
    os.dup2(muted[0], STDERR)
    os.close(muted[0])
    asyncio.get_running_loop().call_later(30, muted.clear)


@ivr.dtmf("12", auth=None)
async def hoard(call: Call) -> Reply:
    """Have all descriptors of the process taken soon, also that of this call."""
    for delay in (0.1, 0.17, 0.23):  # what other calls had meanwhile, too
        asyncio.get_running_loop().call_later(delay, _take_descriptors)
    return HANDLED


def _take_descriptors() -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while True:
            loop.call_later(2, os.close, os.open(os.devnull, os.O_RDONLY))


app = Receiver(ivr)
