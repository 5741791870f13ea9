"""The stores under test: memory, a file, and a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from receiver.stores import Memory, Store
from receiver.stores.guarded import Guarded
from receiver.stores.redis import Redis
from receiver.stores.sqlite import Sqlite
from tests.shared_stage import LATEST, Clock, clock, lasting_server, patient, redis_url, server

__all__ = ["clock", "lasting_server", "patient", "redis_url", "server"]  # fixtures

LIFE = 300.0
NOW = 1_800_000_000.0


Open = Callable[[], Store]


@pytest.fixture
async def open_shared(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens one more worker's store on the same place; `request.param` says which kind."""
    opened: list[Store] = []
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    memory = Memory(life=LIFE)

    def one_more() -> Store:
        if request.param == "memory":
            return memory
        store = Redis(url, life=LIFE) if url else Sqlite(tmp_path / "shared.db", life=LIFE)
        opened.append(store)
        return store

    yield one_more
    for store in opened:
        await store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shared.db"


@pytest.fixture
async def make(path: Path) -> AsyncIterator[Callable[..., Sqlite]]:
    """Opens a store on the file; it is closed in the end."""
    made: list[Sqlite] = []

    def one_more(**bounds: int) -> Sqlite:
        made.append(Sqlite(path, life=LIFE, **bounds))
        return made[-1]

    yield one_more
    for store in made:
        await store.close()


@pytest.fixture
async def guard(clock: Clock) -> AsyncIterator[Callable[[Store], Guarded]]:
    """One more worker, before a shared store."""
    made: list[Guarded] = []

    def one_more(store: Store) -> Guarded:
        made.append(Guarded(store, "Kind", Memory(life=LIFE), clock))
        return made[-1]

    yield one_more
    for guarded in made:
        await guarded.close()


Guard = Callable[[Store], Guarded]


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [f"{r.levelname} {r.getMessage()}" for r in caplog.records if r.name == "receiver"]


STORE = "the shared store (Kind)"
FAILURES = "the shared store of failures (Kind)"


def out(reason: str, place: str = STORE) -> str:
    return f"ERROR {place} is out of order ({reason}): each worker goes by its own memory"


def back(place: str = STORE) -> str:
    return f"WARNING {place} is back"


async def use(store: Store, count: int) -> bool:
    """Uses a count up, in time."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    good = await store.use("n", count, NOW, NOW)
    assert loop.time() - begin < LATEST
    return good
