"""Jobs of this process: a queue in memory and its worker, which end with the process.

Rule 1: a job is kept as the objects that it is; the callback neither waits for it nor fails.
Rule 2: at most `MAX_JOBS` jobs wait or run; one beyond that is dropped, with a line in the log.
Rule 3: closing runs all jobs to their end within its limit, and logs those that are lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable

from receiver.background.job_codec import Work, name_of
from receiver.background.job_worker import JobWorker, Policy
from receiver.background.runner import Runner
from receiver.storage.breaker import StoreError
from receiver.storage.job_queue import Bounds
from receiver.storage.jobs_memory import MemoryJobs

MAX_JOBS = 10_000
"""Most jobs that wait or run at once."""

IN_PROCESS = Policy(tries=5, first=0.5, longest=30.0)

log = logging.getLogger("receiver")


class InProcessJobs:
    """The jobs of ``call.after``.

    Parameters:
        runner, policy, max_claimed: as for `JobWorker`.
        clock: in seconds; never goes back.
        waiting: see `MAX_JOBS`.
    """

    def __init__(
        self,
        runner: Runner,
        policy: Policy = IN_PROCESS,
        *,
        clock: Callable[[], float],
        max_claimed: int,
        waiting: int = MAX_JOBS,
    ) -> None:
        self._clock = clock
        self._waiting = waiting
        self._closing = False
        self._keys = map(str, itertools.count())
        self._queue = MemoryJobs[Work](Bounds(waiting, dead=0, done=0))
        self._worker = JobWorker(
            self._queue, runner, policy, lambda job: job.body, clock=clock, max_claimed=max_claimed
        )

    def start(self, work: Work) -> None:
        """Run ``work`` from now on; called in the event loop's thread."""
        try:
            if self._closing:
                log.error("%s is dropped: the service ends", name_of(work.function))
            elif self._queue.accept_now(next(self._keys), work, self._clock()):
                self._worker.start()
                self._worker.wake()
        except StoreError:
            name = name_of(work.function)
            log.error("%s is dropped: %d others wait already", name, self._waiting)

    async def idle(self) -> None:
        """Wait until no job waits or runs."""
        await self._queue.join()

    async def close(self, limit: float) -> None:
        """Wait up to ``limit`` seconds for the jobs; then cancel and log the rest."""
        self._closing = True
        if self._queue.open_bodies():  # `asyncio.run` cancels the worker's task before this ends
            self._worker.start()
            self._worker.wake()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await self._queue.join()
        await self._worker.close(0)
        for work in self._queue.open_bodies():
            log.error("%s is left undone: the service ends", name_of(work.function))
