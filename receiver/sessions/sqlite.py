"""The sessions that the workers of one machine share: a SQLite file.

Rule 1: the time is the machine's, for it has to mean the same to all workers and after a restart.
        A clock that was set back lengthens no lease, and nothing lies there for ever because of it.
Rule 2: where there is no more room, the sessions that have been idle longest are forgotten.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from receiver.sessions.shelf import LEASE
from receiver.shared.file import File

SLACK = 5.0
"""Seconds by which a lock may end later than one taken now would: one of two workers may have read
the clock before the other, but asked the file after it."""

_SCHEMA = """
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
_READ = "select data from sessions where name = :name and ends > :now"
_RENEW = "update sessions set used = :now, ends = :now + :life where name = :name and ends > :now"
_SAVE = "insert or replace into sessions values (:name, :data, :now, :now + :life)"
_FORGET = "delete from sessions where name = :name"


class Sqlite:
    """A `Shelf` in a `File`, which may be the one of a `receiver.stores` store.

    Parameters:
        path: the file.
        most: sessions that are kept at once, and at most ``TIDY`` more for each worker.
        clock: the machine's time, in seconds since the epoch.

    Raises:
        SettingsError: there can be no such file.
    """

    def __init__(
        self, path: Path, *, most: int = 10_000, clock: Callable[[], float] = time.time
    ) -> None:
        self._most = most
        self._clock = clock
        self._file = File(path, _SCHEMA, self._tidy)

    async def take(self, name: str, token: str, life: float) -> bytes | None:
        now = self._clock()
        values = {
            "name": name,
            "token": token,
            "now": now,
            "lease": LEASE,
            "slack": SLACK,
            "life": LEASE + life,
        }

        def work(connection: sqlite3.Connection) -> bytes | None:
            connection.execute("begin immediate")
            data: bytes | None = None
            if connection.execute(_LOCK, values).rowcount == 1:
                row = connection.execute(_READ, values).fetchone()
                data = row[0] if row else b""
                connection.execute(_RENEW, values)
            connection.execute("commit")
            return data

        return await self._file.ask(work, now)

    async def give(self, name: str, token: str, data: bytes | None, life: float) -> bool:
        now = self._clock()
        values = {"name": name, "token": token, "now": now, "life": life, "data": data}
        change = _RENEW if data is None else _SAVE if data else _FORGET

        def work(connection: sqlite3.Connection) -> bool:
            connection.execute("begin immediate")
            good = connection.execute(_UNLOCK, values).rowcount == 1
            if good:
                connection.execute(change, values)
            connection.execute("commit")
            return good

        return await self._file.ask(work, now)

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
            (self._most,),
        )
