"""Whether a time grows faster than the length of an input, on a machine that does other things.

It is CPU time, the least of several measurements: a collection of garbage may come between. A
cache or a core that is shared makes one of two lengths slower for a while, so what looks steep is
measured again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from receiver.errors import ReceiverError

ROUNDS = 5
"""Measurements that must all look steep."""


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Return the least CPU time of ``work``, whose errors do not matter."""
    least = float("inf")
    for _ in range(repeats):
        begun = time.process_time()
        with contextlib.suppress(ReceiverError):
            work()
        least = min(least, time.process_time() - begun)
    return least


def is_steep(
    short: Callable[[], object], long: Callable[[], object], factor: float, noise: float
) -> bool:
    """Return whether ``long`` takes more than ``factor`` times as long as ``short``.

    Parameters:
        short: the work on a short input.
        long: the same on a longer one.
        factor: between what is good and what is not, by the lengths of the two.
        noise: seconds that ``short`` counts for at least.
    """
    return all(seconds(long) > factor * max(seconds(short), noise) for _ in range(ROUNDS))
