"""Jobs of one process, in its memory; they end with it.

Rule 1: a body is any Python object; nothing is serialised, and nothing here waits.
Rule 2: all methods are called in one thread, that of the event loop.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Generic

from receiver.storage.job_queue import BOUNDS, KEY_LIFETIME, B, Bounds, DeadJob, Job, JobState


@dataclass(slots=True)
class _Stored(Generic[B]):
    """An open job, or a dead letter: then ``due`` is the time when it died."""

    body: B
    due: float
    claim: int = 0
    tries: int = 0
    reason: str = ""
    number: int = 0


class MemoryJobs(Generic[B]):
    """A `JobQueue` in the memory of one process.

    Parameters:
        bounds: of the queue.
    """

    def __init__(self, bounds: Bounds = BOUNDS) -> None:
        self._bounds = bounds
        self._open: dict[str, _Stored[B]] = {}
        self._dead: dict[str, _Stored[B]] = {}  # the latest last
        self._done: dict[str, tuple[float, str]] = {}  # time and result; the latest last
        # When open jobs are due. An entry whose number is not that of its job is out of date.
        self._due: list[tuple[float, int, str]] = []
        self._numbers = itertools.count()
        self._empty = asyncio.Event()
        self._empty.set()

    async def accept(self, key: str, body: B, now: float) -> bool:
        return self.accept_now(key, body, now)

    def accept_now(self, key: str, body: B, now: float) -> bool:
        """Do the same as `accept`, without a coroutine."""
        done, _ = self._done.get(key, (-math.inf, ""))
        if key in self._open or key in self._dead or done >= now - KEY_LIFETIME:
            return False
        if len(self._open) >= self._bounds.open:
            raise self._bounds.full()
        self._schedule(key, _Stored(body, now), now)
        return True

    async def claim(self, now: float, until: float, max_jobs: int) -> list[Job[B]]:
        claimed = list[Job[B]]()
        while self._due and self._due[0][0] <= now and len(claimed) < max_jobs:
            _, number, key = heappop(self._due)
            stored = self._open.get(key)
            if stored is not None and stored.number == number:
                stored.claim += 1
                stored.tries += 1
                claimed.append(Job(key, stored.body, stored.claim, stored.tries))
        for job in claimed:
            self._schedule(job.key, self._open[job.key], until)
        return claimed

    async def renew(self, jobs: Sequence[Job[B]], until: float) -> Collection[Job[B]]:
        lost = []
        for job in jobs:
            if stored := self._claimed(job):
                self._schedule(job.key, stored, until)
            else:
                lost.append(job)
        return lost

    async def done(self, job: Job[B], now: float, result: str = "") -> None:
        if self._open.pop(job.key, None) or self._dead.pop(job.key, None):
            self._done.pop(job.key, None)
            self._done[job.key] = now, result
        while self._done:
            oldest, (time, _) = next(iter(self._done.items()))
            if len(self._done) <= self._bounds.done and time >= now - KEY_LIFETIME:
                break
            del self._done[oldest]
        self._check_empty()

    async def state(self, key: str) -> JobState | None:
        if key in self._open:
            return JobState("open")
        if key in self._dead:
            return JobState("dead")
        return JobState("done", self._done[key][1]) if key in self._done else None

    async def reschedule(self, job: Job[B], due: float, tries: int) -> None:
        if stored := self._claimed(job):
            stored.claim += 1  # no late renewal counts
            stored.tries = tries
            self._schedule(job.key, stored, due)

    async def dead_letter(self, job: Job[B], reason: str, now: float) -> None:
        if stored := self._claimed(job):
            stored.due, stored.reason = now, reason
            self._dead[job.key] = self._open.pop(job.key)
            if len(self._dead) > self._bounds.dead:
                del self._dead[next(iter(self._dead))]
                self._bounds.log_dropped(1)
            self._check_empty()

    async def dead(self, max_jobs: int = 100) -> list[DeadJob[B]]:
        latest = itertools.islice(reversed(self._dead.items()), max_jobs)
        return [DeadJob(key, one.body, one.tries, one.reason, one.due) for key, one in latest]

    async def retry(self, key: str, now: float) -> bool:
        stored = self._dead.pop(key, None)
        if stored is None:
            return False
        stored.tries, stored.reason = 0, ""
        self._schedule(key, stored, now)
        return True

    async def drop(self, key: str) -> bool:
        return self._dead.pop(key, None) is not None

    async def close(self) -> None: ...

    async def join(self) -> None:
        """Wait until no job is open."""
        await self._empty.wait()

    def open_bodies(self) -> list[B]:
        """Return the bodies of the jobs that wait or run."""
        return [stored.body for stored in self._open.values()]

    def _claimed(self, job: Job[B]) -> _Stored[B] | None:
        stored = self._open.get(job.key)
        return stored if stored is not None and stored.claim == job.claim else None

    def _schedule(self, key: str, stored: _Stored[B], due: float) -> None:
        stored.due, stored.number = due, next(self._numbers)
        self._open[key] = stored
        self._empty.clear()
        if due < math.inf:
            heappush(self._due, (due, stored.number, key))

    def _check_empty(self) -> None:
        if not self._open:
            self._empty.set()
