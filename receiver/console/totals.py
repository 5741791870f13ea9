"""Totals of the callbacks of the last hour, and the destinations of calls. Pure.

Rule 1: no clock: callbacks have their times.
Rule 2: bounded: the minutes of an hour, and a number of destinations of an action; further ones are
        counted together.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from receiver.console.traffic import NO_FALLBACK, destination, iso
from receiver.recording.publisher import PublishedCallback
from receiver.replies import KINDS

Json = dict[str, Any]

MINUTES = 60
MAX_DESTINATIONS = 50

FURTHER = "further ones"


@dataclass(slots=True)
class Minute:
    """The callbacks that were answered within one minute."""

    answers: int = 0
    fallbacks: int = 0
    worst: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)

    def add(self, published: PublishedCallback) -> None:
        record = published.record
        self.answers += 1
        self.fallbacks += record.reason not in NO_FALLBACK
        self.worst = max(self.worst, record.seconds / published.budget)
        self.reasons[record.reason] += 1
        self.decisions[record.decision] += 1


class Totals:
    """The totals.

    Parameters:
        max_destinations: of one action.

    Attributes:
        lost: callbacks and events that the workers could not publish.
        observed: how often a destination was the answer, by the identity of an action.
    """

    def __init__(self, max_destinations: int = MAX_DESTINATIONS) -> None:
        self._max_destinations = max_destinations
        self.lost = 0
        self.observed: dict[str, Counter[str]] = {}
        self._minutes: dict[int, Minute] = {}

    def add(self, published: PublishedCallback) -> None:
        """Add a callback."""
        self._minutes.setdefault(int(published.arrived // 60), Minute()).add(published)
        to = KINDS[published.record.decision].label.format(destination(published.record))
        seen = self.observed.setdefault(published.record.action, Counter())
        seen[to if to in seen or len(seen) < self._max_destinations else FURTHER] += 1

    def json(self, now: float) -> Json:
        """Return the hour that ends ``now``, as the page shows it."""
        last = int(now // 60)
        first = last - MINUTES + 1
        self._minutes = {at: one for at, one in self._minutes.items() if first <= at}
        hour = {at: self._minutes.get(at, Minute()) for at in range(first, last + 1)}
        reasons, decisions = Counter[str](), Counter[str]()
        for minute in hour.values():
            reasons += minute.reasons
            decisions += minute.decisions
        return {
            "minutes": [
                {
                    "at": iso(at * 60),
                    "answers": one.answers,
                    "fallbacks": one.fallbacks,
                    "worst": round(one.worst, 4),
                }
                for at, one in hour.items()
            ],
            "reasons": dict(reasons),
            "decisions": dict(decisions),
            "lost": self.lost,
        }
