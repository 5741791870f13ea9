"""What a file or a database holds, read again when it has changed.

Rule 1: reading is done in a thread. A caller waits for it no longer than `PATIENCE`, and then gets
        what was read before: a disk or a database that hangs costs nobody a call.
Rule 2: what cannot be read, or makes no sense, leaves the old in place, and is told in the log once
        a minute.
Rule 3: a change is seen when somebody calls, so nothing runs while nobody does.
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
from receiver.functions.aside import begin
from receiver.telemetry.seldom import Seldom
from receiver.upstream.budgets import wait_for

T = TypeVar("T")

EVERY = 1.0
"""Seconds between two looks."""

PATIENCE = 0.1
"""Seconds that a caller waits for a look, while there is something older to go by."""

_YOUNG = 2.0  # seconds; a file system may tell two changes in a row by one and the same time

log = logging.getLogger("receiver.upstream")


class Reloading(Generic[T]):
    """What ``read`` gives, and gives anew once ``version`` tells a change.

    ::

        vips = Reloading("vips.txt", lambda: set(path.read_text().split()), partial(stamp, path))
        …
        if call.caller in await vips(call):

    Parameters:
        name: what it is called in the log.
        read: a plain function. A `ReceiverError` that it raises is told with its text, of others
            only the kind.
        version: a plain function; what it returns differs when there is something new, and is None
            where that cannot be told. See `stamp`.
        every: seconds between two looks; `EVERY` by default.
        at_once: whether to read now. Otherwise that is left to the first call, and fails calls for
            as long as nothing could be read.
        clock: in seconds; never goes back.

    Raises:
        Exception: what ``read`` raised now.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], T],
        version: Callable[[], object] = lambda: None,
        *,
        every: float | None = None,
        at_once: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._read = read
        self._version = version
        self._every = every
        self._clock = clock
        self._held: _Held[T] | None = None
        self._begun = self._due = -math.inf
        self._looking: Future[object] | None = None
        self._seldom = Seldom()
        if at_once:
            before = version()
            self._held = _Held(read(), before)

    async def __call__(self, call: Call | None = None) -> T:
        """The newest that can be had in time, else what was there before.

        Raises:
            Unavailable: nothing could be read yet.
        """
        if self._due <= self._clock():
            await self._look_aside(call)
        if self._held is None:
            raise Unavailable(f"{self._name} could not be read yet")
        return self._held.value

    async def _look_aside(self, call: Call | None) -> None:
        if self._looking is None or self._looking.done():
            self._begun = self._clock()
            try:
                self._looking = begin(self._look)
            except Unavailable:
                return
        wait = wait_for(call, math.inf)
        if self._held is not None:
            wait = min(wait, self._begun + PATIENCE - self._clock())
        if wait > 0:
            await asyncio.wait(
                {asyncio.wrap_future(self._looking)}, timeout=None if wait == math.inf else wait
            )

    def _look(self) -> None:
        """In a thread, and one at a time."""
        try:
            version = self._version()
            if self._held is None or version is None or version != self._held.version:
                self._held = _Held(self._read(), version)
        except BaseException as error:
            self._report(error)
        finally:
            self._due = self._clock() + (EVERY if self._every is None else self._every)

    def _report(self, error: BaseException) -> None:
        problem = str(error) if isinstance(error, ReceiverError) else type(error).__name__
        more = self._seldom.due(problem, self._clock())
        if more is not None:
            kept = "nothing is known yet" if self._held is None else "the old stays in use"
            log.error("%s cannot be read, %s: %s%s", self._name, kept, problem, more)


@dataclass(frozen=True, slots=True)
class _Held(Generic[T]):
    value: T
    version: object


def stamp(*paths: Path) -> object:
    """What differs once one of these files has been changed, replaced, made or removed.

    None while a change is so young that another one might go unseen.

    Raises:
        OSError: the file system does not tell.
    """
    stamps: list[tuple[int, ...] | None] = []
    for path in paths:
        try:
            stat = path.stat()
        except FileNotFoundError:
            stamps.append(None)
            continue
        if abs(time.time() - stat.st_mtime) < _YOUNG:
            return None
        # Not st_ctime: SQLite sets the owner of its files anew whenever root reads them.
        stamps.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(stamps)
