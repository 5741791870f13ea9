"""The store that the workers of one machine share: a SQLite file.

Rule 1: whatever counts are removed, all nonces made up to then are refused from there on, as in
        `receiver.auth.counters`: a clock that ran ahead lets nothing in again.
Rule 2: failures have a file of their own beside it, and so a thread and a lock: a flood of them
        holds up nobody who knows the password.

What is kept is worth something for minutes, so a folder in memory such as ``/run`` serves best.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from receiver.auth.counters import SKEW
from receiver.auth.throttle import FORGET, SHUT, Standing
from receiver.shared.file import File

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


class Sqlite:
    """A `Store` in two `File` of SQLite.

    Parameters:
        path: the one; the other is ``path.failures``.
        life: seconds for which a nonce is good.
        most_counts: counts that are remembered at once, and at most ``TIDY`` more for each worker.
        most_sources: sources whose failures are remembered at once, likewise.

    Raises:
        SettingsError: there can be no such file.
    """

    def __init__(
        self, path: Path, *, life: float, most_counts: int = 100_000, most_sources: int = 10_000
    ) -> None:
        self._keep = life + SKEW
        self._most_counts = most_counts
        self._most_sources = most_sources
        self._counts = File(path, _COUNTS, self._tidy_counts)
        self._failures = File(Path(f"{path}.failures"), _FAILURES, self._tidy_failures)

    async def use(self, nonce: str, count: int, made: float, now: float) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            # A floor that lies ahead is from before the clock was set back.
            statement = (
                "insert or ignore into used select ?, ?, ? from floor "
                "where floor.made < ? or floor.made > ?"
            )
            values = (nonce, count, made, made, now + SKEW)
            return connection.execute(statement, values).rowcount == 1

        return await self._counts.ask(work, now)

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

        return await self._failures.ask(work, now)

    async def standing(self, key: str, now: float) -> Standing:
        return await self._failures.ask(lambda connection: _standing(connection, key).at(now), now)

    async def reach(self) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute("select nonce, count, used.made from used, floor").fetchone()

        await self._counts.ask(work)

    async def close(self) -> None:
        await self._counts.close()
        await self._failures.close()

    def _tidy_counts(self, connection: sqlite3.Connection, now: float) -> None:
        old = "select max(made) from used where made < ?"
        crowded = "select made from used order by made desc limit 1 offset ?"
        for statement, limit in ((old, now - self._keep), (crowded, self._most_counts)):
            for (made,) in connection.execute(statement, (limit,)).fetchall():
                if made is not None:
                    connection.execute("delete from used where made <= ?", (made,))
                    connection.execute(
                        "update floor set made = ?1 where made < ?1 or made > ?2",
                        (min(made, now), now + SKEW),
                    )

    def _tidy_failures(self, connection: sqlite3.Connection, now: float) -> None:
        connection.execute(
            "delete from failures where last not between ? and ?", (now - FORGET, now + SHUT)
        )
        connection.execute(
            "delete from failures where key in "
            "(select key from failures order by last desc limit -1 offset ?)",
            (self._most_sources,),
        )


def _standing(connection: sqlite3.Connection, key: str) -> Standing:
    found = connection.execute("select failures, last from failures where key = ?", (key,))
    row = found.fetchone()
    return Standing(*row) if row else Standing()
