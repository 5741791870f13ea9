"""The backend of one process: its memory.

Rule 1: nothing here waits, so no two callbacks are inside a method at once.
Rule 2: where a bound is reached the entries that have been idle longest are forgotten.
Rule 3: durable jobs have to outlive the process, so they are in a file anyway.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from msgspec import Struct

from receiver.auth.replay_window import NonceCounts
from receiver.auth.throttle import FAILURE_LIFE, NO_FAILURES, FailureRecord
from receiver.storage.job_queue import JobQueue
from receiver.storage.jobs_sqlite import DEFAULT, SqliteJobs
from receiver.storage.protocols import SESSION_LEASE


class Memory:
    """A `Backend` in the memory of one process.

    Parameters:
        setting: the variable that names the backend, for the text of errors.
    """

    name = "memory"

    def __init__(self, setting: str) -> None:
        self._setting = setting

    def auth(self, *, life: float) -> MemoryAuth:
        return MemoryAuth(life=life)

    def sessions(self) -> MemorySessions:
        return MemorySessions()

    def lease(self, name: str) -> UnsharedLease:
        return UnsharedLease()

    def jobs(self) -> JobQueue[str]:
        return SqliteJobs(DEFAULT, self._setting, at_once=False)


class MemoryAuth:
    """An `AuthStore` in the memory of one process.

    Parameters:
        life: seconds for which a nonce is valid.
        max_nonces: nonces that are remembered at once.
        max_sources: client addresses whose failures are remembered at once.
    """

    def __init__(
        self, *, life: float, max_nonces: int = 100_000, max_sources: int = 10_000
    ) -> None:
        self._counters = NonceCounts(life=life, max_nonces=max_nonces)
        self._using = threading.Lock()
        self._max_sources = max_sources
        self._records: dict[str, FailureRecord] = {}  # the one that failed last is last

    async def use(self, nonce: str, count: int, made: float, now: float) -> bool:
        return self.use_now(nonce, count, made, now)

    def use_now(self, nonce: str, count: int, made: float, now: float) -> bool:
        """Do the same as `use`, in any thread."""
        with self._using:
            return self._counters.use(nonce, count, made, now)

    async def failed(self, key: str, now: float) -> FailureRecord:
        return self._keep(key, self._records.get(key, NO_FAILURES).failed(now), now)

    def learn(self, key: str, record: FailureRecord, now: float) -> FailureRecord:
        """Merge the shared store's failure record of ``key``; return the merged one."""
        return self._keep(key, self._records.get(key, NO_FAILURES).joined(record, now), now)

    async def reach(self) -> None: ...

    async def close(self) -> None: ...

    def _keep(self, key: str, record: FailureRecord, now: float) -> FailureRecord:
        self._records.pop(key, None)
        self._records[key] = record
        while True:
            idle, oldest = next(iter(self._records.items()))
            if len(self._records) <= self._max_sources and now - oldest.last < FAILURE_LIFE:
                return record
            del self._records[idle]


class _Kept(Struct, frozen=True, gc=False):
    data: bytes
    end: float


class _Lock(Struct, frozen=True, gc=False):
    token: str
    end: float
    data: bytes  # of the session, which is kept again if its holder does not give it back
    life: float


class MemorySessions:
    """A `SessionStore` in the memory of one process.

    Parameters:
        max_sessions: sessions that are kept at once.
        clock: in seconds; never goes back.
    """

    def __init__(
        self, *, max_sessions: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_sessions = max_sessions
        self._clock = clock
        self._kept: dict[str, _Kept] = {}  # those that are not held; the one used last is last
        self._locks: dict[str, _Lock] = {}  # the one taken last is last

    async def acquire(self, name: str, token: str, life: float) -> bytes | None:
        return self.acquire_now(name, token, life)

    async def release(self, name: str, token: str, data: bytes | None, life: float) -> bool:
        return self.release_now(name, token, data, life)

    def acquire_now(self, name: str, token: str, life: float) -> bytes | None:
        """Do the same as `acquire`, without a coroutine."""
        now = self._clock()
        while self._locks:
            oldest, lock = next(iter(self._locks.items()))
            if now < lock.end:
                break
            del self._locks[oldest]
            if lock.data:
                self._keep(oldest, lock.data, lock.end, lock.life)
        if name in self._locks:
            return None
        kept = self._kept.pop(name, None)
        data = b"" if kept is None or kept.end <= now else kept.data
        self._locks[name] = _Lock(token, now + SESSION_LEASE, data, life)
        return data

    def release_now(self, name: str, token: str, data: bytes | None, life: float) -> bool:
        """Do the same as `release`, without a coroutine."""
        now = self._clock()
        lock = self._locks.get(name)
        if lock is None or lock.token != token or lock.end <= now:
            return False
        del self._locks[name]
        if data is None:
            data = lock.data
        if data:
            self._keep(name, data, now, life)
        return True

    async def close(self) -> None: ...

    def _keep(self, name: str, data: bytes, now: float, life: float) -> None:
        self._kept[name] = _Kept(data, now + life)
        while self._kept:
            oldest, kept = next(iter(self._kept.items()))
            if len(self._kept) <= self._max_sessions and now < kept.end:
                return
            del self._kept[oldest]


class UnsharedLease:
    """A lease that this process always holds, because it is not shared."""

    async def take(self, life: float) -> bool:
        return True

    async def leave(self) -> None: ...

    async def close(self) -> None: ...
