"""``/health`` and ``/ready``: does it live, and may calls be sent here?

Rule 1: nobody has to say who he is, so nothing is told that could serve a stranger: a few words,
        no address, no version, no number of calls.
Rule 2: nobody can make us work by asking often: what costs something is looked up once a second.
Rule 3: not ready is who cannot answer in time, or is about to stop. A shared store that is out of
        order, or a PBX that does not let the guard in, is told, but is no reason: every callback
        is still answered, and where all machines share it none of them would be left.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from receiver.callbacks.exchange import refuse, respond

STOPPING = "receiver.stopping"
"""Key of the server's state: an event that is set when it begins to stop."""

LAG = 0.25
"""Seconds that the event loop may be late; a callback passes through it several times."""

FRESH = 1.0
"""Seconds for which an answer is good."""

_NAP = 0.01  # seconds of sleep, against which the lag is measured
_METHODS = ("GET", "HEAD")


Check = Callable[[], Awaitable[bool | None]]
"""Whether something that the service works with is reachable; None if nobody knows yet.

It raises nothing, takes no longer than a moment, and is asked once a second at most.
"""


class Health:
    """Always answers 200: that it answers at all is the news."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in _METHODS:
            await _not_allowed(scope, receive, send)
            return
        await respond(send, 200, b'{"alive":true}', (_NOT_KEPT,))


class Ready:
    """200 if calls may be sent here, or else 503; the body says why.

    Parameters:
        checks: of what the service works with, by the name that the body gives it.
    """

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._asking: asyncio.Task[dict[str, object]] | None = None
        self._until = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in _METHODS:
            await _not_allowed(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        if self._asking is None or (self._asking.done() and loop.time() >= self._until):
            self._asking = loop.create_task(self._ask())  # for all who come in the meantime
        found = await asyncio.shield(self._asking)
        stopping = is_stopping(scope)
        ready = not stopping and bool(found["in_time"])
        body = {"ready": ready, "stopping": stopping, **found}
        await respond(send, 200 if ready else 503, _write(body), (_NOT_KEPT,))

    async def _ask(self) -> dict[str, object]:
        loop = asyncio.get_running_loop()
        asked = loop.time()
        await asyncio.sleep(_NAP)
        lag = max(loop.time() - asked - _NAP, 0.0)
        found: dict[str, object] = {"in_time": lag < LAG, "lag_ms": round(lag * 1000)}
        for name, check in self._checks.items():
            if (works := await check()) is not None:
                found[name] = works
        self._until = loop.time() + FRESH
        return found


def health_routes(checks: Mapping[str, Check]) -> list[Route]:
    """The two paths; no action can have one of them, for its own begins with ``/action/``."""
    return [Route("/health", Health()), Route("/ready", Ready(checks))]


def is_stopping(scope: Scope) -> bool:
    """Whether the server that took this request is about to stop; others do not tell."""
    stopping: Callable[[], bool] | None = getattr(
        scope.get("state", {}).get(STOPPING), "is_set", None
    )
    return stopping is not None and stopping()


_NOT_KEPT = (b"cache-control", b"no-store")


def _write(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


async def _not_allowed(scope: Scope, receive: Receive, send: Send) -> None:
    await refuse(scope, receive, send, 405, ((b"allow", ", ".join(_METHODS).encode()),))
