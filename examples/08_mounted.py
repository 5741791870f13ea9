"""The receiver inside a larger Starlette app: mounted, beside pages of one's own.

Serve the site, and register the receiver; the public URL holds the path it is mounted at::

    uvicorn --http receiver.serving.connections:Fastest --no-access-log --no-proxy-headers \\
        examples.08_mounted:site
    RECEIVER_PUBLIC_URL=https://www.example.com/calls receiver plan examples/08_mounted.py:app
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from receiver import Call, Forward, Ivr, Receiver, Reply

ivr = Ivr("8000")


@ivr.dtmf("1")
async def pick(call: Call) -> Reply:
    return Forward("222")


async def home(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


app = Receiver(ivr)
site = Starlette(routes=[Route("/", home), Mount("/calls", app)])
