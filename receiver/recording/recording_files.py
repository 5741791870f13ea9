"""The files of a recording: each worker writes one at a time, and the oldest are deleted.

Rule 1: a file has one writer and the mode 0600. Any number of workers write into one folder.
Rule 2: the files of all workers together keep the limit; the oldest are deleted first. Between two
        checks a worker adds a thousandth of the limit and a line.
Rule 3: a line is written as a whole or not at all: a partial write on a full disk is undone.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

MAX_FILE = 8 * 1024 * 1024
"""Bytes after which a worker begins another file."""

PATTERN = "calls-*.jsonl"


class Files:
    """Writes lines into files of this process in ``folder``.

    Parameters:
        folder: created for its owner only if it does not exist.
        max_bytes: of all files in it.
        clock: seconds since the epoch, for the names.
    """

    def __init__(
        self, folder: Path, max_bytes: int, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_file = min(MAX_FILE, max_bytes // 8)
        self._clock = clock
        self._path = folder
        self._file = -1
        self._size = 0
        self._unseen = 0  # bytes written since the last check of the folder
        self._pid = os.getpid()

    def write(self, line: bytes) -> None:
        """Append one line.

        Raises:
            OSError: the line was not written.
        """
        if self._file < 0 or self._size >= self._max_file or self._is_gone():
            self._begin()
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            self._undo()
            raise
        self._size += len(line)
        self._unseen += len(line)
        if self._unseen >= self._max_bytes // 1000:
            self._delete_oldest()

    def close(self) -> None:
        """Close the file; `write` would begin another."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _begin(self) -> None:
        self.close()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        now = self._clock()
        when = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06}Z"
        path = self._folder / f"calls-{when}-{os.getpid()}-{os.urandom(3).hex()}.jsonl"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
        self._file, self._path = os.open(path, flags, 0o600), path
        self._size, self._pid = 0, os.getpid()
        self._delete_oldest()

    def _is_gone(self) -> bool:
        """Return whether the file was deleted, or is the parent process's."""
        return os.fstat(self._file).st_nlink == 0 or self._pid != os.getpid()

    def _undo(self) -> None:
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self.close()

    def _delete_oldest(self) -> None:
        self._unseen = 0
        sizes: dict[Path, int] = {}
        for path in self._folder.glob(PATTERN):
            with contextlib.suppress(FileNotFoundError):  # another worker deleted it
                sizes[path] = path.stat().st_size
        total = sum(sizes.values())
        for path in sorted(sizes, key=lambda path: path.name):
            if total <= self._max_bytes * 9 // 10:
                break
            if path != self._path:
                path.unlink(missing_ok=True)
                total -= sizes[path]
