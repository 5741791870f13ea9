"""What is peculiar to a kind: bounds, restarts, clocks, and what RECEIVER_STORE may say."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from receiver.errors import SettingsError
from receiver.secrets import Secret
from receiver.sessions import Key, SessionLost, open_sessions
from receiver.sessions.memory import Memory
from receiver.sessions.redis import Redis
from receiver.sessions.shelf import LEASE
from receiver.sessions.sqlite import Sqlite
from receiver.shared.file import TIDY
from receiver.stores.sqlite import Sqlite as Store
from tests.sessions.conftest import KEY, InRedis, Workers, add_one, soon, stored
from tests.shared_stage import Clock


async def test_memory_forgets_the_one_that_was_idle_longest(workers: Workers, clock: Clock) -> None:
    shelf = Memory(most=3, clock=clock)
    sessions = workers.on(shelf)
    keys = [Key(name) for name in "abcd"]
    for key in keys[:3]:
        await add_one(sessions, key)
    await stored(sessions, keys[0])
    await add_one(sessions, keys[3])
    assert list(shelf._kept) == ["c", "a", "d"]


async def test_memory_is_bounded_whatever_comes(workers: Workers, clock: Clock) -> None:
    shelf = Memory(most=100, clock=clock)
    sessions = workers.on(shelf)
    for number in range(1000):
        await add_one(sessions, Key(str(number)))
        await stored(sessions, Key(f"unknown {number}"))
    assert len(shelf._kept) == 100
    assert not shelf._locks
    assert not sessions._queues
    assert not sessions._tasks


async def test_what_was_pushed_out_while_somebody_had_it(workers: Workers, clock: Clock) -> None:
    sessions = workers.on(Memory(most=1, clock=clock))
    await add_one(sessions)
    async with sessions.open(KEY, until=soon()) as session:
        await add_one(sessions, Key("another call"))
        session["count"] = session.read("count", 0) + 1
    assert await stored(sessions) == {"count": 2}


async def test_a_file_is_bounded(tmp_path: Path, workers: Workers) -> None:
    path = tmp_path / "shared.db"
    clock = Clock(time.time())
    sessions = workers.on(Sqlite(path, most=50, clock=clock))
    for number in range(300):
        clock.time += 0.001
        await add_one(sessions, Key(str(number)))
        await stored(sessions, KEY)
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("select name from sessions order by used")]
    assert len(names) <= 50 + TIDY
    assert names[-50:] == [str(number) for number in range(250, 300)]


async def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    for number in range(1, 4):
        workers = Workers()
        sessions = workers.on(Sqlite(tmp_path / "shared.db"))
        await add_one(sessions)
        assert await stored(sessions) == {"count": number}
        await workers.close()


async def test_a_file_may_be_that_of_a_store(tmp_path: Path, workers: Workers) -> None:
    path = tmp_path / "shared.db"
    store = Store(path, life=300)
    sessions = workers.on(Sqlite(path))
    assert await store.use("n", 1, time.time(), time.time())
    await add_one(sessions)
    assert not await store.use("n", 1, time.time(), time.time())
    assert await stored(sessions) == {"count": 1}
    await store.close()


async def test_a_clock_that_was_set_back_lengthens_no_lease_and_no_life(
    tmp_path: Path, workers: Workers
) -> None:
    clock = Clock(time.time())
    shelf = Sqlite(tmp_path / "shared.db", clock=clock)
    sessions = workers.on(shelf)
    await add_one(sessions)
    await shelf.take(KEY.name, "dead", KEY.life)
    clock.time -= 24 * 3600
    assert await stored(sessions) == {"count": 1}
    await add_one(sessions, Key("idle"))
    clock.time -= 24 * 3600
    for _ in range(TIDY):
        await stored(sessions)
    clock.time += KEY.life + 1
    assert await stored(sessions, Key("idle")) == {}


async def test_a_lease_is_a_lease_for_workers_who_looked_at_the_clock_at_odd_times(
    tmp_path: Path, workers: Workers
) -> None:
    clock = Clock(time.time())
    shelf = Sqlite(tmp_path / "shared.db", clock=clock)
    await shelf.take(KEY.name, "somebody", KEY.life)
    for seconds in (LEASE - 1, -LEASE - 1):  # looked at the clock before the one who took it
        clock.time += seconds
        with pytest.raises(SessionLost):
            async with workers.on(shelf).open(KEY, until=soon(0)):
                pytest.fail("two at once")


async def test_redis_keeps_nothing_for_ever(redis_url: Secret, workers: Workers) -> None:
    place = InRedis(redis_url)
    sessions = workers.on(Redis(redis_url))
    await add_one(sessions)
    async with sessions.open(KEY, until=soon()):
        assert sorted(place.names()) == [
            "receiver:session:{a call}",
            "receiver:session:{a call}:lock",
        ]
        place.go_on(0)  # looks at the life of each
    place.go_on(KEY.life)
    assert place.names() == []
    place.close()


@pytest.mark.parametrize("kind", ["", "file", "redis"])
async def test_receiver_store_says_where(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    where = Secret(str(tmp_path / "shared.db") if kind else "")
    if kind == "redis":
        where = request.getfixturevalue("redis_url")
    one, other = open_sessions(where), open_sessions(where)
    await add_one(one)
    assert await stored(other) == ({"count": 1} if kind else {})
    for sessions in (one, other):
        await sessions.close()


@pytest.mark.parametrize("where", ["http://127.0.0.1/", "redis://:a-long-password@[::1/0"])
def test_what_it_may_not_say(where: str) -> None:
    with pytest.raises(SettingsError, match=r"^RECEIVER_STORE "):
        open_sessions(Secret(where))


async def test_a_redis_that_is_down_is_told_without_its_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    sessions = open_sessions(Secret("redis://user:a-long-password@127.0.0.1:1/0"), clock=clock)
    for _ in range(3):
        with pytest.raises(SessionLost, match=r"^the store of sessions is out of order$"):
            await add_one(sessions)
    (line,) = (r.getMessage() for r in caplog.records if r.name == "receiver")
    assert line.startswith("the store of sessions (Redis) is out of order (")
    assert line.endswith("): callbacks that need a session get their fallback")
    await sessions.close()
