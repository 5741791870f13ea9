"""The worker of a job queue: claims jobs, runs them, reports.

Rule 1: a job is reported done after it ran. Until then its lease is renewed; if the lease is lost
        nevertheless, the run is cancelled, because another worker has the job.
Rule 2: a job that fails is tried again later, `Policy.tries` times in all (the death of a worker
        counts); then it becomes a dead letter, with the type of its last error as the reason.
Rule 3: while the store is unavailable the worker polls every `Policy.poll` seconds and repeats each
        report until the store accepts it. The log has one line at the start of an outage and one at
        its end, which is when claims and reports both work.
Rule 4: no key and no argument is logged, only the function's name.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Generic

from receiver.background.job_codec import BodyError, Work, name_of
from receiver.background.job_states import current_queue
from receiver.background.runner import Runner, backoff, idempotency_key
from receiver.execution.guarded_call import Failed, attempt
from receiver.execution.kinds import is_async
from receiver.storage.breaker import StoreError
from receiver.storage.job_queue import MAX_RESULT_LENGTH, B, Job, JobQueue


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy of a queue; infinite times are for a queue in memory.

    Attributes:
        tries: claims of a job before it is given up.
        first, longest: seconds between the first two tries, and at most between two.
        lease: seconds after which the job of a worker that died is due again.
        poll: seconds between two polls for jobs of other processes.
    """

    tries: int
    first: float
    longest: float
    lease: float = math.inf
    poll: float = math.inf

    @property
    def is_durable(self) -> bool:
        """Whether the queue outlives this process."""
        return self.lease < math.inf


DURABLE = Policy(tries=10, first=10.0, longest=3600.0, lease=30.0, poll=1.0)
"""Given up after some 85 minutes, if it fails each time."""

log = logging.getLogger("receiver")


class WorkerDied(Exception):
    """The worker of the last try died, so its result is unknown."""


