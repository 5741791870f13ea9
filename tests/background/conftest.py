"""The queues under test: a file, and a real Redis that writes what it accepts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from receiver.background import BackgroundJobs, JobQueue
from receiver.background.in_process import IN_PROCESS
from receiver.background.job_worker import DURABLE
from receiver.credentials import Secret
from receiver.storage.jobs_memory import MemoryJobs
from receiver.storage.jobs_redis import RedisJobs
from receiver.storage.jobs_sqlite import SqliteJobs
from tests.clock import Clock
from tests.stores import LONG, SHORT, WAITS, Server

NOW = 1_800_000_000.0
POLLING = replace(DURABLE, poll=0.01)
SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")
KEEPING = ("--appendonly", "yes", "--appendfsync", "everysec")
ALL = pytest.mark.parametrize("where", ["memory", "sqlite", "redis"], indirect=True)
BOTH = pytest.mark.parametrize("where", ["sqlite", "redis"], indirect=True)


@pytest.fixture
def redis_server(program: Callable[[str], str]) -> Iterator[Server]:
    """A Redis for one test, which may kill and restart it."""
    server = Server(program("redis-server"))
    server.start(*KEEPING)
    yield server
    server.close()


@pytest.fixture
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Secret:
    """The value of RECEIVER_JOBS; `request.param` is the kind of store. Memory has none."""
    if request.param == "memory":
        return Secret(f"memory:{tmp_path}")
    if request.param == "sqlite":
        return Secret(str(tmp_path / "jobs.db"))
    server: Server = request.getfixturevalue("redis_server")
    return server.url


IN_MEMORY: dict[str, MemoryJobs[str]] = {}


def make_jobs(where: Secret) -> JobQueue[str]:
    """Open the queue as one more worker does; all workers of a test share the one in memory."""
    text = where.reveal()
    if text.startswith("memory:"):
        return IN_MEMORY.setdefault(text, MemoryJobs())
    if "://" in text:
        return RedisJobs(where, "RECEIVER_JOBS", limit=SHORT)
    return SqliteJobs(Path(text), "RECEIVER_JOBS", waits=WAITS)


@pytest.fixture
async def jobs(where: Secret) -> AsyncIterator[JobQueue[str]]:
    jobs = make_jobs(where)
    yield jobs
    await jobs.close()


class Workers:
    """Makes workers of one queue, with a clock of the test."""

    def __init__(self, where: Secret) -> None:
        self.where = where
        self.clock = Clock(NOW)
        self.made: list[BackgroundJobs] = []

    def __call__(self, secret: Secret = SECRET, **options: Any) -> BackgroundJobs:
        jobs = make_jobs(self.where)
        options = {"durable": POLLING, "clock": self.clock, **options}
        self.made.append(BackgroundJobs(jobs, secret, accept_limit=LONG, **options))
        return self.made[-1]


@pytest.fixture
async def workers(where: Secret) -> AsyncIterator[Workers]:
    workers = Workers(where)
    yield workers
    for owner in workers.made:
        await owner.close(0)


AT_ONCE = replace(IN_PROCESS, first=0.0)  # no seconds between two tries
Make = Callable[..., BackgroundJobs]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Background jobs; the end of the test closes them."""
    made: list[BackgroundJobs] = []

    def one(**options: Any) -> BackgroundJobs:
        made.append(BackgroundJobs(None, SECRET, **{"in_process": AT_ONCE, **options}))
        return made[-1]

    yield one
    for owner in made:
        await owner.close(0)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The first line of each record."""
    records = [r for r in caplog.records if r.name == "receiver"]
    return [f"{r.levelname} {r.getMessage()}".partition("\n")[0] for r in records]


async def soon(true: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until ``true`` returns True, where no event can be awaited."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
