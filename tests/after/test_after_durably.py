"""Durable work: done by whichever worker, again after a failure, given up in the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from receiver.after import AfterError, AfterWork, idempotency_key, name_in
from receiver.after.lasting import LEASE, TRIES
from receiver.secrets import Secret
from tests.after.conftest import (
    BOTH,
    NOW,
    SECRET,
    Clock,
    Naps,
    lines,
    make_jobs,
    soon,
)

done: list[tuple[str, str]] = []
gates: list[asyncio.Event] = []  # the one of this test
hold = threading.Event()


async def save(number: str, *, idempotency_key: str) -> None:
    done.append((number, idempotency_key))


def save_plainly(number: str) -> None:
    done.append((number, idempotency_key.get()))


async def fail(number: str) -> None:
    done.append((number, ""))
    raise OSError(number)


async def wait(number: str) -> None:
    done.append((number, "begun"))
    await gates[-1].wait()
    done.append((number, "ended"))


def block() -> None:
    done.append(("", "begun"))
    hold.wait(30)


class Workers:
    """Makes workers of one queue, with a clock and a sleep of the test."""

    def __init__(self, where: Secret) -> None:
        self.where = where
        self.clock = Clock()
        self.made: list[AfterWork] = []

    def __call__(self, secret: Secret = SECRET, **options: Any) -> AfterWork:
        jobs = make_jobs(self.where)
        options = {"poll": 0.01, "clock": self.clock, "sleep": Naps(), **options}
        self.made.append(AfterWork(jobs, secret, **options))
        return self.made[-1]


@pytest.fixture
async def workers(where: Secret) -> AsyncIterator[Workers]:
    done.clear()
    gates[:] = [asyncio.Event()]
    hold.clear()
    workers = Workers(where)
    yield workers
    hold.set()
    for owner in workers.made:
        await owner.close(0)


@BOTH
async def test_a_job_is_done_with_its_key(workers: Workers) -> None:
    owner = workers()
    owner.start()
    after = owner.of_call()
    assert await after.durably(save, "777", idempotency_key="a")
    assert await asyncio.to_thread(
        after.durably_from_thread, save_plainly, "888", idempotency_key="b"
    )
    assert await after.durably(save_plainly, "999")
    await soon(lambda: len(done) == 3)
    keys = dict(done)
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
    await owner.close(5)
    assert done == [("777", "777")]
    (line,) = set(lines(caplog))
    assert line.endswith(":save is a duplicate by its key: it is not run again")
    assert "777" not in caplog.text


@BOTH
async def test_a_key_of_half_characters_is_one(workers: Workers) -> None:
    after = workers().of_call()
    keys = ["\ud800", "\ud800", "\udfff"]
    assert [await after.durably(save, "", idempotency_key=key) for key in keys] == [1, 0, 1]
    with pytest.raises(ValueError, match=r"longer"):
        await after.durably(save, "", idempotency_key="k" * 501)


@BOTH
async def test_two_workers_share_the_jobs_and_each_job_is_done_once(workers: Workers) -> None:
    one, other = workers(running=4), workers(running=4)
    for number in range(100):
        await one.of_call().durably(save, str(number))
    one.start()
    other.start()
    await soon(lambda: len(done) == 100)
    await one.close(5)
    await other.close(5)
    assert sorted(int(number) for number, _ in done) == list(range(100))


@BOTH
async def test_a_poison_job_is_tried_again_and_then_kept_among_the_dead(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    owner, jobs = workers(), make_jobs(workers.where)
    owner.start()
    await owner.of_call().durably(fail, "777", idempotency_key="k")
    for tries in range(1, TRIES + 1):
        await soon(lambda tries=tries: len(done) == tries)  # type: ignore[misc]
        if tries < TRIES:
            await soon(lambda tries=tries: len(lines(caplog)) == tries)  # type: ignore[misc]
            # Before the queue knows of the next try, the leap would be the end of the lease.
            await soon(lambda: owner._lasting is not None and not owner._lasting._tasks)
            workers.clock.time += 3600
    await soon(lambda: "is given up" in caplog.text)
    await owner.close(5)
    (dead,) = await jobs.dead()
    assert (dead.key, name_in(dead.body), dead.tries, dead.reason) == (
        "k",
        f"{__name__}:fail",
        TRIES,
        "OSError",
    )
    assert "777" not in caplog.text
    assert lines(caplog)[0].startswith(
        f"WARNING {__name__}:fail: OSError, try 1 of {TRIES}, next in "
    )
    assert lines(caplog)[-2:] == [
        f"ERROR {__name__}:fail raised OSError (its text is withheld, "
        "RECEIVER_LOG_CALLER_DATA=true shows it)",
        f"ERROR {__name__}:fail is given up after {TRIES} tries (OSError): it is kept",
    ]
    assert await jobs.revive("k", NOW)
    await jobs.close()
    again = workers()
    again.start()
    await soon(lambda: len(done) == TRIES + 1)


@BOTH
async def test_a_job_that_kills_its_workers_is_given_up(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    owner, jobs = workers(), make_jobs(workers.where)
    await owner.of_call().durably(save, "777")
    for _ in range(TRIES):
        (_job,) = await jobs.claim(workers.clock(), workers.clock(), 1)
    owner.start()
    await soon(lambda: "is given up" in caplog.text)
    await owner.close(5)
    assert [dead.reason for dead in await jobs.dead()] == ["WorkerDied"]
    assert not done
    await jobs.close()


@BOTH
async def test_a_job_signed_with_another_secret_is_not_run(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = workers(secret=Secret("another secret of the tests"))
    await stranger.of_call().durably(save, "777")
    owner = workers()
    owner.start()
    await soon(lambda: len(lines(caplog)) == 1)
    assert lines(caplog)[0].startswith("WARNING a job that cannot be read: BodyError, try 1 of")
    assert not done


@BOTH
async def test_a_lease_is_renewed_while_the_job_runs(workers: Workers) -> None:
    naps = Naps()
    owner = workers(sleep=naps)
    owner.start()
    await owner.of_call().durably(wait, "777")
    await soon(lambda: len(done) == 1)
    other, jobs = workers(), make_jobs(workers.where)
    other.start()
    for _ in range(6):
        await asyncio.wait_for(naps.asked.wait(), 5)
        workers.clock.time += LEASE / 3
        naps.end()
    await asyncio.wait_for(naps.asked.wait(), 5)
    assert workers.clock() > NOW + LEASE
    assert await jobs.claim(workers.clock(), workers.clock(), 1) == []
    gates[-1].set()
    await soon(lambda: len(done) == 2)
    await jobs.close()


@BOTH
async def test_a_lost_lease_ends_the_run_here(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    naps = Naps()
    owner = workers(sleep=naps)
    owner.start()
    await owner.of_call().durably(wait, "777")
    await soon(lambda: len(done) == 1)
    workers.clock.time += LEASE + 1
    other = workers()
    other.start()
    await soon(lambda: len(done) == 2)  # both run it: the first did not renew
    naps.end()
    await soon(lambda: "is with another worker" in caplog.text)
    gates[-1].set()
    await soon(lambda: len(done) == 3)
    await owner.close(5)
    await other.close(5)
    assert done == [("777", "begun")] * 2 + [("777", "ended")]


@BOTH
async def test_the_end_waits_for_jobs_in_hand(workers: Workers) -> None:
    owner = workers()
    owner.start()
    await owner.of_call().durably(wait, "777")
    await soon(lambda: len(done) == 1)
    closing = asyncio.create_task(owner.close(5))
    await asyncio.sleep(0)
    gates[-1].set()
    await closing
    assert done[-1] == ("777", "ended")


@BOTH
async def test_jobs_in_hand_at_the_end_are_given_back_untried(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    owner = workers()
    owner.start()
    await owner.of_call().durably(wait, "777")
    await soon(lambda: len(done) == 1)
    await owner.close(0)
    assert lines(caplog) == [f"WARNING {__name__}:wait is left to be done after the next start"]
    jobs = make_jobs(workers.where)
    (job,) = await jobs.claim(NOW, NOW, 1)
    assert (job.claim, job.tries) == (3, 1)
    await jobs.close()


@BOTH
async def test_a_plain_function_at_the_end_keeps_its_lease(workers: Workers) -> None:
    owner = workers()
    owner.start()
    await owner.of_call().durably(block)
    await soon(lambda: len(done) == 1)
    await owner.close(0)
    jobs = make_jobs(workers.where)
    assert await jobs.claim(NOW + LEASE - 1, NOW, 1) == []
    assert len(await jobs.claim(NOW + LEASE, NOW, 1)) == 1
    await jobs.close()


async def test_without_a_queue_nothing_is_accepted() -> None:
    owner = AfterWork(None, SECRET)
    owner.start()
    with pytest.raises(AfterError, match=r":save was not accepted: .* no durable queue"):
        await owner.of_call().durably(save, "777")
    await owner.close(1)


@BOTH
async def test_what_cannot_be_kept_is_told_where_it_is_asked(workers: Workers) -> None:
    after = workers().of_call()
    with pytest.raises(TypeError, match=r"argument 1 of .*:save holds a bytes"):
        await after.durably(save, b"777")
    with pytest.raises(RuntimeError, match=r"await call.after.durably"):
        after.durably_from_thread(save, "777")
