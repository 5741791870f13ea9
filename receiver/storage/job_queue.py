"""The queue of background jobs: in memory, or durable in a backend that outlives the process.

Rule 1: a job has a due time. A worker that claims it moves that time to the end of a lease and
        renews the lease while the job runs; so the job of a worker that died is due again.
Rule 2: so a job runs at least once, and sometimes twice, with the same key. A key is taken while
        its job is open or dead, and for `KEY_LIFETIME` seconds after it is done.
Rule 3: claims are numbered. A report with an older number changes nothing, because the job was
        lost to another claim; only "done" counts from any claim.
Rule 4: a queue is bounded: at most `Bounds.open` jobs wait, and further ones are refused; the
        latest `Bounds.dead` dead letters and the latest `Bounds.done` keys of done jobs are kept
        (somewhat more in a file, which is tidied at intervals).
Rule 5: all times are the caller's, in seconds, those of a durable queue since the epoch. Machines
        whose clocks differ by as much as a lease run jobs twice; a clock that is set back delays
        what was due later.
Rule 6: what a job returned is kept with its key, if it is a text of at most `MAX_RESULT_LENGTH`
        characters; `JobQueue.state` returns it.
Rule 7: a job whose key or body is not text, because something else wrote to the store, becomes a
        dead letter when it is claimed, and the claim continues. The bytes are not changed.

Why no library: none of those kept well has both stores and "at least once". huey takes a job out
before it runs; saq, arq and taskiq have no SQLite; persist-queue has no Redis and no leases.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeVar

from receiver.errors import Unavailable
from receiver.storage.breaker import StoreError
from receiver.text import counted

KEY_LIFETIME = 86_400.0
"""Seconds for which the key of a job that is done is remembered."""

QUEUE_FULL = "queue full"
"""The kind of error when `Bounds.open` jobs wait."""

UNDECODABLE = "Undecodable"
"""The reason of a dead letter that rule 7 makes."""

MAX_RESULT_LENGTH = 1000
"""Most characters of a result."""

_ESCAPED = re.compile("[\udc80-\udcff]")  # what `to_text` makes of octets that are not UTF-8

log = logging.getLogger("receiver")

B = TypeVar("B")
"""The body of a job: any object in memory, text in a durable queue."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of a queue: waiting jobs, dead letters, and keys of done jobs."""

    open: int = 100_000
    dead: int = 10_000
    done: int = 100_000

    def full(self) -> StoreError:
        """Return the error for a job too many."""
        advice = f"{self.open} jobs wait, and no more are accepted"
        return StoreError(QUEUE_FULL, f"{advice}: is the system that they call down?")

    def log_dropped(self, count: int) -> None:
        """Log that the oldest dead letters were dropped, in a queue that keeps some."""
        if count and self.dead:
            dropped = counted(count, "dead letter")
            log.error("%s dropped: the %d newest are kept", dropped, self.dead)


BOUNDS = Bounds()


class AfterError(Unavailable):
    """A durable job was not accepted, or the store did not confirm it; the text says why.

    After a timeout the job may run nevertheless; accepting it again under the same key is safe.
    """


@dataclass(frozen=True, slots=True)
class Job(Generic[B]):
    """One claim of a job.

    Attributes:
        key: its idempotency key.
        body: the call to make; text is as `receiver.background.job_codec` writes it. May hold
            caller data.
        claim: the claim's number, higher than all before it.
        tries: claims up to this one, without those of workers that shut down.
    """

    key: str = field(repr=False)
    body: B = field(repr=False, hash=False)
    claim: int
    tries: int


@dataclass(frozen=True, slots=True)
class DeadJob(Generic[B]):
    """A dead letter: key, body, tries, reason, and the time."""

    key: str = field(repr=False)
    body: B = field(repr=False)
    tries: int
    reason: str
    died: float


@dataclass(frozen=True, slots=True)
class JobState:
    """The state of a job, and what it returned if it is done (rule 6)."""

    state: Literal["open", "done", "dead"]
    result: str = field(default="", repr=False)


class JobQueue(Protocol[B]):
    """A queue. Every method but `close` raises `StoreError` if the store is unavailable."""

    async def accept(self, key: str, body: B, now: float) -> bool:
        """Store a job, due now; return False if the key is taken.

        Raises:
            StoreError: the store is unavailable, or `QUEUE_FULL`.
        """
        ...

    async def claim(self, now: float, until: float, max_jobs: int) -> list[Job[B]]:
        """Claim up to ``max_jobs`` due jobs, the longest due first, leased ``until`` then."""
        ...

    async def renew(self, jobs: Sequence[Job[B]], until: float) -> Collection[Job[B]]:
        """Renew the leases ``until`` then; return the jobs that were lost to another claim."""
        ...

    async def done(self, job: Job[B], now: float, result: str = "") -> None:
        """Mark the job as done: delete its body, keep its key and its ``result``."""
        ...

    async def state(self, key: str) -> JobState | None:
        """Return the state of a job; None if no job with this key is known (any more)."""
        ...

    async def reschedule(self, job: Job[B], due: float, tries: int) -> None:
        """Reschedule the job, due then, with this number of ``tries``."""
        ...

    async def dead_letter(self, job: Job[B], reason: str, now: float) -> None:
        """Make the job a dead letter."""
        ...

    async def dead(self, max_jobs: int = 100) -> list[DeadJob[B]]:
        """Return dead letters, the latest first."""
        ...

    async def retry(self, key: str, now: float) -> bool:
        """Make a dead letter due now, with no tries; False if the key has none."""
        ...

    async def drop(self, key: str) -> bool:
        """Delete a dead letter and its key; False if the key has none."""
        ...

    async def close(self) -> None:
        """Close connections and threads; never raises."""
        ...


def read_job(
    key: bytes | None, body: bytes | None, claim: int, tries: int
) -> tuple[Job[str], bool]:
    """Return a claimed job as a store holds it, and whether it is text (rule 7)."""
    job = Job(to_text(key), to_text(body), claim, tries)
    return job, None not in (key, body) and not _ESCAPED.search(job.key + job.body)


def read_dead_job(
    key: bytes, body: bytes | None, tries: int, reason: bytes | None, died: float | bytes
) -> DeadJob[str]:
    """Return a dead letter as a store holds it."""
    return DeadJob(to_text(key), to_text(body), tries, to_text(reason), float(died))


def to_text(stored: bytes | None) -> str:
    """Return what a store holds as text; bytes that are not UTF-8 as lone surrogates (PEP 383)."""
    return (stored or b"").decode("utf-8", "surrogateescape")


def to_octets(text: str) -> bytes:
    """Return what `to_text` was given."""
    return text.encode("utf-8", "surrogateescape")


def log_undecodable(count: int) -> None:
    """Log that a claim moved jobs to the dead letters, if it did."""
    if count:
        log.error(
            "%s in the durable queue cannot be decoded, something else wrote them: moved to the "
            "dead letters; see receiver jobs list",
            counted(count, "job"),
        )
