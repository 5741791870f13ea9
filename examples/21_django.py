"""The receiver beside a Django app: in your ``asgi.py``, callbacks go past Django.

Django answers no lifespan events, so the receiver gets them all. ::

    uvicorn --http receiver.server:Http --no-access-log --no-proxy-headers \\
        examples.21_django:site
    RECEIVER_PUBLIC_URL=https://www.example.com receiver plan examples/21_django.py:app
"""

import os

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from starlette.types import Receive, Scope, Send

from receiver import Call, Forward, Ivr, Receiver, Reply

ivr = Ivr("8000")
picked: list[str] = []


@ivr.dtmf("1")
async def pick(call: Call) -> Reply:
    call.after(picked.append, call.ivr)
    return Forward("222")


def how_many(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(len(picked)))


urlpatterns = [path("picked", how_many)]
if not settings.configured:  # a project has a settings module instead
    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY", "for-the-example"),
    )
django = get_asgi_application()
app = Receiver(ivr)


async def site(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan" or scope["path"].startswith("/action/"):
        await app(scope, receive, send)
    else:
        await django(scope, receive, send)
