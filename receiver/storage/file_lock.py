"""An exclusive lock between the processes of one machine, on a lock file.

Rule 1: only the lock counts, never that the file exists: what a killed process left behind is free.
Rule 2: a process waits for a limited time, because the one that holds the lock may be paused.
Rule 3: on Windows, which has no ``flock``, nothing is locked: there is one worker only.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

POLL_INTERVAL = 0.01
"""Seconds between two attempts to lock a file."""


def try_lock(descriptor: int) -> bool:
    """Lock an open file until it is closed; return False if another process has the lock."""
    if fcntl is None:  # Windows
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def locked(path: Path, seconds: float) -> Iterator[None]:
    """Hold the lock file ``path`` in the ``with`` block, and remove it at the end.

    Parameters:
        path: the lock file; its folder must exist.
        seconds: how long to wait while another process holds it.

    Raises:
        TimeoutError: it was not free in time.
        OSError: it cannot be made.
    """
    descriptor = acquire(path, seconds)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


def acquire(path: Path, seconds: float) -> int:
    """Create and lock the file ``path``; parameters and errors as for `locked`.

    Returns:
        Its descriptor: closing it, or the end of the process, gives the lock back.
    """
    end = time.monotonic() + seconds
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    while True:
        descriptor = os.open(path, flags, 0o600)
        # Its last holder may have removed the file that was opened here.
        if try_lock(descriptor) and _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)
        if time.monotonic() > end:
            raise TimeoutError(f"{path} is locked by another process")
        time.sleep(POLL_INTERVAL)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
