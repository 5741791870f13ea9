"""A shared store that may fail, and no callback with it.

Rule 1: this process's own memory is asked first. What it knows to be a repeat is refused, and whom
        it knows to have to wait is told so, without a question to the shared store.
Rule 2: the shared store is asked with `Patience`; while it is out of order, this process's memory
        decides alone.
Rule 3: so no callback is lost because the shared store is down. The price: during an outage a
        captured request is good once more at each other worker, for as long as its nonce lives,
        and failures are added up for each worker alone.
Rule 4: a flood of wrong passwords does not make the shared store late for those who know one. What
        was used up and who failed are asked for with a patience each: an outage of the one is none
        of the other. No more than `CROWD` questions about failures are under way at once, and who
        comes after them is judged by this process's memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from receiver.auth.throttle import Standing
from receiver.shared.patience import Patience, StoreError, loop_time
from receiver.stores.memory import Memory
from receiver.stores.store import Store
from receiver.telemetry.counts import COUNTS, OUTAGES

CROWD = 100
"""Questions about failures at once. Some 800 at once, of any kind, took the time that patience
gives (measured)."""

T = TypeVar("T")


class Guarded:
    """A `Store` that raises nothing.

    Parameters:
        shared: the store that may fail.
        kind: what the log calls it, such as ``"Redis"``.
        memory: this process's own.
        clock: of its `Patience`, in seconds.
    """

    def __init__(
        self, shared: Store, kind: str, memory: Memory, clock: Callable[[], float] = loop_time
    ) -> None:
        self._shared = shared
        alone = "each worker goes by its own memory"
        self._counts = Patience(f"the shared store ({kind})", alone, clock)
        self._failures = Patience(f"the shared store of failures ({kind})", alone, clock)
        self._memory = memory
        self._crowd = 0
        COUNTS.cell(OUTAGES, (kind,))  # from nought on, or the first one would be seen by nobody

    async def use(self, nonce: str, count: int, made: float, now: float) -> bool:
        if not await self._memory.use(nonce, count, made, now):
            return False
        try:
            return await self._counts.ask(lambda: self._shared.use(nonce, count, made, now))
        except StoreError:
            return True

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

    async def reach(self) -> None:
        with contextlib.suppress(StoreError):  # it stands in the log, and the service starts
            await self._counts.ask(self._shared.reach)

    async def reachable(self) -> bool:
        """Whether the shared store answers, or did when it was last asked."""
        await self.reach()
        return not self._counts.out_of_order

    async def close(self) -> None:
        await self._counts.close(self._shared.close)
        await self._memory.close()

    async def _ask_in_turn(self, question: Callable[[], Awaitable[T]]) -> T | None:
        """The shared store's answer; None while it is out of order, or too many wait for theirs."""
        if self._crowd >= CROWD:
            return None
        self._crowd += 1
        try:
            return await self._failures.ask(question)
        except StoreError:
            return None
        finally:
            self._crowd -= 1
