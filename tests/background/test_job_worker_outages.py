"""The worker while a durable queue accepts no reports or renewals."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest

from receiver.background import BackgroundJobs
from receiver.storage.breaker import StoreError
from receiver.storage.job_queue import Job
from receiver.storage.jobs_sqlite import SqliteJobs
from tests.background.conftest import NOW, POLLING, SECRET, lines, soon
from tests.clock import Clock
from tests.stores import LONG

saved: list[str] = []


@pytest.fixture(autouse=True)
def fresh() -> None:
    saved.clear()


def save(number: str) -> None:
    saved.append(number)


async def wait(number: str) -> None:
    save(number)
    await asyncio.Event().wait()


class NoReports(SqliteJobs):
    """A queue that answers claims and accepts no reports."""

    failing = True
    claims = 0

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.unreported: set[str] = set()

    async def claim(self, now: float, until: float, most: int) -> list[Job[str]]:
        claimed = await super().claim(now, until, most)
        self.claims += 1
        return claimed

    async def done(self, job: Job[str], now: float, result: str = "") -> None:
        if self.failing:
            self.unreported.add(job.key)
            raise StoreError("Down")
        await super().done(job, now, result)
        self.unreported.discard(job.key)


async def test_a_queue_that_accepts_no_reports_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = NoReports(tmp_path / "jobs.db", "RECEIVER_JOBS")
    owner = BackgroundJobs(jobs, SECRET, durable=POLLING, accept_limit=LONG)
    owner.start()
    for number in ("777", "888"):
        assert await owner.of_call().durably(save, number)
    await soon(lambda: len(jobs.unreported) == 2)
    before = jobs.claims
    await soon(lambda: jobs.claims > before + 2)
    line = "ERROR the durable queue is unavailable: no reports (Down)"
    assert lines(caplog) == [line]
    jobs.failing = False
    await soon(lambda: len(lines(caplog)) > 1)
    assert lines(caplog) == [line, "WARNING the durable queue is back"]
    assert not jobs.unreported
    await owner.close(1)


class NoRenewals(SqliteJobs):
    """A queue whose renewals raise an error that is no outage."""

    requests = 0

    async def renew(self, jobs: Sequence[Job[str]], until: float) -> Collection[Job[str]]:
        self.requests += 1
        raise RuntimeError


async def test_an_error_of_a_renewal_does_not_end_the_worker(tmp_path: Path) -> None:
    jobs, clock = NoRenewals(tmp_path / "jobs.db", "RECEIVER_JOBS"), Clock(NOW)
    owner = BackgroundJobs(jobs, SECRET, durable=POLLING, accept_limit=LONG, clock=clock)
    owner.start()
    assert await owner.of_call().durably(wait, "777")
    await soon(lambda: saved == ["777"])
    clock.now += POLLING.lease / 3
    await soon(lambda: jobs.requests > 1)
    assert await owner.of_call().durably(save, "888")
    await soon(lambda: saved == ["777", "888"])
    await owner.close(0)