class JobWorker(Generic[B]):
    """One worker of a queue.

    Parameters:
        queue: may be shared with other workers.
        runner: runs its jobs.
        policy: how they are run.
        decode: returns the call to make for a job; an error that it raises fails the job.
        clock: in seconds, of the queue's times.
        max_claimed: jobs that are claimed at once.
    """

    def __init__(
        self,
        queue: JobQueue[B],
        runner: Runner,
        policy: Policy,
        decode: Callable[[Job[B]], Work],
        *,
        clock: Callable[[], float],
        max_claimed: int,
    ) -> None:
        self._queue = queue
        self._runner = runner
        self._policy = policy
        self._decode = decode
        self._clock = clock
        self._max_claimed = max_claimed
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_closing = self._is_closed = False
        self._loop: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._leased: dict[Job[B], tuple[asyncio.Task[None], str]] = {}  # and the job's name
        self._renewed = 0.0
        self._unreported: list[Callable[[], Awaitable[None]]] = []
        self._failing: set[str] = set()

    def start(self) -> None:
        """Begin to claim jobs, once; again if the task was cancelled with its event loop."""
        if self._loop is None or self._loop.done() or self._loop.cancelling():
            self._loop = asyncio.create_task(self._serve())

    def wake(self) -> None:
        """Claim now: a job was put into the queue."""
        self._wake.set()
        self._idle.clear()

    async def idle(self) -> None:
        """Wait until no job that this process put into the queue is due or runs."""
        await self._idle.wait()

    async def close(self, limit: float) -> None:
        """Stop claiming, wait up to ``limit`` seconds for running jobs, reschedule the rest."""
        self._is_closing = True
        await _wait(self._tasks, limit)
        # A request to the store is never cancelled: redis-py may swallow that, or leak.
        self._is_closed = True
        self._wake.set()
        await _wait([self._loop] if self._loop else (), 1)
        for task, name in self._leased.values():
            if self._policy.is_durable:
                log.warning("%s is left to be done after the next start", name)
            task.cancel()
        await _wait(self._tasks, 1)

    async def _serve(self) -> None:
        poll = self._policy.poll
        while not self._is_closed:
            self._wake.clear()
            with contextlib.suppress(Exception):  # any error: this task is the only one that polls
                await self._renew()
            await self._report_again()
            await self._claim()
            if not (self._tasks or self._wake.is_set()):
                self._idle.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(poll if poll < math.inf else None):
                    await self._wake.wait()

    async def _renew(self) -> None:
        now, lease = self._clock(), self._policy.lease
        if not self._leased or abs(now - self._renewed) < lease / 3:
            return
        for job in await self._queue.renew(list(self._leased), now + lease):
            if job in self._leased:
                task, name = self._leased[job]
                log.warning("%s is with another worker: cancelled here", name)
                task.cancel()
        self._renewed = now

    async def _claim(self) -> None:
        free = self._max_claimed - len(self._tasks) - len(self._unreported)
        if free <= 0 or self._is_closing:
            return
        now = self._clock()
        if not self._leased:
            self._renewed = now
        try:
            claimed = await self._queue.claim(now, now + self._policy.lease, free)
        except Exception as error:
            self._failed("no claims", error)
            return
        self._worked("no claims")
        if claimed:
            self._idle.clear()
        for job in claimed:
            work = attempt(self._decode, job)
            name, context = "a job that cannot be read", None
            if isinstance(work, Work):
                name, context = name_of(work.function), work.context
            elif isinstance(work, Failed) and isinstance(work.error, BodyError):
                name = f"a job that cannot be read ({work.error})"
            task = asyncio.create_task(self._do(job, name, work), context=context)
            self._tasks.add(task)
            self._leased[job] = task, name
            task.add_done_callback(partial(self._ended, job))

    def _failed(self, what: str, error: Exception) -> None:
        """Log once that the queue is unavailable, and what fails."""
        if not self._failing:
            failed = error if isinstance(error, StoreError) else StoreError(type(error).__name__)
            advice = f"; {failed.advice}" if failed.advice else ""
            log.error("the durable queue is unavailable: %s (%s)%s", what, failed, advice)
        self._failing.add(what)

    def _worked(self, what: str) -> None:
        """Log once that the queue is back, when all that failed works again."""
        if what in self._failing:
            self._failing.remove(what)
            if not self._failing:
                log.warning("the durable queue is back")

    def _ended(self, job: Job[B], task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._leased.pop(job, None):  # cancelled before its first step
            now = self._clock()
            self._unreported.append(lambda: self._queue.reschedule(job, now, job.tries - 1))
        self._wake.set()

    async def _do(self, job: Job[B], name: str, work: object) -> None:
        result = await self._run(job, work) if isinstance(work, Work) else work
        del self._leased[job]  # of what is reported no lease is renewed
        if not isinstance(result, Failed):
            text = result if isinstance(result, str) and self._policy.is_durable else ""
            kept = text if len(text) <= MAX_RESULT_LENGTH else ""
            await self._report(lambda: self._queue.done(job, self._clock(), kept))
        elif job.tries >= self._policy.tries:
            kind = type(result.error).__name__
            self._log_given_up(name, kind, result, work)
            await self._report(lambda: self._queue.dead_letter(job, kind, self._clock()))
        else:
            await self._again(job, name, result)

    async def _run(self, job: Job[B], work: Work) -> object:
        if job.tries > self._policy.tries:
            return Failed(WorkerDied())
        if self._policy.is_durable:
            idempotency_key.set(job.key)
            current_queue.set(self._queue)
        try:
            return await self._runner.run(work)
        except asyncio.CancelledError:
            del self._leased[job]
            # A thread continues, so its job waits for the end of the lease.
            if is_async(work.function):
                with contextlib.suppress(StoreError):
                    await self._queue.reschedule(job, self._clock(), job.tries - 1)
            raise

    def _log_given_up(self, name: str, kind: str, failed: Failed, work: object) -> None:
        tries, what = self._policy.tries, self._runner.describe(failed, work)
        if self._policy.is_durable:
            log.error("%s raised %s", name, what)
            log.error("%s is given up after %d tries (%s): it is kept", name, tries, kind)
        else:
            log.error("%s failed after %d tries: %s", name, tries, what)

    async def _again(self, job: Job[B], name: str, failed: Failed) -> None:
        policy, kind = self._policy, type(failed.error).__name__
        pause = backoff(job.tries, policy.first, policy.longest)
        due = self._clock() + pause
        if policy.is_durable:
            said = "%s: %s, try %d of %d, next in %.0f s"
            log.warning(said, name, kind, job.tries, policy.tries, pause)
        await self._report(lambda: self._queue.reschedule(job, due, job.tries))
        if pause < policy.poll:
            asyncio.get_running_loop().call_later(pause, self._wake.set)

    async def _report(self, report: Callable[[], Awaitable[None]]) -> None:
        try:
            await report()
        except Exception as error:  # any error: a job that is not reported is run again
            self._unreported.append(report)
            self._failed("no reports", error)

    async def _report_again(self) -> None:
        reports, self._unreported = self._unreported, []
        for report in reports:
            await self._report(report)
        if not self._unreported:
            self._worked("no reports")


async def _wait(tasks: Iterable[asyncio.Task[None]], limit: float) -> None:
    if waiting := list(tasks):
        await asyncio.wait(waiting, timeout=limit)
