"""Cache for look-ups in other services: fresh, stale, shared by concurrent callers.

Rule 1: For ``fresh`` seconds a result is returned without a request; then it is still returned, and
        refreshed in the background, until it is ``stale`` seconds old. A failed refresh keeps it.
Rule 2: Concurrent callers with one key share one request. It belongs to no call: it continues after
        a call's deadline, and its result is cached for the next callback.
Rule 3: Each task is stored, and cancelled with its event loop.
Rule 4: Keys, results and error texts are the user's data and never logged.

The cache is a `cachetools.TTLCache`, which is bounded and takes any clock. Caches with a refresh do
not fit: cashews logs the keys and uses the wall clock, hishel obeys the CRM's headers, and CRMs are
searched by POST.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cachetools import TTLCache

from receiver.calls import Call
from receiver.errors import DeclarationError, UpstreamError, UpstreamLate
from receiver.execution.per_loop import PerLoop
from receiver.observability.log_throttle import LogThrottle
from receiver.upstream.request_observer import OBSERVER, RequestObserver, record_cached

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

RETRY_INTERVAL = 1.0
"""Seconds from a failed refresh until the next one."""

ANSWER_MARGIN = 0.05
"""Seconds of a call that are kept for its answer."""

log = logging.getLogger("receiver.upstream")


class Lookup(Generic[K, V]):
    """A cache of the results of ``fetch`` by its argument, in the memory of each process.

    ::

        owners = Lookup(find_owner, fresh=300, stale=86400)
        owners.ahead(call.caller)               # in the CALLER handler: start the request
        await owners(call.caller, call)         # in the DTMF handler: wait for its result

    If the DTMF callback reaches another worker than the CALLER callback, it sends its own request.

    Parameters:
        fetch: an async function of the key. Results are cached, None too; exceptions are not.
        fresh: seconds for which a result is returned without a request.
        stale: seconds for which it is returned while it is refreshed.
        timeout: seconds that ``fetch`` may take, independent of any call.
        max_size: size of the cache; the least recently used results are dropped first. Also the
            limit of concurrent fetches.

    Raises:
        DeclarationError: the times are not ``0 <= fresh <= stale``.
    """

    def __init__(
        self,
        fetch: Callable[[K], Awaitable[V]],
        *,
        fresh: float,
        stale: float,
        timeout: float = 10.0,
        max_size: int = 1000,
    ) -> None:
        if not 0 <= fresh <= stale:
            raise DeclarationError(f"Lookup: not 0 <= fresh <= stale: {fresh!r}, {stale!r}")
        self._fetch = fetch
        self._fresh = fresh
        self._stale = stale
        self._timeout = timeout
        self._max_size = max_size
        self._name = getattr(fetch, "__qualname__", type(fetch).__name__)
        self._states: PerLoop[_State[K, V]] = PerLoop(self._new_state, _close)

    async def __call__(self, key: K, call: Call | None = None) -> V:
        """Return the result for ``key`` from the cache, or wait for it until the call's deadline.

        Raises:
            UpstreamLate: no result before the deadline.
            UpstreamError: ``max_size`` fetches are running, or the lookup is being closed.
            Exception: what ``fetch`` raised.
        """
        state, observer = self._states.here(), OBSERVER.get()
        cached = state.cached.get(key)
        if cached is not None and (observer is None or observer.uses_cache):
            if cached.fresh_until <= state.loop.time():
                self._start(state, key, background=True)
            record_cached(self._name)
            if observer is not None and cached.observer is not None:
                observer.share(cached.observer)
            return cached.answer
        fetch = self._start(state, key)
        if fetch is None:
            raise UpstreamError(
                f"{self._name} is already fetching {self._max_size} keys, the limit"
            )
        try:
            return await self._answer(fetch.task, wait_time(call))
        finally:
            if observer is not None and fetch.observer is not None:
                observer.share(fetch.observer)

    def ahead(self, key: K) -> None:
        """Start to fetch ``key`` unless a fresh result is cached; failures are only logged."""
        state = self._states.here()
        cached = state.cached.get(key)
        if cached is None or cached.fresh_until <= state.loop.time():
            self._start(state, key, background=True)

    async def aclose(self) -> None:
        """Cancel the fetches and clear the cache of this event loop."""
        await self._states.aclose()

    async def _answer(self, task: asyncio.Task[V], wait: float) -> V:
        if not task.done():
            timeout = None if wait == math.inf else max(wait, 0)
            await asyncio.wait({task}, timeout=timeout)
        if not task.done():
            raise UpstreamLate(f"{self._name} has no result before the deadline of the call")
        if task.cancelled():
            raise UpstreamError(f"{self._name} was cancelled, or is being closed")
        return task.result()

    def _start(self, state: _State[K, V], key: K, *, background: bool = False) -> _Fetch[V] | None:
        """Return the fetch of ``key``, None at the limit; ``background`` logs errors."""
        fetch = state.fetches.get(key)
        if fetch is not None or len(state.fetches) >= self._max_size:
            return fetch
        context, observer = None, OBSERVER.get()
        if observer is not None:
            observer, context = observer.of_fetch(), contextvars.copy_context()
            context.run(OBSERVER.set, observer)
        coroutine = self._fetch_and_cache(state, key, observer)
        fetch = _Fetch(state.loop.create_task(coroutine, context=context), observer)
        state.fetches[key] = fetch

        def end(ended: asyncio.Task[V]) -> None:
            del state.fetches[key]
            # Read the exception in any case, or asyncio would log its text.
            if not ended.cancelled() and (error := ended.exception()) is not None and background:
                self._report(state, error)

        fetch.task.add_done_callback(end)
        return fetch

    async def _fetch_and_cache(
        self, state: _State[K, V], key: K, observer: RequestObserver | None
    ) -> V:
        try:
            async with asyncio.timeout(self._timeout) as limit:
                answer = await self._fetch(key)
        except Exception:
            cached = state.cached.get(key)
            if cached is not None:
                cached.fresh_until = state.loop.time() + RETRY_INTERVAL
            if limit.expired():
                raise UpstreamLate(f"{self._name} took longer than {self._timeout:g} s") from None
            raise
        except (SystemExit, KeyboardInterrupt) as error:  # would end the service
            raise UpstreamError(f"{self._name} raised {type(error).__name__}") from None
        state.cached[key] = _Cached(answer, state.loop.time() + self._fresh, observer)
        return answer

    def _report(self, state: _State[K, V], error: BaseException) -> None:
        line = f"{self._name} raised {type(error).__name__} in the background"
        more = state.log_throttle.due(line, state.loop.time())
        if more is not None:
            log.warning("%s%s", line, more)

    def _new_state(self) -> _State[K, V]:
        loop = asyncio.get_running_loop()
        return _State(loop, TTLCache(self._max_size, self._stale, loop.time), {}, LogThrottle())


@dataclass(slots=True)
class _Cached(Generic[V]):
    answer: V
    fresh_until: float
    observer: RequestObserver | None


@dataclass(frozen=True, slots=True)
class _Fetch(Generic[V]):
    """A running fetch, and the observer of its requests."""

    task: asyncio.Task[V]
    observer: RequestObserver | None


@dataclass(frozen=True, slots=True)
class _State(Generic[K, V]):
    """The state in one event loop."""

    loop: asyncio.AbstractEventLoop
    cached: TTLCache[K, _Cached[V]]
    fetches: dict[K, _Fetch[V]]
    log_throttle: LogThrottle


async def _close(state: _State[K, V]) -> None:
    tasks = [fetch.task for fetch in state.fetches.values()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def wait_time(call: Call | None, limit: float = math.inf) -> float:
    """Return the seconds to wait for ``call``, at most ``limit``; 0 or less after its deadline."""
    return limit if call is None else min(limit, call.remaining() - ANSWER_MARGIN)
