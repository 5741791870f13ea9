"""The backend that the workers of one machine share: SQLite files.

Rule 1: when counts are removed, all nonces made up to then are refused from there on, as in
        `receiver.auth.replay_window`: a clock that ran ahead accepts nothing again.
Rule 2: failures have their own file beside the store, and so their own thread and lock: a flood of
        them delays no client that knows the password.
Rule 3: a damaged file is replaced, as after a restart without a store: a captured request is
        accepted once more by each worker, for as long as its nonce lives, and sessions are lost.
Rule 4: each file is bounded, by rows and by octets (`receiver.storage.sqlite_file`): 100,000
        counts take some 15 MB, 10,000 failures 2 MB, 10,000 sessions 16 KiB each at most. The rows
        that have been idle longest are forgotten.
Rule 5: sessions go by the machine's time, which means the same to all workers and after a restart.
        A clock that was set back lengthens no lease and keeps no session too long. Leases use the
        clock that the machine counts from its start.

What is kept matters for minutes, so a folder in memory such as ``/run`` serves best; not for jobs.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from receiver.auth.replay_window import SKEW
from receiver.auth.throttle import BLOCK_TIME, FAILURE_LIFE, FailureRecord
from receiver.storage.breaker import REQUEST_TIMEOUT
from receiver.storage.job_queue import JobQueue
from receiver.storage.jobs_sqlite import SqliteJobs
from receiver.storage.protocols import SESSION_LEASE
from receiver.storage.sqlite_file import WAITS, File, Waits

MAX_CLOCK_LAG = 5.0
"""Seconds by which a lock may end later than one taken now would: one of two workers may have read
the clock before the other, but used the file after it."""
_BUSY_SHARE = 2 / 3  # of a request's time, to wait for another worker that writes
_COUNTS = """
create table if not exists used
    (nonce text, count integer, made real, primary key (nonce, count)) without rowid;
