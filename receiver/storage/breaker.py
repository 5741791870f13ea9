"""A circuit breaker for a shared store, so that no callback waits for one that is unavailable.

Rule 1: a request has `REQUEST_TIMEOUT` seconds. After one that failed or was late the circuit is
        open for `OPEN_TIME` seconds; then one request tries the store, while the others still fail
        at once.
Rule 2: one line in the log says that the store is unavailable, why, and the consequence; it is
        repeated every `REMINDER_INTERVAL` seconds, and one line says that the store is back. The
        lines name the kind of store and of error, and what to do, never a URL: that may hold a
        password.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from receiver.errors import ReceiverError

REQUEST_TIMEOUT = 0.15
"""Seconds for a request to a shared store; the PBX gives up after about two."""

OPEN_TIME = 2.0
"""Seconds for which the circuit stays open."""

REMINDER_INTERVAL = 300.0
"""Seconds after which the log repeats that a store is unavailable."""

CLOSE_TIMEOUT = 1.0
"""Seconds for a store to close."""

log = logging.getLogger("receiver")

SETTING = "RECEIVER_STORE"
"""The variable that names the shared store, unless another one does."""

T = TypeVar("T")


class StoreError(ReceiverError):
    """A request to a shared store failed.

    Parameters:
        kind: the kind of error and the text of this one: it names no path, host or password.
        advice: for the operator, what happened and what to do; it may name a path, never a secret.
    """

    def __init__(self, kind: str, advice: str = "") -> None:
        super().__init__(kind)
        self.advice = advice

    @property
    def explained(self) -> str:
        """The kind of the error and the advice, for a log line."""
        return f"{self}: {self.advice}" if self.advice else str(self)


class CircuitOpenError(StoreError):
    """The circuit is open: no request was sent."""


def loop_time() -> float:
    """Return the event loop's time in seconds."""
    return asyncio.get_running_loop().time()


class CircuitBreaker:
    """The circuit breaker of one store.

    Parameters:
        store: what the log calls it, such as ``"the shared store (Redis)"``.
        meanwhile: what the log says about the outage.
        clock: in seconds; by default the event loop's.
        limit: see `REQUEST_TIMEOUT`.
    """

    def __init__(
        self,
        store: str,
        meanwhile: str,
        clock: Callable[[], float] = loop_time,
        *,
        limit: float = REQUEST_TIMEOUT,
    ) -> None:
        self._store = store
        self._meanwhile = meanwhile
        self._clock = clock
        self.limit = limit
        self._again: float | None = None  # while the circuit is open: its end
        self._remind = 0.0  # when the log repeats it

    @property
    def is_open(self) -> bool:
        """Whether the last request failed."""
        return self._again is not None

    async def request(self, send: Callable[[], Awaitable[T]]) -> T:
        """Return the answer to the request that ``send`` sends.

        Raises:
            CircuitOpenError: the circuit is open.
            StoreError: it failed or was late; the request may have been carried out nevertheless.
        """
        trial = self._again is not None
        if self._again is not None:
            if self._clock() < self._again:
                raise CircuitOpenError("circuit open")
            self._again = self._clock() + OPEN_TIME  # one request tries, the others fail at once
        try:
            async with asyncio.timeout(self.limit):
                answer = await send()
        except Exception as error:  # any error: a caller is on the line
            failed = error if isinstance(error, StoreError) else StoreError(type(error).__name__)
            self._fail(failed)
            raise StoreError(str(failed), failed.advice) from None
        if trial and self._again is not None:
            self._again = None
            log.warning("%s is back", self._store)
        return answer

    async def close(self, close: Callable[[], Awaitable[None]]) -> None:
        """Close the store within `CLOSE_TIMEOUT` seconds; never raises."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await close()
        except Exception as error:
            # Without the error's text: that may name hosts, paths and passwords.
            kind = str(error) if isinstance(error, StoreError) else type(error).__name__
            log.warning("%s did not close: %s", self._store, kind)

    def _fail(self, error: StoreError) -> None:
        now = self._clock()
        if self._again is None or now >= self._remind:
            advice = f"; {error.advice}" if error.advice else ""
            said = "%s is unavailable (%s): %s%s"
            log.error(said, self._store, error, self._meanwhile, advice)
            self._remind = now + REMINDER_INTERVAL
        self._again = now + OPEN_TIME
