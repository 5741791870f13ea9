"""The file that the workers of one machine share, and what can happen to a file."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from receiver.auth.throttle import Standing
from receiver.errors import SettingsError
from receiver.shared.file import TIDY
from receiver.stores import StoreError
from receiver.stores.sqlite import Sqlite
from tests.stores.conftest import NOW

WORKER = """
import asyncio, sys
from pathlib import Path
from receiver.stores.sqlite import Sqlite

async def work():
    sys.stdin.readline()  # all begin at once
    store = Sqlite(Path(sys.argv[1]), life=300)
    good = [await store.use("n", count, 1e9, 1e9) for count in range(50)]
    for _ in range(25):
        await store.failed("k", 1e9)
    await store.close()
    print(sum(good))

asyncio.run(work())
"""
NOBODY = """
import os, sys
from pathlib import Path
from receiver.errors import SettingsError
from receiver.stores.sqlite import Sqlite

path = Path(sys.argv[1])
os.chdir(path.parent)
if os.getuid() == 0:  # whom no mode keeps from anything
    os.setuid(65534)
try:
    Sqlite(Path(path.name), life=300)
except SettingsError as error:
    print(error)
"""


def test_processes_that_open_the_same_new_file_at_once(path: Path) -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", WORKER, str(path)]
    workers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(3)]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    assert sum(int(worker.communicate(timeout=60)[0]) for worker in workers) == 50
    with closing(sqlite3.connect(f"{path}.failures")) as connection:
        assert connection.execute("select * from failures").fetchall() == [("k", 75, 1e9)]


async def test_the_file_is_its_owners_only(path: Path, make: Callable[..., Sqlite]) -> None:
    store = make()
    await store.use("n", 1, NOW, NOW)
    await store.failed("k", NOW)
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()}
    files = ("shared.db", "shared.db.failures")
    assert modes == {f"{file}{end}": "0o600" for file in files for end in ("", "-wal", "-shm")}


async def test_a_restart_forgets_nothing(make: Callable[..., Sqlite]) -> None:
    before = make()
    await before.use("n", 1, NOW, NOW)
    await before.failed("k", NOW)
    await before.close()
    after = make()
    assert not await after.use("n", 1, NOW, NOW)
    assert await after.standing("k", NOW) == Standing(1, NOW)


async def test_a_file_that_vanished_is_told_and_made_anew(
    path: Path, make: Callable[..., Sqlite]
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


async def test_a_file_that_was_replaced_is_told(path: Path, make: Callable[..., Sqlite]) -> None:
    store = make()
    path.rename(path.with_suffix(".old"))
    make()
    with pytest.raises(StoreError, match=r"^FileNotFoundError$"):
        await store.use("n", 1, NOW, NOW)
    assert await store.use("n", 1, NOW, NOW)


async def test_something_else_in_its_place(path: Path, make: Callable[..., Sqlite]) -> None:
    store = make()
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreError, match=r"^FileNotFoundError$"):
        await store.use("n", 1, NOW, NOW)
    with pytest.raises(StoreError, match=r"^SQLITE_CANTOPEN"):
        await store.use("n", 1, NOW, NOW)


async def test_a_damaged_file_is_told_but_does_not_hinder_the_start(
    path: Path, make: Callable[..., Sqlite]
) -> None:
    whole = make()
    await whole.use("n", 1, NOW, NOW)
    await whole.close()
    head = path.read_bytes()[:100]
    path.write_bytes(head + os.urandom(path.stat().st_size - len(head)))
    damaged = make()
    for question in (damaged.reach(), damaged.use("n", 1, NOW, NOW)):
        with pytest.raises(StoreError, match=r"^SQLITE_CORRUPT$"):
            await question
    path.unlink()
    assert await damaged.use("n", 1, NOW, NOW)


async def test_a_file_that_can_no_longer_be_written(make: Callable[..., Sqlite]) -> None:
    store = make()
    run = asyncio.get_running_loop().run_in_executor
    connection = store._counts._connection
    assert connection is not None
    await run(store._counts._thread, connection.execute, "pragma query_only = 1")
    with pytest.raises(StoreError, match=r"^SQLITE_READONLY"):
        await store.use("n", 1, NOW, NOW)
    assert await store.use("n", 1, NOW, NOW)  # by a new connection


async def test_a_full_disk(path: Path, make: Callable[..., Sqlite]) -> None:
    store = make()
    connection = store._failures._connection
    assert connection is not None
    run = asyncio.get_running_loop().run_in_executor
    await run(
        store._failures._thread, connection.execute, "pragma max_page_count = 1"
    )  # no more than now
    with pytest.raises(StoreError, match=r"^SQLITE_FULL$"):
        await store.failed("k" * 8000, NOW)  # longer than a page


async def test_another_workers_long_transaction(path: Path, make: Callable[..., Sqlite]) -> None:
    store = make()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        await store.reach()
        with pytest.raises(StoreError, match=r"^SQLITE_BUSY$"):
            await store.use("n", 1, NOW, NOW)
        other.execute("rollback")
    assert await store.use("n", 1, NOW, NOW)


async def test_failures_that_wait_hold_up_no_count(make: Callable[..., Sqlite]) -> None:
    store = make()
    go_on = threading.Event()
    store._failures._thread.submit(go_on.wait)
    flood = [asyncio.create_task(store.failed(str(n), NOW)) for n in range(TIDY)]
    await asyncio.sleep(0)  # all of them are asked before the count
    try:
        async with asyncio.timeout(10):
            assert await store.use("n", 1, NOW, NOW)
        assert not any(task.done() for task in flood)
    finally:
        go_on.set()
        await asyncio.gather(*flood)


async def test_a_file_that_is_locked_does_not_hinder_the_start(
    path: Path, make: Callable[..., Sqlite], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.shared.file.OPENING", 0.0)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin exclusive")
        store = make()
        with pytest.raises(StoreError, match=r"^SQLITE_BUSY$"):
            await store.use("n", 1, NOW, NOW)
        other.execute("rollback")
    assert await store.use("n", 1, NOW, NOW)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("missing/shared.db", "no such file or directory"),
        ("file/shared.db", "not a directory"),
        ("x" * 300, "file name too long"),
        ("", "cannot be opened for writing"),
        ("file", "is something else already"),
    ],
)
async def test_a_path_that_cannot_be(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "file").write_text("no database, but a text of somebody else. " * 100)
    with pytest.raises(SettingsError, match=rf"^RECEIVER_STORE: .*{problem}"):
        Sqlite(tmp_path / name, life=300)


@pytest.mark.parametrize("name", ["shared.db", "shared.db.failures"])
async def test_a_file_of_another_program(path: Path, name: str) -> None:
    with closing(sqlite3.connect(path.parent / name)) as connection:
        for table in ("used", "failures"):
            connection.execute(f"create table {table} (x)")
    with pytest.raises(SettingsError, match=r"^RECEIVER_STORE: the file is of another program"):
        Sqlite(path, life=300)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="has no folder that root cannot write")
async def test_a_folder_that_cannot_be_written() -> None:
    with pytest.raises(SettingsError, match=r"^RECEIVER_STORE: no file can be made there"):
        Sqlite(Path("/proc/self/shared.db"), life=300)


@pytest.mark.parametrize("mode", [0o400, 0o444])
def test_a_file_of_somebody_else(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "shared.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table anything (x)")
    path.chmod(mode)
    tmp_path.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", NOBODY, path], capture_output=True, text=True)
    said = "RECEIVER_STORE: the file cannot be opened for writing: name another\n"
    assert done.stdout == said, done.stderr


async def test_after_its_end_nothing_is_open(path: Path, make: Callable[..., Sqlite]) -> None:
    store = make()
    await store.use("n", 1, NOW, NOW)
    await store.close()
    names = sorted(file.name for file in path.parent.iterdir())
    assert names == ["shared.db", "shared.db.failures"]
