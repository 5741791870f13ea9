"""Do two series of times differ, and by how much? No more statistics than that needs."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

_RESAMPLED = 300


@dataclass(frozen=True, slots=True)
class Compared:
    """One series against another, in nanoseconds.

    Attributes:
        z: of Mann and Whitney's U, in standard deviations from what chance would give: beyond 4 in
            one of 16,000 comparisons of what does not differ.
        difference: of the medians, the second less the first.
        low, high: where that lies with 99 % certainty, by bootstrap.
    """

    z: float
    difference: float
    low: float
    high: float

    def exceeds(self, controls: Sequence[Compared]) -> bool:
        """Whether it is a difference, and a greater one than the same thing has with itself."""
        noise = max(abs(one.z) for one in controls)
        return abs(self.z) > max(4, 2 * noise) and not self.low <= 0 <= self.high


def compare(first: Sequence[int], second: Sequence[int], chance: random.Random) -> Compared:
    """The second against the first; both in the order in which they were taken, and as many."""
    resampled = [
        median(chance.choices(second, k=len(second))) - median(chance.choices(first, k=len(first)))
        for _ in range(_RESAMPLED)
    ]
    cuts = quantiles(resampled, n=200)
    return Compared(_z(first, second), median(second) - median(first), cuts[0], cuts[-1])


def _z(first: Sequence[int], second: Sequence[int]) -> float:
    ranked = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    total = 0.0
    at = 0
    while at < len(ranked):
        end = at
        while end < len(ranked) and ranked[end][0] == ranked[at][0]:
            end += 1
        total += sum(which for _, which in ranked[at:end]) * (at + end + 1) / 2  # ties share ranks
        at = end
    n, m = len(first), len(second)
    u = total - m * (m + 1) / 2
    return (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
