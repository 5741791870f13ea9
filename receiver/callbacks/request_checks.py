"""Check the framing of a request before it is routed.

Rule 1: a request with invalid framing is answered, and its connection is closed: where one request
        ends and the next begins is then ambiguous.
Rule 2: the log line has the client address and the reason, but no data of the request.
"""

from __future__ import annotations

import logging
import sys
import time

from starlette.types import Scope, Send

from receiver.auth.client_address import read_address
from receiver.callbacks.asgi_messages import respond
from receiver.callbacks.http_limits import APART, TRAILERS, Bad, problem_of_request
from receiver.callbacks.request import CLOSE
from receiver.observability.log_throttle import LogThrottle
from receiver.observability.metrics import COUNTS, REFUSALS

log = logging.getLogger("receiver")

_MIXING = "uvicorn.protocols.http.httptools_impl"
"""The one server known to put trailers among the headers. Where it is loaded, it may be the one
that serves; those of ``receiver.server.http`` say themselves that they do not."""


def problem_of(scope: Scope) -> Bad | None:
    """Return the problem of an HTTP request's framing; None if it is valid."""
    return problem_of_request(
        scope["http_version"],
        len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]),
        scope["headers"],
        dict(scope["headers"]),
        apart=scope.get(TRAILERS) == APART or _MIXING not in sys.modules,
    )


async def refuse_badly_framed(
    bad: Bad, scope: Scope, send: Send, log_throttle: LogThrottle
) -> None:
    """Answer a request with invalid framing; ``log_throttle`` limits the log lines."""
    note(bad, scope.get("client"), log_throttle)
    await respond(send, bad.status, b"", (CLOSE,))


def note(bad: Bad, client: tuple[str, int] | None, log_throttle: LogThrottle) -> None:
    """Count and log a request with invalid framing."""
    COUNTS.add(REFUSALS, ("framing",))
    peer = read_address((client or ("",))[0])  # a server may have put anything there
    line = f"refused: {bad.reason}, from {peer or 'an unknown address'}"
    if (more := log_throttle.due(line, time.monotonic())) is not None:
        log.warning("%s%s", line, more)
