"""The receiver inside a larger Starlette app: its lifespan, and middleware for callbacks too.

Serve the site, and register the receiver; the public URL includes the path of the mount::

    uvicorn --http receiver.server:Http --no-access-log --no-proxy-headers \\
        examples.08_mounted:site
    RECEIVER_PUBLIC_URL=https://www.example.com/calls receiver plan examples/08_mounted.py:app
"""

import logging

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from receiver import Call, Forward, Ivr, Receiver, Reply

log = logging.getLogger("site")
ivr = Ivr("8000")


@ivr.dtmf("1")
async def pick(call: Call) -> Reply:
    call.after(log.info, "picked")  # shutdown waits for it
    return Forward("222")


async def home(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


def logged(inner: ASGIApp) -> ASGIApp:
    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        log.info("%s %s", scope["type"], scope.get("path", ""))
        await inner(scope, receive, send)

    return middleware


app = Receiver(ivr)
site = Starlette(
    routes=[Route("/", home), Mount("/calls", app)],
    middleware=[Middleware(logged)],  # of the site: app.starlette has no part in callbacks
    lifespan=app.lifespan,  # a mounted app gets no lifespan events
)
