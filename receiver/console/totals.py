"""What is added up of the callbacks of the last hour, and where calls were seen to go. Pure.

Rule 1: no clock: what is told has its time.
Rule 2: bounded: the minutes of an hour, and `MOST` destinations of an action; further ones are
        counted together.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from receiver.console.telling import Told
from receiver.console.traffic import WELL, iso, outcome

Json = dict[str, Any]

MINUTES = 60
MOST = 50

FURTHER = "further ones"


@dataclass(slots=True)
class Minute:
    """What was answered within one."""

    answers: int = 0
    fallbacks: int = 0
    worst: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)

    def add(self, told: Told) -> None:
        record = told.record
        self.answers += 1
        self.fallbacks += record.reason not in WELL
        self.worst = max(self.worst, record.seconds / told.budget)
        self.reasons[record.reason] += 1
        self.decisions[record.decision] += 1


class Totals:
    """What is known.

    Attributes:
        lost: callbacks that the workers could not tell of.
        observed: how often calls went where, by the identity of an action.
    """

    def __init__(self) -> None:
        self.lost = 0
        self.observed: dict[str, Counter[str]] = {}
        self._minutes: dict[int, Minute] = {}

    def add(self, told: Told) -> None:
        """One more callback."""
        self._minutes.setdefault(int(told.arrived // 60), Minute()).add(told)
        found = outcome(told.record)
        to = found.detail or {"hung up": "hang up", "repeated": "repeat"}[found.kind]
        seen = self.observed.setdefault(told.record.action, Counter())
        seen[to if to in seen or len(seen) < MOST else FURTHER] += 1

    def json(self, now: float) -> Json:
        """The hour that ends ``now``, as the console's page is told."""
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
