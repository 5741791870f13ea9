"""The places where sessions lie: memory, a file, and a real Redis, all of whose time is told."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest
import redis

from receiver.secrets import Secret
from receiver.sessions import Key, Session, Sessions
from receiver.sessions.memory import Memory
from receiver.sessions.redis import Redis
from receiver.sessions.shelf import Shelf
from receiver.sessions.sqlite import Sqlite
from receiver.shared.patience import Patience
from tests.shared_stage import Clock, clock, lasting_server, patient, redis_url, server

__all__ = ["clock", "lasting_server", "patient", "redis_url", "server"]  # fixtures

KEY = Key("a call", 3600.0)


class Place(Protocol):
    def shelf(self) -> Shelf:
        """One more worker's."""
        ...

    def go_on(self, seconds: float) -> None:
        """Time passes."""
        ...

    def names(self) -> list[str]:
        """Of all that lies there, also of locks, as it is stored."""
        ...


class InMemory:
    def __init__(self) -> None:
        self.clock = Clock()
        self._shelf = Memory(clock=self.clock)

    def shelf(self) -> Shelf:
        return self._shelf

    def go_on(self, seconds: float) -> None:
        self.clock.time += seconds

    def names(self) -> list[str]:
        return [*self._shelf._kept, *self._shelf._locks]


class InFile:
    def __init__(self, path: Path) -> None:
        self.clock = Clock(time.time())
        self._path = path

    def shelf(self) -> Shelf:
        return Sqlite(self._path, clock=self.clock)

    def go_on(self, seconds: float) -> None:
        self.clock.time += seconds

    def catch_up(self) -> None:
        """With the clock that other processes go by."""
        self.clock.time = time.time()

    def close(self) -> None:
        """Nothing is open."""

    def names(self) -> list[str]:
        with closing(sqlite3.connect(self._path)) as connection:
            found = connection.execute(
                "select name from sessions union all select name from session_locks"
            )
            return [name for (name,) in found]


class InRedis:
    def __init__(self, url: Secret) -> None:
        self._url = url
        self._client = redis.Redis.from_url(url.reveal(), decode_responses=True)

    def shelf(self) -> Shelf:
        return Redis(self._url)

    def go_on(self, seconds: float) -> None:
        for key in self.names():
            left = int(str(self._client.pttl(key)))
            assert left > 0, "what never expires"
            self._client.pexpire(key, max(left - int(seconds * 1000), 0))

    def names(self) -> list[str]:
        return [str(key) for key in self._client.scan_iter()]

    def catch_up(self) -> None:
        """Its clock is everybody's."""

    def clear(self) -> None:
        self._client.flushall()

    def close(self) -> None:
        self._client.close()


@pytest.fixture
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """`request.param` says of which kind."""
    if request.param == "redis":
        found = InRedis(request.getfixturevalue("redis_url"))
        yield found
        found.close()
    else:
        yield InMemory() if request.param == "memory" else InFile(tmp_path / "shared.db")


class Workers:
    """Makes workers, and closes them in the end."""

    def __init__(self) -> None:
        self._made: list[Sessions] = []

    def on(self, shelf: Shelf, clock: Clock | None = None) -> Sessions:
        """One more; with a clock it is patient with its shelf."""
        patience = Patience("the shelf", "a pity", clock) if clock else None
        self._made.append(Sessions(shelf, patience, again=0.01))
        return self._made[-1]

    async def close(self) -> None:
        for sessions in self._made:
            await sessions.close()


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    workers = Workers()
    yield workers
    await workers.close()


def soon(seconds: float = 30.0) -> float:
    """A time to wait for, which no test that passes waits for unless it is short."""
    return asyncio.get_running_loop().time() + seconds


async def stored(sessions: Sessions, key: Key = KEY) -> dict[str, object]:
    async with sessions.open(key, until=soon()) as session:
        return dict(session)


async def add_one(sessions: Sessions, key: Key = KEY) -> None:
    async with sessions.open(key, until=soon()) as session:
        count(session)
        await asyncio.sleep(0)


def count(session: Session) -> None:
    session["count"] = session.read("count", 0) + 1
