"""What arrives, before it is routed: the framing of a request, and answers without a reply.

Rule 1: a badly framed request is answered and its connection closed: where one request ends and
        the next begins is then anybody's guess.
Rule 2: the log line says who and why, never what was sent.
"""

from __future__ import annotations

import ipaddress
import logging
import sys

from starlette.types import Scope, Send

from receiver.framing import APART, TRAILERS, Bad, problem_of_request

log = logging.getLogger("receiver")

CLOSE = (b"connection", b"close")

_MIXING = "uvicorn.protocols.http.httptools_impl"
"""The one server known to put trailers among the headers. Where it is loaded, it may be the one
that serves; those of ``receiver.connections`` say themselves that they do not."""


def problem_of(scope: Scope) -> Bad | None:
    """What is wrong with how a request of HTTP is framed."""
    return problem_of_request(
        scope["http_version"],
        len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]),
        scope["headers"],
        apart=scope.get(TRAILERS) == APART or _MIXING not in sys.modules,
    )


async def turn_away(bad: Bad, scope: Scope, send: Send) -> None:
    """Answer a badly framed request."""
    log.warning("refused: %s, from %s", bad.reason, peer(scope))
    await respond(send, bad.status, b"", CLOSE)


def peer(scope: Scope) -> str:
    """The address that a request came from; a proxy's header may have put anything there."""
    try:
        return str(ipaddress.ip_address((scope.get("client") or ("",))[0]))
    except ValueError:
        return "an unknown address"


async def respond(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    """Send a whole answer; a body is JSON."""
    length = (b"content-length", str(len(body)).encode())
    kind = [(b"content-type", b"application/json")] if body else []
    start = {"type": "http.response.start", "status": status, "headers": [*kind, length, *headers]}
    await send(start)
    await send({"type": "http.response.body", "body": body})
