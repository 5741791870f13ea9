"""Fixtures of the storage tests, and the lines that the log has of an outage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from receiver.storage.auth_fallback import AuthFallback
from receiver.storage.memory import MemoryAuth
from receiver.storage.protocols import AuthStore
from receiver.storage.sqlite import SqliteAuth
from tests.clock import Clock
from tests.storage.session_workers import workers
from tests.storage.stage import LIFE, NOW, backend, closing_all
from tests.stores import LATEST, SHORT, WAITS, clock, lasting_server, redis_url, server

__all__ = [
    "LIFE",
    "NOW",
    "backend",
    "clock",
    "closing_all",
    "lasting_server",
    "redis_url",
    "server",
    "workers",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shared.db"


@pytest.fixture
async def make(path: Path) -> AsyncIterator[Callable[..., SqliteAuth]]:
    """Opens a store in the file; the end of the test closes it."""
    made: list[SqliteAuth] = []

    def one_more(**options: Any) -> SqliteAuth:
        made.append(SqliteAuth(path, life=LIFE, **{"waits": WAITS, **options}))
        return made[-1]

    yield one_more
    for store in made:
        await store.close()


@pytest.fixture
async def guard(clock: Clock) -> AsyncIterator[Callable[[AuthStore], AuthFallback]]:
    """One more worker's `AuthFallback` over a shared store."""
    made: list[AuthFallback] = []

    def one_more(store: AuthStore) -> AuthFallback:
        made.append(AuthFallback(store, "Kind", MemoryAuth(life=LIFE), clock, limit=SHORT))
        return made[-1]

    yield one_more
    for guarded in made:
        await guarded.close()


Guard = Callable[[AuthStore], AuthFallback]


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [f"{r.levelname} {r.getMessage()}" for r in caplog.records if r.name == "receiver"]


STORE = "the shared store (Kind)"
FAILURES = "the shared store of failures (Kind)"


def out(reason: str, place: str = STORE, advice: str = "") -> str:
    said = f"ERROR {place} is unavailable ({reason}): falling back to per-worker memory"
    return f"{said}; {advice}" if advice else said


def back(place: str = STORE) -> str:
    return f"WARNING {place} is back"


async def use(store: AuthStore, count: int) -> bool:
    """Use a count; assert that the answer is in time."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    good = await store.use("n", count, NOW, NOW)
    assert loop.time() - begin < LATEST
    return good
