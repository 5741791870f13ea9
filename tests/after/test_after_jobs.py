"""What every queue does, wherever it is kept."""

from __future__ import annotations

import asyncio

import pytest

from receiver.after import DeadJob, Jobs
from receiver.after.jobs import KEEP, Job
from receiver.secrets import Secret
from tests.after.conftest import BOTH, NOW, make_jobs

END = NOW + 30


async def claim_one(jobs: Jobs, now: float = NOW, until: float = END) -> Job:
    (job,) = await jobs.claim(now, until, 5)
    return job


@BOTH
async def test_a_job_goes_its_way(jobs: Jobs) -> None:
    assert await jobs.accept("k", "body", NOW)
    job = await claim_one(jobs)
    assert job == Job("k", "body", 1, 1)
    assert await jobs.claim(NOW, END, 5) == []
    await jobs.done(job, NOW)
    assert await jobs.claim(END + 1, END + 2, 5) == []
    assert await jobs.dead() == []


@BOTH
async def test_those_that_wait_longest_come_first_and_no_more_than_asked_for(jobs: Jobs) -> None:
    for number in (3, 1, 2, 0):
        await jobs.accept(str(number), "", NOW + number)
    assert [job.key for job in await jobs.claim(NOW + 2, END, 2)] == ["0", "1"]
    assert [job.key for job in await jobs.claim(NOW + 2, END, 9)] == ["2"]


@BOTH
async def test_a_key_is_taken_once(jobs: Jobs) -> None:
    assert await jobs.accept("k", "first", NOW)
    assert not await jobs.accept("k", "second", NOW)
    job = await claim_one(jobs)
    assert job.body == "first"
    assert not await jobs.accept("k", "second", NOW)
    await jobs.done(job, NOW)
    assert not await jobs.accept("k", "second", NOW + KEEP)
    assert await jobs.accept("k", "second", NOW + KEEP + 1)
    assert (await claim_one(jobs, NOW + KEEP + 1)).body == "second"


@BOTH
async def test_keys_of_long_ago_are_forgotten(jobs: Jobs) -> None:
    for key, now in (("old", NOW), ("new", NOW + KEEP + 1)):
        await jobs.accept(key, "", now)
        await jobs.done(await claim_one(jobs, now, now), now)
    assert not await jobs.accept("new", "", NOW)
    assert await jobs.accept("old", "", NOW)  # by a clock that would still know it


@BOTH
async def test_many_at_once_under_one_key_are_one_job(where: Secret) -> None:
    all = [make_jobs(where) for _ in range(3)]
    accepted = await asyncio.gather(*(jobs.accept("k", "", NOW) for jobs in all * 4))
    assert sum(accepted) == 1
    claimed = await asyncio.gather(*(jobs.claim(NOW, END, 5) for jobs in all))
    assert sum(map(len, claimed)) == 1
    for jobs in all:
        await jobs.close()


@BOTH
async def test_a_job_is_due_again_when_its_lease_is_over(jobs: Jobs) -> None:
    await jobs.accept("k", "body", NOW)
    first = await claim_one(jobs)
    assert await jobs.claim(END - 1, END, 5) == []
    assert await claim_one(jobs, END, END + 30) == Job("k", "body", 2, 2)
    assert list(await jobs.renew([first], END + 90)) == [first]


@BOTH
async def test_a_lease_is_renewed(jobs: Jobs) -> None:
    for key in "abc":
        await jobs.accept(key, "", NOW)
    a, b, c = await jobs.claim(NOW, END, 5)
    await jobs.done(b, NOW)
    assert list(await jobs.renew([a, b, c], END + 30)) == [b]
    assert await jobs.claim(END, END + 30, 5) == []
    assert [job.key for job in await jobs.claim(END + 30, END + 60, 5)] == ["a", "c"]


@BOTH
async def test_who_lost_a_job_changes_nothing_but_may_have_done_it(jobs: Jobs) -> None:
    await jobs.accept("k", "", NOW)
    late = await claim_one(jobs)
    now = await claim_one(jobs, END, END + 30)
    await jobs.again(late, NOW, 0)
    await jobs.bury(late, "late", NOW)
    assert await jobs.claim(END, END + 30, 5) == []
    assert await jobs.dead() == []
    await jobs.done(late, END)
    assert list(await jobs.renew([now], END + 90)) == [now]
    await jobs.again(now, NOW, 0)
    await jobs.bury(now, "late", NOW)
    assert await jobs.claim(END + 99, END + 99, 5) == []
    assert await jobs.dead() == []


