"""The contract of the queues of durable jobs, over all backends."""

from __future__ import annotations

import asyncio

import pytest

from receiver.storage.job_queue import KEY_LIFETIME, DeadJob, Job, JobQueue, JobState
from tests.storage.stage import NOW, SHARED, Backend, Closes, SharedBackend

END = NOW + 30


@pytest.fixture
def jobs(backend: Backend, closing_all: list[Closes]) -> JobQueue[str]:
    queue = backend.jobs()
    closing_all.append(queue)
    return queue


async def claim_one(jobs: JobQueue[str], now: float = NOW, until: float = END) -> Job[str]:
    (job,) = await jobs.claim(now, until, 5)
    return job


async def test_a_job_is_accepted_claimed_and_done(jobs: JobQueue[str]) -> None:
    assert await jobs.accept("k", "body", NOW)
    job = await claim_one(jobs)
    assert job == Job("k", "body", 1, 1)
    assert await jobs.claim(NOW, END, 5) == []
    await jobs.done(job, NOW)
    assert await jobs.claim(END + 1, END + 2, 5) == []
    assert await jobs.dead() == []


async def test_a_claim_takes_the_longest_due_jobs_up_to_its_limit(
    jobs: JobQueue[str],
) -> None:
    for number in (3, 1, 2, 0):
        await jobs.accept(str(number), "", NOW + number)
    assert [job.key for job in await jobs.claim(NOW + 2, END, 2)] == ["0", "1"]
    assert [job.key for job in await jobs.claim(NOW + 2, END, 9)] == ["2"]


async def test_a_key_is_accepted_once(jobs: JobQueue[str]) -> None:
    assert await jobs.accept("k", "first", NOW)
    assert not await jobs.accept("k", "second", NOW)
    job = await claim_one(jobs)
    assert job.body == "first"
    assert not await jobs.accept("k", "second", NOW)
    await jobs.done(job, NOW)
    assert not await jobs.accept("k", "second", NOW + KEY_LIFETIME)
    assert await jobs.accept("k", "second", NOW + KEY_LIFETIME + 1)
    assert (await claim_one(jobs, NOW + KEY_LIFETIME + 1)).body == "second"


async def test_the_state_of_a_job_and_what_it_returned(jobs: JobQueue[str]) -> None:
    assert await jobs.state("k") is None
    await jobs.accept("k", "body", NOW)
    assert await jobs.state("k") == JobState("open")
    job = await claim_one(jobs)
    assert await jobs.state("k") == JobState("open")
    await jobs.done(job, NOW, "no. 4711 é")
    assert await jobs.state("k") == JobState("done", "no. 4711 é")
    later = NOW + KEY_LIFETIME + 1
    await jobs.accept("other", "", later)
    await jobs.done(await claim_one(jobs, later, END + KEY_LIFETIME), later)
    assert await jobs.state("k") is None
    assert await jobs.state("other") == JobState("done")


async def test_a_result_is_that_of_the_latest_job_with_its_key(jobs: JobQueue[str]) -> None:
    await jobs.accept("k", "", NOW)
    await jobs.done(await claim_one(jobs), NOW, "first")
    later = NOW + KEY_LIFETIME + 1
    assert await jobs.accept("k", "", later)
    assert await jobs.state("k") == JobState("open")
    await jobs.done(await claim_one(jobs, later, later + 1), later)
    assert await jobs.state("k") == JobState("done")


async def test_the_state_of_a_dead_letter(jobs: JobQueue[str]) -> None:
    await jobs.accept("k", "body", NOW)
    await jobs.dead_letter(await claim_one(jobs), "Unavailable", NOW)
    assert await jobs.state("k") == JobState("dead")
    await jobs.retry("k", NOW)
    assert await jobs.state("k") == JobState("open")


async def test_keys_of_done_jobs_expire(jobs: JobQueue[str]) -> None:
    for key, now in (("old", NOW), ("new", NOW + KEY_LIFETIME + 1)):
        await jobs.accept(key, "", now)
        await jobs.done(await claim_one(jobs, now, now), now)
    assert not await jobs.accept("new", "", NOW)
    assert await jobs.accept("old", "", NOW)  # by a clock at which the key was still kept


