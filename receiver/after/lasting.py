"""The worker of the durable queue: claims jobs, runs them, reports.

Rule 1: a job is reported done after it is done. Until then its lease is renewed; if it is lost all
        the same, the run is cancelled, for another worker has the job.
Rule 2: what fails comes again later, `TRIES` times in all, a worker that died counted; then the
        job is buried among the dead, with the type of its last error for a reason.
Rule 3: a store that is out of order stops nothing: the worker looks again after `POLL` seconds, and
        a report is repeated until it is heard.
Rule 4: no key and no argument is logged, only the function's name.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection

from receiver.after.bodies import Work, name_in, name_of, read
from receiver.after.jobs import Job, Jobs
from receiver.after.running import Runner, backoff, idempotency_key
from receiver.attempts import Failed, attempt, is_async
from receiver.stores.store import StoreError

TRIES = 10
"""Claims of a job before it is given up, over some 85 minutes if it fails each time."""

FIRST, LONGEST = 10.0, 3600.0  # seconds between two tries

LEASE = 30.0
"""Seconds after which the job of a worker that died is due again."""

POLL = 1.0
"""Seconds between two looks for jobs of others."""

log = logging.getLogger("receiver")


class Lasting:
    """One worker of a queue.

    Parameters:
        jobs: the queue, shared with other workers.
        runner: runs the jobs.
        seal: the secret that bodies are signed with.
        clock: seconds since the epoch.
        sleep: waits for seconds, between renewals and between reports.
        most: jobs that are claimed at once.
        lease: see `LEASE`.
        poll: see `POLL`.
    """

    def __init__(
        self,
        jobs: Jobs,
        runner: Runner,
        seal: bytes,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        most: int = 16,
        lease: float = LEASE,
        poll: float = POLL,
    ) -> None:
        self._jobs = jobs
        self._runner = runner
        self._seal = seal
        self._clock = clock
        self._sleep = sleep
        self._most = most
        self._lease = lease
        self._poll = poll
        self._wake = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._tasks: dict[asyncio.Task[None], Job] = {}
        self._leased: dict[Job, asyncio.Task[None]] = {}
        self._in_order = True

    def start(self) -> None:
        """Begin to claim jobs."""
        self._loops = [asyncio.create_task(self._claim()), asyncio.create_task(self._renew())]

    def wake(self) -> None:
        """There may be a job: look now."""
        self._wake.set()

    async def close(self, limit: float) -> None:
        """Claim no more, wait up to ``limit`` seconds for the jobs in hand, give back the rest."""
        await _end(self._loops[:1])
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=limit)
            for task in left:
                name = name_in(self._tasks[task].body)
                log.warning("%s is left to be done after the next start", name)
            await _end(left)
        await _end(self._loops[1:])

    async def _claim(self) -> None:
        while True:
            self._wake.clear()
            await self._claim_what_is_due()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll):
                    await self._wake.wait()

    async def _claim_what_is_due(self) -> None:
        room = self._most - len(self._tasks)
        if not room:
            return
        now = self._clock()
        try:
            claimed = await self._jobs.claim(now, now + self._lease, room)
        except Exception as error:  # whatever it is, nobody else would look again
            if self._in_order:
                reason = str(error) if isinstance(error, StoreError) else type(error).__name__
                log.error("the queue of durable work is out of order (%s)", reason)
            self._in_order = False
            return
        if not self._in_order:
            log.warning("the queue of durable work is back")
        self._in_order = True
        for job in claimed:
            task = asyncio.create_task(self._do(job))
            self._tasks[task] = job
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        self._wake.set()

    async def _renew(self) -> None:
        while True:
            await self._sleep(self._lease / 3)
            jobs = list(self._leased)
            with contextlib.suppress(StoreError):
                lost = await self._jobs.renew(jobs, self._clock() + self._lease) if jobs else ()
                for job in lost:
                    if task := self._leased.get(job):
                        log.warning("%s is with another worker: cancelled here", name_in(job.body))
                        task.cancel()

    async def _do(self, job: Job) -> None:
        work = attempt(read, self._seal, job.key, job.body)
        if not isinstance(work, Work):
            await self._failed(job, "a job that cannot be read", work)
        elif job.tries > TRIES:
            await self._bury(job, name_of(work.function), "its workers died")
        elif failed := await self._run(job, work):
            await self._failed(job, name_of(work.function), failed)
        else:
            await self._report(lambda: self._jobs.done(job, self._clock()))

    async def _run(self, job: Job, work: Work) -> Failed | None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker
        idempotency_key.set(job.key)
        self._leased[job] = task
        try:
            return await self._runner.run(work)
        except asyncio.CancelledError:
            # A thread goes on, so its job waits for the end of the lease.
            if is_async(work.function):
                with contextlib.suppress(StoreError):
                    await self._jobs.again(job, self._clock(), job.tries - 1)
            raise
        finally:
            del self._leased[job]

    async def _failed(self, job: Job, name: str, failed: object) -> None:
        assert isinstance(failed, Failed)  # noqa: S101 - for the type checker
        kind = type(failed.error).__name__
        if job.tries >= TRIES:
            log.error("%s raised %s", name, self._runner.describe(failed))
            await self._bury(job, name, kind)
            return
        wait = backoff(job.tries, FIRST, LONGEST)
        due = self._clock() + wait
        log.warning("%s: %s, try %d of %d, next in %.0f s", name, kind, job.tries, TRIES, wait)
        await self._report(lambda: self._jobs.again(job, due, job.tries))

    async def _bury(self, job: Job, name: str, reason: str) -> None:
        log.error("%s is given up after %d tries (%s): it is kept", name, TRIES, reason)
        await self._report(lambda: self._jobs.bury(job, reason, self._clock()))

    async def _report(self, report: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await report()
            except StoreError:
                await self._sleep(POLL)


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=1)