create index if not exists used_by_age on used (made);
create table if not exists floor (made real);
insert into floor select 0 where not exists (select * from floor);
"""
_FAILURES = """
create table if not exists failures (key text primary key, failures integer, last real);
create index if not exists failures_by_age on failures (last);
"""
_SESSIONS = """
create table if not exists sessions (name text primary key, data blob, used real, ends real);
create index if not exists sessions_by_use on sessions (used);
create table if not exists session_locks (name text primary key, token text, ends real);
"""
_LOCK = """
insert into session_locks values (:name, :token, :now + :lease)
on conflict (name) do update set token = excluded.token, ends = excluded.ends
where ends <= :now or ends > excluded.ends + :slack
"""
_UNLOCK = "delete from session_locks where name = :name and token = :token and ends > :now"
_READ = "select ifnull(cast(data as blob), x'') from sessions where name = :name and ends > :now"
_RENEW = "update sessions set used = :now, ends = :now + :life where name = :name and ends > :now"
_SAVE = "insert or replace into sessions values (:name, :data, :now, :now + :life)"
_FORGET = "delete from sessions where name = :name"
_LEASES = """
create table if not exists leases (name text primary key, owner text, taken real, ends real);
"""


class Sqlite:
    """A `Backend` in SQLite files, which are made if need be, for their owner only.

    Parameters:
        path: the file.
        setting: the variable that names it, for the text of errors.
        limit: seconds for a request; a part of them is for another worker that writes.
    """

    name = "SQLite"

    def __init__(self, path: Path, setting: str, limit: float = REQUEST_TIMEOUT) -> None:
        self.path, self._setting = path, setting
        self._waits = Waits(busy=limit * _BUSY_SHARE)

    def auth(self, *, life: float) -> SqliteAuth:
        return SqliteAuth(self.path, life=life, waits=self._waits)

    def sessions(self) -> SqliteSessions:
        return SqliteSessions(self.path, waits=self._waits)

    def lease(self, name: str) -> SqliteLease:
        return SqliteLease(self.path, name)

    def jobs(self) -> JobQueue[str]:
        return SqliteJobs(self.path, self._setting, waits=self._waits)


class SqliteAuth:
    """An `AuthStore` in two files.

    Parameters:
        path: of the counts; that of the failures is ``path.failures``.
        life: seconds for which a nonce is valid.
        max_counts: counts that are remembered at once, and up to `TIDY_INTERVAL` more by each
            worker.
        max_sources: client addresses whose failures are remembered at once, likewise.
        waits: for other processes.
    """

    def __init__(
        self,
        path: Path,
        *,
        life: float,
        max_counts: int = 100_000,
        max_sources: int = 10_000,
        waits: Waits = WAITS,
    ) -> None:
        self._keep = life + SKEW
        self._max_counts = max_counts
        self._max_sources = max_sources
        self._counts = File(path, _COUNTS, self._tidy_counts, waits=waits)
        self._failures = File(Path(f"{path}.failures"), _FAILURES, self._tidy_failures, waits=waits)

    async def use(self, nonce: str, count: int, made: float, now: float) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            # A floor that lies ahead is from before the clock was set back.
            statement = (
                "insert or ignore into used select ?, ?, ? from floor "
                "where floor.made < ? or floor.made > ?"
            )
            values = (nonce, count, made, made, now + SKEW)
            return connection.execute(statement, values).rowcount == 1

        return await self._counts.run(work, now)

    async def failed(self, key: str, now: float) -> FailureRecord:
        def work(connection: sqlite3.Connection) -> FailureRecord:
            record = _read_record(connection, key).failed(now)
            connection.execute(
                "insert or replace into failures values (?, ?, ?)",
                (key, record.failures, record.last),
            )
            return record

        return await self._failures.transact(work, now)

    async def reach(self) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute("select nonce, count, used.made from used, floor").fetchone()

        await self._counts.run(work)

    async def close(self) -> None:
        await self._counts.close()
        await self._failures.close()

    def _tidy_counts(self, connection: sqlite3.Connection, now: float) -> None:
        old = "select max(made) from used where made < ?"
        crowded = "select made from used order by made desc limit 1 offset ?"
        for statement, limit in ((old, now - self._keep), (crowded, self._max_counts)):
            for (made,) in connection.execute(statement, (limit,)).fetchall():
                if made is not None:
                    connection.execute("delete from used where made <= ?", (made,))
                    connection.execute(
                        "update floor set made = :made where made < :made or made > :ahead",
                        {"made": min(made, now), "ahead": now + SKEW},
                    )

    def _tidy_failures(self, connection: sqlite3.Connection, now: float) -> None:
        connection.execute(
            "delete from failures where last not between ? and ?",
            (now - FAILURE_LIFE, now + BLOCK_TIME),
        )
        connection.execute(
            "delete from failures where key in "
            "(select key from failures order by last desc limit -1 offset ?)",
            (self._max_sources,),
        )


def _read_record(connection: sqlite3.Connection, key: str) -> FailureRecord:
    statement = (  # as numbers, even if another program wrote something else
        "select ifnull(cast(failures as integer), 0), ifnull(cast(last as real), 0) "
        "from failures where key = ?"
    )
    row = connection.execute(statement, (key,)).fetchone()
    return FailureRecord(*row) if row else FailureRecord()


class SqliteSessions:
    """A `SessionStore` in a file, which may be that of a `SqliteAuth`.

    Parameters:
        path: the file.
        max_sessions: sessions that are kept at once, and up to `TIDY_INTERVAL` more by each worker.
        clock: the machine's time, in seconds since the epoch.
        waits: for other processes.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_sessions: int = 10_000,
        clock: Callable[[], float] = time.time,
        waits: Waits = WAITS,
    ) -> None:
        self._max_sessions = max_sessions
        self._clock = clock
        self._file = File(path, _SESSIONS, self._tidy, waits=waits)

    async def acquire(self, name: str, token: str, life: float) -> bytes | None:
        now = self._clock()
        values = {
            "name": name,
            "token": token,
            "now": now,
            "lease": SESSION_LEASE,
            "slack": MAX_CLOCK_LAG,
            "life": SESSION_LEASE + life,
        }

        def work(connection: sqlite3.Connection) -> bytes | None:
            if connection.execute(_LOCK, values).rowcount != 1:
                return None
            row = connection.execute(_READ, values).fetchone()
            connection.execute(_RENEW, values)
            return row[0] if row else b""

        return await self._file.transact(work, now)

    async def release(self, name: str, token: str, data: bytes | None, life: float) -> bool:
        now = self._clock()
        values = {"name": name, "token": token, "now": now, "life": life, "data": data}
        change = _RENEW if data is None else _SAVE if data else _FORGET

        def work(connection: sqlite3.Connection) -> bool:
            good = connection.execute(_UNLOCK, values).rowcount == 1
            if good:
                connection.execute(change, values)
            return good

        return await self._file.transact(work, now)

    async def close(self) -> None:
        await self._file.close()

    def _tidy(self, connection: sqlite3.Connection, now: float) -> None:
        connection.execute("delete from sessions where ends <= ?", (now,))
        connection.execute("delete from session_locks where ends <= ?", (now,))
        # Used in a time that is yet to come: before the clock was set back.
        back = "update sessions set ends = ends - used + :now, used = :now where used > :now"
        connection.execute(back, {"now": now})
        connection.execute(
            "delete from sessions where name in "
            "(select name from sessions order by used desc limit -1 offset ?)",
            (self._max_sessions,),
        )


class SqliteLease:
    """A `Lease`: a row in the file ``path``.

    Parameters:
        path: the file, made if need be, for its owner only.
        name: of the lease.
        clock: seconds by a clock that all processes of the machine share, and that starts with it.
    """

    def __init__(
        self, path: Path, name: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name, self._clock = name, clock
        self._file = File(path, _LEASES, at_once=False, waits=Waits(busy=1.0))
        self._owner = secrets.token_hex(16)

    async def take(self, life: float) -> bool:
        def work(file: sqlite3.Connection) -> bool:
            now = self._clock()  # once the file is locked
            # What was taken later than now is from before the machine was started again.
            statement = (
                "insert into leases values (?, ?, ?, ?) on conflict (name) do update "
                "set owner = excluded.owner, taken = excluded.taken, ends = excluded.ends "
                "where owner = excluded.owner or ends <= excluded.taken or taken > excluded.taken"
            )
            values = (self._name, self._owner, now, now + life)
            return file.execute(statement, values).rowcount == 1

        return await self._file.transact(work)

    async def leave(self) -> None:
        def work(file: sqlite3.Connection) -> bool:
            statement = "delete from leases where name = ? and owner = ?"
            return file.execute(statement, (self._name, self._owner)).rowcount == 1

        await self._file.run(work)

    async def close(self) -> None:
        await self._file.close()
