"""Who may look at the console, and what a browser may do with it.

Rule 1: the Host must be a name that the console is known by: a page of somebody else that has its
        name lead here (DNS rebinding) gets 421 and nothing else.
Rule 2: whatever changes something is a POST, and needs the token that stands in our own page, in a
        header: no form and no other page can send that. An Origin, if one is sent, must be ours.
Rule 3: every answer says what a browser may do: load from here alone, run no inline code, show it
        in no frame, keep nothing.
Rule 4: the token is compared in constant time.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Collection, Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN = b"x-console-token"

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "media-src 'self' blob:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


def loopback(port: int) -> frozenset[str]:
    """The hosts of a console on this machine alone."""
    return frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]"))


class Guard:
    """Lets in who may, and puts `HEADERS` on every answer. An ASGI app.

    Parameters:
        app: what is guarded.
        hosts: the values of Host that are ours, in lower case.
        token: what stands in our page.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], token: str) -> None:
        self._app = app
        self._hosts = hosts
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = dict(HEADERS)
                others = [
                    pair for pair in message.get("headers", ()) if pair[0].lower() not in ours
                ]
                message = {**message, "headers": [*others, *HEADERS]}
            await send(message)

        if problem := self._problem(scope):
            await _refuse(*problem, guarded)
        else:
            await self._app(scope, receive, guarded)

    def _problem(self, scope: Scope) -> tuple[int, str] | None:
        """Why a request is not let in: a status and a text."""
        headers = scope["headers"]
        hosts = _values(headers, b"host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return 421, "the console is not known by this name: open the URL that it printed"
        if scope["method"] in ("GET", "HEAD"):
            return None
        for origin in _values(headers, b"origin"):
            scheme, _, host = origin.lower().partition("://")
            if scheme not in ("http", "https") or host not in self._hosts:
                return 403, "the request comes from a page of somebody else"
        tokens = [value for name, value in headers if name == TOKEN]
        if len(tokens) != 1 or not hmac.compare_digest(tokens[0], self._token):
            return 403, "the page is of an earlier start of this console: load it again"
        return None


def _values(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in headers if name == wanted]


async def _refuse(status: int, text: str, send: Send) -> None:
    body = json.dumps({"error": text}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
