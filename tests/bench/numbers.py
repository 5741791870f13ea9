"""Compare two series of times: whether they differ, and by how much."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

_RESAMPLED = 300


@dataclass(frozen=True, slots=True)
class Compared:
    """The result of comparing two series, in nanoseconds.

    Attributes:
        z: of Mann and Whitney's U, in standard deviations from its expectation: beyond 4 in one of
            16,000 comparisons of equal series.
        difference: of the medians, the second less the first.
        low, high: its confidence interval of 99 %, by bootstrap.
    """

    z: float
    difference: float
    low: float
    high: float

    def exceeds(self, controls: Sequence[Compared]) -> bool:
        """Whether the difference is significant, and larger than in all ``controls``."""
        noise = max(abs(one.z) for one in controls)
        return abs(self.z) > max(4, 2 * noise) and not self.low <= 0 <= self.high


def compare(first: Sequence[int], second: Sequence[int], chance: random.Random) -> Compared:
    """Compare the second series with the first: of equal length, in the order of measurement."""
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
