"""Fall back to per-worker memory while the shared store is unavailable.

Rule 1: this process's own memory is checked first: a known repeat is refused without a request to
        the shared store.
Rule 2: requests to the shared store go through a `CircuitBreaker`; while it is open, this process's
        memory decides alone.
Rule 3: so no callback is lost because the shared store is down. The price: during an outage a
        captured request is good once more at each other worker, for as long as its nonce lives,
        and failures are added up for each worker alone.
Rule 4: a flood of wrong passwords does not delay clients that know one. Counts and failures have a
        circuit breaker each: an outage of one is none of the other. At most `MAX_FAILURE_REQUESTS`
        about failures run at once; beyond that this process's memory decides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from receiver.auth.throttle import FailureRecord
from receiver.observability.metrics import COUNTS, OUTAGES
from receiver.storage.breaker import (
    REQUEST_TIMEOUT,
    CircuitBreaker,
    CircuitOpenError,
    StoreError,
    loop_time,
)
from receiver.storage.memory import MemoryAuth
from receiver.storage.protocols import AuthStore

MAX_FAILURE_REQUESTS = 100
"""Requests to the shared store about failures that run at once. Some 800 of any kind took the
circuit breaker's time limit (measured)."""

T = TypeVar("T")


class AuthFallback:
    """An `AuthStore` that never raises.

    Parameters:
        shared: the store that may fail.
        kind: what the log calls it, such as ``"Redis"``.
        memory: this process's own.
        clock: of the circuit breakers, in seconds.
        limit: of the circuit breakers, see `receiver.storage.breaker.REQUEST_TIMEOUT`.
    """

    def __init__(
        self,
        shared: AuthStore,
        kind: str,
        memory: MemoryAuth,
        clock: Callable[[], float] = loop_time,
        *,
        limit: float = REQUEST_TIMEOUT,
    ) -> None:
        self._shared = shared
        alone = "falling back to per-worker memory"
        breaker = partial(CircuitBreaker, meanwhile=alone, clock=clock, limit=limit)
        self._counts = breaker(f"the shared store ({kind})")
        self._failures = breaker(f"the shared store of failures ({kind})")
        self.memory = memory
        self._running = 0
        self._kind = kind
        COUNTS.cell(OUTAGES, (kind,))  # from 0 on, so that a rate shows the first one

    async def use(self, nonce: str, count: int, made: float, now: float) -> bool:
        if not self.memory.use_now(nonce, count, made, now):
            return False
        return await self.confirm(nonce, count, made, now)

    async def confirm(self, nonce: str, count: int, made: float, now: float) -> bool:
        """Finish `use` in the shared store, after this process's memory."""
        try:
            return await self._counts.request(lambda: self._shared.use(nonce, count, made, now))
        except StoreError as error:
            self._count(error)
            return True

    async def failed(self, key: str, now: float) -> FailureRecord:
        own = await self.memory.failed(key, now)
        answer = await self._request_failures(lambda: self._shared.failed(key, now))
        return own if answer is None else self.memory.learn(key, answer, now)

    async def reach(self) -> None:
        try:
            await self._counts.request(self._shared.reach)
        except StoreError as error:  # it is logged, and the service starts
            self._count(error)

    async def reachable(self) -> bool:
        """Return whether the shared store answers, or did at the last request."""
        await self.reach()
        return not self._counts.is_open

    async def close(self) -> None:
        await self._counts.close(self._shared.close)
        await self.memory.close()

    def _count(self, error: StoreError) -> None:
        if not isinstance(error, CircuitOpenError):
            COUNTS.add(OUTAGES, (self._kind,))

    async def _request_failures(self, send: Callable[[], Awaitable[T]]) -> T | None:
        """Return the shared store's answer; None during an outage or if too many are waited for."""
        if self._running >= MAX_FAILURE_REQUESTS:
            return None
        self._running += 1
        try:
            return await self._failures.request(send)
        except StoreError as error:
            self._count(error)
            return None
        finally:
            self._running -= 1
