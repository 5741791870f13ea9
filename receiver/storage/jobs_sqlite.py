"""Jobs of the workers of one machine: a SQLite file.

Rule 1: the file is a `receiver.storage.sqlite_file.File`, whose rules hold. A damaged one is never
        written or renamed: ``receiver jobs rescue`` does that.
Rule 2: an accepted job is on the disk (fsync). Later changes are not synced: if a power cut undoes
        a claim or a "done", the job runs twice.
Rule 3: jobs that are accepted while the disk is busy share the next commit.
Rule 4: the file has `MAX_JOBS_FILE_SIZE` octets at most; a job that would make it larger is
        refused.
"""

from __future__ import annotations

import asyncio
import shlex
import sqlite3
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from receiver.storage.breaker import StoreError
from receiver.storage.job_queue import (
    BOUNDS,
    KEY_LIFETIME,
    UNDECODABLE,
    Bounds,
    DeadJob,
    Job,
    JobState,
    log_undecodable,
    read_dead_job,
    read_job,
    to_octets,
    to_text,
)
from receiver.storage.jobs_salvage import SavedJob
from receiver.storage.sqlite_file import WAITS, File, Waits

DEFAULT = Path("receiver-jobs.db")
"""The file in the working directory where RECEIVER_JOBS is empty."""

MAX_JOBS_FILE_SIZE = 1024 * 1024 * 1024
"""Largest size of a file of jobs in octets."""

RESCUE_COMMAND = "receiver jobs rescue"
"""The command for a damaged file."""

_SCHEMA = """
create table if not exists jobs (
    key text primary key, body text, state text,  -- 'open', 'done' (the body is the result), 'dead'
    at real,  -- when it is due, was done, died
    claim integer default 0, tries integer default 0, reason text default ''
);
create index if not exists jobs_by_time on jobs (state, at);
"""
# As blobs, for SQLite raises where a text is not UTF-8.
_DUE = "from jobs where state = 'open' and at <= ? order by at limit ?"
_READ_DUE = (
    "select rowid, typeof(key), cast(key as blob), cast(body as blob), "
    f"cast(claim as integer) + 1, cast(tries as integer) + 1 {_DUE}"
)
_READ_DEAD = (
    "select cast(key as blob), cast(body as blob), ifnull(cast(tries as integer), 0), "
    "cast(reason as blob), ifnull(cast(at as real), 0) from jobs where state = 'dead' "
    "order by at desc limit ?"
)
# A key that something else wrote may be a blob.
_RETRY = (
    "update jobs set state = 'open', at = ?, tries = 0 "
    "where key in (cast(? as text), ?) and state = 'dead'"
)
_DROP = "delete from jobs where key in (cast(? as text), ?) and state = 'dead'"
_RENEW = "update jobs set at = ? where key = ? and claim = ? and state = 'open'"
_RESCHEDULE = (
    "update jobs set at = ?, tries = ?, claim = claim + 1 "  # no late renewal counts
    "where key = ? and claim = ? and state = 'open'"
)
_DONE = "update jobs set state = 'done', at = ?, body = ? where key = ? and state <> 'done'"
_STATE = "select state, cast(body as blob) from jobs where key = ?"
_FORGET = "delete from jobs where state = 'done' and at < ?"
_DEAD_LETTER = (
    "update jobs set state = 'dead', at = ?, reason = ? "
    "where key = ? and claim = ? and state = 'open'"
)


class _New(NamedTuple):
    key: str
    body: str
    now: float
    accepted: asyncio.Future[bool]


