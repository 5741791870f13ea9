"""The queue in memory: bodies of any type, and no data of completed jobs."""

from __future__ import annotations

import asyncio
import math

import pytest

from receiver.storage.job_queue import Bounds
from receiver.storage.jobs_memory import MemoryJobs
from tests.storage.stage import NOW


async def test_a_body_is_any_object_and_is_not_copied() -> None:
    jobs, body = MemoryJobs[object](), object()
    assert jobs.accept_now("k", body, NOW)
    (job,) = await jobs.claim(NOW, math.inf, 5)
    assert job.body is body
    assert jobs.open_bodies() == [body]


async def test_nothing_is_left_of_jobs_that_ended(caplog: pytest.LogCaptureFixture) -> None:
    jobs = MemoryJobs[str](Bounds(100, dead=0, done=0))
    for number in range(100):
        await jobs.accept(str(number), "", NOW)
    claimed = await jobs.claim(NOW, math.inf, 100)
    for job in claimed[:30]:
        await jobs.done(job, NOW)
    for job in claimed[30:]:
        await jobs.dead_letter(job, "why", NOW)
    assert [jobs._open, jobs._dead, jobs._done, jobs._due] == [{}, {}, {}, []]
    assert not caplog.records


async def test_join_waits_for_the_last_open_job() -> None:
    jobs = MemoryJobs[str]()
    await jobs.join()
    for key in "ab":
        await jobs.accept(key, "", NOW)
    joining = asyncio.create_task(jobs.join())
    a, b = await jobs.claim(NOW, NOW + 30, 5)
    await jobs.done(a, NOW)
    await asyncio.sleep(0)
    assert not joining.done()
    await jobs.dead_letter(b, "why", NOW)
    await joining
    assert await jobs.retry("b", NOW)
    assert jobs.open_bodies() == [""]
