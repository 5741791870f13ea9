"""The clock of the test kit's telephone."""

from __future__ import annotations

from datetime import datetime, timedelta

MONDAY = datetime(2026, 1, 5, 10, 0)
"""The default date and time at the PBX: a Monday morning."""


class Clock:
    """The date and time at the PBX and for handlers (`receiver.Call.now`). ::

        phone.clock.now = datetime(2026, 12, 24, 18, 0)
        phone.clock.advance(60)

    It advances only by `advance`, or when ``now`` is set.

    Attributes:
        now: may be set at any time. Without a zone it counts in the zone of each handler.
    """

    def __init__(self, now: datetime = MONDAY) -> None:
        self.now = now

    def advance(self, seconds: float) -> None:
        """Advance the clock. `PhoneCall.wait` advances the time of its call only."""
        self.now += timedelta(seconds=seconds)
