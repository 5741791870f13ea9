"""The sessions of one process.

Rule: where there is no more room, the session that has been idle longest is forgotten.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from receiver.sessions.shelf import LEASE


class _Kept(NamedTuple):
    data: bytes
    end: float


class _Lock(NamedTuple):
    token: str
    end: float


class Memory:
    """A `Shelf` in the memory of one process.

    Parameters:
        most: sessions that are kept at once.
        clock: in seconds; never goes back.
    """

    def __init__(self, *, most: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._kept: dict[str, _Kept] = {}  # the one used last stands last
        self._locks: dict[str, _Lock] = {}  # the one taken last stands last

    async def take(self, name: str, token: str, life: float) -> bytes | None:
        now = self._clock()
        while self._locks:
            oldest, lock = next(iter(self._locks.items()))
            if now < lock.end:
                break
            del self._locks[oldest]
        if name in self._locks:
            return None
        self._locks[name] = _Lock(token, now + LEASE)
        kept = self._kept.pop(name, None)
        if kept is None or kept.end <= now:
            return b""
        self._keep(name, kept.data, now, LEASE + life)
        return kept.data

    async def give(self, name: str, token: str, data: bytes | None, life: float) -> bool:
        now = self._clock()
        lock = self._locks.get(name)
        if lock is None or lock.token != token or lock.end <= now:
            return False
        del self._locks[name]
        kept = self._kept.pop(name, None)
        if data is None and kept is not None:
            data = kept.data
        if data:
            self._keep(name, data, now, life)
        return True

    async def close(self) -> None:
        """There is nothing to give back."""

    def _keep(self, name: str, data: bytes, now: float, life: float) -> None:
        self._kept[name] = _Kept(data, now + life)
        while self._kept:
            oldest, kept = next(iter(self._kept.items()))
            if len(self._kept) <= self._most and now < kept.end:
                return
            del self._kept[oldest]
