"""A shared store that may fail, and no callback with it.

Rule 1: this process's own memory is asked first. What it knows to be a repeat is refused, and whom
        it knows to have to wait is told so, without a question to the shared store.
Rule 2: the shared store has `LIMIT` seconds. If it fails or is late, this process's memory decides
        alone, and the shared one is left in peace for `PAUSE` seconds; then one question tries it.
Rule 3: so no callback is lost because the shared store is down. The price: during an outage a
        captured request is good once more at each other worker, for as long as its nonce lives,
        and failures are added up for each worker alone.
Rule 4: a flood of wrong passwords does not make the shared store late for those who know one: no
        more than `CROWD` questions about failures are under way at once, and who comes after them
        is judged by this process's memory.
Rule 5: one line in the log says that it is out of order and why, one that it is back. They name
        the kind of store and of error: a URL may hold a password.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from receiver.stores.memory import Memory
from receiver.stores.store import Store, StoreError
from receiver.throttle import Standing

LIMIT = 0.15
"""Seconds for an answer of the shared store; the PBX gives up after about two."""

PAUSE = 2.0
"""Seconds for which a store that failed is not asked."""

CROWD = 100
"""Questions about failures at once. Some 800 at once, of any kind, took the `LIMIT` (measured)."""

CLOSING = 1.0
"""Seconds for the shared store to close."""

log = logging.getLogger("receiver")

T = TypeVar("T")


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


class Guarded:
    """A `Store` that raises nothing.

    Parameters:
        shared: the store that may fail.
        kind: what the log calls it, such as ``"Redis"``.
        memory: this process's own.
        clock: by which the pause is measured, in seconds; by default the event loop's.
    """

    def __init__(
        self, shared: Store, kind: str, memory: Memory, clock: Callable[[], float] = _loop_time
    ) -> None:
        self._shared = shared
        self._kind = kind
        self._memory = memory
        self._clock = clock
        self._again: float | None = None  # while it is out of order: when it may be asked
        self._crowd = 0

    async def use(self, nonce: str, count: int, made: float, now: float) -> bool:
        if not await self._memory.use(nonce, count, made, now):
            return False
        answer = await self._ask(lambda: self._shared.use(nonce, count, made, now))
        return answer is None or answer

    async def failed(self, key: str, now: float) -> Standing:
        own = await self._memory.failed(key, now)
        answer = await self._ask_in_turn(lambda: self._shared.failed(key, now))
        return own if answer is None else self._memory.learn(key, answer, now)

    async def standing(self, key: str, now: float) -> Standing:
        own = await self._memory.standing(key, now)
        if own.wait(now):
            return own
        answer = await self._ask_in_turn(lambda: self._shared.standing(key, now))
        return self._memory.learn(key, answer, now) if answer and answer.failures else own

    async def reachable(self) -> bool:
        """Whether the shared store answers, or did when it was last asked."""
        await self._ask_in_turn(lambda: self._shared.standing("", 0.0))
        return self._again is None

    async def close(self) -> None:
        try:
            async with asyncio.timeout(CLOSING):
                await self._shared.close()
        except Exception as error:
            log.warning("the shared store (%s) did not close: %s", self._kind, _kind(error))
        await self._memory.close()

    async def _ask_in_turn(self, question: Callable[[], Awaitable[T]]) -> T | None:
        """The shared store's answer; None also where too many wait for theirs."""
        if self._crowd >= CROWD:
            return None
        self._crowd += 1
        try:
            return await self._ask(question)
        finally:
            self._crowd -= 1

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T | None:
        """The shared store's answer; None while it is out of order."""
        trial = self._again is not None
        if self._again is not None:
            if self._clock() < self._again:
                return None
            self._again = self._clock() + PAUSE  # one tries, the others need not wait for it
        try:
            async with asyncio.timeout(LIMIT):
                answer = await question()
        except Exception as error:  # whatever it is: a caller is on the line
            self._fail(error)
            return None
        if trial and self._again is not None:
            self._again = None
            log.warning("the shared store (%s) is back", self._kind)
        return answer

    def _fail(self, error: Exception) -> None:
        if self._again is None:
            log.error(
                "the shared store (%s) is out of order (%s): each worker goes by its own memory",
                self._kind,
                _kind(error),
            )
        self._again = self._clock() + PAUSE


def _kind(error: Exception) -> str:
    """What went wrong, without the error's text: that may name hosts, paths and passwords."""
    return str(error) if isinstance(error, StoreError) else type(error).__name__
