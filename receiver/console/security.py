"""Protection of the console against other web pages in the same browser.

Rule 1: the Host must be one of the console's; otherwise the response is 421 (DNS rebinding).
Rule 2: every change is a POST with the token of the console's page in a header, which no form and
        no other page can send. An Origin, if there is one, must be the console's.
Rule 3: headers of every response allow a browser to load from this origin only, and forbid inline
        code, frames and caches.
Rule 4: the token is compared as every secret is (`receiver.auth.known_secrets`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from receiver.auth.known_secrets import KnownSecrets
from receiver.credentials import Secret

TOKEN = b"x-console-token"

TOKEN_NAME = "console"  # noqa: S105 - not a password
"""The endpoint's name, from which the password of the production console is derived."""

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
    """Return the values of Host on the loopback interface."""
    return frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]"))


class Guard:
    """ASGI middleware that checks requests, and adds `HEADERS` to responses.

    Parameters:
        app: the console.
        hosts: the accepted values of Host, in lower case.
        token: required by POST requests.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], token: str) -> None:
        self._app = app
        self._hosts = hosts
        self._token = KnownSecrets((Secret(token),))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = dict(HEADERS)
                others = [
                    pair for pair in message.get("headers", ()) if pair[0].lower() not in known
                ]
                message = {**message, "headers": [*others, *HEADERS]}
            await send(message)

        if problem := self._problem(scope):
            await _refuse(*problem, guarded)
        else:
            await self._app(scope, receive, guarded)

    def _problem(self, scope: Scope) -> tuple[int, str] | None:
        """Return why a request is refused, as a status and a text."""
        headers = scope["headers"]
        hosts = _values(headers, b"host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return 421, "unknown Host: open the URL that the console printed"
        if scope["method"] in ("GET", "HEAD"):
            return None
        for origin in _values(headers, b"origin"):
            scheme, _, host = origin.lower().partition("://")
            if scheme not in ("http", "https") or host not in self._hosts:
                return 403, "the Origin is another web page"
        tokens = [value for name, value in headers if name == TOKEN]
        if len(tokens) != 1 or not self._token.match(tokens[0]):
            return 403, "the page is from before a restart of the console: reload it"
        return None


def _values(headers: Iterable[tuple[bytes, bytes]], key: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in headers if name == key]


async def _refuse(status: int, text: str, send: Send) -> None:
    body = json.dumps({"error": text}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
