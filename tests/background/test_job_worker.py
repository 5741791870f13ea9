"""Jobs of any queue: claimed by any worker, tried again after a failure, then dead letters."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from receiver.background import BackgroundJobs, name_in
from receiver.background.job_worker import DURABLE
from receiver.credentials import Secret
from receiver.storage.job_queue import Job
from tests.background.conftest import ALL, NOW, Workers, lines, make_jobs, soon

LEASE, TRIES = DURABLE.lease, DURABLE.tries

done: list[tuple[str, str]] = []
gates: list[asyncio.Event] = []  # the one of this test
hold = threading.Event()


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Clear the list of jobs, and release blocked ones at the end of the test."""
    done.clear()
    gates[:] = [asyncio.Event()]
    hold.clear()
    yield
    hold.set()


async def save(number: str, *, idempotency_key: str) -> None:
    done.append((number, idempotency_key))


async def fail(number: str) -> None:
    done.append((number, ""))
    raise OSError(number)


async def wait(number: str) -> None:
    done.append((number, "begun"))
    await gates[-1].wait()
    done.append((number, "ended"))


def block() -> None:
    done.append(("", "begun"))
    hold.wait(120)


async def with_running_job(workers: Workers) -> BackgroundJobs:
    """Return a worker that runs the job `wait`."""
    owner = workers()
    owner.start()
    await owner.of_call().durably(wait, "777")
    await soon(lambda: len(done) == 1)
    return owner


@ALL
async def test_two_workers_share_the_jobs_and_each_job_is_done_once(workers: Workers) -> None:
    one, other = workers(max_concurrency=4), workers(max_concurrency=4)
    for number in range(100):
        await one.of_call().durably(save, str(number))
    one.start()
    other.start()
    await soon(lambda: len(done) == 100)
    await one.close(60)
    await other.close(60)
    assert sorted(int(number) for number, _ in done) == list(range(100))


