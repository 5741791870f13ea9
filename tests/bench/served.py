"""The app that the benches serve; its settings come from the environment."""

from __future__ import annotations

from receiver import Call, Forward, Receiver, Reply
from tests.support import make_ivr


async def pick(call: Call) -> Reply:
    return Forward("222")


app = Receiver(make_ivr(pick))
