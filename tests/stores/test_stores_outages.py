"""Real outages: a Redis that is killed or paused, a file that is locked or gone."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from receiver.auth.throttle import Standing
from receiver.shared.patience import PAUSE
from receiver.stores.redis import Redis
from receiver.stores.sqlite import Sqlite
from tests.shared_stage import Clock, Server
from tests.stores.conftest import FAILURES, LIFE, NOW, Guard, back, lines, out, use

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
    one, other = (guard(Redis(server.url, life=LIFE)) for _ in range(2))
    assert await use(one, 1)
    assert not await use(other, 1)
    server.kill()
    for store in (one, other):
        assert [await use(store, count) for count in (2, 2)] == [True, False]
        assert (await store.failed("k", NOW)).failures == 1
    server.start()
    clock.time = PAUSE
    assert await use(one, 3)
    assert not await use(other, 3)
    assert await one.failed("k", NOW) == Standing(2, NOW)
    said = lines(caplog)
    assert len(said) == 7
    assert all("Error): each worker" in line for line in said[:4])
    assert said[4:] == [back(), back(), back(FAILURES)]


async def test_redis_paused(
    server: Server, guard: Guard, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = (guard(Redis(server.url, life=LIFE)) for _ in range(2))
    assert await use(one, 1)
    server.send(signal.SIGSTOP)
    assert await use(one, 2)
    server.send(signal.SIGCONT)
    clock.time = PAUSE
    # An answer that belongs to an earlier question would let these in, or refuse them.
    for count in range(3, 20):
        assert await use(one, count)
        assert not await use(other, count)
    assert lines(caplog) == [out("TimeoutError"), back()]


async def test_redis_that_was_never_there(
    server: Server, guard: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    store = guard(Redis(server.url, life=LIFE))
    assert await use(store, 1)
    assert len(lines(caplog)) == 1


async def test_a_file_locked_by_another_process(
    tmp_path: Path, guard: Guard, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "shared.db"
    one, other = (guard(Sqlite(path, life=LIFE)) for _ in range(2))
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
    clock.time = PAUSE
    assert await use(one, 2)
    assert not await use(other, 2)
    await locker.communicate(b"\n")
    first, *rest = lines(caplog)
    assert first in (out("SQLITE_BUSY"), out("TimeoutError"))  # the latter on a busy machine
    assert rest == [back()]


async def test_a_lock_on_the_failures_lets_no_replay_in(
    tmp_path: Path, guard: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "shared.db"
    one, other = (guard(Sqlite(path, life=LIFE)) for _ in range(2))
    with closing(sqlite3.connect(f"{path}.failures", isolation_level=None)) as writer:
        writer.execute("begin immediate")
        assert (await one.failed("k", NOW)).failures == 1
        assert await use(one, 1)
        assert not await use(other, 1)
        writer.execute("rollback")
    (line,) = lines(caplog)
    assert line in (out("SQLITE_BUSY", FAILURES), out("TimeoutError", FAILURES))


async def test_a_file_that_vanished(
    tmp_path: Path, guard: Guard, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "shared.db"
    one, other = (guard(Sqlite(path, life=LIFE)) for _ in range(2))
    path.unlink()
    assert await use(one, 1)
    assert await use(other, 1)  # the price
    clock.time = PAUSE
    assert await use(one, 2)
    assert not await use(other, 2)
    assert lines(caplog) == [out("FileNotFoundError")] * 2 + [back()] * 2
