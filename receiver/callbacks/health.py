"""``/health`` and ``/ready``: liveness and readiness of the service.

Rule 1: there is no authentication, so the answer contains only a few words: no address, no version,
        no number of calls.
Rule 2: many requests cost little: slow checks run at most once a second.
Rule 3: a service is not ready if it cannot answer in time, or is about to stop. A shared store that
        is unavailable, or a PBX that refuses the guard, is named in the answer, but the service
        stays ready: every callback is still answered, and if all machines share the store, none
        would remain ready.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from receiver.callbacks.asgi_messages import refuse, respond
from receiver.callbacks.request import STOPPING

MAX_LAG = 0.25
"""Seconds that the event loop may be late; a callback passes through it several times."""

MAX_AGE = 1.0
"""Seconds for which an answer is cached."""

_METHODS = ("GET", "HEAD")


Check = Callable[[], Awaitable[bool | None]]
"""Returns whether a required part is reachable; None if it is not known yet.

It raises nothing, is fast, and is called at most once a second.
"""


class Health:
    """The liveness endpoint, which always answers 200."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in _METHODS:
            await _not_allowed(scope, receive, send)
            return
        await respond(send, 200, b'{"alive":true}', (_NOT_KEPT,))


class Ready:
    """The readiness endpoint: 200 if calls may be sent here, else 503 with the reason.

    Parameters:
        checks: of required parts, by their names in the body.
        nap: seconds of sleep against which the lag of the event loop is measured.
        lag: see `MAX_LAG`.
    """

    def __init__(
        self, checks: Mapping[str, Check], *, nap: float = 0.01, lag: float = MAX_LAG
    ) -> None:
        self._checks = checks
        self._nap = nap
        self._lag = lag
        self._checking: asyncio.Task[dict[str, object]] | None = None
        self._until = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in _METHODS:
            await _not_allowed(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        if self._checking is None or (self._checking.done() and loop.time() >= self._until):
            self._checking = loop.create_task(self._check())  # for all requests meanwhile
        state = await asyncio.shield(self._checking)
        stopping = is_stopping(scope)
        ready = not stopping and bool(state["in_time"])
        body = {"ready": ready, "stopping": stopping, **state}
        await respond(send, 200 if ready else 503, _write(body), (_NOT_KEPT,))

    async def _check(self) -> dict[str, object]:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await asyncio.sleep(self._nap)
        lag = max(loop.time() - begun - self._nap, 0.0)
        state: dict[str, object] = {"in_time": lag < self._lag, "lag_ms": round(lag * 1000)}
        for name, check in self._checks.items():
            if (works := await check()) is not None:
                state[name] = works
        self._until = loop.time() + MAX_AGE
        return state


def health_routes(checks: Mapping[str, Check]) -> list[Route]:
    """Return the routes of both; paths of actions begin with ``/action/``."""
    return [Route("/health", Health()), Route("/ready", Ready(checks))]


def is_stopping(scope: Scope) -> bool:
    """Return whether the server of this request is stopping; False for other servers."""
    stopping: Callable[[], bool] | None = getattr(
        scope.get("state", {}).get(STOPPING), "is_set", None
    )
    return stopping is not None and stopping()


_NOT_KEPT = (b"cache-control", b"no-store")


def _write(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


async def _not_allowed(scope: Scope, receive: Receive, send: Send) -> None:
    await refuse(scope, receive, send, 405, ((b"allow", ", ".join(_METHODS).encode()),))
