"""Damaged files and files that cannot be opened: callbacks are answered, damage is repaired."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from receiver.credentials import Secret
from receiver.storage import quarantine
from receiver.storage.backends import open_auth_store
from receiver.storage.breaker import OPEN_TIME, StoreError
from receiver.storage.file_lock import locked
from receiver.storage.protocols import AuthStore
from receiver.storage.sqlite import SqliteAuth, SqliteSessions
from receiver.storage.sqlite_file import Waits
from tests.clock import Clock
from tests.damage import DAMAGES, Damage, garbage, text
from tests.storage.conftest import LIFE, NOW, Guard, back, lines, out
from tests.storage.stage import run_together
from tests.storage.test_sqlite import WORKER
from tests.stores import SHORT

Make = Callable[..., SqliteAuth]
damaged = pytest.mark.parametrize("damage", DAMAGES, ids=[one.__name__ for one in DAMAGES])

UNPRIVILEGED = """
import asyncio, os, sys
from pathlib import Path
from receiver.storage.breaker import StoreError
from receiver.storage.sqlite import SqliteAuth

path = Path(sys.argv[1])
os.chdir(path.parent)
if os.getuid() == 0:  # root may open any file
    os.setuid(65534)
try:
    asyncio.run(SqliteAuth(Path(path.name), life=300).reach())
except StoreError as error:
    print(error.explained)
