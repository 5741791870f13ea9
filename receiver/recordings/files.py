"""The files of a recording: one a worker at a time, small enough to be dropped one by one.

Rule 1: a file has one writer, and only its owner may read it. Any number of workers write into one
        folder.
Rule 2: together they have no more than the operator allows: the oldest go first, whoever wrote
        them. Between two looks a worker adds a thousandth of that, and a line.
Rule 3: a line is written whole or not at all: what a full disk cut off is taken back.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

LARGEST = 8 * 1024 * 1024
"""Octets after which a worker begins another file."""

PATTERN = "calls-*.jsonl"


class Files:
    """Writes lines into files of this process in ``folder``.

    Parameters:
        folder: must be there.
        most: octets that all files in it may have together.
        clock: seconds since the epoch, for the names.
    """

    def __init__(self, folder: Path, most: int, *, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._most = most
        self._largest = min(LARGEST, most // 8)
        self._clock = clock
        self._path = folder
        self._file = -1
        self._size = 0
        self._unseen = 0  # octets written since the last look at the folder
        self._pid = os.getpid()

    def write(self, line: bytes) -> None:
        """Append one line.

        Raises:
            OSError: it could not be written; nothing of it was.
        """
        if self._file < 0 or self._size >= self._largest or self._is_gone():
            self._begin()
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            self._take_back()
            raise
        self._size += len(line)
        self._unseen += len(line)
        if self._unseen >= self._most // 1000:
            self._tidy()

    def close(self) -> None:
        """End the file; `write` would begin another."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _begin(self) -> None:
        self.close()
        now = self._clock()
        when = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06}Z"
        path = self._folder / f"calls-{when}-{os.getpid()}-{os.urandom(3).hex()}.jsonl"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
        self._file, self._path = os.open(path, flags, 0o600), path
        self._size, self._pid = 0, os.getpid()
        self._tidy()

    def _is_gone(self) -> bool:
        """Whether another worker, or somebody, deleted it, or it is that of this one's parent."""
        return os.fstat(self._file).st_nlink == 0 or self._pid != os.getpid()

    def _take_back(self) -> None:
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self.close()

    def _tidy(self) -> None:
        self._unseen = 0
        sizes: dict[Path, int] = {}
        for path in self._folder.glob(PATTERN):
            with contextlib.suppress(FileNotFoundError):  # another worker was first
                sizes[path] = path.stat().st_size
        total = sum(sizes.values())
        for path in sorted(sizes, key=lambda path: path.name):
            if total <= self._most * 9 // 10:
                break
            if path != self._path:
                path.unlink(missing_ok=True)
                total -= sizes[path]
