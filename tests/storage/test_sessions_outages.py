"""Real outages of a store of sessions: errors in time, and recovery without a restart."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from receiver.dispatch.sessions import SessionLost
from receiver.storage.breaker import OPEN_TIME
from receiver.storage.redis import RedisSessions
from receiver.storage.sqlite import SqliteSessions
from tests.clock import Clock
from tests.storage.conftest import lines
from tests.storage.session_workers import (
    KEY,
    OUT,
    Workers,
    add_one,
    change,
    lost,
    settle,
    soon,
    stored,
)
from tests.stores import SHORT, Server

BACK = "WARNING the store is back"


async def test_redis_killed_and_started_again(
    server: Server, workers: Workers, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    sessions = workers.on(RedisSessions(server.url, limit=SHORT), clock)
    await add_one(sessions)
    with pytest.raises(SessionLost, match=OUT):
        await change(sessions, lambda session: server.kill())
    for _ in range(3):
        await lost(sessions)
    server.start()
    clock.now = OPEN_TIME
    assert await stored(sessions) == {}  # this Redis writes nothing to the disk
    await add_one(sessions)
    first, last = lines(caplog)
    assert first.startswith("ERROR the store is unavailable (")
    assert last == BACK


async def test_sessions_survive_a_restart_of_redis_that_writes_them(
    server: Server, workers: Workers, clock: Clock
) -> None:
    options = ("--appendonly", "yes", "--appendfsync", "always")
    server.kill()
    server.start(*options)
    sessions = workers.on(RedisSessions(server.url, limit=SHORT), clock)
    await add_one(sessions)
    server.kill()
    server.start(*options)
    assert await stored(workers.on(RedisSessions(server.url, limit=SHORT))) == {"count": 1}


async def test_redis_paused(server: Server, workers: Workers, clock: Clock) -> None:
    sessions = workers.on(RedisSessions(server.url, limit=SHORT), clock)
    await add_one(sessions)
    server.send(signal.SIGSTOP)
    await lost(sessions)  # Redis takes the lock once it continues
    server.send(signal.SIGCONT)
    clock.now = OPEN_TIME
    for number in range(2, 20):
        await add_one(sessions)
        # The answer to an earlier request would show here.
        assert await stored(sessions) == {"count": number}


async def test_a_full_redis(server: Server, workers: Workers, clock: Clock) -> None:
    server.kill()
    server.start("--maxmemory", "1", "--maxmemory-policy", "noeviction")
    sessions = workers.on(RedisSessions(server.url, limit=SHORT), clock)
    await lost(sessions)
    await settle(sessions, clock)


async def test_a_file_locked_by_another_process(
    tmp_path: Path, workers: Workers, clock: Clock
) -> None:
    path = tmp_path / "shared.db"
    sessions = workers.on(SqliteSessions(path), clock)
    await add_one(sessions)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        await lost(sessions)
        await lost(sessions)
        other.execute("rollback")
    clock.now = OPEN_TIME
    await add_one(sessions)
    assert await stored(sessions) == {"count": 2}


async def test_a_deleted_file_is_created_again(
    tmp_path: Path, workers: Workers, clock: Clock
) -> None:
    path = tmp_path / "shared.db"
    sessions = workers.on(SqliteSessions(path), clock)
    await add_one(sessions)
    path.unlink()
    await lost(sessions)
    clock.now = OPEN_TIME
    await add_one(sessions)
    assert await stored(sessions) == {"count": 1}


async def test_a_full_disk(tmp_path: Path, workers: Workers, clock: Clock) -> None:
    store = SqliteSessions(tmp_path / "shared.db")
    sessions = workers.on(store, clock)
    await add_one(sessions)
    await store._file.run(lambda c: c.execute("pragma max_page_count = 1").fetchall(), 0)
    with pytest.raises(SessionLost, match=OUT):
        async with sessions.open(KEY, until=soon()) as session:
            session["text"] = "x" * 10_000
    clock.now = OPEN_TIME
    assert await stored(sessions) == {"count": 1}
