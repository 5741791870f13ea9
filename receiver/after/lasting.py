"""The worker of the durable queue: claims jobs, runs them, reports.

Rule 1: a job is reported done after it is done. Until then its lease is renewed; if it is lost all
        the same, the run is cancelled, for another worker has the job.
Rule 2: what fails comes again later, `TRIES` times in all, a worker that died counted; then the
        job is buried among the dead, with the type of its last error for a reason.
Rule 3: a store that is out of order stops nothing: the worker looks again after `POLL` seconds, and
        a report is repeated until it is heard. It is said once, and again when all is well: not
        when the store can be asked, and takes no reports still.
Rule 4: no key and no argument is logged, only the function's name.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable

from receiver.after.bodies import Work, name_in, name_of, read
from receiver.after.jobs import Job, Jobs
from receiver.after.running import Runner, backoff, idempotency_key
from receiver.functions.attempts import Failed, attempt
from receiver.functions.manners import is_async
from receiver.shared.patience import StoreError

TRIES = 10
"""Claims of a job before it is given up, over some 85 minutes if it fails each time."""

FIRST, LONGEST = 10.0, 3600.0  # seconds between two tries

LEASE = 30.0
"""Seconds after which the job of a worker that died is due again."""

POLL = 1.0
"""Seconds between two looks for jobs of others."""

log = logging.getLogger("receiver")


class WorkerDied(Exception):
    """At the last try nobody was left to say how it went."""


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
        self._stopping = False
        self._end = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._leased: dict[Job, asyncio.Task[None]] = {}
        self._failing: set[object] = set()  # the claiming, and each report that is not heard yet

    def start(self) -> None:
        """Begin to claim jobs."""
        self._loops = [asyncio.create_task(self._claim()), asyncio.create_task(self._renew())]

    def wake(self) -> None:
        """There may be a job: look now."""
        self._wake.set()

    async def close(self, limit: float) -> None:
        """Claim no more, wait up to ``limit`` seconds for the jobs in hand, give back the rest."""
        # A question to the store is never cancelled: redis-py may swallow that, or leak.
        self._stopping = True
        self._wake.set()
        await _wait(self._loops[:1], 1)
        await _wait(self._tasks, limit)
        for job, task in self._leased.items():
            log.warning("%s is left to be done after the next start", name_in(job.body))
            task.cancel()
        self._end.set()
        await _wait([*self._tasks, *self._loops], 1)

    async def _claim(self) -> None:
        while not self._stopping:
            self._wake.clear()
            await self._claim_what_is_due()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll):
                    await self._wake.wait()

    async def _nap(self, seconds: float) -> bool:
        """Sleep; False if this is the end."""
        nap, end = (
            asyncio.ensure_future(self._sleep(seconds)),
            asyncio.create_task(self._end.wait()),
        )
        await asyncio.wait((nap, end), return_when=asyncio.FIRST_COMPLETED)
        nap.cancel()
        end.cancel()
        return not self._end.is_set()

    async def _claim_what_is_due(self) -> None:
        room = self._most - len(self._tasks)
        if not room:
            return
        now = self._clock()
        try:
            claimed = await self._jobs.claim(now, now + self._lease, room)
        except Exception as error:  # whatever it is, nobody else would look again
            self._failed(self._claim, "it cannot be asked", error)
            return
        self._worked(self._claim)
        for job in claimed:
            task = asyncio.create_task(self._do(job))
            self._tasks.add(task)
            self._leased[job] = task
            task.add_done_callback(self._ended)

    def _failed(self, what: object, said: str, error: Exception) -> None:
        """Say once that the queue is out of order, and in what."""
        if not self._failing:
            reason = str(error) if isinstance(error, StoreError) else type(error).__name__
            log.error("the queue of durable work is out of order: %s (%s)", said, reason)
        self._failing.add(what)

    def _worked(self, what: object) -> None:
        """Say once that it is back, in all that had failed."""
        if what in self._failing:
            self._failing.remove(what)
            if not self._failing:
                log.warning("the queue of durable work is back")

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()

    async def _renew(self) -> None:
        while await self._nap(self._lease / 3):
            jobs = list(self._leased)
            with contextlib.suppress(StoreError):
                lost = await self._jobs.renew(jobs, self._clock() + self._lease) if jobs else ()
                for job in lost:
                    if task := self._leased.get(job):
                        log.warning("%s is with another worker: cancelled here", name_in(job.body))
                        task.cancel()

    async def _do(self, job: Job) -> None:
        work = attempt(read, self._seal, job.key, job.body)
        result = await self._run(job, work) if isinstance(work, Work) else work
        del self._leased[job]  # of what is reported no lease is renewed
        name = name_of(work.function) if isinstance(work, Work) else "a job that cannot be read"
        if not isinstance(result, Failed):
            await self._report(lambda: self._jobs.done(job, self._clock()))
        elif job.tries >= TRIES:
            log.error("%s raised %s", name, self._runner.describe(result))
            kind = type(result.error).__name__
            log.error("%s is given up after %d tries (%s): it is kept", name, TRIES, kind)
            await self._report(lambda: self._jobs.bury(job, kind, self._clock()))
        else:
            await self._again(job, name, result)

    async def _run(self, job: Job, work: Work) -> Failed | None:
        if job.tries > TRIES:
            return Failed(WorkerDied())
        idempotency_key.set(job.key)
        try:
            return await self._runner.run(work)
        except asyncio.CancelledError:
            del self._leased[job]
            # A thread goes on, so its job waits for the end of the lease.
            if is_async(work.function):
                with contextlib.suppress(StoreError):
                    await self._jobs.again(job, self._clock(), job.tries - 1)
            raise

    async def _again(self, job: Job, name: str, failed: Failed) -> None:
        kind, wait = type(failed.error).__name__, backoff(job.tries, FIRST, LONGEST)
        due = self._clock() + wait
        log.warning("%s: %s, try %d of %d, next in %.0f s", name, kind, job.tries, TRIES, wait)
        await self._report(lambda: self._jobs.again(job, due, job.tries))

    async def _report(self, report: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await report()
            except StoreError as error:
                # With all hands full of reports nobody claims, who would say it else.
                self._failed(report, "it takes no reports", error)
                if not await self._nap(self._poll):
                    return
            else:
                self._worked(report)
                return


async def _wait(tasks: Iterable[asyncio.Task[None]], limit: float) -> None:
    if waiting := list(tasks):
        await asyncio.wait(waiting, timeout=limit)
