"""The storage backends under test: memory, SQLite files, a real Redis; each with a test clock."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest
import redis

from receiver.credentials import Secret
from receiver.storage.job_queue import BOUNDS, Bounds, JobQueue
from receiver.storage.jobs_memory import MemoryJobs
from receiver.storage.jobs_redis import PREFIX as JOBS
from receiver.storage.jobs_redis import RedisJobs
from receiver.storage.jobs_sqlite import SqliteJobs
from receiver.storage.memory import MemoryAuth, MemorySessions, UnsharedLease
from receiver.storage.protocols import AuthStore, Lease, SessionStore
from receiver.storage.redis import Redis
from receiver.storage.sqlite import Sqlite, SqliteSessions
from tests.clock import Clock
from tests.stores import LONG, WAITS

BACKENDS = ("memory", "sqlite", "redis")
SHARED = pytest.mark.parametrize("backend", ["sqlite", "redis"], indirect=True)
"""Backends that several processes share."""

LIFE = 300.0
NOW = 1_800_000_000.0
SETTING = "RECEIVER_STORE"


class Backend(Protocol):
    """One backend; each method opens the store as one more worker does."""

    def auth(self) -> AuthStore: ...

    def sessions(self) -> SessionStore: ...

    def lease(self, name: str) -> Lease: ...

    def jobs(self, bounds: Bounds = BOUNDS) -> JobQueue[str]: ...

    def advance(self, seconds: float) -> None:
        """Advance the clock of the sessions."""
        ...

    def sync_clock(self) -> None:
        """Set the clock of the sessions to that of other processes."""
        ...

    def session_names(self) -> list[str]:
        """Return the stored names of all sessions and locks."""
        ...

    def close(self) -> None: ...


class SharedBackend(Backend, Protocol):
    """A backend that another program may write to."""

    def put_job(self, key: bytes, body: bytes | None) -> None:
        """Write a due job; without a body it is half of one."""
        ...

    def spoil_numbers(self) -> None:
        """Write text to the claims and tries of the job ``k``."""
        ...


class MemoryBackend:
    """The memory of one process, which all workers of the test share."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._jobs: MemoryJobs[str] | None = None
        self._auth = MemoryAuth(life=LIFE)
        self._sessions = MemorySessions(clock=self.clock)

    def auth(self) -> AuthStore:
        return self._auth

    def sessions(self) -> SessionStore:
        return self._sessions

    def lease(self, name: str) -> Lease:
        return UnsharedLease()

    def jobs(self, bounds: Bounds = BOUNDS) -> JobQueue[str]:
        self._jobs = self._jobs or MemoryJobs(bounds)
        return self._jobs

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    def sync_clock(self) -> None:
        """No other process shares it."""

    def session_names(self) -> list[str]:
        return [*self._sessions._kept, *self._sessions._locks]

    def close(self) -> None:
        """Nothing is open."""


class SqliteBackend:
    def __init__(self, folder: Path) -> None:
        self.clock = Clock(time.time())
        self.jobs_path = folder / "jobs.db"
        self._path = folder / "shared.db"
        self._backend = Sqlite(self._path, SETTING, LONG)

    def auth(self) -> AuthStore:
        return self._backend.auth(life=LIFE)

    def sessions(self) -> SessionStore:
        return SqliteSessions(self._path, clock=self.clock, waits=WAITS)

    def lease(self, name: str) -> Lease:
        return self._backend.lease(name)

    def jobs(self, bounds: Bounds = BOUNDS) -> JobQueue[str]:
        return SqliteJobs(self.jobs_path, SETTING, bounds=bounds, waits=WAITS)

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    def sync_clock(self) -> None:
        self.clock.now = time.time()

    def session_names(self) -> list[str]:
        with closing(sqlite3.connect(self._path)) as connection:
            found = connection.execute(
                "select name from sessions union all select name from session_locks"
            )
            return [name for (name,) in found]

    def put_job(self, key: bytes, body: bytes | None) -> None:
        with closing(sqlite3.connect(self.jobs_path)) as connection:
            connection.execute(
                "insert into jobs (key, body, state, at) "
                "values (cast(? as text), cast(? as text), 'open', ?)",
                (key, body, NOW),
            )
            connection.commit()

    def spoil_numbers(self) -> None:
        with closing(sqlite3.connect(self.jobs_path)) as connection:
            connection.execute("update jobs set claim = 'x', tries = null")
            connection.commit()

    def close(self) -> None:
        """Nothing is open."""


class RedisBackend:
    def __init__(self, url: Secret) -> None:
        self.client = redis.Redis.from_url(url.reveal(), decode_responses=True)
        self._url, self._backend = url, Redis(url, SETTING, limit=LONG)

    def auth(self) -> AuthStore:
        return self._backend.auth(life=LIFE)

    def sessions(self) -> SessionStore:
        return self._backend.sessions()

    def lease(self, name: str) -> Lease:
        return self._backend.lease(name)

    def jobs(self, bounds: Bounds = BOUNDS) -> JobQueue[str]:
        return RedisJobs(self._url, SETTING, bounds=bounds, limit=LONG)

    def advance(self, seconds: float) -> None:
        for key in self.session_names():
            left = int(str(self.client.pttl(key)))
            assert left > 0, "a key never expires"
            self.client.pexpire(key, max(left - int(seconds * 1000), 0))

    def sync_clock(self) -> None:
        """All processes share the clock of Redis."""

    def session_names(self) -> list[str]:
        return [str(key) for key in self.client.scan_iter()]

    def put_job(self, key: bytes, body: bytes | None) -> None:
        if body is not None:
            self.client.hset(f"{JOBS}body", key, body)
        self.client.zadd(f"{JOBS}due", {key: NOW})

    def spoil_numbers(self) -> None:
        for name in ("claims", "tries"):
            self.client.hset(f"{JOBS}{name}", "k", "x")

    def close(self) -> None:
        self.client.close()


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """Each backend in turn."""
    found: Backend
    if request.param == "redis":
        found = RedisBackend(request.getfixturevalue("redis_url"))
    elif request.param == "sqlite":
        found = SqliteBackend(tmp_path)
    else:
        found = MemoryBackend()
    yield found
    found.close()


class Closes(Protocol):
    async def close(self) -> None: ...


@pytest.fixture
async def closing_all() -> AsyncIterator[list[Closes]]:
    """Stores to close at the end of the test."""
    opened: list[Closes] = []
    yield opened
    for store in opened:
        await store.close()


async def wait_for(lease: Lease, life: float) -> None:
    """Take the lease once that of its holder ends, by the clock of the backend."""
    while not await lease.take(life):  # noqa: ASYNC110
        await asyncio.sleep(0.02)


def run_together(script: str, path: Path, count: int) -> list[int]:
    """Run ``script`` in several processes, which wait for a line; return the numbers they print."""
    command = [sys.executable, "-c", script, str(path)]
    pipe = subprocess.PIPE
    workers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(count)]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    return [int(worker.communicate(timeout=240)[0]) for worker in workers]
