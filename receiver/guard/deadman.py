"""When the action URLs of a service are switched off, and when on again.

Rule 1: off after `Rules.failures` failures in a row, the first and the last `Rules.failing` seconds
        apart; on after `Rules.answers` good answers in a row.
Rule 2: what tells neither way ends both rows: nobody is switched off on old evidence.
Rule 3: after a switch, the opposite one waits `Rules.hold` seconds.
Rule 4: what was brought about is looked at again every `Rules.recheck` seconds, for somebody else
        may have changed it.

Values in, values out: the time is passed in, in seconds by a clock that is never set.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Rules:
    """How patient a guard is.

    Attributes:
        failures: in a row, before it switches off.
        failing: seconds from the first to the last of them, at least.
        answers: good ones in a row, before it switches on.
        hold: seconds between a switch and the opposite one, at least.
        recheck: seconds after which the PBX is looked at again.
    """

    failures: int = 3
    failing: float = 10.0
    answers: int = 3
    hold: float = 30.0
    recheck: float = 60.0


@dataclass(frozen=True, slots=True)
class Vigil:
    """What a guard has seen and done so far; at first nothing.

    Attributes:
        good: good answers in a row.
        bad: failures in a row.
        since: when the first of those failures was.
        last: when the last of them was.
        is_on: what the action URLs are known to be; None if that is not known.
        checked: when that was known.
        turned: which way they were switched last; None if not by this guard.
        moment: when that was.
    """

    good: int = 0
    bad: int = 0
    since: float = 0.0
    last: float = 0.0
    is_on: bool | None = None
    checked: float = 0.0
    turned: bool | None = None
    moment: float = 0.0

    def saw(self, good: bool | None, now: float) -> Vigil:
        """With one more answer; None for one that tells neither way."""
        if good is None:
            return replace(self, good=0, bad=0)
        if good:
            return replace(self, good=self.good + 1, bad=0)
        since = self.since if self.bad else now
        return replace(self, good=0, bad=self.bad + 1, since=since, last=now)

    def due(self, rules: Rules, now: float) -> bool | None:
        """What to make the action URLs ``now``: True is on; None is nothing."""
        verdict = self._verdict(rules)
        if verdict is None or (verdict == self.is_on and now - self.checked < rules.recheck):
            return None
        if self.turned not in (None, verdict) and now - self.moment < rules.hold:
            return None
        return verdict

    def did(self, on: bool, now: float, *, changed: bool, whole: bool = True) -> Vigil:
        """After an attempt to make them all ``on``.

        Parameters:
            on: True for on.
            now: when it ended.
            changed: whether anything on the PBX was changed by it.
            whole: False if it failed, so that nobody knows how far it came.
        """
        after = replace(self, is_on=on if whole else None, checked=now)
        return replace(after, turned=on, moment=now) if changed else after

    def _verdict(self, rules: Rules) -> bool | None:
        if self.bad >= rules.failures and self.last - self.since >= rules.failing:
            return False
        return True if self.good >= rules.answers else None