class SqliteJobs:
    """`JobQueue` of text in the file ``path``, which is made if need be, for its owner only.

    Parameters:
        path: the file; not in a folder in memory.
        setting: the variable that names it, for the text of errors.
        at_once: whether the file is made here, or when the first job is accepted.
        waits: for other processes.
        bounds: of the queue.
    """

    def __init__(
        self,
        path: Path,
        setting: str,
        *,
        at_once: bool = True,
        waits: Waits = WAITS,
        bounds: Bounds = BOUNDS,
    ) -> None:
        self._path = path
        self._at_once = at_once
        self._bounds = bounds
        self._file = File(
            path,
            _SCHEMA,
            self._tidy,
            setting=setting,
            at_once=at_once,
            cure=f"it is left as it is; rescue its jobs: {RESCUE_COMMAND} {shlex.quote(str(path))}",
            waits=waits,
            max_size=MAX_JOBS_FILE_SIZE,
        )
        self._new: list[_New] = []
        self._writer: asyncio.Task[None] | None = None

    async def accept(self, key: str, body: str, now: float) -> bool:
        accepted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._new.append(_New(key, body, now, accepted))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        return await accepted

    async def claim(self, now: float, until: float, max_jobs: int) -> list[Job[str]]:
        def work(connection: sqlite3.Connection) -> list[Job[str]]:
            if not connection.execute(f"select 1 {_DUE}", (now, 1)).fetchall():
                return []  # an idle worker keeps no other from writing
            jobs, broken = [], 0
            connection.execute("begin immediate")
            due = connection.execute(_READ_DUE, (now, max_jobs)).fetchall()
            for row, kind, key, body, claim, tries in due:
                job, is_text = read_job(key, body, claim or 1, tries or 1)
                if kind == "text" and is_text:
                    jobs.append(job)
                    change = "update jobs set at = ?, claim = ?, tries = ? where rowid = ?"
                    connection.execute(change, (until, job.claim, job.tries, row))
                else:
                    broken += 1
                    change = "update jobs set at = ?, state = 'dead', reason = ? where rowid = ?"
                    connection.execute(change, (now, UNDECODABLE, row))
            connection.execute("commit")
            log_undecodable(broken)
            return jobs

        return await self._file.run(work) if self._at_once or self._path.exists() else []

    async def renew(self, jobs: Sequence[Job[str]], until: float) -> Collection[Job[str]]:
        def work(connection: sqlite3.Connection) -> Collection[Job[str]]:
            return [
                job
                for job in jobs
                if not connection.execute(_RENEW, (until, job.key, job.claim)).rowcount
            ]

        return await self._file.transact(work)

    async def done(self, job: Job[str], now: float, result: str = "") -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_DONE, (now, result, job.key))
            connection.execute(_FORGET, (now - KEY_LIFETIME,))

        await self._file.transact(work, now)

    async def state(self, key: str) -> JobState | None:
        def work(connection: sqlite3.Connection) -> JobState | None:
            found = connection.execute(_STATE, (key,)).fetchone()
            if found is None or found[0] not in ("open", "done", "dead"):
                return None
            return JobState(found[0], to_text(found[1]) if found[0] == "done" else "")

        return await self._file.run(work) if self._at_once or self._path.exists() else None

    async def reschedule(self, job: Job[str], due: float, tries: int) -> None:
        await self._file.run(_change(_RESCHEDULE, (due, tries, job.key, job.claim)))

    async def dead_letter(self, job: Job[str], reason: str, now: float) -> None:
        await self._file.run(_change(_DEAD_LETTER, (now, reason, job.key, job.claim)), now)

    async def dead(self, max_jobs: int = 100) -> list[DeadJob[str]]:
        def work(connection: sqlite3.Connection) -> list[DeadJob[str]]:
            return [read_dead_job(*row) for row in connection.execute(_READ_DEAD, (max_jobs,))]

        return await self._file.run(work)

    async def retry(self, key: str, now: float) -> bool:
        octets = to_octets(key)
        return await self._file.run(_change(_RETRY, (now, octets, octets))) == 1

    async def drop(self, key: str) -> bool:
        octets = to_octets(key)
        return await self._file.run(_change(_DROP, (octets, octets))) == 1

    async def check(self) -> None:
        """Raise a StoreError if the file cannot be used."""
        await self._file.run(lambda connection: None)

    async def put_back(self, jobs: Sequence[SavedJob]) -> int:
        """Insert jobs rescued from another file; return how many keys were not taken yet."""

        def work(connection: sqlite3.Connection) -> int:
            columns = ", ".join(SavedJob._fields)
            statement = f"insert or ignore into jobs ({columns}) values (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
            return connection.executemany(statement, jobs).rowcount

        return await self._file.transact(work)

    async def close(self) -> None:
        if self._writer is not None:
            await self._writer
        await self._file.close()

    async def _write(self) -> None:
        while self._new:
            batch, self._new = self._new, []
            try:
                results = await self._insert(batch)
            except Exception as error:  # any error: callers wait for the results
                known = isinstance(error, StoreError)
                failed = error if known else StoreError(type(error).__name__)
                for new in batch:
                    if not new.accepted.done():  # its caller was cancelled
                        new.accepted.set_exception(failed)
            else:
                for new, result in zip(batch, results, strict=True):
                    if not new.accepted.done():
                        new.accepted.set_result(result)
        self._writer = None

    async def _insert(self, batch: Sequence[_New]) -> list[bool]:
        put_in, now = partial(_put_in, batch, self._bounds), batch[-1].now
        try:
            return await self._file.run(put_in, now)
        except StoreError as error:
            if str(error) != "SQLITE_BUSY":
                raise
            # SQLite's locks are not fair; one more wait is as long as a request waits.
            return await self._file.run(put_in, now)

    def _tidy(self, connection: sqlite3.Connection, now: float) -> None:
        connection.execute(_FORGET, (now - KEY_LIFETIME,))
        for state, max_rows in (("dead", self._bounds.dead), ("done", self._bounds.done)):
            gone = connection.execute(
                "delete from jobs where key in "
                "(select key from jobs where state = ? order by at desc limit -1 offset ?)",
                (state, max_rows),
            ).rowcount
            if state == "dead":
                self._bounds.log_dropped(gone)


def _put_in(batch: Sequence[_New], bounds: Bounds, connection: sqlite3.Connection) -> list[bool]:
    crowd = "select 1 from jobs where state = 'open' limit 1 offset ?"
    if connection.execute(crowd, (bounds.open - 1,)).fetchone():
        raise bounds.full()
    connection.execute("pragma synchronous = full")
    connection.execute("begin immediate")
    statement = "insert or ignore into jobs (key, body, state, at) values (?, ?, 'open', ?)"
    results = []
    for new in batch:
        old = "delete from jobs where key = ? and state = 'done' and at < ?"
        connection.execute(old, (new.key, new.now - KEY_LIFETIME))
        done = connection.execute(statement, (new.key, new.body, new.now))
        results.append(done.rowcount == 1)
    connection.execute("commit")
    connection.execute("pragma synchronous = normal")
    return results


def _change(statement: str, values: tuple[object, ...]) -> Callable[[sqlite3.Connection], int]:
    return lambda connection: connection.execute(statement, values).rowcount
