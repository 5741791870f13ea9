"""What was found out, kept for the next caller: a function with a memory.

Rule 1: for ``fresh`` seconds an answer is given without asking; after that it is still given, and
        renewed meanwhile; ``stale`` seconds after it was found it is gone. A renewal that fails
        leaves the old answer in place.
Rule 2: one key is asked for once at a time, however many wait. The asking belongs to nobody who
        waits: it goes on when a caller's time is up, and its answer is there when they ask again.
Rule 3: every task has an owner, and is ended with its event loop.
Rule 4: keys, answers and error texts are the user's data: they are never logged.

Kept in a `cachetools.TTLCache`, which is bounded, forgets in time and takes any clock. The caches
that renew by themselves do not fit: cashews logs the keys and goes by the wall clock, hishel does
what the CRM's headers say, and CRMs are searched by POST.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cachetools import TTLCache

from receiver.calls import Call
from receiver.errors import DeclarationError, UpstreamError, UpstreamLate
from receiver.functions.loops import PerLoop
from receiver.telemetry.seldom import Seldom
from receiver.upstream import witness
from receiver.upstream.budgets import wait_for

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

RETRY = 1.0
"""Seconds after a renewal that failed until the next one."""

log = logging.getLogger("receiver.upstream")


class Lookup(Generic[K, V]):
    """``fetch``, remembered by its argument, in the memory of each process.

    ::

        owners = Lookup(find_owner, fresh=300, stale=86400)
        owners.ahead(call.caller)               # in the CALLER handler: begin
        await owners(call.caller, call)         # in the DTMF handler: take what was begun

    The DTMF callback may reach another worker than the CALLER callback did: it then asks itself.

    Parameters:
        fetch: an async function of the key. What it returns is a good answer, None too; what it
            raises is not kept.
        fresh: seconds for which an answer is given without asking.
        stale: seconds for which it is given at all, while it is renewed.
        longest: seconds after which asking is given up, whoever waits.
        most: answers that are kept; those not used for longest go first. As many are asked for at
            the same time.

    Raises:
        DeclarationError: the times are not ``0 <= fresh <= stale``.
    """

    def __init__(
        self,
        fetch: Callable[[K], Awaitable[V]],
        *,
        fresh: float,
        stale: float,
        longest: float = 10.0,
        most: int = 1000,
    ) -> None:
        if not 0 <= fresh <= stale:
            raise DeclarationError(f"Lookup: not 0 <= fresh <= stale: {fresh!r}, {stale!r}")
        self._fetch = fetch
        self._fresh = fresh
        self._stale = stale
        self._longest = longest
        self._most = most
        self._name = getattr(fetch, "__qualname__", type(fetch).__name__)
        self._memories: PerLoop[_Memory[K, V]] = PerLoop(self._remember, _forget)

    async def __call__(self, key: K, call: Call | None = None) -> V:
        """The answer for ``key``: kept, or waited for as long as ``call`` has time.

        Raises:
            UpstreamLate: there is none, and the time is up.
            UpstreamError: as many as ``most`` are being asked for, or all is being closed.
            Exception: what ``fetch`` raised.
        """
        memory = self._memories.here()
        kept = memory.kept.get(key)
        if kept is not None:
            if kept.fresh_until <= memory.loop.time():
                self._ask(memory, key, aside=True)
            witness.kept(self._name)
            return kept.answer
        asking = self._ask(memory, key)
        if asking is None:
            raise UpstreamError(f"{self._name} is asked for {self._most} keys at once, and no more")
        return await self._answer(asking, wait_for(call))

    def ahead(self, key: K) -> None:
        """Begin to ask for ``key``, unless there is a fresh answer; failures are only logged."""
        memory = self._memories.here()
        kept = memory.kept.get(key)
        if kept is None or kept.fresh_until <= memory.loop.time():
            self._ask(memory, key, aside=True)

    async def aclose(self) -> None:
        """End what is being asked for and forget what was found, in this event loop."""
        await self._memories.aclose()

    async def _answer(self, asking: asyncio.Task[V], wait: float) -> V:
        if not asking.done():
            timeout = None if wait == math.inf else max(wait, 0)
            await asyncio.wait({asking}, timeout=timeout)
        if not asking.done():
            raise UpstreamLate(f"{self._name} has no answer yet, and the call has no more time")
        if asking.cancelled():
            raise UpstreamError(f"{self._name} was cancelled, or is being closed")
        return asking.result()

    def _ask(self, memory: _Memory[K, V], key: K, *, aside: bool = False) -> asyncio.Task[V] | None:
        """The task that asks for ``key``, None if there are too many; ``aside``: nobody waits."""
        asking = memory.asked.get(key)
        if asking is not None or len(memory.asked) >= self._most:
            return asking
        asking = memory.asked[key] = memory.loop.create_task(self._find(memory, key))

        def end(ended: asyncio.Task[V]) -> None:
            del memory.asked[key]
            # Looked at even if nobody waits: asyncio would log its text.
            if not ended.cancelled() and (error := ended.exception()) is not None and aside:
                self._report(memory, error)

        asking.add_done_callback(end)
        return asking

    async def _find(self, memory: _Memory[K, V], key: K) -> V:
        try:
            async with asyncio.timeout(self._longest) as limit:
                answer = await self._fetch(key)
        except Exception:
            kept = memory.kept.get(key)
            if kept is not None:
                kept.fresh_until = memory.loop.time() + RETRY
            if limit.expired():
                raise UpstreamLate(f"{self._name} took over {self._longest:g} s") from None
            raise
        except (SystemExit, KeyboardInterrupt) as error:  # they would leave task, loop and service
            raise UpstreamError(f"{self._name} raised {type(error).__name__}") from None
        memory.kept[key] = _Kept(answer, memory.loop.time() + self._fresh)
        return answer

    def _report(self, memory: _Memory[K, V], error: BaseException) -> None:
        line = f"{self._name} raised {type(error).__name__} while nobody waited"
        more = memory.seldom.due(line, memory.loop.time())
        if more is not None:
            log.warning("%s%s", line, more)

    def _remember(self) -> _Memory[K, V]:
        loop = asyncio.get_running_loop()
        return _Memory(loop, TTLCache(self._most, self._stale, loop.time), {}, Seldom())


@dataclass(slots=True)
class _Kept(Generic[V]):
    answer: V
    fresh_until: float


@dataclass(frozen=True, slots=True)
class _Memory(Generic[K, V]):
    """What belongs to one event loop."""

    loop: asyncio.AbstractEventLoop
    kept: TTLCache[K, _Kept[V]]
    asked: dict[K, asyncio.Task[V]]
    seldom: Seldom


async def _forget(memory: _Memory[K, V]) -> None:
    asking = list(memory.asked.values())
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
