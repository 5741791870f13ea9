"""Work that outlives the process: jobs in a queue that workers and machines share.

Rule 1: a job is due at some time. Who claims it moves that time to the end of a lease and renews it
        while the work runs; so the job of a worker that died is due again by itself.
Rule 2: so a job is done at least once, and now and then twice; its key says that it is the same.
        A key is taken once: while its job is open or dead, and for `KEEP` seconds after it is done.
Rule 3: each claim has a number of its own. Who reports with an older one has lost the job and
        changes nothing; only "done" is true whoever says it.
Rule 4: all times are the caller's, in seconds since the epoch. Machines whose clocks differ by as
        much as a lease run jobs twice; a clock that is set back delays what was due later.

Why no library: none of those kept well has both stores and "at least once". huey takes a job out
before it runs; saq, arq and taskiq have no SQLite; persist-queue has no Redis and no leases.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from receiver.errors import Unavailable

KEEP = 86_400.0
"""Seconds for which the key of a job that is done is remembered."""


class AfterError(Unavailable):
    """Work was not accepted, or nobody knows whether it was; the text says why.

    A job that was refused because no answer came in time may be done all the same; to accept it
    again under the same key is safe.
    """


@dataclass(frozen=True, slots=True)
class Job:
    """One claim of a job.

    Attributes:
        key: its idempotency key.
        body: what is to be done, as `receiver.after.bodies` writes it; may hold caller data.
        claim: the claim's number, higher than all before it.
        tries: claims up to this one, less those that were given back as if they had not been.
    """

    key: str = field(repr=False)
    body: str = field(repr=False)
    claim: int
    tries: int


@dataclass(frozen=True, slots=True)
class DeadJob:
    """A job that was given up: its key, body, tries, why, and when that was."""

    key: str = field(repr=False)
    body: str = field(repr=False)
    tries: int
    reason: str
    died: float


class Jobs(Protocol):
    """A queue. Every method but `close` raises `StoreError` if the store is out of order."""

    async def accept(self, key: str, body: str, now: float) -> bool:
        """Put a job in, due now; it is kept when this returns. False if the key is taken."""
        ...

    async def claim(self, now: float, until: float, most: int) -> list[Job]:
        """Take up to ``most`` jobs that are due, those first that are longest; leased ``until``."""
        ...

    async def renew(self, jobs: Sequence[Job], until: float) -> Collection[Job]:
        """Lease ``jobs`` ``until`` then; those that were lost to another claim."""
        ...

    async def done(self, job: Job, now: float) -> None:
        """The job is done: forget its body, remember its key."""
        ...

    async def again(self, job: Job, due: float, tries: int) -> None:
        """Give the job back, due then, with as many ``tries`` behind it."""
        ...

    async def bury(self, job: Job, reason: str, now: float) -> None:
        """Give the job up: it is kept among the dead, where people find it."""
        ...

    async def dead(self, most: int = 100) -> list[DeadJob]:
        """Jobs that were given up, the latest first."""
        ...

    async def revive(self, key: str, now: float) -> bool:
        """Make a dead job due now, with no tries behind it. False if there is none."""
        ...

    async def drop(self, key: str) -> bool:
        """Forget a dead job, also its key. False if there is none."""
        ...

    async def close(self) -> None:
        """Give back connections and threads; raises nothing."""
        ...
