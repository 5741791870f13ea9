"""The bounds of the queues: jobs that wait, dead letters, keys of done jobs."""

from __future__ import annotations

import pytest
import redis

from receiver.credentials import Secret
from receiver.storage import sqlite_file as files
from receiver.storage.breaker import StoreError
from receiver.storage.job_queue import KEY_LIFETIME, QUEUE_FULL, Bounds, JobQueue
from receiver.storage.jobs_redis import PREFIX, RedisJobs
from tests.storage.conftest import lines
from tests.storage.stage import NOW, Backend, Closes
from tests.stores import LONG

BOUND = 5


@pytest.fixture
def bounded(backend: Backend, closing_all: list[Closes]) -> JobQueue[str]:
    """A queue that keeps `BOUND` jobs of each kind."""
    queue = backend.jobs(Bounds(BOUND, BOUND, BOUND))
    closing_all.append(queue)
    return queue


async def tidy(jobs: JobQueue[str]) -> None:
    """Make enough requests that a file is tidied."""
    for _ in range(files.TIDY_INTERVAL):
        await jobs.accept("tidy", "", NOW + 1000)


async def make_dead(jobs: JobQueue[str], number: int) -> None:
    assert await jobs.accept(f"k{number}", f"body {number}", NOW + number)
    (job,) = await jobs.claim(NOW + number, NOW + number + 30, 1)
    await jobs.dead_letter(job, "X", NOW + number)


async def test_a_full_queue_refuses_jobs(bounded: JobQueue[str]) -> None:
    for number in range(BOUND):
        assert await bounded.accept(str(number), "", NOW)
    with pytest.raises(StoreError, match=f"^{QUEUE_FULL}$") as caught:
        await bounded.accept("one more", "", NOW)
    assert caught.value.advice.startswith("5 jobs wait, and no more are accepted")
    (job,) = await bounded.claim(NOW, NOW + 30, 1)
    await bounded.done(job, NOW)
    assert await bounded.accept("one more", "", NOW)


async def test_the_oldest_dead_letters_are_dropped_with_a_log_line(
    bounded: JobQueue[str], caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(2 * BOUND):
        await make_dead(bounded, number)
    await tidy(bounded)
    assert [job.key for job in await bounded.dead()] == ["k9", "k8", "k7", "k6", "k5"]
    said = [line for line in lines(caplog) if "dead letter" in line]
    assert said[-1].startswith("ERROR ")
    assert said[-1].endswith(" dropped: the 5 newest are kept")
    assert await bounded.accept("k0", "", NOW)


async def test_the_keys_of_the_latest_done_jobs_are_kept(bounded: JobQueue[str]) -> None:
    for number in range(2 * BOUND):
        assert await bounded.accept(str(number), "", NOW)
        (job,) = await bounded.claim(NOW, NOW + 30, 1)
        await bounded.done(job, NOW + number)
    await tidy(bounded)
    assert not await bounded.accept("9", "", NOW + 1000)
    assert await bounded.accept("0", "", NOW + 1000)


async def test_keys_of_done_jobs_expire_in_redis_and_nothing_else(redis_url: Secret) -> None:
    jobs = RedisJobs(redis_url, "RECEIVER_JOBS", limit=LONG)
    with redis.Redis.from_url(redis_url.reveal(), decode_responses=True) as client:

        def lives() -> dict[str, int]:
            names = [str(name) for name in client.scan_iter()]
            return {name.removeprefix(PREFIX): int(str(client.ttl(name))) for name in names}

        await make_dead(jobs, 1)
        dead = {"dead": -1, "body": -1, "claims": -1, "tries": -1, "reason": -1}
        assert lives() == dead
        await jobs.accept("k2", "", NOW)
        await jobs.reschedule((await jobs.claim(NOW, NOW + 30, 1))[0], NOW + 1, 1)
        waiting = {**dead, "due": -1}
        assert lives() == waiting
        await jobs.done((await jobs.claim(NOW + 1, NOW + 30, 1))[0], NOW + 2)
        found = lives()
        assert KEY_LIFETIME - 10 <= found.pop("done") <= KEY_LIFETIME
        assert found == dead
        for name in dead:  # as an earlier version left them
            client.expire(PREFIX + name, 3600)
        await jobs.accept("k3", "", NOW)
        assert {**lives(), "done": -1} == {**waiting, "done": -1}
    await jobs.close()
