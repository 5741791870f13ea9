"""Durable jobs in a file: commits, octets, rows that something else wrote."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from receiver.storage import sqlite_file as files
from receiver.storage.breaker import StoreError
from receiver.storage.job_queue import KEY_LIFETIME
from receiver.storage.jobs_sqlite import SqliteJobs
from tests.storage.stage import NOW


async def test_a_cancelled_caller_fails_alone(path: Path) -> None:
    jobs = SqliteJobs(path, "RECEIVER_JOBS")
    tasks = [asyncio.create_task(jobs.accept(str(n), "", NOW)) for n in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    assert await asyncio.gather(*tasks[1:]) == [True, True]
    await jobs.close()
    with pytest.raises(StoreError, match=r"^RuntimeError$"):
        await jobs.accept("k", "", NOW)


async def test_jobs_accepted_at_once_share_a_commit(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = SqliteJobs(path, "RECEIVER_JOBS")
    requests: list[object] = []
    run = jobs._file.run

    async def count(work: Callable[[sqlite3.Connection], object], now: float) -> object:
        requests.append(work)
        return await run(work, now)

    monkeypatch.setattr(jobs._file, "run", count)
    assert all(await asyncio.gather(*(jobs.accept(str(n), "", NOW) for n in range(100))))
    assert len(requests) == 1
    await jobs.close()


async def test_the_file_is_private(path: Path) -> None:
    jobs = SqliteJobs(path, "RECEIVER_JOBS")
    await jobs.accept("k", "", NOW)
    modes = {oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()}
    assert modes == {"0o600"}
    await jobs.close()


async def test_the_body_of_a_done_job_is_deleted(path: Path) -> None:
    jobs = SqliteJobs(path, "RECEIVER_JOBS")
    await jobs.accept("k", "777", NOW)
    (job,) = await jobs.claim(NOW, NOW, 1)
    await jobs.done(job, NOW)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select body from jobs").fetchall() == [("",)]
    await jobs.close()


async def test_the_file_does_not_grow_over_days(path: Path) -> None:
    jobs = SqliteJobs(path, "RECEIVER_JOBS")
    sizes = []
    for day in range(10):
        for number in range(300):
            now = NOW + (day + number / 300) * KEY_LIFETIME
            assert await jobs.accept(f"{day}-{number}", "x" * (number * 20), now)
            (job,) = await jobs.claim(now, now + 30, 1)
            await jobs.done(job, now)
        sizes.append(sum(file.stat().st_size for file in path.parent.glob("jobs.db*")))
    assert max(sizes[3:]) <= max(sizes[:3]) + 16 * files.PAGE_SIZE, sizes
    assert max(sizes) <= 2 * files.MAX_LOG_SIZE, sizes
    await jobs.close()
    assert path.stat().st_size < 64 * files.PAGE_SIZE + 100_000


async def test_a_blob_for_a_key_becomes_a_dead_letter(path: Path) -> None:
    jobs = SqliteJobs(path, "RECEIVER_JOBS")
    await jobs.accept("a", "body", NOW)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("insert into jobs (key, body, state, at) values (x'6b', '', 'open', 0)")
        connection.commit()
    assert [job.key for job in await jobs.claim(NOW, NOW + 30, 5)] == ["a"]
    assert [job.key for job in await jobs.dead()] == ["k"]
    assert await jobs.drop("k")
    await jobs.close()
