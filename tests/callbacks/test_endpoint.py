"""The core of one action, called with plain values."""

from __future__ import annotations

import asyncio
import json

from receiver import Call, Forward, Hangup, Ivr, Receiver, Reply
from receiver.callbacks.request import Answer, Request
from receiver.replies import encode
from tests.support import FIELDS, SETTINGS


class Watched:
    """A watchdog; it never has to answer."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []

    def arm(self, deadline: float, answer: bytes) -> None:
        self.answers.append(answer)

    def disarm(self) -> bool:
        return True


async def test_a_callback_that_is_not_read_has_a_fallback_although_its_call_determines_it() -> None:
    """The event loop may be blocked between the packets of a request."""
    ivr = Ivr("8000", fallback=Hangup())

    @ivr.dtmf("1", auth=None, fallback=lambda call: Forward(call.digits))
    async def pick(call: Call) -> Reply:
        return Forward("222")

    endpoints = Receiver(ivr, settings=SETTINGS).callbacks
    watched, loop = Watched(), asyncio.get_running_loop()
    body = json.dumps({**FIELDS, "input": "5"}).encode()
    before = list[bytes]()

    async def read() -> bytes:
        before.extend(watched.answers)
        return body

    path, ends = "/action/8000/pick", ("127.0.0.1", 4)
    request = Request(
        *("POST", path, path.encode(), b"", [], {}, ends, ends, loop, loop.time()),
        read=read,
        rescue=watched,
    )
    endpoint = endpoints.find(request)
    assert endpoint is not None
    answer = await endpoint.answer(request)
    assert isinstance(answer, Answer)
    assert answer.body == encode(Forward("222"))
    assert before == [encode(Hangup())]
    assert watched.answers == [*before, encode(Forward("5"))]
