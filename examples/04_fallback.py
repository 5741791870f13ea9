"""A handler that is late, raises or blocks: the caller gets the fallback, in time.

Try it::

    receiver dial examples/04_fallback.py:app 8000 --press 1
"""

import asyncio
import time

from receiver import Call, Forward, Ivr, Receiver, Reply

ivr = Ivr("8000")


@ivr.dtmf("1", fallback=Forward("0"))
async def slow(call: Call) -> Reply:
    await asyncio.sleep(10)
    return Forward("222")


@ivr.dtmf("2", fallback=Forward("0"))
def blocking(call: Call) -> Reply:
    time.sleep(10)  # a plain function runs in a thread
    return Forward("222")


@ivr.dtmf("3")
async def broken(call: Call) -> Reply:
    raise LookupError("no such customer")


app = Receiver(ivr, fallback=Forward("9"))  # for actions without a fallback
