"""The date and time for handlers: the system's, or one that a test or ``receiver dev`` sets.

Rule 1: without a simulation it is the system's clock, which is read only when a handler asks.
Rule 2: a simulated time without a zone is local time in each zone: 10:00 at the PBX is 10:00 for a
        handler with the zone Europe/Berlin, also on a machine in UTC. A time with a zone is a
        point in time, which is converted.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

Clock = Callable[[str], datetime]
"""Returns the simulated date and time in the call with a session id, with or without a zone."""


def current_time(clock: Clock | None, session_id: str, zone: tzinfo | str | None) -> datetime:
    """Return the date and time in ``zone``, always with a zone.

    Parameters:
        clock: of a simulation; None for the system's.
        session_id: of the call.
        zone: a time zone, or its name as in ``"Europe/Berlin"``; None for the machine's.

    Raises:
        zoneinfo.ZoneInfoNotFoundError, ValueError: there is no such zone.
    """
    if isinstance(zone, str):
        zone = ZoneInfo(zone)
    if clock is None:
        return datetime.now(zone) if zone else datetime.now().astimezone()
    now = clock(session_id)
    if now.tzinfo is None and zone is not None:
        return now.replace(tzinfo=zone)
    return now.astimezone(zone)


def utc(seconds: float) -> datetime | None:
    """Return the time that is ``seconds`` after the epoch, in UTC; None if no calendar has it."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
