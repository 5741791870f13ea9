"""``call.after.durably``: accepted once by key, or refused with an error, in time."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from receiver.background import AfterError, BackgroundJobs, JobQueue, idempotency_key
from receiver.credentials import Secret
from receiver.storage.jobs_sqlite import SqliteJobs
from tests.background.conftest import BOTH, POLLING, SECRET, Workers, lines, make_jobs, soon
from tests.stores import LATEST, LONG, SHORT, Server

done: list[str] = []
keys: dict[str, str] = {}


@pytest.fixture(autouse=True)
def fresh() -> None:
    done.clear()
    keys.clear()


def save(number: str) -> None:
    done.append(number)
    keys[number] = idempotency_key.get()


async def save_with_key(number: str, *, idempotency_key: str) -> None:
    done.append(number)
    keys[number] = idempotency_key


Own = Callable[[JobQueue[str]], BackgroundJobs]


@pytest.fixture
async def own() -> AsyncIterator[Own]:
    """Background jobs with a queue; the end of the test closes them."""
    made: list[BackgroundJobs] = []

    def one(jobs: JobQueue[str]) -> BackgroundJobs:
        made.append(BackgroundJobs(jobs, SECRET, durable=POLLING, accept_limit=SHORT))
        return made[-1]

    yield one
    for owner in made:
        await owner.close(60)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@BOTH
async def test_a_job_is_done_with_its_key(workers: Workers) -> None:
    owner = workers()
    owner.start()
    after = owner.of_call()
    assert await after.durably(save_with_key, "777", idempotency_key="a")
    assert await asyncio.to_thread(after.durably, save, "888", idempotency_key="b")
    assert await after.durably(save, "999")
    await soon(lambda: len(keys) == 3)
    assert (keys["777"], keys["888"], len(keys["999"])) == ("a", "b", 32)


@BOTH
async def test_a_duplicate_is_marked_and_not_run(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    owner = workers()
    after = owner.of_call()
    assert await after.durably(save, "777", idempotency_key="777")
    assert not await after.durably(save, "777", idempotency_key="777")
    owner.start()
    await soon(lambda: len(done) == 1)
    assert not await after.durably(save, "777", idempotency_key="777")
    await owner.close(60)
    assert (done, keys) == (["777"], {"777": "777"})
    (line,) = set(lines(caplog))
    assert line.endswith(":save is a duplicate by its key: it is not run again")
    assert "777" not in caplog.text


@BOTH
async def test_a_key_with_lone_surrogates_is_a_key(workers: Workers) -> None:
    after = workers().of_call()
    keys = ["\ud800", "\ud800", "\udfff"]
    assert [await after.durably(save, "", idempotency_key=key) for key in keys] == [1, 0, 1]
    with pytest.raises(ValueError, match=r"longer"):
        await after.durably(save, "", idempotency_key="k" * 501)


async def test_without_a_queue_jobs_are_refused() -> None:
    owner = BackgroundJobs(None, SECRET)
    owner.start()
    with pytest.raises(AfterError, match=r":save was not accepted: .* no durable queue"):
        await owner.of_call().durably(save, "777")
    await owner.close(60)


@BOTH
async def test_invalid_arguments_raise_at_the_call(workers: Workers) -> None:
    after = workers().of_call()
    with pytest.raises(TypeError, match=r"argument 1 of .*:save holds a bytes"):
        after.durably(save, b"777")  # also without await
    with pytest.raises(ValueError, match="longer than 500 characters"):
        after.durably(save, "777", idempotency_key="k" * 501)


@BOTH
async def test_a_job_that_is_not_awaited_is_stored_and_the_log_says_so(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    owner = workers()
    owner.start()
    for key in ("a", "b"):
        after = owner.of_call()
        accepted = after.durably(save, "777", idempotency_key=key)
        with pytest.raises(RuntimeError, match=r"write: await call\.after\.durably"):
            assert accepted
        after.release()
    await soon(lambda: len(done) == 2)
    (line,) = [one for one in lines(caplog) if "not awaited" in one]  # one for each function
    assert line.startswith("WARNING call.after.durably(")
    assert line.endswith("Write: await call.after.durably(…)")
    assert "777" not in line


@BOTH
async def test_jobs_that_are_awaited_together_need_no_warning(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    after = workers().of_call()
    jobs = [after.durably(save, "777", idempotency_key=key) for key in ("a", "a", "b")]
    assert sorted(await asyncio.gather(*jobs)) == [False, True, True]
    after.release()
    assert "not awaited" not in caplog.text


async def test_a_refused_job_that_is_not_awaited_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "jobs.db").mkdir()
    owner = BackgroundJobs(make_jobs(Secret(str(tmp_path / "jobs.db"))), SECRET)
    owner.of_call().durably(save, "777")
    await owner.close(60)
    assert "save was not accepted: the durable queue is unavailable" in caplog.text
    with pytest.raises(AfterError, match="no durable queue"):
        BackgroundJobs(None, SECRET).of_call().durably(save, "777")


async def test_a_job_that_is_not_awaited_is_stored_before_the_queue_closes(tmp_path: Path) -> None:
    where = Secret(str(tmp_path / "jobs.db"))
    owner = BackgroundJobs(make_jobs(where), SECRET, accept_limit=LONG)
    owner.of_call().durably(save, "777", idempotency_key="k")
    await owner.close(60)
    later = BackgroundJobs(make_jobs(where), SECRET, accept_limit=LONG)
    assert not await later.of_call().durably(save, "777", idempotency_key="k")  # a duplicate
    await later.close(60)


async def test_a_thread_that_outlives_the_loop_gets_an_error(tmp_path: Path) -> None:
    owner = BackgroundJobs(make_jobs(Secret(str(tmp_path / "jobs.db"))), SECRET)
    loop = asyncio.new_event_loop()
    loop.close()
    after = owner.of_call(loop, thread=1)
    with pytest.raises(AfterError, match=r"save was not accepted \(the service has ended\)"):
        after.durably(save, "777")
    await owner.close(60)


# a queue that is unavailable


async def refused(owner: BackgroundJobs) -> str:
    """Return why a job is not accepted; assert that the error is in time."""
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
    said = f"ERROR {__name__}:save was not accepted: the durable queue is unavailable {reason}"
    assert said in lines(caplog)
    assert "777" not in caplog.text
    redis_server.start()
    assert await owner.of_call().durably(save, "888")
    await soon(lambda: done == ["888"])


async def test_a_paused_redis(redis_server: Server, own: Own) -> None:
    owner = own(make_jobs(redis_server.url))
    redis_server.send(signal.SIGSTOP)
    assert await refused(owner) == "(TimeoutError)"
    redis_server.send(signal.SIGCONT)


async def test_a_locked_file(path: Path, own: Own) -> None:
    owner = own(SqliteJobs(path, "RECEIVER_JOBS"))
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
    jobs = SqliteJobs(path, "RECEIVER_JOBS")
    owner = own(jobs)
    connection = jobs._file._connection
    assert connection is not None
    run = asyncio.get_running_loop().run_in_executor
    await run(jobs._file._thread, connection.execute, f"pragma {pragma}")
    with pytest.raises(AfterError) as caught:
        await owner.of_call().durably(save, "7" * 9000)  # longer than a page
    assert str(caught.value).endswith(problem)
    assert await owner.of_call().durably(save, "888")  # by a new connection
