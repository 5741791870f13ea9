"""The receiver in a Litestar app.

::

    uvicorn --http receiver.server:Http --no-access-log --no-proxy-headers \\
        examples.20_litestar:site
    RECEIVER_PUBLIC_URL=https://www.example.com/calls receiver plan examples/20_litestar.py:app
"""

from litestar import Litestar, asgi, get
from litestar.types import Receive, Scope, Send

from receiver import Call, Forward, Ivr, Receiver, Reply

ivr = Ivr("8000")
picked: list[str] = []


@ivr.dtmf("1")
async def pick(call: Call) -> Reply:
    call.after(picked.append, call.ivr)
    return Forward("222")


app = Receiver(ivr)


@asgi("/calls", is_mount=True, copy_scope=True)
async def calls(scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)  # type: ignore[arg-type] # both mean ASGI


@get("/picked")
async def how_many() -> int:
    return len(picked)


# Litestar's own logging would replace the handlers of the root logger.
site = Litestar([calls, how_many], lifespan=[app.lifespan], logging_config=None)
