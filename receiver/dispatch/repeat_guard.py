"""Limit how often in a row a call repeats the prompt.

Each process counts for itself, so where calls come to N of them in turn a loop ends after up to N
times as many. A common count would have to be ended by every other answer, too: a question to the
shared store in each callback, to save some callers some prompts.

Source: ``repeat`` has no limit in the vendor's manual, where a time-out has one of three.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

FORGET = 3600.0
"""Seconds after which a call that was not heard of again is forgotten."""


class Repeats:
    """The counts of repeated prompts by call, in the memory of one process.

    Parameters:
        most: how many are remembered; those that were idle longest are forgotten.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._seen: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def count(self, call: Hashable, now: float) -> int:
        """Return how often in a row it repeats the prompt, this time included."""
        times, last = self._seen.pop(call, (0, now))
        times = times + 1 if now - last < FORGET else 1
        self._seen[call] = (times, now)
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)
        return times

    def end(self, call: Hashable) -> None:
        """Delete the count of a call that got another reply."""
        self._seen.pop(call, None)
