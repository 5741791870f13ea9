"""Jobs of the workers of one machine: a SQLite file.

Rule 1: the file is a `receiver.shared.file.File`, whose rules hold.
Rule 2: what is accepted is on the disk (fsync). What comes later is not waited for: a claim or a
        "done" that a power cut takes back means that a job is done twice.
Rule 3: jobs that are accepted while the disk is busy share the next commit.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from receiver.after.jobs import KEEP, DeadJob, Job
from receiver.shared.file import File
from receiver.shared.patience import StoreError

_SCHEMA = """
create table if not exists jobs (
    key text primary key, body text, state text,  -- 'open', 'done' or 'dead'
    at real,  -- when it is due, was done, died
    claim integer default 0, tries integer default 0, reason text default ''
);
create index if not exists jobs_by_time on jobs (state, at);
"""
_RENEW = "update jobs set at = ? where key = ? and claim = ? and state = 'open'"
_AGAIN = (
    "update jobs set at = ?, tries = ?, claim = claim + 1 "  # no late renewal counts
    "where key = ? and claim = ? and state = 'open'"
)
_BURY = (
    "update jobs set state = 'dead', at = ?, reason = ? "
    "where key = ? and claim = ? and state = 'open'"
)


class _New(NamedTuple):
    key: str
    body: str
    now: float
    accepted: asyncio.Future[bool]


class SqliteJobs:
    """`Jobs` in the file ``path``, which is made if need be, for its owner only.

    Parameters:
        path: the file; not in a folder in memory.
        setting: the variable that names it, for the text of errors.
        at_once: whether the file is made here, or when the first job is accepted.

    Raises:
        SettingsError: there can be no such file.
    """

    def __init__(self, path: Path, setting: str, *, at_once: bool = True) -> None:
        self._path = path
        self._file = File(path, _SCHEMA, setting=setting, at_once=at_once)
        self._new: list[_New] = []
        self._writer: asyncio.Task[None] | None = None

    async def accept(self, key: str, body: str, now: float) -> bool:
        accepted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._new.append(_New(key, body, now, accepted))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        return await accepted

    async def claim(self, now: float, until: float, most: int) -> list[Job]:
        def work(connection: sqlite3.Connection) -> list[Job]:
            due = "from jobs where state = 'open' and at <= ? order by at limit ?"
            if not connection.execute(f"select 1 {due}", (now, 1)).fetchall():
                return []  # who is idle keeps nobody from writing
            connection.execute("begin immediate")
            columns = "key, body, claim + 1, tries + 1"
            rows = connection.execute(f"select {columns} {due}", (now, most)).fetchall()
            connection.executemany(
                "update jobs set at = ?, claim = claim + 1, tries = tries + 1 where key = ?",
                [(until, key) for key, *_ in rows],
            )
            connection.execute("commit")
            return [Job(*row) for row in rows]

        return await self._file.ask(work) if self._path.exists() else []

    async def renew(self, jobs: Sequence[Job], until: float) -> Collection[Job]:
        def work(connection: sqlite3.Connection) -> Collection[Job]:
            connection.execute("begin immediate")
            lost = [
                job
                for job in jobs
                if not connection.execute(_RENEW, (until, job.key, job.claim)).rowcount
            ]
            connection.execute("commit")
            return lost

        return await self._file.ask(work)

    async def done(self, job: Job, now: float) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute("begin immediate")
            connection.execute(
                "update jobs set state = 'done', at = ?, body = '' "
                "where key = ? and state <> 'done'",
                (now, job.key),
            )
            connection.execute("delete from jobs where state = 'done' and at < ?", (now - KEEP,))
            connection.execute("commit")

        await self._file.ask(work)

    async def again(self, job: Job, due: float, tries: int) -> None:
        await self._file.ask(_change(_AGAIN, (due, tries, job.key, job.claim)))

    async def bury(self, job: Job, reason: str, now: float) -> None:
        await self._file.ask(_change(_BURY, (now, reason, job.key, job.claim)))

    async def dead(self, most: int = 100) -> list[DeadJob]:
        def work(connection: sqlite3.Connection) -> list[DeadJob]:
            statement = (
                "select key, body, tries, reason, at from jobs "
                "where state = 'dead' order by at desc limit ?"
            )
            return [DeadJob(*row) for row in connection.execute(statement, (most,))]

        return await self._file.ask(work)

    async def revive(self, key: str, now: float) -> bool:
        statement = (
            "update jobs set state = 'open', at = ?, tries = 0 where key = ? and state = 'dead'"
        )
        return await self._file.ask(_change(statement, (now, key))) == 1

    async def drop(self, key: str) -> bool:
        statement = "delete from jobs where key = ? and state = 'dead'"
        return await self._file.ask(_change(statement, (key,))) == 1

    async def close(self) -> None:
        if self._writer is not None:
            await self._writer
        await self._file.close()

    async def _write(self) -> None:
        while self._new:
            batch, self._new = self._new, []
            try:
                results = await self._insert(batch)
            except Exception as error:  # whatever it is, somebody waits for it
                reason = str(error) if isinstance(error, StoreError) else type(error).__name__
                for new in batch:
                    if not new.accepted.done():  # who asked has left
                        new.accepted.set_exception(StoreError(reason))
            else:
                for new, result in zip(batch, results, strict=True):
                    if not new.accepted.done():
                        new.accepted.set_result(result)
        self._writer = None

    async def _insert(self, batch: Sequence[_New]) -> list[bool]:
        try:
            return await self._file.ask(partial(_put_in, batch))
        except StoreError as error:
            if str(error) != "SQLITE_BUSY":
                raise
            # SQLite's locks are not fair; one more turn is as much as those who ask wait for.
            return await self._file.ask(partial(_put_in, batch))


def _put_in(batch: Sequence[_New], connection: sqlite3.Connection) -> list[bool]:
    connection.execute("pragma synchronous = full")
    connection.execute("begin immediate")
    statement = "insert or ignore into jobs (key, body, state, at) values (?, ?, 'open', ?)"
    results = []
    for new in batch:
        old = "delete from jobs where key = ? and state = 'done' and at < ?"
        connection.execute(old, (new.key, new.now - KEEP))
        done = connection.execute(statement, (new.key, new.body, new.now))
        results.append(done.rowcount == 1)
    connection.execute("commit")
    connection.execute("pragma synchronous = normal")
    return results


def _change(statement: str, values: tuple[object, ...]) -> Callable[[sqlite3.Connection], int]:
    return lambda connection: connection.execute(statement, values).rowcount
