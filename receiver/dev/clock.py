"""The clock of the simulated PBXs and of handlers: this machine's, or one set on the page.

Rule: a clock that was set advances in real time.
"""

from __future__ import annotations

import time
from datetime import datetime

from receiver.console.web import ControlError
from receiver.dev.messages import SimulatedTime
from receiver.simulator.hours import LocalTime

YEARS = range(1970, 3000)
"""The years it may be set to; it advances from there, and Python's last year is 9999."""


class PbxClock:
    """The date and time at the PBX.

    Attributes:
        time: the time that was set; None for this machine's.
    """

    def __init__(self) -> None:
        self.time: SimulatedTime | None = None

    def set(self, text: str | None) -> None:
        """Set the clock.

        Parameters:
            text: as in ``"2026-11-22T09:00"``; None for the time of this machine.

        Raises:
            ControlError: ``text`` is not a time, or its year is out of range.
        """
        try:
            at = datetime.fromisoformat(text) if text else None
        except ValueError:
            raise ControlError("not a date and time: write it as in 2026-11-22T09:00") from None
        if at is not None and at.year not in YEARS:
            raise ControlError(f"the year must be one from {YEARS[0]} to {YEARS[-1]}")
        naive = None if at is None else at.replace(tzinfo=None)
        self.time = None if naive is None else SimulatedTime(naive, time.monotonic())

    def today(self) -> datetime:
        """Return the time now, in the PBX's zone."""
        return self.time.now() if self.time else datetime.now()

    def local(self) -> LocalTime:
        """Return the time now, as `receiver.simulator.hours` compares it with office hours."""
        now = self.today()
        return LocalTime(now.year, now.month, now.day, now.hour, now.minute, now.weekday())
