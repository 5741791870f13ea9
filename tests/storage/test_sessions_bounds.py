"""Sessions in each backend: bounds, restarts, clocks."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from receiver.credentials import Secret
from receiver.dispatch.sessions import Key, SessionLost
from receiver.storage.memory import MemorySessions
from receiver.storage.protocols import SESSION_LEASE
from receiver.storage.redis import RedisSessions
from receiver.storage.sqlite import SqliteAuth, SqliteSessions
from receiver.storage.sqlite_file import TIDY_INTERVAL
from tests.clock import Clock
from tests.storage.session_workers import KEY, Workers, add_one, soon, stored
from tests.storage.stage import RedisBackend
from tests.stores import LONG


async def test_memory_drops_the_session_that_was_idle_longest(
    workers: Workers, clock: Clock
) -> None:
    store = MemorySessions(max_sessions=3, clock=clock)
    sessions = workers.on(store)
    keys = [Key(name) for name in "abcd"]
    for key in keys[:3]:
        await add_one(sessions, key)
    await stored(sessions, keys[0])
    await add_one(sessions, keys[3])
    assert list(store._kept) == ["c", "a", "d"]


async def test_memory_is_bounded(workers: Workers, clock: Clock) -> None:
    store = MemorySessions(max_sessions=100, clock=clock)
    sessions = workers.on(store)
    for number in range(1000):
        await add_one(sessions, Key(str(number)))
        await stored(sessions, Key(f"unknown {number}"))
    assert len(store._kept) == 100
    assert not store._locks
    assert not sessions._queues
    assert not sessions._tasks


async def test_a_session_dropped_while_it_is_held_is_saved(workers: Workers, clock: Clock) -> None:
    sessions = workers.on(MemorySessions(max_sessions=1, clock=clock))
    await add_one(sessions)
    async with sessions.open(KEY, until=soon()) as session:
        await add_one(sessions, Key("another call"))
        session["count"] = session.read("count", 0) + 1
    assert await stored(sessions) == {"count": 2}


async def test_a_file_is_bounded(tmp_path: Path, workers: Workers) -> None:
    path = tmp_path / "shared.db"
    clock = Clock(time.time())
    sessions = workers.on(SqliteSessions(path, max_sessions=50, clock=clock))
    for number in range(300):
        clock.now += 0.001
        await add_one(sessions, Key(str(number)))
        await stored(sessions, KEY)
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("select name from sessions order by used")]
    assert len(names) <= 50 + TIDY_INTERVAL
    assert names[-50:] == [str(number) for number in range(250, 300)]


@pytest.mark.parametrize("data", [b"\xff", 1, "text", 2.5])
async def test_a_row_of_another_type_is_removed(
    tmp_path: Path, workers: Workers, data: object
) -> None:
    path = tmp_path / "shared.db"
    sessions = workers.on(SqliteSessions(path))
    await add_one(sessions)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("update sessions set data = ?", (data,))
        connection.commit()
    with pytest.raises(SessionLost):
        await stored(sessions)
    assert await stored(sessions) == {}


async def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    for number in range(1, 4):
        workers = Workers()
        sessions = workers.on(SqliteSessions(tmp_path / "shared.db"))
        await add_one(sessions)
        assert await stored(sessions) == {"count": number}
        await workers.close()


async def test_sessions_and_nonce_counts_may_share_a_file(tmp_path: Path, workers: Workers) -> None:
    path = tmp_path / "shared.db"
    auth = SqliteAuth(path, life=300)
    sessions = workers.on(SqliteSessions(path))
    assert await auth.use("n", 1, time.time(), time.time())
    await add_one(sessions)
    assert not await auth.use("n", 1, time.time(), time.time())
    assert await stored(sessions) == {"count": 1}
    await auth.close()


async def test_a_clock_set_back_extends_no_lease_and_no_session(
    tmp_path: Path, workers: Workers
) -> None:
    clock = Clock(time.time())
    store = SqliteSessions(tmp_path / "shared.db", clock=clock)
    sessions = workers.on(store)
    await add_one(sessions)
    await store.acquire(KEY.name, "dead", KEY.life)
    clock.now -= 24 * 3600
    assert await stored(sessions) == {"count": 1}
    await add_one(sessions, Key("idle"))
    clock.now -= 24 * 3600
    for _ in range(TIDY_INTERVAL):
        await stored(sessions)
    clock.now += KEY.life + 1
    assert await stored(sessions, Key("idle")) == {}


async def test_a_lease_holds_for_workers_that_read_the_clock_earlier(
    tmp_path: Path, workers: Workers
) -> None:
    clock = Clock(time.time())
    store = SqliteSessions(tmp_path / "shared.db", clock=clock)
    await store.acquire(KEY.name, "another", KEY.life)
    # Another worker read the clock before the holder.
    for seconds in (SESSION_LEASE - 1, -SESSION_LEASE - 1):
        clock.now += seconds
        with pytest.raises(SessionLost):
            async with workers.on(store).open(KEY, until=soon(0)):
                pytest.fail("two at once")


async def test_every_session_in_redis_expires(redis_url: Secret, workers: Workers) -> None:
    backend = RedisBackend(redis_url)
    sessions = workers.on(RedisSessions(redis_url, limit=LONG))
    await add_one(sessions)
    async with sessions.open(KEY, until=soon()):
        assert sorted(backend.session_names()) == [
            "receiver:session:{a call}",
            "receiver:session:{a call}:lock",
        ]
        backend.advance(0)  # asserts that each key expires
    backend.advance(KEY.life)
    assert backend.session_names() == []
    backend.close()
