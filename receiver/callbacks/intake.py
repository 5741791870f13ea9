"""What arrives, before it is routed: is it framed as a request must be?

Rule 1: a badly framed request is answered and its connection closed: where one request ends and
        the next begins is then anybody's guess.
Rule 2: the log line says who and why, never what was sent.
"""

from __future__ import annotations

import logging
import sys
import time

from starlette.types import Scope, Send

from receiver.auth.sources import read_address
from receiver.callbacks.exchange import CLOSE, respond
from receiver.serving.framing import APART, TRAILERS, Bad, problem_of_request
from receiver.telemetry.counts import COUNTS, REFUSALS
from receiver.telemetry.seldom import Seldom

log = logging.getLogger("receiver")

_MIXING = "uvicorn.protocols.http.httptools_impl"
"""The one server known to put trailers among the headers. Where it is loaded, it may be the one
that serves; those of ``receiver.serving.connections`` say themselves that they do not."""


def problem_of(scope: Scope) -> Bad | None:
    """What is wrong with how a request of HTTP is framed."""
    return problem_of_request(
        scope["http_version"],
        len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]),
        scope["headers"],
        apart=scope.get(TRAILERS) == APART or _MIXING not in sys.modules,
    )


async def turn_away(bad: Bad, scope: Scope, send: Send, seldom: Seldom) -> None:
    """Answer a badly framed request; ``seldom`` keeps the log from being flooded."""
    COUNTS.add(REFUSALS, ("framing",))
    peer = read_address((scope.get("client") or ("",))[0])  # a server may have put anything there
    line = f"refused: {bad.reason}, from {peer or 'an unknown address'}"
    if (more := seldom.due(line, time.monotonic())) is not None:
        log.warning("%s%s", line, more)
    await respond(send, bad.status, b"", (CLOSE,))
