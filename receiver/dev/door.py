"""Who may look at ``receiver dev``: whoever has the URL that it printed, and nobody else here.

Rule 1: the machine may have other users, and calls are looked at: without a session there are the
        files of the page, a page that says where the URL is, and 401 for all else.
Rule 2: the URL has a token, made anew with each start. It is shown once for a session, a cookie for
        our own page only (HttpOnly, SameSite=Strict), and is then left behind: no log has it, and
        no Referer. (Browsers do not tell ports apart: a page of another user's on this machine that
        is opened in the same browser gets the cookie, too.)
Rule 3: the token is compared in constant time.
"""

from __future__ import annotations

import hmac
import math
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from receiver.console.login import Sessions, keep
from receiver.console.pages import page_of
from receiver.secrets import Secret

QUERY = "token"
"""The parameter of the URL."""

_AGAIN = "this is for who started receiver dev: open the URL that it printed, with the token in it"

# Strict cookies do not come with a redirect, if a page elsewhere (such as a file) led here.
_WELCOME = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=./">'
    '<link rel="icon" href="data:,"><title>Receiver console</title>'
)


class Door:
    """Lets in who has the token. An ASGI app, to stand within a `receiver.console.security.Guard`.

    Parameters:
        app: the console.
        token: what opens it.
        page: the folder of the pages' files.
    """

    def __init__(self, app: ASGIApp, token: Secret, page: Path) -> None:
        self._app = app
        self._token = token
        self._page = page
        self._sessions = Sessions(lambda: None, lasts=math.inf)  # they end with this process

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        cookie = f"receiver-dev-{scope['server'][1]}"  # cookies do not tell ports apart
        first = (scope["method"], scope["path"]) == ("GET", "/")
        if first and self._has_token(request):
            answer = Response(_WELCOME, media_type="text/html")
            keep(answer, cookie, self._sessions.begin(), secure=False)
        elif self._sessions.has(request.cookies.get(cookie, "")) or _is_file(scope):
            await self._app(scope, receive, send)
            return
        elif first:
            answer = Response(page_of(self._page, "door.html"), 401, media_type="text/html")
        else:
            answer = JSONResponse({"error": _AGAIN}, 401)
        await answer(scope, receive, send)

    def _has_token(self, request: Request) -> bool:
        shown = request.query_params.get(QUERY, "")
        return hmac.compare_digest(shown.encode("utf-8", "replace"), self._token.reveal().encode())


def _is_file(scope: Scope) -> bool:
    return scope["method"] in ("GET", "HEAD") and scope["path"].startswith("/page/")
