"""A SQLite file that the workers of one machine share.

Rule 1: whatever is wrong with the file is a `StoreError`, after which the connection is dropped and
        the next question opens a new one. What was open when the file vanished or was replaced is
        no longer shared with anybody, so that is looked at each time.
Rule 2: the event loop never waits for the disk: one thread does all the work. Nor does it wait
        long for another worker: `BUSY` seconds.
Rule 3: what is too old, or too much, is removed every `TIDY` questions.
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

from receiver.errors import SettingsError
from receiver.shared.patience import SETTING, StoreError

BUSY = 0.1
"""Seconds to wait for a worker that is writing."""

OPENING = 1.0
"""Seconds that the start waits for others that open the file at the same moment."""

TIDY = 100
"""Questions after which this worker removes what is too old, or too much."""

_MISTAKES = {
    **dict.fromkeys(
        (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM),
        "cannot be opened for writing",
    ),
    sqlite3.SQLITE_NOTADB: "is something else already",
}

_STRANGE = "is of another program"

T = TypeVar("T")


class File:
    """The file ``path``, which is made if need be, for its owner only.

    Parameters:
        path: the file; two more, ``-wal`` and ``-shm``, stand beside it.
        schema: makes the tables that are not there yet.
        tidy: removes what is too old or too much, given the time, inside a transaction; None if
            the questions themselves do.
        setting: the variable that names the path, for the text of errors.
        at_once: whether it is opened here, or only by the first question.

    Raises:
        SettingsError: there can be no such file. One that is busy or damaged is no reason not to
            start.
    """

    def __init__(
        self,
        path: Path,
        schema: str,
        tidy: Callable[[sqlite3.Connection, float], None] | None = None,
        *,
        setting: str = SETTING,
        at_once: bool = True,
    ) -> None:
        self._path = path
        self._schema = f"begin immediate; {schema} commit;"
        self._tidy = tidy
        self._setting = setting
        self._asked = 0
        self._connection: sqlite3.Connection | None = None
        self._identity = (0, 0)
        self._thread = ThreadPoolExecutor(1, "receiver-store")
        if not at_once:
            return
        try:
            self._thread.submit(self._open).result()
        except SettingsError:
            self._thread.shutdown()
            raise

    async def ask(self, work: Callable[[sqlite3.Connection], T], now: float | None = None) -> T:
        """What ``work`` gives in the file's thread.

        Parameters:
            work: its statements commit by themselves; a transaction that it begins, it ends, and
                an error of SQLite's undoes it.
            now: in seconds since the epoch, for tidying; without it nothing is tidied.

        Raises:
            StoreError: whatever is wrong with the file.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, work, now)

    async def close(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is closed already
            await asyncio.get_running_loop().run_in_executor(self._thread, self._drop)
            self._thread.shutdown()

    def __del__(self) -> None:
        """Of an app that nobody told to end: Python 3.13 warns of what is left open."""
        with contextlib.suppress(AttributeError):  # it was not made
            self._drop()

    # What follows runs in the thread.

    def _do(self, work: Callable[[sqlite3.Connection], T], now: float | None) -> T:
        try:
            connection = self._connection or self._connect()
            if _identity(self._path) != self._identity:
                raise FileNotFoundError
            if self._tidy is not None and now is not None:
                if self._asked % TIDY == 0:
                    connection.execute("begin immediate")
                    self._tidy(connection, now)
                    connection.execute("commit")
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
                    f"{self._setting}: no file can be made there: {problem}"
                ) from None
            except sqlite3.Error as error:
                self._drop()
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                if code in _MISTAKES or code == sqlite3.SQLITE_ERROR:
                    raise SettingsError(
                        f"{self._setting}: the file {_MISTAKES.get(code, _STRANGE)}: name another"
                    ) from None
                if code != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    return  # the first question tells

    def _connect(self) -> sqlite3.Connection:
        # Made before SQLite does, for the mode; its -wal and -shm get the same one. A file that is
        # there is never opened here: closing it would free the locks of this process on it.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL, 0o600))
        # If it is exchanged between here and there, the next look finds a stranger and reopens.
        self._identity = _identity(self._path)
        self._connection = sqlite3.connect(
            self._path,
            timeout=BUSY,
            isolation_level=None,
            check_same_thread=False,  # to be closed in any, when there is no other
        )
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = normal")  # no fsync for each question
        self._connection.executescript(self._schema)
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _identity(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _kind(error: Exception) -> str:
    return str(getattr(error, "sqlite_errorname", type(error).__name__))
