"""The login of the console in production.

Rule 1: without a session there is the login page and its files, and 401 for all else.
Rule 2: the password is a token that is derived from the service secret, and it is looked at as that
        of ``/metrics`` is: in constant time, and by the throttle for whoever keeps guessing.
Rule 3: sessions are known here alone, by a hash, and are few; they end by themselves, by a logout,
        and with this process. Whoever looked on at that moment is let go.
Rule 4: the cookie is for our own page only (HttpOnly, SameSite=Strict, in the folder of the login),
        and Secure wherever it goes over a network: plain HTTP is for this machine.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from receiver.callbacks.admission import Admission, Place, Turned
from receiver.console.pages import page_of

DOOR = "console"
"""What the password is derived for."""

LASTS = 12 * 3600.0
"""Seconds that a session lasts."""

MOST = 100
"""Sessions at once; the oldest goes first."""

_PLACE = Place(DOOR, "/login", DOOR)


class Sessions:
    """Who is signed in.

    Parameters:
        ended: called when a session has ended.
        clock: seconds, by a clock that is never set.
        lasts: seconds.
    """

    def __init__(
        self,
        ended: Callable[[], object],
        clock: Callable[[], float] = time.monotonic,
        *,
        lasts: float = LASTS,
    ) -> None:
        self._ended = ended
        self._clock = clock
        self._lasts = lasts
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def begin(self) -> str:
        """A new one; gives what the browser keeps."""
        word = secrets.token_urlsafe(32)
        self._until[_hash(word)] = self._clock() + self._lasts
        if len(self._until) > MOST:
            self._until.popitem(last=False)
            self._ended()
        return word

    def has(self, word: str) -> bool:
        """Whether a browser's word is that of a session."""
        return self._until.get(_hash(word), 0.0) > self._clock()

    def end(self, word: str) -> None:
        """Somebody signs out."""
        if self._until.pop(_hash(word), None) is not None:
            self._ended()

    def sweep(self) -> None:
        """End those whose time is over."""
        now, before = self._clock(), len(self._until)
        self._until = OrderedDict(item for item in self._until.items() if item[1] > now)
        if len(self._until) < before:
            self._ended()


class Gate:
    """Lets in who is signed in. An ASGI app, to stand within a `receiver.console.security.Guard`.

    Parameters:
        app: the console.
        sessions: who is.
        admission: who may be, see `receiver.operators.tokens`.
        plain: the values of Host at which plain HTTP is spoken.
        cookie: its name; cookies do not tell ports apart.
        token: what stands in our pages.
        page: the folder of the pages' files.
        now: the time in seconds since the epoch.
    """

    def __init__(
        self,
        app: ASGIApp,
        sessions: Sessions,
        admission: Admission,
        *,
        plain: Collection[str],
        cookie: str,
        token: str,
        page: Path,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._admission = admission
        self._plain = plain
        self._cookie = cookie
        self._token = token
        self._page = page
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        word = request.cookies.get(self._cookie, "")
        match scope["method"], scope["path"]:
            case "POST", "/login":
                answer = await self._login(request)
            case "POST", "/logout":
                answer = self._logout(word)
            case _ if self._sessions.has(word) or scope["path"].startswith("/page/"):
                await self._app(scope, receive, send)
                return
            case "GET", "/":
                text = page_of(self._page, "login.html", token=self._token)
                answer = Response(text, media_type="text/html")
            case _:
                answer = JSONResponse({"error": "you are not signed in: load the page again"}, 401)
        await answer(scope, receive, send)

    async def _login(self, request: Request) -> Response:
        judged = await self._admission.judge(request.scope, _PLACE, self._now())
        if isinstance(judged, Turned):
            wait = {key.decode(): value.decode() for key, value in judged.headers}
            if seconds := wait.get("retry-after"):
                text = f"too many wrong passwords: try again in {seconds} s"
            else:
                text = "that is not the password: receiver console prints it"
            return JSONResponse({"error": text}, judged.status, wait)
        answer = JSONResponse({})
        secure = request.headers["host"].lower() not in self._plain
        keep(answer, self._cookie, self._sessions.begin(), secure=secure)
        return answer

    def _logout(self, word: str) -> Response:
        self._sessions.end(word)
        return JSONResponse({})


def keep(answer: Response, cookie: str, word: str, *, secure: bool) -> None:
    """Have the browser keep the word of a session, as rule 4 says."""
    answer.set_cookie(cookie, word, path=None, secure=secure, httponly=True, samesite="strict")


def _hash(word: str) -> bytes:
    return hashlib.sha256(word.encode()).digest()
