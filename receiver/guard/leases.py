"""Which of several guards acts: the one that holds a lease.

Rule 1: a lease ends by itself, by a clock that all who want it share: Redis's own, or for a file
        the one that this machine counts from its start. No wall clock is trusted.
Rule 2: the holder counts from before it asked, by a clock that is never set and goes on while the
        process is paused, and begins nothing in the last part of a lease (`REST`): so no two act
        at once, but for a single request that is under way when its holder is paused or cut off.
Rule 3: a store that does not answer gives no lease, and prolongs none.
Rule 4: without a store there is nobody to share with: a guard alone always holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from receiver.secrets import Secret
from receiver.shared.patience import StoreError
from receiver.shared.place import read_place

LIFE = 20.0
"""Seconds until a lease that nobody prolongs is free."""

RENEW = 5.0
"""Seconds between two questions to prolong it, or to get it."""

REST = 0.25
"""The part at the end of a lease in which its holder does not begin anything."""

PREFIX = "receiver:lease:"
"""What the keys in Redis begin with."""

_TIMEOUT = 2.0  # seconds for Redis's answer: no caller waits for it
_BUSY = 1.0  # seconds to wait for somebody who is writing to the file
_TAKE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
"""
_LEAVE = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"
_SCHEMA = """
create table if not exists leases (name text primary key, owner text, taken real, ends real)
"""


class Lease(Protocol):
    """A place where one of many can hold something for a while."""

    async def take(self, life: float) -> bool:
        """Get or prolong it for ``life`` seconds; False if somebody else has it.

        Raises:
            StoreError: nobody knows.
        """
        ...

    async def leave(self) -> None:
        """Give it back, if it is ours.

        Raises:
            StoreError: nobody knows.
        """
        ...

    async def close(self) -> None:
        """End the connection."""
        ...


class Alone:
    """What is held without anybody to share it with."""

    async def take(self, life: float) -> bool:
        return True

    async def leave(self) -> None: ...

    async def close(self) -> None: ...


class RedisLease:
    """A key in the Redis at ``url``.

    Raises:
        SettingsError: redis-py cannot read the URL, or is not installed.
    """

    def __init__(self, url: Secret, name: str) -> None:
        self._key, self._owner = PREFIX + name, secrets.token_hex(16)
        from receiver.shared.server import connect  # noqa: PLC0415 - slow to import

        self._client = connect(url, seconds=_TIMEOUT)

    async def take(self, life: float) -> bool:
        return bool(await self._run(_TAKE, self._owner, int(life * 1000)))

    async def leave(self) -> None:
        await self._run(_LEAVE, self._owner)

    async def close(self) -> None:
        await self._client.aclose()

    async def _run(self, script: str, *args: object) -> int:
        try:
            return int(await self._client.eval(script, 1, self._key, *args))
        except Exception as error:  # redis-py's own, the system's, TLS's
            raise StoreError(type(error.__cause__ or error).__name__) from None


class FileLease:
    """A row in the SQLite file ``path``, for the processes of one machine.

    Parameters:
        path: the file, made if need be, for its owner only.
        name: of the lease.
        clock: seconds by a clock that all processes of the machine share, and that starts with it.
    """

    def __init__(
        self, path: Path, name: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._name, self._clock = path, name, clock
        self._owner = secrets.token_hex(16)

    async def take(self, life: float) -> bool:
        def work(file: sqlite3.Connection) -> bool:
            file.execute("begin immediate")
            now = self._clock()  # not before it is our turn
            # What was taken later than now is from before the machine was started again.
            statement = (
                "insert into leases values (?, ?, ?, ?) on conflict (name) do update "
                "set owner = excluded.owner, taken = excluded.taken, ends = excluded.ends "
                "where owner = excluded.owner or ends <= excluded.taken or taken > excluded.taken"
            )
            values = (self._name, self._owner, now, now + life)
            taken = file.execute(statement, values).rowcount == 1
            file.execute("commit")
            return taken

        return await asyncio.to_thread(self._do, work)

    async def leave(self) -> None:
        def work(file: sqlite3.Connection) -> bool:
            statement = "delete from leases where name = ? and owner = ?"
            return file.execute(statement, (self._name, self._owner)).rowcount == 1

        await asyncio.to_thread(self._do, work)

    async def close(self) -> None: ...

    def _do(self, work: Callable[[sqlite3.Connection], bool]) -> bool:
        try:
            with contextlib.suppress(FileExistsError):  # made before SQLite does, for the mode
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL, 0o600))
            file = sqlite3.connect(self._path, timeout=_BUSY, isolation_level=None)
            with contextlib.closing(file):
                file.execute("pragma journal_mode = wal")  # as the store in the same file has it
                file.execute(_SCHEMA)
                return work(file)
        except (sqlite3.Error, OSError) as error:
            kind = getattr(error, "sqlite_errorname", type(error).__name__)
            raise StoreError(str(kind)) from None


def open_lease(where: Secret, *of: str) -> Lease:
    """The lease on what ``of`` names, in the place that RECEIVER_STORE names.

    Parameters:
        where: empty, the path of a file, or the URL of a Redis.
        of: what is held, such as a public URL and the label of a PBX.

    Raises:
        SettingsError: there can be no such place.
    """
    place = read_place(where)
    name = hashlib.sha256("\n".join(of).encode()).hexdigest()[:32]
    if place is None:
        return Alone()
    if isinstance(place, Path):
        return FileLease(place, name)
    return RedisLease(place, name)


class Hold:
    """Whether this process holds a lease now.

    Parameters:
        lease: what is held.
        clock: seconds, by a clock that is never set.
        life: seconds for which it is taken each time.
    """

    def __init__(
        self, lease: Lease, *, clock: Callable[[], float] = time.monotonic, life: float = LIFE
    ) -> None:
        self._lease, self._clock, self._life = lease, clock, life
        self._until = float("-inf")

    @property
    def held(self) -> bool:
        """Whether it may act."""
        return self._clock() < self._until

    async def renew(self) -> None:
        """Take the lease, or prolong it.

        Raises:
            StoreError: nobody knows; what is held is held until its end.
        """
        begun = self._clock()
        taken = await self._lease.take(self._life)
        self._until = begun + self._life * (1 - REST) if taken else float("-inf")

    async def end(self) -> None:
        """Give the lease back, as far as the store can be reached."""
        self._until = float("-inf")
        with contextlib.suppress(StoreError):
            await self._lease.leave()
        await self._lease.close()
