"""Reload files and tables when they change.

Rule 1: Reading runs in a thread. A call waits for it a tenth of a second at most and then gets
        the previous value, so a disk or database that hangs delays no call.
Rule 2: If data cannot be read or is invalid, the previous value stays in use and an error is logged
        once a minute.
Rule 3: Changes are detected during calls; there is no background task.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from receiver.calls import Call
from receiver.errors import ReceiverError, Unavailable
from receiver.execution.to_thread import begin
from receiver.observability.log_throttle import LogThrottle
from receiver.upstream.lookup import wait_time

T = TypeVar("T")

_MIN_AGE = 2.0  # seconds; two changes in a row may have one timestamp

log = logging.getLogger("receiver.upstream")


class Reloading(Generic[T]):
    """The result of ``read``, read again when ``version`` changes.

    ::

        vips = Reloading("vips.txt", lambda: set(path.read_text().split()), partial(stamp, path))
        …
        if call.caller in await vips(call):

    Parameters:
        name: name in the log.
        read: a synchronous function. The log contains the text of a `ReceiverError` that it raises,
            and only the type of other exceptions.
        version: a synchronous function whose result changes with the data; None if unknown. See
            `stamp`.
        interval: seconds between two checks.
        max_wait: seconds that a call waits for a check while an earlier value is available.
        eager: whether to read now. Otherwise the first call reads, and calls fail until a read
            succeeds.
        clock: seconds, monotonic.

    Raises:
        Exception: the exception of the first ``read``.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], T],
        version: Callable[[], object] = lambda: None,
        *,
        interval: float = 1.0,
        max_wait: float = 0.1,
        eager: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._read = read
        self._version = version
        self._interval = interval
        self._max_wait = max_wait
        self._clock = clock
        self._current: _Version[T] | None = None
        self._begun = self._due = -math.inf
        self._checking: Future[object] | None = None
        self._log_throttle = LogThrottle()
        if eager:
            before = version()
            self._current = _Version(read(), before)

    async def __call__(self, call: Call | None = None) -> T:
        """Return the newest value available in time, else the previous one.

        Raises:
            Unavailable: no read has succeeded yet.
        """
        if self._due <= self._clock():
            await self._check_in_thread(call)
        if self._current is None:
            raise Unavailable(f"{self._name} could not be read yet")
        return self._current.value

    async def _check_in_thread(self, call: Call | None) -> None:
        if self._checking is None or self._checking.done():
            self._begun = self._clock()
            try:
                self._checking = begin(self._check)
            except Unavailable:
                return
        wait = wait_time(call)
        if self._current is not None:
            wait = min(wait, self._begun + self._max_wait - self._clock())
        if wait > 0:
            await asyncio.wait(
                {asyncio.wrap_future(self._checking)}, timeout=None if wait == math.inf else wait
            )

    def _check(self) -> None:
        """Run in a thread, one at a time."""
        try:
            version = self._version()
            if self._current is None or version is None or version != self._current.version:
                self._current = _Version(self._read(), version)
        except BaseException as error:
            self._report(error)
        finally:
            self._due = self._clock() + self._interval

    def _report(self, error: BaseException) -> None:
        problem = str(error) if isinstance(error, ReceiverError) else type(error).__name__
        more = self._log_throttle.due(problem, self._clock())
        if more is not None:
            kept = "no value yet" if self._current is None else "the old value is kept"
            log.error("%s cannot be read, %s: %s%s", self._name, kept, problem, more)


@dataclass(frozen=True, slots=True)
class _Version(Generic[T]):
    value: T
    version: object


def stamp(*paths: Path) -> object:
    """Return a value that changes when one of these files is changed, replaced, created or removed.

    ::

        version = stamp(Path("vips.txt"))

    None while a change is so recent that another one could have the same timestamp.

    Raises:
        OSError: the file system gives no information.
    """
    stamps: list[tuple[int, ...] | None] = []
    for path in paths:
        try:
            stat = path.stat()
        except FileNotFoundError:
            stamps.append(None)
            continue
        if abs(time.time() - stat.st_mtime) < _MIN_AGE:
            return None
        # Not st_ctime: SQLite sets the owner of its files whenever root reads them.
        stamps.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(stamps)