@BOTH
async def test_a_job_given_back_has_the_tries_that_are_said(jobs: Jobs) -> None:
    await jobs.accept("k", "body", NOW)
    await jobs.again(await claim_one(jobs), NOW + 10, 0)
    assert await jobs.claim(NOW + 9, END, 5) == []
    assert await claim_one(jobs, NOW + 10) == Job("k", "body", 3, 1)


@BOTH
async def test_a_late_renewal_does_not_hold_what_was_given_back(jobs: Jobs) -> None:
    await jobs.accept("k", "", NOW)
    job = await claim_one(jobs)
    await jobs.again(job, NOW, 0)
    assert list(await jobs.renew([job], END)) == [job]
    assert (await claim_one(jobs)).tries == 1


@BOTH
async def test_the_dead_are_listed_and_revived(jobs: Jobs) -> None:
    for number in range(3):
        await jobs.accept(str(number), "body", NOW)
    for job in await jobs.claim(NOW, END, 5):
        await jobs.bury(job, f"reason {job.key}", NOW + int(job.key) + 0.25)
    assert await jobs.claim(END, END, 5) == []
    assert await jobs.dead(2) == [
        DeadJob("2", "body", 1, "reason 2", NOW + 2.25),
        DeadJob("1", "body", 1, "reason 1", NOW + 1.25),
    ]
    assert not await jobs.accept("1", "", NOW)
    assert [await jobs.revive(key, NOW) for key in ("1", "1", "unknown")] == [True, False, False]
    assert await claim_one(jobs) == Job("1", "body", 2, 1)
    assert [dead.key for dead in await jobs.dead()] == ["2", "0"]


@BOTH
async def test_the_dead_are_dropped_and_nothing_else_is(jobs: Jobs) -> None:
    for key in ("dead", "open"):
        await jobs.accept(key, "body", NOW)
    (dead, opened) = await jobs.claim(NOW, END, 5)
    await jobs.bury(dead, "reason", NOW)
    assert [await jobs.drop(key) for key in ("dead", "dead", "open", "?")] == [True, *[False] * 3]
    assert await jobs.dead() == []
    assert not await jobs.revive("dead", NOW)
    assert list(await jobs.renew([opened], END)) == []
    assert await jobs.accept("dead", "another body", NOW)  # the key is free again
    assert await claim_one(jobs) == Job("dead", "another body", 1, 1)


@BOTH
async def test_a_dead_job_that_was_done_after_all(jobs: Jobs) -> None:
    await jobs.accept("k", "", NOW)
    job = await claim_one(jobs)
    await jobs.bury(job, "", NOW)
    await jobs.done(job, NOW)
    assert await jobs.dead() == []
    assert not await jobs.accept("k", "", NOW)


@BOTH
async def test_what_was_never_accepted_is_not_done(jobs: Jobs) -> None:
    await jobs.done(Job("k", "", 1, 1), NOW)
    assert await jobs.accept("k", "", NOW)


@BOTH
@pytest.mark.parametrize("key", ["a b", "'; drop table jobs; --", "{x}", "ü\0\n", "1.5"])
async def test_keys_and_bodies_are_data(jobs: Jobs, key: str) -> None:
    await jobs.accept(key, key * 2, NOW + 0.123456)
    job = await claim_one(jobs, NOW + 0.123456)
    assert (job.key, job.body) == (key, key * 2)
    await jobs.bury(job, key, NOW + 0.123456)
    assert await jobs.dead() == [DeadJob(key, key * 2, 1, key, NOW + 0.123456)]


@BOTH
async def test_a_restart_forgets_nothing(where: Secret) -> None:
    before = make_jobs(where)
    for key in ("open", "claimed"):
        await before.accept(key, key, NOW)
    await before.claim(NOW, END, 1)
    await before.close()
    after = make_jobs(where)
    assert {job.body for job in await after.claim(END, END + 30, 5)} == {"open", "claimed"}
    await after.close()


def test_no_job_prints_its_data() -> None:
    assert "7" not in repr(Job("777", "777", 1, 1)) + repr(DeadJob("777", "777", 1, "r", 0.0))
