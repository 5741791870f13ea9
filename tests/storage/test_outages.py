"""Real outages: a Redis that is killed or paused, a file that is locked or deleted."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from receiver.auth.throttle import FailureRecord
from receiver.storage.breaker import OPEN_TIME
from receiver.storage.redis import RedisAuth
from receiver.storage.sqlite import SqliteAuth
from tests.clock import Clock
from tests.storage.conftest import FAILURES, LIFE, NOW, Guard, back, lines, out, use
from tests.stores import SHORT, Server

LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("begin immediate")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("rollback")
print("free", flush=True)
sys.stdin.readline()
"""


async def test_redis_killed_and_started_again(
    server: Server, guard: Guard, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = (guard(RedisAuth(server.url, life=LIFE, limit=SHORT)) for _ in range(2))
    assert await use(one, 1)
    assert not await use(other, 1)
    server.kill()
    for store in (one, other):
        assert [await use(store, count) for count in (2, 2)] == [True, False]
        assert (await store.failed("k", NOW)).failures == 1
    server.start()
    clock.now = OPEN_TIME
    assert await use(one, 3)
    assert not await use(other, 3)
    assert await one.failed("k", NOW) == FailureRecord(2, NOW)
    said = lines(caplog)
    assert len(said) == 7
    assert all("Error): falling" in line for line in said[:4])
    assert said[4:] == [back(), back(), back(FAILURES)]


async def test_redis_paused(
    server: Server, guard: Guard, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = (guard(RedisAuth(server.url, life=LIFE, limit=SHORT)) for _ in range(2))
    assert await use(one, 1)
    server.send(signal.SIGSTOP)
    assert await use(one, 2)
    server.send(signal.SIGCONT)
    clock.now = OPEN_TIME
    # The answer to an earlier request would accept or refuse the wrong count.
    for count in range(3, 20):
        assert await use(one, count)
        assert not await use(other, count)
    assert lines(caplog) == [out("TimeoutError"), back()]


async def test_redis_that_never_started(
    server: Server, guard: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    store = guard(RedisAuth(server.url, life=LIFE, limit=SHORT))
    assert await use(store, 1)
    assert len(lines(caplog)) == 1


async def test_a_file_locked_by_another_process(
    tmp_path: Path, guard: Guard, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "shared.db"
    one, other = (guard(SqliteAuth(path, life=LIFE)) for _ in range(2))
    pipe = asyncio.subprocess.PIPE
    locker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LOCKER, path, stdin=pipe, stdout=pipe
    )
    assert locker.stdout is not None
    assert locker.stdin is not None
    assert await locker.stdout.readline() == b"locked\n"
    assert [await use(one, count) for count in (1, 1)] == [True, False]
    locker.stdin.write(b"\n")
    assert await locker.stdout.readline() == b"free\n"
    clock.now = OPEN_TIME
    assert await use(one, 2)
    assert not await use(other, 2)
    await locker.communicate(b"\n")
    first, *rest = lines(caplog)
    assert first in (out("SQLITE_BUSY"), out("TimeoutError"))  # the latter on a busy machine
    assert rest == [back()]


async def test_a_lock_on_the_failures_accepts_no_replay(
    tmp_path: Path, guard: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "shared.db"
    one, other = (guard(SqliteAuth(path, life=LIFE)) for _ in range(2))
    with closing(sqlite3.connect(f"{path}.failures", isolation_level=None)) as writer:
        writer.execute("begin immediate")
        assert (await one.failed("k", NOW)).failures == 1
        assert await use(one, 1)
        assert not await use(other, 1)
        writer.execute("rollback")
    (line,) = lines(caplog)
    assert line in (out("SQLITE_BUSY", FAILURES), out("TimeoutError", FAILURES))


async def test_a_deleted_file(
    tmp_path: Path, guard: Guard, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "shared.db"
    one, other = (guard(SqliteAuth(path, life=LIFE)) for _ in range(2))
    path.unlink()
    assert await use(one, 1)
    assert await use(other, 1)  # the price
    clock.now = OPEN_TIME
    assert await use(one, 2)
    assert not await use(other, 2)
    gone = out("FileNotFoundError", advice=f"{path} was deleted or replaced, and is opened again")
    assert lines(caplog) == [gone] * 2 + [back()] * 2
