"""Nonce counts and failures in files: concurrent processes, restarts, faults of the disk."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from receiver.auth.throttle import FailureRecord
from receiver.storage.breaker import StoreError
from receiver.storage.sqlite import SqliteAuth
from receiver.storage.sqlite_file import TIDY_INTERVAL, Waits
from tests.storage.conftest import NOW
from tests.storage.stage import run_together
from tests.stores import LONG

WORKER = """
import asyncio, sys
from pathlib import Path
from receiver.storage.sqlite import SqliteAuth
from receiver.storage.sqlite_file import Waits

async def work():
    sys.stdin.readline()  # all begin at once
    store = SqliteAuth(Path(sys.argv[1]), life=300, waits=Waits(busy=60, opening=60))
    good = [await store.use("n", count, 1e9, 1e9) for count in range(50)]
    for _ in range(25):
        await store.failed("k", 1e9)
    await store.close()
    print(sum(good))

asyncio.run(work())
"""


def test_processes_may_open_the_same_new_file_at_once(path: Path) -> None:
    assert sum(run_together(WORKER, path, 3)) == 50
    with closing(sqlite3.connect(f"{path}.failures")) as connection:
        assert connection.execute("select * from failures").fetchall() == [("k", 75, 1e9)]


async def test_the_files_are_private(path: Path, make: Callable[..., SqliteAuth]) -> None:
    store = make()
    await store.use("n", 1, NOW, NOW)
    await store.failed("k", NOW)
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()}
    files = ("shared.db", "shared.db.failures")
    assert modes == {f"{file}{end}": "0o600" for file in files for end in ("", "-wal", "-shm")}


async def test_a_restart_forgets_nothing(make: Callable[..., SqliteAuth]) -> None:
    before = make()
    await before.use("n", 1, NOW, NOW)
    await before.failed("k", NOW)
    await before.close()
    after = make()
    assert not await after.use("n", 1, NOW, NOW)
    assert await after.failed("k", NOW) == FailureRecord(2, NOW)


async def test_a_deleted_file_is_an_error_and_is_created_again(
    path: Path, make: Callable[..., SqliteAuth]
) -> None:
    one, other = make(), make()
    assert await one.use("n", 1, NOW, NOW)
    path.unlink()
    for store in (one, other):
        with pytest.raises(StoreError, match=r"^FileNotFoundError$"):
            await store.use("n", 2, NOW, NOW)
    assert await one.use("n", 3, NOW, NOW)
    assert not await other.use("n", 3, NOW, NOW)
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_replaced_file_is_an_error(path: Path, make: Callable[..., SqliteAuth]) -> None:
    store = make()
    path.rename(path.with_suffix(".old"))
    make()
    with pytest.raises(StoreError, match=r"^FileNotFoundError$"):
        await store.use("n", 1, NOW, NOW)
    assert await store.use("n", 1, NOW, NOW)


async def test_a_folder_in_place_of_the_file_is_an_error(
    path: Path, make: Callable[..., SqliteAuth]
) -> None:
    store = make()
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreError, match=r"^FileNotFoundError$"):
        await store.use("n", 1, NOW, NOW)
    with pytest.raises(StoreError, match=r"^NotAFileError$"):
        await store.use("n", 1, NOW, NOW)


async def test_a_read_only_file_is_an_error(make: Callable[..., SqliteAuth]) -> None:
    store = make()
    run = asyncio.get_running_loop().run_in_executor
    connection = store._counts._connection
    assert connection is not None
    await run(store._counts._thread, connection.execute, "pragma query_only = 1")
    with pytest.raises(StoreError, match=r"^SQLITE_READONLY"):
        await store.use("n", 1, NOW, NOW)
    assert await store.use("n", 1, NOW, NOW)  # by a new connection


async def test_a_full_disk(path: Path, make: Callable[..., SqliteAuth]) -> None:
    store = make()
    connection = store._failures._connection
    assert connection is not None
    run = asyncio.get_running_loop().run_in_executor
    await run(
        store._failures._thread, connection.execute, "pragma max_page_count = 1"
    )  # the file cannot grow
    with pytest.raises(StoreError, match=r"^SQLITE_FULL$"):
        await store.failed("k" * 8000, NOW)  # longer than a page


async def test_a_long_transaction_of_another_worker_is_an_error(
    path: Path, make: Callable[..., SqliteAuth]
) -> None:
    store = make(waits=Waits())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        await store.reach()
        with pytest.raises(StoreError, match=r"^SQLITE_BUSY$"):
            await store.use("n", 1, NOW, NOW)
        other.execute("rollback")
    assert await store.use("n", 1, NOW, NOW)


async def test_waiting_failures_delay_no_count(make: Callable[..., SqliteAuth]) -> None:
    store = make()
    go_on = threading.Event()
    store._failures._thread.submit(go_on.wait)
    flood = [asyncio.create_task(store.failed(str(n), NOW)) for n in range(TIDY_INTERVAL)]
    await asyncio.sleep(0)  # all of them are queued before the count
    try:
        async with asyncio.timeout(LONG):
            assert await store.use("n", 1, NOW, NOW)
        assert not any(task.done() for task in flood)
    finally:
        go_on.set()
        await asyncio.gather(*flood)


async def test_a_locked_file_does_not_stop_the_start(
    path: Path, make: Callable[..., SqliteAuth]
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin exclusive")
        store = make(waits=Waits(opening=0.0))
        with pytest.raises(StoreError, match=r"^SQLITE_BUSY$"):
            await store.use("n", 1, NOW, NOW)
        other.execute("rollback")
    assert await store.use("n", 1, NOW, NOW)


async def test_closing_removes_the_write_ahead_log(
    path: Path, make: Callable[..., SqliteAuth]
) -> None:
    store = make()
    await store.use("n", 1, NOW, NOW)
    await store.close()
    names = sorted(file.name for file in path.parent.iterdir())
    assert names == ["shared.db", "shared.db.failures"]


async def test_invalid_failures_begin_anew(path: Path, make: Callable[..., SqliteAuth]) -> None:
    store = make()
    await store.failed("k", NOW)
    with closing(sqlite3.connect(f"{path}.failures")) as connection:
        connection.execute("update failures set failures = 'x', last = null")
        connection.commit()
    assert [await store.failed("k", NOW) for _ in range(2)] == [
        FailureRecord(1, NOW),
        FailureRecord(2, NOW),
    ]