async def test_many_jobs_at_once_with_one_key_are_one_job(
    backend: Backend, closing_all: list[Closes]
) -> None:
    all = [backend.jobs() for _ in range(3)]
    closing_all += all
    accepted = await asyncio.gather(*(jobs.accept("k", "", NOW) for jobs in all * 4))
    assert sum(accepted) == 1
    claimed = await asyncio.gather(*(jobs.claim(NOW, END, 5) for jobs in all))
    assert sum(map(len, claimed)) == 1


async def test_a_job_is_due_again_when_its_lease_is_over(jobs: JobQueue[str]) -> None:
    await jobs.accept("k", "body", NOW)
    first = await claim_one(jobs)
    assert await jobs.claim(END - 1, END, 5) == []
    assert await claim_one(jobs, END, END + 30) == Job("k", "body", 2, 2)
    assert list(await jobs.renew([first], END + 90)) == [first]


async def test_a_lease_is_renewed(jobs: JobQueue[str]) -> None:
    for key in "abc":
        await jobs.accept(key, "", NOW)
    a, b, c = await jobs.claim(NOW, END, 5)
    await jobs.done(b, NOW)
    assert list(await jobs.renew([a, b, c], END + 30)) == [b]
    assert await jobs.claim(END, END + 30, 5) == []
    assert [job.key for job in await jobs.claim(END + 30, END + 60, 5)] == ["a", "c"]


async def test_a_lost_claim_changes_nothing_but_may_report_done(jobs: JobQueue[str]) -> None:
    await jobs.accept("k", "", NOW)
    late = await claim_one(jobs)
    now = await claim_one(jobs, END, END + 30)
    await jobs.reschedule(late, NOW, 0)
    await jobs.dead_letter(late, "late", NOW)
    assert await jobs.claim(END, END + 30, 5) == []
    assert await jobs.dead() == []
    await jobs.done(late, END)
    assert list(await jobs.renew([now], END + 90)) == [now]
    await jobs.reschedule(now, NOW, 0)
    await jobs.dead_letter(now, "late", NOW)
    assert await jobs.claim(END + 99, END + 99, 5) == []
    assert await jobs.dead() == []


async def test_a_rescheduled_job_has_the_given_tries(jobs: JobQueue[str]) -> None:
    await jobs.accept("k", "body", NOW)
    await jobs.reschedule(await claim_one(jobs), NOW + 10, 0)
    assert await jobs.claim(NOW + 9, END, 5) == []
    assert await claim_one(jobs, NOW + 10) == Job("k", "body", 3, 1)


async def test_a_late_renewal_does_not_hold_a_rescheduled_job(jobs: JobQueue[str]) -> None:
    await jobs.accept("k", "", NOW)
    job = await claim_one(jobs)
    await jobs.reschedule(job, NOW, 0)
    assert list(await jobs.renew([job], END)) == [job]
    assert (await claim_one(jobs)).tries == 1


async def test_dead_letters_are_listed_and_retried(jobs: JobQueue[str]) -> None:
    for number in range(3):
        await jobs.accept(str(number), "body", NOW)
    for job in await jobs.claim(NOW, END, 5):
        await jobs.dead_letter(job, f"reason {job.key}", NOW + int(job.key) + 0.25)
    assert await jobs.claim(END, END, 5) == []
    assert await jobs.dead(2) == [
        DeadJob("2", "body", 1, "reason 2", NOW + 2.25),
        DeadJob("1", "body", 1, "reason 1", NOW + 1.25),
    ]
    assert not await jobs.accept("1", "", NOW)
    assert [await jobs.retry(key, NOW) for key in ("1", "1", "unknown")] == [True, False, False]
    assert await claim_one(jobs) == Job("1", "body", 2, 1)
    assert [dead.key for dead in await jobs.dead()] == ["2", "0"]


