"""What is written by a thread of its own, so that nobody waits for a disk, a pipe or a reader.

Rule 1: who puts something in never waits and never fails: the queue is bounded, and what does not
        fit into it is lost, and counted.
Rule 2: what could not be written is counted too; the next that can be written may say how many.
Rule 3: the thread starts with the first thing, and anew in the child of a fork.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_FORKS = [0]  # how often this process came out of a fork; to ask for its number is a system call


def _count_fork() -> None:
    _FORKS[0] += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


class Spool(Generic[T]):
    """Gives what is put in to ``write``, in order, in a thread of its own.

    Parameters:
        write: takes what has gathered, and how many were lost before that it may tell of; returns
            how many of these were lost. It may block; if it raises, all are lost.
        lost: is told how many more are lost, by one thread at a time.
        most: how many may wait.
        pause: seconds for which they gather before they are written together.
        name: of the thread.
    """

    def __init__(
        self,
        write: Callable[[list[T], int], int],
        *,
        lost: Callable[[int], object],
        most: int,
        pause: float,
        name: str,
    ) -> None:
        self._write = write
        self._lost = lost
        self._most = most
        self._pause = pause
        self._name = name
        self._untold = 0
        self._begin()

    def _begin(self) -> None:
        self._forks = _FORKS[0]
        self._queue: deque[T] = deque()
        self._woken, self._closing = threading.Event(), threading.Event()
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, item: T) -> None:
        """Have ``item`` written soon."""
        if self._forks != _FORKS[0]:
            self._begin()  # a thread does not live on in the child of a fork
        if len(self._queue) >= self._most:
            self._drop(1)
            return
        self._queue.append(item)
        if self._thread is None:
            self._start()
        if not self._woken.is_set():
            self._woken.set()

    def close(self, limit: float) -> None:
        """Have what is left written, but wait for that no longer than ``limit`` seconds.

        What is put in later begins anew: an app may be started more than once.
        """
        self._closing.set()
        self._woken.set()
        thread = self._thread
        if thread is not None and self._forks == _FORKS[0]:
            thread.join(limit)
            if not thread.is_alive():
                self._begin()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter ends, or there is no room for a thread
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
        self._empty()

    def _empty(self) -> None:
        items = [self._queue.popleft() for _ in range(len(self._queue))]
        if not items:
            return
        untold = self._untold
        try:
            lost = self._write(items, untold)
        except Exception:  # a full disk, a pipe that nobody reads
            lost = len(items)
        if lost < len(items):
            with self._mutex:
                self._untold -= untold
        if lost:
            self._drop(lost)

    def _drop(self, many: int) -> None:
        with self._mutex:
            self._untold += many
            self._lost(many)