"""


def kept(path: Path) -> list[str]:
    """Return the names of quarantined files."""
    return sorted(file.name for file in path.parent.glob(f"{path.name}.corrupt-*"))


async def ask(store: SqliteAuth, number: int) -> bool:
    """Use both files of the store."""
    assert (await store.failed(f"k{number}", NOW)).failures >= 1
    return await store.use("n", number, NOW, NOW)


# damaged ---------------------------------------------------------------------------------------


@damaged
@pytest.mark.parametrize("name", ["shared.db", "shared.db.failures"])
async def test_a_damaged_file_is_renamed_and_replaced_at_the_start(
    path: Path, make: Make, damage: Damage, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = make()
    for number in range(50):
        await ask(before, number)
    await before.close()
    damage(path.parent / name)
    octets = (path.parent / name).read_bytes()
    store, other = make(), make()
    assert [await ask(one, 100) for one in (store, other)] == [True, False]
    if octets:  # an empty file is a new one
        (aside,) = kept(path.parent / name)
        assert (path.parent / aside).read_bytes() == octets
        (line,) = lines(caplog)
        assert line.startswith(f"ERROR RECEIVER_STORE: {path.parent / name} was damaged (SQLITE_")
        assert line.endswith(f"): it is kept as {aside}, and a new file replaces it")


@damaged
@pytest.mark.parametrize("name", ["shared.db", "shared.db.failures"])
async def test_a_file_damaged_while_it_is_open_costs_no_answer(
    path: Path, make: Make, guard: Guard, clock: Clock, damage: Damage, name: str
) -> None:
    waits = Waits(busy=1.0)  # SQLite waits that long for a file that was emptied
    store = guard(make(waits=waits))
    for number in range(50):
        await store.failed(f"k{number}", NOW)
        assert await store.use("n", number, NOW, NOW)
    with closing(sqlite3.connect(path.parent / name)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    damage(path.parent / name)
    assert await store.use("n", 100, NOW, NOW)
    other = guard(make(waits=waits))  # a worker that is started later
    for number in range(101, 110):
        assert await other.use("n", number, NOW, NOW)
        await store.failed(f"k{number}", NOW)
        assert not await store.use("n", 100, NOW, NOW)
        clock.now += OPEN_TIME
    assert await store.use("n", 200, NOW, NOW)
    assert not await other.use("n", 200, NOW, NOW)
    assert (await store.failed("new", NOW)).failures == 1
    assert (await other.failed("new", NOW)).failures == 2
    fresh = make()
    assert await ask(fresh, 300)
    with closing(sqlite3.connect(path.parent / name)) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]


@damaged
async def test_a_damaged_file_of_sessions_is_replaced(tmp_path: Path, damage: Damage) -> None:
    path = tmp_path / "shared.db"
    for _ in range(2):
        shelf = SqliteSessions(path)
        assert await shelf.acquire("a call", "t", 60) == b""
        assert await shelf.release("a call", "t", b"{}" * 5000, 60)
        damage(path)
        assert await shelf.acquire("another", "t", 60) == b""
        assert await shelf.release("another", "t", b"{}", 60)
        assert await shelf.acquire("another", "t", 60) == b"{}"
        await shelf.close()
        damage(path)


@pytest.mark.parametrize("log", [b"", b"what a log holds"])
def test_processes_that_find_the_same_damage_replace_it_once(path: Path, log: bytes) -> None:
    for name in (path, Path(f"{path}.failures")):
        name.touch()
        garbage(name)
        if log:
            Path(f"{name}-wal").write_bytes(log)
    assert sum(run_together(WORKER, path, 4)) == 50
    for name in (path, Path(f"{path}.failures")):
        assert len([one for one in kept(name) if not one.endswith("-wal")]) == 1
    assert not list(path.parent.glob("*.lock"))


async def test_the_number_of_quarantined_files_is_bounded(path: Path, make: Make) -> None:
    for number in range(1, 7):
        path.write_text(f"damaged {number} " * 1000)
        Path(f"{path}.failures.corrupt-not-this").touch()
        store = make()
        assert await ask(store, number)
        await store.close()
    aside = [name for name in kept(path) if not name.endswith("-wal")]
    assert len(aside) == quarantine.MAX_KEPT
    texts = [(path.parent / name).read_text().split()[1] for name in aside]
    assert texts == ["4", "5", "6"]
    assert Path(f"{path}.failures.corrupt-not-this").exists()


async def test_a_damaged_file_that_cannot_be_renamed_is_an_outage(
    path: Path,
    make: Make,
    guard: Guard,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path.touch()
    text(path)
    with locked(Path(f"{path}.lock"), 0):  # as a paused process holds it
        store = guard(make(waits=Waits(replacing=0.0)))
        assert [await store.use("n", 1, NOW, NOW) for _ in range(2)] == [True, False]
    advice = f"{path} cannot be used: {path}.lock is locked by another process"
    assert lines(caplog) == [
        out("TimeoutError", advice=f"{advice}; name another in RECEIVER_STORE")
    ]
    clock.now = OPEN_TIME
    assert await store.use("n", 2, NOW, NOW)
    assert lines(caplog)[-1] == back()


# that cannot be opened -------------------------------------------------------------------------


@pytest.fixture
async def opened() -> AsyncIterator[Callable[[Path], AuthStore]]:
    stores = list[AuthStore]()

    def one(path: Path) -> AuthStore:
        stores.append(open_auth_store(Secret(str(path)), life=LIFE, limit=SHORT))
        return stores[-1]

    yield one
    for store in stores:
        await store.close()


@pytest.mark.parametrize(
    ("name", "kind", "advice"),
    [
        ("none/s.db", "FileNotFoundError", "the folder {folder} does not exist: create it"),
        ("file/s.db", "NotADirectoryError", "{path} cannot be used: not a directory"),
        ("x" * 300, "OSError", "{path} cannot be used: file name too long"),
        ("folder", "NotAFileError", "{path} is not a file: move it away"),
        ("fifo", "NotAFileError", "{path} is not a file: move it away"),
        ("link", "FileNotFoundError", "{path} is a link to a file that does not exist"),
        ("other.db", "SQLITE_ERROR", "{path} has tables of another program"),
    ],
)
async def test_a_file_that_cannot_be_opened_is_an_outage(
    opened: Callable[[Path], AuthStore],
    tmp_path: Path,
    name: str,
    kind: str,
    advice: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "none")
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("create table used (x)")
    path = tmp_path / name
    store = opened(path)
    assert [await store.use("n", 1, NOW, NOW) for _ in range(2)] == [True, False]
    (line,) = lines(caplog)
    assert line.startswith(f"ERROR the shared store (SQLite) is unavailable ({kind}): falling")
    assert f"; {advice.format(path=path, folder=path.parent)}" in line
    assert "RECEIVER_STORE" in line


async def test_a_folder_created_later_is_used(
    tmp_path: Path, guard: Guard, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "none" / "s.db"
    one, other = (guard(SqliteAuth(path, life=LIFE)) for _ in range(2))
    assert [await store.use("n", 1, NOW, NOW) for store in (one, other)] == [True, True]
    path.parent.mkdir()
    clock.now = OPEN_TIME
    assert [await store.use("n", 2, NOW, NOW) for store in (one, other)] == [True, False]
    assert lines(caplog)[2:] == [back(), back()]


@pytest.mark.parametrize("mode", [0o400, 0o444])
def test_a_file_of_another_user(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "shared.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table anything (x)")
    path.chmod(mode)
    tmp_path.chmod(0o755)
    command = [sys.executable, "-c", UNPRIVILEGED, str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "shared.db cannot be opened for writing: check the owner" in done.stdout, done.stderr


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="has no folder that root cannot write")
async def test_a_folder_that_cannot_be_written(opened: Callable[[Path], AuthStore]) -> None:
    assert await opened(Path("/proc/self/shared.db")).use("n", 1, NOW, NOW)


async def test_the_lock_of_a_killed_process_is_free(path: Path, make: Make) -> None:
    Path(f"{path}.lock").touch()
    assert await ask(make(), 1)


async def test_the_log_names_the_cause_and_the_error_does_not(path: Path) -> None:
    store = SqliteAuth(path.parent / "none" / "s.db", life=LIFE)
    with pytest.raises(StoreError, match=r"^FileNotFoundError$") as caught:
        await store.reach()
    assert "none" in caught.value.explained
    await store.close()
