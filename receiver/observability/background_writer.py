"""Write in a separate thread, so that the event loop does not wait for a disk or a pipe.

Rule 1: `put` never waits and never fails: the queue is bounded, and items that do not fit are
        dropped and counted.
Rule 2: items that could not be written are counted too; the next write may report their number.
Rule 3: the thread starts with the first item, and again in the child of a fork.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_PIPE_BUF = getattr(select, "PIPE_BUF", 512)  # POSIX's least, for Windows

_FORKS = [0]  # a counter, because `os.getpid` is a system call


def _count_fork() -> None:
    _FORKS[0] += 1


def forks() -> int:
    """Return the number of forks between the first process and this one."""
    return _FORKS[0]


def write_all(descriptor: int, octets: bytes) -> None:
    """Write without Python's buffers: a thread blocked with their lock prevents Python's exit.

    Whole lines are written at once, as many as a pipe takes atomically (``PIPE_BUF``): those of
    several processes do not mix while it is full.

    Raises:
        OSError: the disk is full, or a pipe has no reader.
    """
    start, view = 0, memoryview(octets)
    while start < len(octets):
        start += os.write(descriptor, view[start : _end_of_lines(octets, start)])


def _end_of_lines(octets: bytes, start: int) -> int:
    """Return where the lines from ``start`` end that a pipe takes atomically; at least one line."""
    limit = start + _PIPE_BUF
    if len(octets) <= limit:
        return len(octets)
    return octets.rfind(b"\n", start, limit) + 1 or octets.find(b"\n", limit) + 1 or len(octets)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


class BackgroundWriter(Generic[T]):
    """A queue whose items a separate thread passes to ``write``, first in, first out.

    Parameters:
        write: takes the queued items and the number of lost ones not reported yet; returns how many
            of the items were lost. It may block; if it raises, all are lost.
        lost: called with the number of newly lost items, by one thread at a time.
        max_waiting: the length of the queue.
        pause: seconds for which items gather before they are written together.
        name: of the thread.
    """

    def __init__(
        self,
        write: Callable[[list[T], int], int],
        *,
        lost: Callable[[int], object],
        max_waiting: int,
        pause: float,
        name: str,
    ) -> None:
        self._write = write
        self._lost = lost
        self._max_waiting = max_waiting
        self._pause = pause
        self._name = name
        self._unreported = 0
        self._begin()

    def _begin(self) -> None:
        self._forks = _FORKS[0]
        self._queue: deque[T] = deque()
        self._woken, self._closing = threading.Event(), threading.Event()
        self._mutex, self._starting = threading.Lock(), threading.Lock()
        self._thread: threading.Thread | None = None

    def waiting(self) -> list[T]:
        """Return the items that are not written yet; any thread may call this."""
        return list(self._queue.copy())

    def put(self, item: T, *, is_lost: bool = True) -> bool:
        """Queue ``item``; return False if the queue is full.

        Parameters:
            is_lost: whether it is counted as lost if the queue is full.
        """
        if self._forks != _FORKS[0]:
            self._begin()  # threads do not survive a fork
        if len(self._queue) >= self._max_waiting:
            self._drop(int(is_lost))
            return False
        self._queue.append(item)
        if self._thread is None:
            self._start()
        if not self._woken.is_set():
            self._woken.set()
        return True

    def close(self, limit: float) -> None:
        """Write the queued items, within ``limit`` seconds.

        A later `put` starts the thread again: an app may be started more than once.
        """
        self._closing.set()
        self._woken.set()
        thread = self._thread
        if thread is not None and self._forks == _FORKS[0]:
            thread.join(limit)
            if not thread.is_alive():
                self._begin()

    def _start(self) -> None:
        with self._starting:
            if self._thread is not None:  # another thread started it
                return
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter ends, or no thread can be started
                self._drop(len(self._queue))
                self._queue.clear()
            else:
                self._thread = thread

    def _run(self) -> None:
        while not self._closing.is_set():
            self._woken.wait()
            self._woken.clear()
            self._empty()
            self._closing.wait(self._pause)
        while self._queue:  # writing may add items
            self._empty()

    def _empty(self) -> None:
        items = [self._queue.popleft() for _ in range(len(self._queue))]
        if not items:
            return
        unreported = self._unreported
        try:
            lost = self._write(items, unreported)
        except Exception:  # a full disk, a pipe without a reader
            lost = len(items)
        if lost < len(items):
            with self._mutex:
                self._unreported -= unreported
        if lost:
            self._drop(lost)

    def _drop(self, many: int) -> None:
        with self._mutex:
            self._unreported += many
            self._lost(many)
