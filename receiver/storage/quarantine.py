"""Quarantine: rename a damaged SQLite file and replace it by a new one.

Rule 1: a file is created, or set aside, under a lock that all processes take for it, so that one of
        several workers does it and the others find it done. Opening a file that exists takes none.
Rule 2: a new file never meets the ``-wal`` and ``-shm`` of an earlier one: SQLite would read them.
Rule 3: what was set aside is called ``NAME.corrupt-TIME``, and ``NAME.corrupt-TIME-wal`` beside it.
        Of a file that is replaced automatically the latest `MAX_KEPT` are kept.
"""

from __future__ import annotations

import contextlib
import glob
import os
from datetime import UTC, datetime
from pathlib import Path

from receiver.storage.file_lock import locked

MAX_KEPT = 3
"""Damaged files that are kept."""

REPLACE_TIMEOUT = 1.0
"""Seconds to wait for another process that creates or replaces the file."""

Identity = tuple[int, int]
"""Device and inode: two files of one name differ in it."""


def identity(path: Path) -> Identity:
    """Return what tells this file from another one of the same name.

    Raises:
        OSError: there is no file.
    """
    found = os.stat(path)
    return found.st_dev, found.st_ino


def create(path: Path, *, keep_log: bool = False, wait: float = REPLACE_TIMEOUT) -> Path | None:
    """Create an empty file for its owner only, unless there is one.

    Parameters:
        path: the file.
        keep_log: whether the write-ahead log of a file that was deleted is kept.
        wait: see `REPLACE_TIMEOUT`.

    Returns:
        The name under which that log was kept, without its ``-wal``.

    Raises:
        OSError: it cannot be made.
    """
    if os.path.lexists(path):
        return None
    with _alone(path, wait):
        return None if os.path.lexists(path) else _make(path, keep_log=keep_log)


def set_aside(
    path: Path, damaged: Identity | None, *, wait: float = REPLACE_TIMEOUT
) -> Path | None:
    """Rename a damaged file and its write-ahead log, and create an empty file in its place.

    Parameters:
        path: the file.
        damaged: its `identity` when the damage was found; None for the present file.
        wait: see `REPLACE_TIMEOUT`.

    Returns:
        Its new name; None if another process has replaced it.

    Raises:
        OSError: it cannot be renamed or made.
    """
    with _alone(path, wait):
        if damaged is not None and not _is(path, damaged):
            return None
        new = _free(path)
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{path}-wal", f"{new}-wal")
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, new)
        _make(path)
    return new


def moved_aside(path: Path) -> list[str]:
    """Return the names of damaged files that `set_aside` renamed, the oldest first."""
    found = glob.glob(f"{glob.escape(str(path))}.corrupt-*")
    return sorted({name.removesuffix("-wal") for name in found})


def prune(path: Path) -> None:
    """Delete all but the latest `MAX_KEPT` damaged files of this name."""
    for old in moved_aside(path)[:-MAX_KEPT]:
        for name in (old, f"{old}-wal"):
            with contextlib.suppress(OSError):
                os.unlink(name)


def _alone(path: Path, wait: float) -> contextlib.AbstractContextManager[None]:
    return locked(Path(f"{path}.lock"), wait)


def _is(path: Path, wanted: Identity) -> bool:
    try:
        return identity(path) == wanted
    except FileNotFoundError:
        return False


def _free(path: Path) -> Path:
    """Return a name that sorts by time, and that no file has."""
    while True:
        name = f"{path}.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
        if not (os.path.lexists(name) or os.path.lexists(f"{name}-wal")):
            return Path(name)


def _make(path: Path, *, keep_log: bool = False) -> Path | None:
    log, kept = f"{path}-wal", None
    with contextlib.suppress(FileNotFoundError):
        if keep_log and os.stat(log).st_size:
            kept = _free(path)
            os.replace(log, f"{kept}-wal")
    for name in (log, f"{path}-shm", f"{path}-journal"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
    # Made before SQLite does, for the mode; the -wal and -shm get the same one.
    os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    return kept