@ALL
async def test_a_job_that_always_fails_becomes_a_dead_letter(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    owner, jobs = workers(), make_jobs(workers.where)
    owner.start()
    await owner.of_call().durably(fail, "+4930777", idempotency_key="k")
    for tries in range(1, TRIES + 1):
        await soon(lambda tries=tries: len(done) == tries)  # type: ignore[misc]
        if tries < TRIES:
            await soon(lambda tries=tries: len(lines(caplog)) == tries)  # type: ignore[misc]
            # If the clock advanced before the queue has the next try, the lease would end.
            await soon(lambda: owner._worker is not None and not owner._worker._tasks)
            workers.clock.now += 3600
    await soon(lambda: "is given up" in caplog.text)
    await owner.close(60)
    (dead,) = await jobs.dead()
    assert (dead.key, name_in(dead.body), dead.tries, dead.reason) == (
        "k",
        f"{__name__}:fail",
        TRIES,
        "OSError",
    )
    assert "+4930777" not in caplog.text
    assert lines(caplog)[0].startswith(
        f"WARNING {__name__}:fail: OSError, try 1 of {TRIES}, next in "
    )
    assert lines(caplog)[-2:] == [
        f"ERROR {__name__}:fail raised OSError (its text is withheld, "
        "RECEIVER_LOG_CALLER_DATA=true shows it)",
        f"ERROR {__name__}:fail is given up after {TRIES} tries (OSError): it is kept",
    ]
    assert await jobs.retry("k", NOW)
    await jobs.close()
    again = workers()
    again.start()
    await soon(lambda: len(done) == TRIES + 1)


@ALL
async def test_a_job_that_kills_its_workers_becomes_a_dead_letter(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    owner, jobs = workers(), make_jobs(workers.where)
    await owner.of_call().durably(save, "777")
    for _ in range(TRIES):
        (_job,) = await jobs.claim(workers.clock(), workers.clock(), 1)
    owner.start()
    await soon(lambda: "is given up" in caplog.text)
    await owner.close(60)
    assert [dead.reason for dead in await jobs.dead()] == ["WorkerDied"]
    assert not done
    await jobs.close()


@ALL
async def test_a_job_signed_with_another_secret_is_not_run(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = workers(secret=Secret("e81b5c3f70a94d26b3f7091ac5d64e28"))
    await stranger.of_call().durably(save, "777")
    owner = workers()
    owner.start()
    await soon(lambda: len(lines(caplog)) == 1)
    expected = "a job that cannot be read (not signed with this RECEIVER_SECRET): BodyError, try 1"
    assert lines(caplog)[0].startswith(f"WARNING {expected} of")
    assert not done


async def renewed(owner: BackgroundJobs, workers: Workers) -> None:
    """Wait until the leases of ``owner`` are renewed at the time of the clock."""
    await soon(lambda: owner._worker is not None and owner._worker._renewed == workers.clock())


@ALL
async def test_a_lease_is_renewed_while_the_job_runs(workers: Workers) -> None:
    owner = await with_running_job(workers)
    workers().start()
    jobs = make_jobs(workers.where)
    for _ in range(6):
        workers.clock.now += LEASE / 3
        await renewed(owner, workers)
    assert workers.clock() > NOW + LEASE
    assert await jobs.claim(workers.clock(), workers.clock(), 1) == []
    gates[-1].set()
    await soon(lambda: len(done) == 2)
    await jobs.close()


@ALL
async def test_a_lost_lease_cancels_the_run(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    owner = await with_running_job(workers)
    other = workers(clock=lambda: NOW + LEASE + 1)
    other.start()
    await soon(lambda: len(done) == 2)  # both run it: the first did not renew
    workers.clock.now += LEASE / 3
    await soon(lambda: "is with another worker" in caplog.text)
    gates[-1].set()
    await soon(lambda: len(done) == 3)
    await owner.close(60)
    await other.close(60)
    assert done == [("777", "begun")] * 2 + [("777", "ended")]


@ALL
async def test_closing_waits_for_running_jobs_and_renews_their_leases(workers: Workers) -> None:
    owner = await with_running_job(workers)
    closing = asyncio.create_task(owner.close(60))
    await asyncio.sleep(0)
    workers.clock.now += LEASE / 3
    await renewed(owner, workers)
    gates[-1].set()
    await closing
    assert done[-1] == ("777", "ended")


@ALL
async def test_closing_reschedules_running_jobs_without_counting_a_try(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    owner = await with_running_job(workers)
    await owner.close(0)
    assert lines(caplog) == [f"WARNING {__name__}:wait is left to be done after the next start"]
    jobs = make_jobs(workers.where)
    (job,) = await jobs.claim(NOW, NOW, 1)
    assert (job.claim, job.tries) == (3, 1)
    await jobs.close()


@ALL
async def test_a_job_whose_task_is_cancelled_before_its_first_step_is_run_without_counting_a_try(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, cancelled = workers(), list[bool]()
    worker = owner._worker
    assert worker is not None
    claim = worker._queue.claim

    def cancel_tasks() -> None:
        cancelled.extend(task.cancel() for task, _ in worker._leased.values())

    async def claim_and_cancel(now: float, until: float, max_jobs: int) -> list[Job[str]]:
        claimed = await claim(now, until, max_jobs)
        if claimed and not cancelled:
            asyncio.get_running_loop().call_soon(cancel_tasks)  # before the first step of any
        return claimed

    monkeypatch.setattr(worker._queue, "claim", claim_and_cancel)
    owner.start()
    await owner.of_call().durably(wait, "777")
    await soon(lambda: len(done) == 1)
    await owner.close(0)
    jobs = make_jobs(workers.where)
    (job,) = await jobs.claim(NOW, NOW, 1)
    # The claims: cancelled, returned, run, returned by the end, and this one.
    assert (cancelled, done, job.claim, job.tries) == ([True], [("777", "begun")], 5, 1)
    await jobs.close()


@ALL
async def test_a_plain_function_keeps_its_lease_after_closing(workers: Workers) -> None:
    owner = workers()
    owner.start()
    await owner.of_call().durably(block)
    await soon(lambda: len(done) == 1)
    await owner.close(0)
    jobs = make_jobs(workers.where)
    assert await jobs.claim(NOW + LEASE - 1, NOW, 1) == []
    assert len(await jobs.claim(NOW + LEASE, NOW, 1)) == 1
    await jobs.close()
