"""A damaged file of jobs: the service leaves it unchanged, a command rescues its jobs."""

from __future__ import annotations

import asyncio
import shlex
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.background import AfterError, BackgroundJobs
from receiver.errors import LoadError
from receiver.storage.breaker import StoreError
from receiver.storage.jobs_rescue import rescue
from receiver.storage.jobs_salvage import SavedJob, read_jobs
from receiver.storage.jobs_sqlite import RESCUE_COMMAND, SqliteJobs
from tests.background.conftest import NOW, POLLING, SECRET, lines, soon
from tests.damage import DAMAGES, PAGE, Damage, emptied, header, pages
from tests.stores import LONG

JOBS = 300
SETTING = "RECEIVER_JOBS"


def save(number: str) -> None:
    """The function of a job."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a queue.db"


def body(number: int) -> str:
    """Return a body; longer ones need overflow pages."""
    return chr(97 + number % 26) * (number * 37 + 1)


async def fill(path: Path) -> SqliteJobs:
    """Return a queue with open, dead and done jobs."""
    jobs = SqliteJobs(path, SETTING)
    for number in range(JOBS):
        assert await jobs.accept(f"k{number}", body(number), NOW + number)
    for job in await jobs.claim(NOW + JOBS, NOW + 2 * JOBS, 20):
        await jobs.done(job, NOW)
    for job in await jobs.claim(NOW + JOBS, NOW + 2 * JOBS, 30):
        await jobs.dead_letter(job, "ConnectError", NOW)
    return jobs


async def filled(path: Path) -> None:
    await (await fill(path)).close()


def rows(path: Path) -> set[SavedJob]:
    with closing(sqlite3.connect(path)) as connection:
        columns = ", ".join(SavedJob._fields)
        found = connection.execute(f"select {columns} from jobs")  # noqa: S608
        return {SavedJob(*row) for row in found}


def snapshot(folder: Path) -> dict[str, bytes]:
    found = {file.name: file.read_bytes() for file in folder.iterdir()}
    return {name: octets for name, octets in found.items() if not name.endswith("-shm")}


@pytest.mark.parametrize("damage", DAMAGES[:-1], ids=[one.__name__ for one in DAMAGES[:-1]])
async def test_a_damaged_queue_is_left_as_it_is(path: Path, damage: Damage) -> None:
    await filled(path)
    damage(path)
    octets = path.read_bytes()
    for _ in range(2):
        jobs = SqliteJobs(path, SETTING)  # the service starts
        for error in await asyncio.gather(
            jobs.accept("new", "", NOW),
            jobs.claim(NOW, NOW, 1),
            jobs.dead(),
            return_exceptions=True,
        ):
            assert isinstance(error, StoreError)
            assert str(error) in ("SQLITE_CORRUPT", "SQLITE_NOTADB")
            assert f"receiver jobs rescue {shlex.quote(str(path))}" in error.advice
        await jobs.close()
    assert path.read_bytes() == octets
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("damage", DAMAGES, ids=[one.__name__ for one in DAMAGES])
async def test_a_queue_damaged_while_it_is_open_is_used_again_once_repaired(
    path: Path, damage: Damage
) -> None:
    jobs = await fill(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
        whole = path.read_bytes()
    damage(path)
    other = SqliteJobs(path, SETTING)  # a worker that is started later
    if damage is not emptied:  # which leaves no job
        with pytest.raises(StoreError, match=r"^SQLITE_(CORRUPT|NOTADB)"):
            await other.accept("new", "", NOW)
    repaired = path.with_name("repaired")
    repaired.write_bytes(whole)
    repaired.rename(path)
    for one in (jobs, other):
        with suppress(StoreError):  # the file is another one
            await one.claim(NOW, NOW, 0)
    assert await jobs.accept("new", "", NOW)
    assert not await other.accept("new", "", NOW)
    assert len(rows(path)) == JOBS + 1
    for one in (jobs, other):
        await one.close()


async def test_a_damaged_queue_is_not_read_again_before_it_changes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(path)
    whole = path.read_bytes()
    pages(path)
    jobs = SqliteJobs(path, SETTING)
    checks: list[object] = []
    check = jobs._file._check

    def count(connection: sqlite3.Connection) -> None:
        checks.append(connection)
        check(connection)

    monkeypatch.setattr(jobs._file, "_check", count)
    for _ in range(3):
        with pytest.raises(StoreError, match=r"^SQLITE_CORRUPT") as caught:
            await jobs.claim(NOW, NOW, 1)
        assert "receiver jobs rescue" in caught.value.advice
    assert checks == []
    path.write_bytes(whole)  # repaired where it is
    assert await jobs.accept("new", "", NOW)
    assert len(checks) == 1
    await jobs.close()


async def test_an_outage_is_logged_once_with_the_rescue_command(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await filled(path)
    header(path)
    owner = BackgroundJobs(SqliteJobs(path, SETTING), SECRET, durable=POLLING, accept_limit=LONG)
    owner.start()
    with pytest.raises(AfterError) as caught:
        await owner.of_call().durably(save, "777")
    assert str(path) not in str(caught.value)
    await soon(lambda: len(lines(caplog)) > 1)
    await owner.close(1)
    (line,) = [line for line in lines(caplog) if "was not accepted" not in line]
    assert line == (
        "ERROR the durable queue is unavailable: no claims (SQLITE_NOTADB); "
        f"{path} is damaged or no database; it is left as it is; rescue its jobs: receiver jobs "
        f"rescue {shlex.quote(str(path))}"
    )


async def test_a_missing_folder_is_logged_before_the_first_job(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = path.parent / "none" / path.name
    owner = BackgroundJobs(SqliteJobs(path, SETTING), SECRET, durable=POLLING, accept_limit=LONG)
    owner.start()
    await soon(lambda: bool(lines(caplog)))
    assert lines(caplog)[0].endswith(
        f"; the folder {path.parent} does not exist: create it, or change RECEIVER_JOBS"
    )
    path.parent.mkdir()
    await soon(lambda: len(lines(caplog)) > 1)
    assert lines(caplog)[1] == "WARNING the durable queue is back"
    await owner.close(1)


async def test_the_write_ahead_log_of_a_deleted_queue_is_kept(path: Path) -> None:
    jobs = await fill(path)
    log = Path(f"{path}-wal").read_bytes()
    path.unlink()
    other = SqliteJobs(path, SETTING)
    assert await other.accept("new", "", NOW)
    (kept,) = path.parent.glob("*.corrupt-*-wal")
    assert kept.read_bytes() == log
    found = await rescue(path, SETTING, Path(str(kept).removesuffix("-wal")), lambda _: None)
    assert found.new == len(read_jobs(b"", log)) > 0
    for one in (jobs, other):
        await one.close()


# rescue ----------------------------------------------------------------------------------------


async def test_all_jobs_of_a_sound_file_are_read(path: Path) -> None:
    jobs = await fill(path)
    log = Path(f"{path}-wal").read_bytes()
    assert set(read_jobs(path.read_bytes(), log)) == rows(path)
    await jobs.close()
    assert set(read_jobs(path.read_bytes())) == rows(path)


async def test_jobs_on_whole_pages_are_rescued_and_the_service_goes_on(path: Path) -> None:
    await filled(path)
    before = rows(path)
    octets = bytearray(path.read_bytes())
    for number in (0, 2, 5, 100, 200, 300):
        octets[number * PAGE : (number + 1) * PAGE] = bytes(range(256)) * (PAGE // 256)
    path.write_bytes(octets)
    worker = SqliteJobs(path, SETTING)
    with pytest.raises(StoreError):
        await worker.accept("new", "", NOW)
    found = await rescue(path, SETTING, sleep=lambda _: None)
    assert found.source.read_bytes() == octets
    assert found.new == sum(found.states.values()) > JOBS * 0.9
    assert rows(path) < before
    assert len(rows(path)) == found.new
    assert await worker.accept("new", "", NOW)
    assert len(await worker.claim(NOW + 2 * JOBS, NOW + 3 * JOBS, 1000)) > JOBS * 0.7
    again = await rescue(path, SETTING, found.source, lambda _: None)
    assert again.new == 0
    await worker.close()


async def test_dropped_and_done_jobs_are_not_rescued(path: Path) -> None:
    jobs = SqliteJobs(path, SETTING)
    for number in range(50):
        await jobs.accept(str(number), f"secret {number} " * 300, NOW)
    for job in await jobs.claim(NOW, NOW + 9, 50):
        await jobs.dead_letter(job, "", NOW)
        await jobs.drop(job.key)
    await jobs.close()
    assert b"secret" not in path.read_bytes()
    assert read_jobs(path.read_bytes()) == []


async def test_a_sound_queue_is_not_touched(path: Path) -> None:
    await filled(path)
    before = snapshot(path.parent)
    with pytest.raises(LoadError, match="is sound"):
        await rescue(path, SETTING, sleep=lambda _: None)
    assert snapshot(path.parent) == before
    for name in ("none.db", "none/none.db"):
        with pytest.raises(LoadError, match="there is no file"):
            await rescue(path, SETTING, path.parent / name, lambda _: None)


async def test_a_rescue_that_was_killed_names_the_file_that_it_moved(path: Path) -> None:
    class Killed(BaseException):
        """The simulated end of the process."""

    def killed(_: float) -> None:
        raise Killed

    await filled(path)
    octets = bytearray(path.read_bytes())
    octets[:PAGE] = bytes(PAGE)
    path.write_bytes(octets)
    with pytest.raises(Killed):
        await rescue(path, SETTING, sleep=killed)
    with pytest.raises(LoadError, match="is sound; for the jobs in the damaged file") as caught:
        await rescue(path, SETTING, sleep=lambda _: None)
    (moved,) = path.parent.glob("*.corrupt-*Z")
    assert str(caught.value).endswith(f"{RESCUE_COMMAND} {shlex.quote(str(moved))}")
    assert (await rescue(path, SETTING, moved, lambda _: None)).new > 0


async def test_the_error_of_an_unusable_new_queue_names_the_next_step(path: Path) -> None:
    await filled(path)
    other = path.parent / "none" / "q.db"
    with pytest.raises(StoreError) as caught:
        await rescue(other, SETTING, path, lambda _: None)
    assert "does not exist" in caught.value.advice
    assert f"then rescue them again: receiver jobs rescue {shlex.quote(str(path))}" in (
        caught.value.advice
    )


@given(st.binary(max_size=3 * 512), st.binary(max_size=600), st.booleans())
def test_no_content_of_a_file_raises(octets: bytes, log: bytes, leaf: bool) -> None:
    small = b"SQLite format 3\0" + (512).to_bytes(2) + bytes(82)
    magic = (0x377F0682).to_bytes(4) + bytes(4) + (512).to_bytes(4) + bytes(20)
    page = bytes([13, 0, 0, 0, 9, 0, 0, 0]) if leaf else b""
    read_jobs((small + page + octets).ljust(1536, b"\0"), magic + log)
    read_jobs(octets, log)
