"""The store that the workers of one machine share: a SQLite file.

Rule 1: whatever is wrong with the file is a `StoreError`, after which the connection is dropped and
        the next question opens a new one. What was open when the file vanished or was replaced is
        no longer shared with anybody, so that is looked at each time.
Rule 2: the event loop never waits for the disk: one thread does all the work. Nor does it wait
        long for another worker: `BUSY` seconds.
Rule 3: what is too old is removed every `TIDY` questions. Where counts have to go before their
        time, all nonces made up to then are refused from there on, as in `receiver.auth.counters`.

What is kept is worth something for minutes, so a folder in memory such as ``/run`` serves best.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from receiver.auth.counters import SKEW
from receiver.errors import SettingsError
from receiver.stores.store import StoreError
from receiver.throttle import FORGET, SHUT, Standing

BUSY = 0.1
"""Seconds to wait for a worker that is writing."""

OPENING = 1.0
"""Seconds that the start waits for others that open the file at the same moment."""

TIDY = 100
"""Questions after which this worker removes what is too old, or too much."""

_SCHEMA = """
begin immediate;
create table if not exists used
    (nonce text, count integer, made real, primary key (nonce, count)) without rowid;
create index if not exists used_by_age on used (made);
create table if not exists floor (made real);
insert into floor select 0 where not exists (select * from floor);
create table if not exists failures (key text primary key, failures integer, last real);
create index if not exists failures_by_age on failures (last);
commit;
"""
_MISTAKES = {
    **dict.fromkeys(
        (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM),
        "cannot be opened for writing",
    ),
    sqlite3.SQLITE_NOTADB: "is something else already",
}

T = TypeVar("T")


class Sqlite:
    """A `Store` in the file ``path``, which is made if need be, for its owner only.

    Parameters:
        path: the file; two more, ``-wal`` and ``-shm``, stand beside it.
        life: seconds for which a nonce is good.
        most_counts: counts that are remembered at once, and at most `TIDY` more for each worker.
        most_sources: sources whose failures are remembered at once, likewise.

    Raises:
        SettingsError: there can be no such file. One that is busy or damaged is no reason not to
            start.
    """

    def __init__(
        self, path: Path, *, life: float, most_counts: int = 100_000, most_sources: int = 10_000
    ) -> None:
        self._path = path
        self._keep = life + SKEW
        self._most_counts = most_counts
        self._most_sources = most_sources
        self._asked = 0
        self._connection: sqlite3.Connection | None = None
        self._file = (0, 0)
        self._thread = ThreadPoolExecutor(1, "receiver-store")
        try:
            self._thread.submit(self._open).result()
        except SettingsError:
            self._thread.shutdown()
            raise

    async def use(self, nonce: str, count: int, made: float, now: float) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            # A floor that lies ahead is from before the clock was set back.
            statement = (
                "insert or ignore into used select ?, ?, ? from floor "
                "where floor.made < ? or floor.made > ?"
            )
            values = (nonce, count, made, made, now + SKEW)
            return connection.execute(statement, values).rowcount == 1

        return await self._ask(work, now)

    async def failed(self, key: str, now: float) -> Standing:
        def work(connection: sqlite3.Connection) -> Standing:
            connection.execute("begin immediate")
            standing = _standing(connection, key).failed(now)
            connection.execute(
                "insert or replace into failures values (?, ?, ?)",
                (key, standing.failures, standing.last),
            )
            connection.execute("commit")
            return standing

        return await self._ask(work, now)

    async def standing(self, key: str, now: float) -> Standing:
        return await self._ask(lambda connection: _standing(connection, key).at(now), now)

    async def close(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is closed already
            await asyncio.get_running_loop().run_in_executor(self._thread, self._drop)
            self._thread.shutdown()

    async def _ask(self, work: Callable[[sqlite3.Connection], T], now: float) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, work, now)

    # What follows runs in the thread.

    def _do(self, work: Callable[[sqlite3.Connection], T], now: float) -> T:
        try:
            connection = self._connection or self._connect()
            if _identity(self._path) != self._file:
                raise FileNotFoundError
            if self._asked % TIDY == 0:
                self._tidy(connection, now)
            self._asked += 1
            return work(connection)
        except (sqlite3.Error, OSError) as error:
            self._drop()
            raise StoreError(_kind(error)) from None

    def _open(self) -> None:
        """The first connection, in patience with others who make the same file."""
        end = time.monotonic() + OPENING
        while True:
            try:
                self._connect()
                return
            except OSError as error:
                problem = os.strerror(error.errno or 0).lower()
                raise SettingsError(
                    f"RECEIVER_STORE: no file can be made there: {problem}"
                ) from None
            except sqlite3.Error as error:
                self._drop()
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                if code in _MISTAKES:
                    raise SettingsError(
                        f"RECEIVER_STORE: the file {_MISTAKES[code]}: name another"
                    ) from None
                if code != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    return  # the first question tells

    def _connect(self) -> sqlite3.Connection:
        # Made before SQLite does, for the mode; its -wal and -shm get the same one. A file that is
        # there is never opened here: closing it would free the locks of this process on it.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL, 0o600))
        # If it is exchanged between here and there, the next look finds a stranger and reopens.
        self._file = _identity(self._path)
        self._connection = sqlite3.connect(self._path, timeout=BUSY, isolation_level=None)
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = normal")  # no fsync for each count
        self._connection.executescript(_SCHEMA)
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _tidy(self, connection: sqlite3.Connection, now: float) -> None:
        connection.execute("begin immediate")
        connection.execute("delete from used where made < ?", (now - self._keep,))
        newest = "select made from used order by made desc limit 1 offset ?"
        for (made,) in connection.execute(newest, (self._most_counts,)).fetchall():
            connection.execute("delete from used where made <= ?", (made,))
            connection.execute("update floor set made = ?", (min(made, now),))
        connection.execute(
            "delete from failures where last not between ? and ?", (now - FORGET, now + SHUT)
        )
        connection.execute(
            "delete from failures where key in "
            "(select key from failures order by last desc limit -1 offset ?)",
            (self._most_sources,),
        )
        connection.execute("commit")


def _standing(connection: sqlite3.Connection, key: str) -> Standing:
    found = connection.execute("select failures, last from failures where key = ?", (key,))
    row = found.fetchone()
    return Standing(*row) if row else Standing()


def _identity(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _kind(error: Exception) -> str:
    return str(getattr(error, "sqlite_errorname", type(error).__name__))
