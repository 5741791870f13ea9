"""The queues under test: a file, and a real Redis that writes what it accepts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from receiver.after import Jobs
from receiver.after.redis import RedisJobs
from receiver.after.sqlite import SqliteJobs
from receiver.secrets import Secret
from tests.shared_stage import Server, patient

__all__ = ["patient"]  # a fixture

NOW = 1_800_000_000.0
SECRET = Secret("the service secret of the tests")
KEEPING = ("--appendonly", "yes", "--appendfsync", "everysec")
BOTH = pytest.mark.parametrize("where", ["sqlite", "redis"], indirect=True)


@pytest.fixture
def redis_server(program: Callable[[str], str]) -> Iterator[Server]:
    """One of its own, to kill and to start again."""
    server = Server(program("redis-server"))
    server.start(*KEEPING)
    yield server
    server.close()


@pytest.fixture
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Secret:
    """What RECEIVER_AFTER says; `request.param` says which kind."""
    if request.param == "sqlite":
        return Secret(str(tmp_path / "jobs.db"))
    server: Server = request.getfixturevalue("redis_server")
    return server.url


def make_jobs(where: Secret) -> Jobs:
    text = where.reveal()
    if "://" in text:
        return RedisJobs(where, "RECEIVER_AFTER")
    return SqliteJobs(Path(text), "RECEIVER_AFTER")


@pytest.fixture
async def jobs(where: Secret) -> AsyncIterator[Jobs]:
    jobs = make_jobs(where)
    yield jobs
    await jobs.close()


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> float:
        return self.time


class Naps:
    """A sleep that is over when the test says so."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._sleeping: list[asyncio.Event] = []
        self.asked = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        over = asyncio.Event()
        self._sleeping.append(over)
        self.asked.set()
        await over.wait()

    def end(self) -> None:
        """End all naps."""
        self.asked.clear()
        sleeping, self._sleeping = self._sleeping, []
        for over in sleeping:
            over.set()


async def no_sleep(seconds: float) -> None:
    await asyncio.sleep(0)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The first line of each record."""
    records = [r for r in caplog.records if r.name == "receiver"]
    return [f"{r.levelname} {r.getMessage()}".partition("\n")[0] for r in records]


async def soon(true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until ``true``, for what has no event of its own."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
