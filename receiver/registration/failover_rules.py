"""Decide when the action URLs of a service are disabled and enabled again.

Rule 1: disable after `Rules.failures` failures in a row, the first and the last `Rules.failing`
        seconds apart; enable after `Rules.answers` good answers in a row.
Rule 2: an inconclusive result resets both counts, so that old failures do not add up.
Rule 3: after a switch, the opposite one waits `Rules.hold` seconds.
Rule 4: the state is read again every `Rules.recheck` seconds, because another client may have
        changed it.

Pure: the time is an argument, in seconds of a monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Rules:
    """The thresholds of a guard.

    Attributes:
        failures: number of failures in a row that disables the action URLs.
        failing: minimum seconds from the first to the last of them.
        answers: number of good answers in a row that enables the action URLs.
        hold: minimum seconds between a switch and the opposite one.
        recheck: seconds after which the state on the PBX is read again.
    """

    failures: int = 3
    failing: float = 10.0
    answers: int = 3
    hold: float = 30.0
    recheck: float = 60.0


@dataclass(frozen=True, slots=True)
class FailoverState:
    """The results and switches of a guard so far.

    Attributes:
        good: number of good answers in a row.
        bad: number of failures in a row.
        first_failure: time of the first of them.
        last_failure: time of the last of them.
        enabled: whether the action URLs are enabled; None if unknown.
        checked: time at which ``enabled`` was read.
        switched_to: the last switch of this guard, True for enabled; None if there was none.
        switched_at: time of that switch.
    """

    good: int = 0
    bad: int = 0
    first_failure: float = 0.0
    last_failure: float = 0.0
    enabled: bool | None = None
    checked: float = 0.0
    switched_to: bool | None = None
    switched_at: float = 0.0

    def with_result(self, good: bool | None, now: float) -> FailoverState:
        """Return the state after one more probe; ``good`` is None for an inconclusive one."""
        if good is None:
            return replace(self, good=0, bad=0)
        if good:
            return replace(self, good=self.good + 1, bad=0)
        first = self.first_failure if self.bad else now
        return replace(self, good=0, bad=self.bad + 1, first_failure=first, last_failure=now)

    def next_switch(self, rules: Rules, now: float) -> bool | None:
        """Return the switch to make ``now``: True to enable, False to disable, None for none."""
        target = self._target(rules)
        if target is None or (target == self.enabled and now - self.checked < rules.recheck):
            return None
        if self.switched_to not in (None, target) and now - self.switched_at < rules.hold:
            return None
        return target

    def with_switch(
        self, enabled: bool, now: float, *, changed: bool, complete: bool = True
    ) -> FailoverState:
        """Return the state after an attempt to switch all action URLs.

        Parameters:
            enabled: the direction, True to enable.
            now: when the attempt ended.
            changed: whether it changed anything on the PBX.
            complete: False if it failed, so that the state is unknown.
        """
        after = replace(self, enabled=enabled if complete else None, checked=now)
        return replace(after, switched_to=enabled, switched_at=now) if changed else after

    def _target(self, rules: Rules) -> bool | None:
        down = self.last_failure - self.first_failure
        if self.bad >= rules.failures and down >= rules.failing:
            return False
        return True if self.good >= rules.answers else None
