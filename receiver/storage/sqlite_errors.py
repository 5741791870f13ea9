"""Problems of SQLite files as texts for operators, with the cure.

Rule: the text names the path and the variable that holds it, never what the file holds.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from receiver.storage.breaker import StoreError


class NotAFileError(OSError):
    """The path names a folder, a pipe or a device."""


class DamagedError(sqlite3.DatabaseError):
    """The file was found damaged by a check, or earlier by the error of this name."""

    def __init__(self, name: str = "SQLITE_CORRUPT") -> None:
        super().__init__(name)
        self.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        self.sqlite_errorname = name


_NOT_WRITABLE = (
    "{path} cannot be opened for writing: check the owner and the mode of the file and of its "
    "folder, and that its disk is not mounted read-only, or name another in {setting}"
)
_NO_SPACE = "{path} cannot grow: its disk is full, or the file has its largest size"
_OTHER = "{path} cannot be used: {reason}; name another in {setting}"

_BY_ERRNO = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _NOT_WRITABLE),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _NO_SPACE),
}
_BY_CODE = {
    **dict.fromkeys(
        (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM), _NOT_WRITABLE
    ),
    sqlite3.SQLITE_FULL: _NO_SPACE,
    sqlite3.SQLITE_IOERR: "{path} cannot be read or written: is its disk full or broken?",
    sqlite3.SQLITE_ERROR: "{path} has tables of another program: name another file in {setting}",
}


def code(error: Exception) -> int:
    """Return SQLite's primary result code; 0 for an error that has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_damage(error: Exception) -> bool:
    """Return whether it means that the file is damaged, or no database at all."""
    return code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def describe(error: sqlite3.Error | OSError, path: Path, setting: str, cure: str) -> StoreError:
    """Return the error of the store that ``error`` is.

    Parameters:
        error: of SQLite or of the system.
        path: the file.
        setting: the variable that names it.
        cure: what to do about a damaged file.
    """
    kind = str(getattr(error, "sqlite_errorname", type(error).__name__))
    return StoreError(kind, _advice(error, path, setting, cure))


def _advice(error: sqlite3.Error | OSError, path: Path, setting: str, cure: str) -> str:
    if is_damage(error):
        return f"{path} is damaged or no database; {cure}"
    if isinstance(error, sqlite3.Error):
        return _BY_CODE.get(code(error), "").format(path=path, setting=setting)
    if isinstance(error, NotAFileError):
        return f"{path} is not a file: move it away, or name another in {setting}"
    if isinstance(error, FileNotFoundError):
        if path.is_symlink():
            return f"{path} is a link to a file that does not exist: create it, or change {setting}"
        if path.parent.is_dir():
            return f"{path} was deleted or replaced, and is opened again"
        return f"the folder {path.parent} does not exist: create it, or change {setting}"
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    return _BY_ERRNO.get(error.errno or 0, _OTHER).format(path=path, setting=setting, reason=reason)
