"""Queues that are out of order: the asker is told in time, and what RECEIVER_AFTER may say."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from receiver.after import DEFAULT, AfterError, AfterWork, Jobs, open_jobs
from receiver.after.jobs import Job
from receiver.after.sqlite import SqliteJobs
from receiver.errors import SettingsError
from receiver.secrets import Secret
from receiver.shared.patience import StoreError
from tests.after.conftest import NOW, SECRET, lines, make_jobs, soon
from tests.shared_stage import LATEST, Server

done: list[str] = []


def save(number: str) -> None:
    done.append(number)


Own = Callable[[Jobs], AfterWork]


@pytest.fixture
async def own() -> AsyncIterator[Own]:
    """An owner of work with a queue; it is closed in the end."""
    done.clear()
    made: list[AfterWork] = []

    def one(jobs: Jobs) -> AfterWork:
        made.append(AfterWork(jobs, SECRET, poll=0.01))
        return made[-1]

    yield one
    for owner in made:
        await owner.close(1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


async def refused(owner: AfterWork) -> str:
    """Why a job is not accepted; told in time."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    with pytest.raises(AfterError) as caught:
        await owner.of_call().durably(save, "777")
    assert loop.time() - begin < LATEST
    return str(caught.value).partition(":save was not accepted ")[2]


async def test_a_redis_that_is_down_and_comes_back(
    redis_server: Server, own: Own, caplog: pytest.LogCaptureFixture
) -> None:
    owner = own(make_jobs(redis_server.url))
    owner.start()
    redis_server.kill()
    reason = await refused(owner)
    assert reason.endswith("Error)")
    said = f"ERROR {__name__}:save was not accepted: the durable queue is out of order {reason}"
    assert said in lines(caplog)
    assert "777" not in caplog.text
    redis_server.start()
    assert await owner.of_call().durably(save, "888")
    await soon(lambda: done == ["888"])


async def test_a_redis_that_hangs(redis_server: Server, own: Own) -> None:
    owner = own(make_jobs(redis_server.url))
    redis_server.send(signal.SIGSTOP)
    assert await refused(owner) == "(TimeoutError)"
    redis_server.send(signal.SIGCONT)


async def test_a_file_that_is_locked(path: Path, own: Own) -> None:
    owner = own(make_jobs(Secret(str(path))))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        assert await refused(owner) in ("(SQLITE_BUSY)", "(TimeoutError)")
        other.execute("rollback")
    assert await owner.of_call().durably(save, "888")


@pytest.mark.parametrize(
    ("pragma", "problem"),
    [("max_page_count = 1", "(SQLITE_FULL)"), ("query_only = 1", "(SQLITE_READONLY)")],
)
async def test_a_disk_that_is_full_or_cannot_be_written(
    path: Path, own: Own, pragma: str, problem: str
) -> None:
    jobs = SqliteJobs(path, "RECEIVER_AFTER")
    owner = own(jobs)
    connection = jobs._file._connection
    assert connection is not None
    run = asyncio.get_running_loop().run_in_executor
    await run(jobs._file._thread, connection.execute, f"pragma {pragma}")
    with pytest.raises(AfterError) as caught:
        await owner.of_call().durably(save, "7" * 9000)  # longer than a page
    assert str(caught.value).endswith(problem)
    assert await owner.of_call().durably(save, "888")  # by a new connection


async def test_one_that_waits_in_vain_fails_alone(path: Path) -> None:
    jobs = SqliteJobs(path, "RECEIVER_AFTER")
    tasks = [asyncio.create_task(jobs.accept(str(n), "", NOW)) for n in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    assert await asyncio.gather(*tasks[1:]) == [True, True]
    await jobs.close()
    with pytest.raises(StoreError, match=r"^RuntimeError$"):
        await jobs.accept("k", "", NOW)


async def test_many_at_once_share_a_commit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = SqliteJobs(path, "RECEIVER_AFTER")
    asked: list[object] = []
    ask = jobs._file.ask

    async def count(work: Callable[[sqlite3.Connection], object]) -> object:
        asked.append(work)
        return await ask(work)

    monkeypatch.setattr(jobs._file, "ask", count)
    assert all(await asyncio.gather(*(jobs.accept(str(n), "", NOW) for n in range(100))))
    assert len(asked) == 1
    await jobs.close()


async def test_the_file_is_its_owners_only(path: Path) -> None:
    jobs = open_jobs(Secret(str(path)))
    await jobs.accept("k", "", NOW)
    modes = {oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()}
    assert modes == {"0o600"}
    await jobs.close()


async def test_what_is_done_is_kept_no_longer(path: Path) -> None:
    jobs = open_jobs(Secret(str(path)))
    await jobs.accept("k", "777", NOW)
    (job,) = await jobs.claim(NOW, NOW, 1)
    await jobs.done(job, NOW)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select body from jobs").fetchall() == [("",)]
    await jobs.close()


async def test_nothing_said_is_a_file_made_when_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    jobs = open_jobs(Secret(""))
    assert await jobs.claim(NOW, NOW, 1) == []
    assert not DEFAULT.exists()
    await jobs.accept("k", "", NOW)
    assert len(await jobs.claim(NOW, NOW, 1)) == 1
    await jobs.close()
    assert os.listdir() == [str(DEFAULT)]


async def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    for where in (str(tmp_path / "missing" / "jobs.db"), "http://127.0.0.1/", "redis://[::1/0"):
        with pytest.raises(SettingsError, match=r"^RECEIVER_AFTER"):
            open_jobs(Secret(where))


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(SettingsError, match=r"^RECEIVER_AFTER .*'portsip-receiver\[redis\]'"):
        open_jobs(Secret("redis://127.0.0.1"))


class Deaf(SqliteJobs):
    """It can be asked, and takes no reports."""

    deaf = True
    asked = 0

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.unheard: set[str] = set()

    async def claim(self, now: float, until: float, most: int) -> list[Job]:
        claimed = await super().claim(now, until, most)
        self.asked += 1
        return claimed

    async def done(self, job: Job, now: float) -> None:
        if self.deaf:
            self.unheard.add(job.key)
            raise StoreError("Down")
        await super().done(job, now)
        self.unheard.discard(job.key)


async def test_a_queue_that_takes_no_report_is_told(
    own: Own, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, although it can be asked all the while; and once that it does again."""
    jobs = Deaf(path, "RECEIVER_AFTER")
    owner = own(jobs)
    owner.start()
    for number in ("777", "888"):
        assert await owner.of_call().durably(save, number)
    await soon(lambda: len(jobs.unheard) == 2)
    before = jobs.asked
    await soon(lambda: jobs.asked > before + 2)
    told = "ERROR the queue of durable work is out of order: it takes no reports (Down)"
    assert lines(caplog) == [told]
    jobs.deaf = False
    await soon(lambda: len(lines(caplog)) > 1)
    assert lines(caplog) == [told, "WARNING the queue of durable work is back"]
    assert not jobs.unheard
