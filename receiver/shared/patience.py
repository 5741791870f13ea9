"""A shared place that may fail, and no callback waits for it.

Rule 1: a question has `LIMIT` seconds. After one that failed or was late the place is left in
        peace for `PAUSE` seconds; then one question tries it, and the others need not wait.
Rule 2: one line in the log says that the place is out of order, why, and what that means; it is
        said again every `REMIND` seconds while that lasts, and one line says that it is back. They
        name the kind of place and of error: a URL may hold a password.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from receiver.errors import ReceiverError

LIMIT = 0.15
"""Seconds for an answer; the PBX gives up after about two."""

PAUSE = 2.0
"""Seconds for which a place that failed is not asked."""

REMIND = 300.0
"""Seconds after which the log says again that a place is out of order."""

CLOSING = 1.0
"""Seconds for a place to close."""

log = logging.getLogger("receiver")

SETTING = "RECEIVER_STORE"
"""The variable that says where things are shared, unless another one does."""

T = TypeVar("T")


class StoreError(ReceiverError):
    """A shared place did not do what was asked. The text is the kind of error, nothing else."""


class NotAsked(StoreError):
    """It is out of order, so it was left in peace: nothing happened there."""


def loop_time() -> float:
    """The event loop's time, in seconds."""
    return asyncio.get_running_loop().time()


class Patience:
    """Asks one place, and knows whether it is out of order.

    Parameters:
        place: what the log calls it, such as ``"the shared store (Redis)"``.
        meanwhile: what the log says of the time without it.
        clock: by which these times are measured, in seconds; by default the event loop's.
    """

    def __init__(self, place: str, meanwhile: str, clock: Callable[[], float] = loop_time) -> None:
        self._place = place
        self._meanwhile = meanwhile
        self._clock = clock
        self._again: float | None = None  # while it is out of order: when it may be asked
        self._remind = 0.0  # and when the log says so again

    @property
    def out_of_order(self) -> bool:
        """Whether it failed when it was last asked."""
        return self._again is not None

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """The answer.

        Raises:
            NotAsked: the place is out of order.
            StoreError: it failed or was late; what was asked for may have happened nevertheless.
        """
        trial = self._again is not None
        if self._again is not None:
            if self._clock() < self._again:
                raise NotAsked("out of order")
            self._again = self._clock() + PAUSE  # one tries, the others need not wait for it
        try:
            async with asyncio.timeout(LIMIT):
                answer = await question()
        except Exception as error:  # whatever it is: a caller is on the line
            self._fail(_kind(error))
            raise StoreError(_kind(error)) from None
        if trial and self._again is not None:
            self._again = None
            log.warning("%s is back", self._place)
        return answer

    async def close(self, close: Callable[[], Awaitable[None]]) -> None:
        """Close the place, within `CLOSING` seconds; raises nothing."""
        try:
            async with asyncio.timeout(CLOSING):
                await close()
        except Exception as error:
            log.warning("%s did not close: %s", self._place, _kind(error))

    def _fail(self, kind: str) -> None:
        now = self._clock()
        if self._again is None or now >= self._remind:
            log.error("%s is out of order (%s): %s", self._place, kind, self._meanwhile)
            self._remind = now + REMIND
        self._again = now + PAUSE


def _kind(error: Exception) -> str:
    """What went wrong, without the error's text: that may name hosts, paths and passwords."""
    return str(error) if isinstance(error, StoreError) else type(error).__name__
