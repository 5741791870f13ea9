"""The clock of the simulated PBXs: that of this machine, or as the page has set it.

Rule: a clock that was set goes on from there by the seconds that really pass.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from receiver.console.web import ControlError
from receiver.simulator.hours import LocalTime

YEARS = range(1970, 3000)
"""What it may be set to: it goes on from there, and Python's years end."""


class PbxClock:
    """Tells the time by which calls are taken."""

    def __init__(self) -> None:
        self._set: tuple[datetime, float] | None = None

    def set(self, text: str | None) -> None:
        """Set it to ``text``, as in ``"2026-11-22T09:00"``; None for the time of this machine.

        Raises:
            ControlError: that is no time, or too far away.
        """
        try:
            at = datetime.fromisoformat(text) if text else None
        except ValueError:
            raise ControlError("the time is none: write it as in 2026-11-22T09:00") from None
        if at is not None and at.year not in YEARS:
            raise ControlError(f"the year must be one from {YEARS[0]} to {YEARS[-1]}")
        self._set = None if at is None else (at.replace(tzinfo=None), time.monotonic())

    def today(self) -> datetime:
        """Now, in the PBX's own zone."""
        if self._set is None:
            return datetime.now()
        at, since = self._set
        return at + timedelta(seconds=time.monotonic() - since)

    def local(self) -> LocalTime:
        """The same, as office hours go by it."""
        now = self.today()
        return LocalTime(now.year, now.month, now.day, now.hour, now.minute, now.weekday())
