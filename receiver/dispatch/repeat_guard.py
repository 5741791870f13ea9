"""Limit how often in a row a call repeats the prompt.

Each process has its own counts, so with N processes a loop may end after N times as many repeats. A
shared count would need a request to the store in every callback, because every other reply resets
it; that costs more than it saves.

Source: the vendor's manual has no limit for ``repeat``; for a time-out it has one of three.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

COUNT_LIFE = 3600.0
"""Seconds without a callback after which the count of a call is deleted."""


class Repeats:
    """The counts of repeated prompts by call, in the memory of one process.

    Parameters:
        most: how many counts are kept; those of calls that were idle longest are deleted first.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._seen: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def count(self, call: Hashable, now: float) -> int:
        """Count a repeat of ``call``, and return how many it had in a row."""
        times, last = self._seen.pop(call, (0, now))
        times = times + 1 if now - last < COUNT_LIFE else 1
        self._seen[call] = (times, now)
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)
        return times

    def end(self, call: Hashable) -> None:
        """Delete the count of a call that got another reply."""
        self._seen.pop(call, None)
