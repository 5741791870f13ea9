"""A SQLite file that the workers of one machine share.

Rule 1: every fault of the file is a `StoreError`, also when it is opened: the connection is
        dropped and the next request opens a new one, so a repaired file is used again.
Rule 2: no other worker shares a connection to a file that was deleted or replaced, so each request
        checks for that.
Rule 3: a damaged file whose content may be lost is renamed and replaced (see
        `receiver.storage.quarantine`), and the request is repeated. Any other damaged file is left
        unchanged: it is checked as a whole when it is opened, and refused until it is sound.
Rule 4: the event loop never waits for the disk: one thread does all the work. That thread waits at
        most `Waits.busy` seconds for another worker.
Rule 5: the file is bounded. Every `TIDY_INTERVAL` requests expired and excess rows are deleted and
        free pages are released; the file never has more than ``max_size`` octets, and the
        write-ahead log is truncated to `MAX_LOG_SIZE` octets (a larger transaction extends it until
        it ends).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from receiver.storage import quarantine
from receiver.storage.breaker import SETTING, StoreError
from receiver.storage.sqlite_errors import DamagedError, NotAFileError, code, describe, is_damage


class Waits(NamedTuple):
    """Seconds to wait for other processes.

    Attributes:
        busy: for one that is writing.
        opening: at the start, for those that open the file at the same moment.
        replacing: for one that creates or replaces the file.
    """

    busy: float = 0.1
    opening: float = 1.0
    replacing: float = quarantine.REPLACE_TIMEOUT


WAITS = Waits()

TIDY_INTERVAL = 100
"""Requests of this worker between two deletions of expired and excess rows."""

MAX_FILE_SIZE = 256 * 1024 * 1024
"""Largest size of a file in octets; a write beyond it fails as on a full disk."""

MAX_LOG_SIZE = 1024 * 1024
"""Size in octets that the write-ahead log is truncated to."""

PAGE_SIZE = 4096
"""Octets of a page."""

SPARE_PAGES = 64
"""Free pages that stay in the file for reuse; further ones are released."""

MAX_RELEASED_PAGES = 1000
"""Pages that are released at once."""

log = logging.getLogger("receiver")

T = TypeVar("T")

State = tuple[int, ...] | None


class File:
    """The file ``path``, created if it does not exist, readable by its owner only.

    Parameters:
        path: the file; two more, ``-wal`` and ``-shm``, are beside it.
        schema: creates the missing tables.
        tidy: deletes expired and excess rows, given the time in seconds since the epoch, inside a
            transaction.
        setting: the variable that names the path, for the text of errors.
        at_once: whether the file is opened here, or by the first request.
        cure: what an operator does about a damaged file, which is left unchanged; empty where a
            damaged file is replaced.
        waits: for other processes.
        max_size: octets, see `MAX_FILE_SIZE`.
    """

    def __init__(
        self,
        path: Path,
        schema: str,
        tidy: Callable[[sqlite3.Connection, float], None] | None = None,
        *,
        setting: str = SETTING,
        at_once: bool = True,
        cure: str = "",
        waits: Waits = WAITS,
        max_size: int = MAX_FILE_SIZE,
    ) -> None:
        self._path = path
        self._schema = f"begin immediate; {schema} commit;"
        self._tidy = tidy
        self._setting = setting
        self._cure = cure
        self._waits = waits
        self._pages = max_size // PAGE_SIZE
        self._requests = 0
        self._connection: sqlite3.Connection | None = None
        self._identity: quarantine.Identity = (0, 0)
        self._damaged: tuple[State, str] | None = None  # its state then, and the kind of error
        self._thread = ThreadPoolExecutor(1, "receiver-store")
        if at_once:
            self._thread.submit(self._open).result()

    async def run(self, work: Callable[[sqlite3.Connection], T], now: float | None = None) -> T:
        """Return what ``work`` returns, in the file's thread.

        Parameters:
            work: its statements are committed one by one; it must end a transaction that it begins,
                and an SQLite error rolls it back. It may be called twice, if the file was replaced.
            now: in seconds since the epoch, for tidying; without it nothing is tidied.

        Raises:
            StoreError: the file cannot be used.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, work, now)

    async def transact(
        self, work: Callable[[sqlite3.Connection], T], now: float | None = None
    ) -> T:
        """Do the same as `run`, with ``work`` in one transaction."""

        def transaction(connection: sqlite3.Connection) -> T:
            connection.execute("begin immediate")
            result = work(connection)
            connection.execute("commit")
            return result

        return await self.run(transaction, now)

    async def close(self) -> None:
        """Close the connection and end the thread."""
        with contextlib.suppress(RuntimeError):  # it is closed already
            await asyncio.get_running_loop().run_in_executor(self._thread, self._drop)
            self._thread.shutdown()

    def __del__(self) -> None:
        """Close the connection if no app has: Python 3.13 warns of an open one."""
        with contextlib.suppress(AttributeError):  # the constructor failed
            self._drop()

    # The following methods run in the thread.

    def _open(self) -> None:
        """Open the first connection; wait for other processes that create the same file."""
        end = time.monotonic() + self._waits.opening
        while True:
            try:
                self._do(_nothing, None)
            except StoreError as error:
                if str(error).startswith("SQLITE_BUSY") and time.monotonic() < end:
                    continue
            return  # a lasting fault is raised by the first request

    def _do(self, work: Callable[[sqlite3.Connection], T], now: float | None) -> T:
        try:
            try:
                return self._work(work, now)
            except sqlite3.Error as error:
                self._drop()
                if is_damage(error) and not self._cure:
                    self._replace(error)
                elif code(error) != sqlite3.SQLITE_ERROR:  # its tables are gone: it was emptied
                    raise
                return self._work(work, now)
        except (sqlite3.Error, OSError) as error:
            self._drop()
            cure = self._cure or "it could not be replaced"
            failed = describe(error, self._path, self._setting, cure)
            self._damaged = (_state(self._path), str(failed)) if is_damage(error) else None
            raise failed from None

    def _work(self, work: Callable[[sqlite3.Connection], T], now: float | None) -> T:
        connection = self._connection or self._connect()
        if quarantine.identity(self._path) != self._identity:
            raise FileNotFoundError
        if self._tidy is not None and now is not None:
            if self._requests % TIDY_INTERVAL == 0:
                connection.execute("begin immediate")
                self._tidy(connection, now)
                connection.execute("commit")
                _shrink(connection)
            self._requests += 1
        return work(connection)

    def _connect(self) -> sqlite3.Connection:
        # An existing file is never opened here: closing it would release the locks of this process.
        if lost := quarantine.create(
            self._path, keep_log=bool(self._cure), wait=self._waits.replacing
        ):
            log.error("%s was deleted: its write-ahead log is kept as %s-wal", self._path, lost)
        if not stat.S_ISREG(os.stat(self._path).st_mode):
            raise NotAFileError
        if self._cure and self._damaged and self._damaged[0] == _state(self._path):
            raise DamagedError(self._damaged[1])  # a large file is not read again
        # If the file is replaced after this line, the next request finds that and reopens it.
        self._identity = quarantine.identity(self._path)
        self._connection = connection = sqlite3.connect(
            self._path,
            timeout=self._waits.busy,
            isolation_level=None,
            check_same_thread=False,  # any thread may close it at the end
        )
        if self._cure:
            self._check(connection)
        if connection.execute("pragma page_count").fetchone() == (0,):  # it is new
            connection.execute(f"pragma page_size = {PAGE_SIZE}")
            connection.execute("pragma auto_vacuum = incremental")
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")  # no fsync for each request
        connection.execute("pragma secure_delete = on")  # deleted caller data is overwritten
        connection.execute(f"pragma wal_autocheckpoint = {MAX_LOG_SIZE // PAGE_SIZE}")
        connection.execute(f"pragma journal_size_limit = {MAX_LOG_SIZE}")
        connection.execute(f"pragma max_page_count = {self._pages}")
        connection.executescript(self._schema)
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        """Raise an error if the file is damaged anywhere: nothing may be written to it then."""
        log_there = _size(f"{self._path}-wal")  # this first: another may be creating the file
        if log_there and not _size(self._path):
            raise DamagedError
        (found,) = connection.execute("pragma quick_check(1)").fetchone()
        if found != "ok":
            raise DamagedError

    def _replace(self, error: sqlite3.Error) -> None:
        """Replace a damaged file by a new one."""
        if aside := quarantine.set_aside(self._path, self._identity, wait=self._waits.replacing):
            kind = getattr(error, "sqlite_errorname", "")
            said = "%s: %s was damaged (%s): it is kept as %s, and a new file replaces it"
            log.error(said, self._setting, self._path, kind, aside.name)
            quarantine.prune(self._path)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _nothing(connection: sqlite3.Connection) -> None:
    """Do nothing."""


def _shrink(connection: sqlite3.Connection) -> None:
    """Shrink the file, once a quarter of it and `SPARE_PAGES` more pages are free."""
    (free,) = connection.execute("pragma freelist_count").fetchone()
    (pages,) = connection.execute("pragma page_count").fetchone()
    if free > SPARE_PAGES + pages // 4:
        # ``execute`` takes one step of it, and no more: one page.
        connection.executescript(
            f"pragma incremental_vacuum({min(free - SPARE_PAGES, MAX_RELEASED_PAGES)})"
        )


def _size(path: str | Path) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _state(path: Path) -> State:
    """Return what changes when the file or its log does; None if there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, _size(f"{path}-wal")
