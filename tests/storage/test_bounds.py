"""The size of the files: it does not grow with the number of entries that were ever written."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from receiver.auth.replay_window import SKEW
from receiver.auth.throttle import FAILURE_LIFE
from receiver.storage import sqlite_file as files
from receiver.storage.breaker import StoreError
from receiver.storage.sqlite import SqliteAuth, SqliteSessions
from receiver.storage.sqlite_file import File
from tests.clock import Clock
from tests.storage.conftest import LIFE, NOW

SET = 400
"""Entries that are kept at once."""

ROUNDS = 12

Put = Callable[[int, float], Awaitable[object]]


def size(path: Path) -> int:
    """Octets on the disk of the file and its log."""
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))


async def plateau(path: Path, life: float, put: Put) -> None:
    """Write `ROUNDS` times as many entries as are kept at once, at a steady rate."""
    sizes = []
    for number in range(ROUNDS * SET):
        await put(number, NOW + number * life / SET)
        if number % SET == SET - 1:
            sizes.append(size(path))
    # The length of the write-ahead log varies by one round.
    assert max(sizes[3:]) <= max(sizes[:3]) + 16 * files.PAGE_SIZE, sizes
    assert max(sizes) <= 2 * files.MAX_LOG_SIZE, sizes


async def test_the_file_of_nonces_does_not_grow(
    path: Path, make: Callable[..., SqliteAuth]
) -> None:
    store = make()
    await plateau(path, LIFE + SKEW, lambda n, now: store.use(f"{n:032x}", n, now, now))


async def test_the_file_of_failures_does_not_grow(
    path: Path, make: Callable[..., SqliteAuth]
) -> None:
    store = make()
    failures = Path(f"{path}.failures")
    await plateau(
        failures, FAILURE_LIFE, lambda n, now: store.failed(f"192.0.2.1 8000/pick {n}", now)
    )


async def test_the_file_of_sessions_does_not_grow(path: Path) -> None:
    clock = Clock()
    sessions = SqliteSessions(path, clock=clock)

    async def put(number: int, now: float) -> None:
        clock.now = now
        await sessions.acquire(f"{number:040x}", "t", 3600)
        await sessions.release(f"{number:040x}", "t", b"x" * 500, 3600)

    await plateau(path, 3600, put)
    await sessions.close()


async def test_the_file_shrinks_after_a_burst(path: Path) -> None:
    clock = Clock(NOW)
    sessions = SqliteSessions(path, clock=clock)
    for number in range(300):
        await sessions.acquire(str(number), "t", 60)
        await sessions.release(str(number), "t", b"x" * 16_000, 60)
    full = size(path)
    clock.now += 3600
    for number in range(1000):
        await sessions.acquire(str(number % 3), "t", 60)
        await sessions.release(str(number % 3), "t", b"x", 60)
    await sessions.close()
    assert full > 4_000_000
    assert size(path) <= 2 * files.SPARE_PAGES * files.PAGE_SIZE


async def test_a_long_write_ahead_log_is_truncated(
    path: Path, make: Callable[..., SqliteAuth]
) -> None:
    store = make()
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select * from used").fetchall()  # so that the log cannot be restarted
        for number in range(1000):
            await store.use(f"{number:040x}", 1, NOW, NOW)
        assert Path(f"{path}-wal").stat().st_size > 2 * files.MAX_LOG_SIZE
        reader.execute("commit")
    for number in range(1000, 1500):
        await store.use(f"{number:040x}", 1, NOW, NOW)
    assert Path(f"{path}-wal").stat().st_size <= files.MAX_LOG_SIZE + 64 * files.PAGE_SIZE


async def test_a_file_has_a_largest_size(path: Path) -> None:
    file = File(path, "create table if not exists t (x);", max_size=100 * files.PAGE_SIZE)

    def put(connection: sqlite3.Connection) -> None:
        connection.execute("insert into t values (?)", ("x" * 3000,))

    for _ in range(90):
        await file.run(put)

    def put_more(connection: sqlite3.Connection) -> None:
        for _ in range(20):
            put(connection)

    with pytest.raises(StoreError, match=r"^SQLITE_FULL$") as caught:
        await file.run(put_more)
    assert "largest size" in caught.value.advice
    await file.run(lambda connection: connection.execute("delete from t"))
    await file.run(put)
    await file.close()
    assert size(path) <= 100 * files.PAGE_SIZE