async def test_only_dead_letters_are_dropped(jobs: JobQueue[str]) -> None:
    for key in ("dead", "open"):
        await jobs.accept(key, "body", NOW)
    (dead, opened) = await jobs.claim(NOW, END, 5)
    await jobs.dead_letter(dead, "reason", NOW)
    assert [await jobs.drop(key) for key in ("dead", "dead", "open", "?")] == [True, *[False] * 3]
    assert await jobs.dead() == []
    assert not await jobs.retry("dead", NOW)
    assert list(await jobs.renew([opened], END)) == []
    assert await jobs.accept("dead", "another body", NOW)  # the key is free again
    assert await claim_one(jobs) == Job("dead", "another body", 1, 1)


async def test_a_dead_letter_that_is_reported_done_is_done(jobs: JobQueue[str]) -> None:
    await jobs.accept("k", "", NOW)
    job = await claim_one(jobs)
    await jobs.dead_letter(job, "", NOW)
    await jobs.done(job, NOW)
    assert await jobs.dead() == []
    assert not await jobs.accept("k", "", NOW)


async def test_a_job_that_was_never_accepted_cannot_be_done(jobs: JobQueue[str]) -> None:
    await jobs.done(Job("k", "", 1, 1), NOW)
    assert await jobs.accept("k", "", NOW)


@pytest.mark.parametrize("key", ["a b", "'; drop table jobs; --", "{x}", "ü\0\n", "1.5"])
async def test_keys_and_bodies_are_data(jobs: JobQueue[str], key: str) -> None:
    await jobs.accept(key, key * 2, NOW + 0.123456)
    job = await claim_one(jobs, NOW + 0.123456)
    assert (job.key, job.body) == (key, key * 2)
    await jobs.dead_letter(job, key, NOW + 0.123456)
    assert await jobs.dead() == [DeadJob(key, key * 2, 1, key, NOW + 0.123456)]


@SHARED
async def test_jobs_survive_a_restart(backend: Backend) -> None:
    before = backend.jobs()
    for key in ("open", "claimed"):
        await before.accept(key, key, NOW)
    await before.claim(NOW, END, 1)
    await before.close()
    after = backend.jobs()
    assert {job.body for job in await after.claim(END, END + 30, 5)} == {"open", "claimed"}
    await after.close()


def test_repr_of_a_job_shows_no_data() -> None:
    assert "7" not in repr(Job("777", "777", 1, 1)) + repr(DeadJob("777", "777", 1, "r", 0.0))


@SHARED
@pytest.mark.parametrize(
    ("key", "body"), [(b"\xff", b"body"), (b"\xffk", b"\xfe"), (b"b", b"\xff"), (b"b", None)]
)
async def test_an_undecodable_job_becomes_a_dead_letter_and_the_claim_goes_on(
    jobs: JobQueue[str],
    backend: SharedBackend,
    key: bytes,
    body: bytes | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await jobs.accept("a", "body", NOW - 1)
    backend.put_job(key, body)
    await jobs.accept("z", "body", NOW + 1)
    assert [job.key for job in await jobs.claim(NOW + 1, END, 5)] == ["a", "z"]
    assert "1 job in the durable queue cannot be decoded" in caplog.text
    assert await jobs.claim(NOW + 1, END, 5) == []
    (dead,) = await jobs.dead()
    assert (dead.reason, dead.died) == ("Undecodable", NOW + 1)
    assert dead.key.encode("utf-8", "surrogateescape") == key
    assert dead.body.encode("utf-8", "surrogateescape") == (body or b"")
    assert await jobs.retry(dead.key, NOW + 1)
    assert await jobs.dead() == []
    assert await jobs.claim(NOW + 1, END, 5) == []
    assert await jobs.drop(dead.key)
    assert await jobs.dead() == []


@SHARED
async def test_invalid_counts_begin_anew(jobs: JobQueue[str], backend: SharedBackend) -> None:
    await jobs.accept("k", "body", NOW)
    backend.spoil_numbers()
    job = await claim_one(jobs)
    assert job == Job("k", "body", 1, 1)
    await jobs.dead_letter(job, "why", NOW)
    assert await jobs.dead() == [DeadJob("k", "body", 1, "why", NOW)]
