"""Office hours and holidays, which select the rule of a menu entry.

Rule 1: a disabled or missing day is closed; an enabled day without ranges is open all day; with
        ranges it is open in these only, excluding the minute in which one ends.
Rule 2: a holiday takes precedence over office hours.
Rule 3: a missing part of a holiday is unlimited: no hour means the whole day, no end means the end
        of the day on which it begins.

Source: the page on office hours in the administration guide for rule 1. Guesses, for it is not
documented: rules 2 and 3, that a range excludes its last minute, and that a holiday that is not
consecutive has its hours on each of its days.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from receiver.declarations.office_hours import within
from receiver.simulator.validation import Json

_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_PARTS = {"year": (0, 9999), "month": (1, 12), "day": (1, 31), "hour": (0, 23), "minute": (0, 59)}


class LocalTime(NamedTuple):
    """A minute in the local time of the PBX.

    Attributes:
        weekday: 0 for Monday.
    """

    year: int
    month: int
    day: int
    hour: int
    minute: int
    weekday: int

    def __str__(self) -> str:
        return f"{self.clock} on {_WEEK[self.weekday].capitalize()}"

    @property
    def clock(self) -> str:
        """``HH:MM``, comparable with the ranges of the PBX."""
        return f"{self.hour:02}:{self.minute:02}"


def is_open(hours: Json | None, tenant: Json | None, now: LocalTime) -> bool:
    """Return whether it is within office hours.

    Parameters:
        hours: of a menu entry; used if its ``mode`` is ``CUSTOM``, else the tenant's apply.
        tenant: the tenant's; None for always open.
        now: the local time.
    """
    counts = hours if hours and hours.get("mode") == "CUSTOM" else tenant
    if counts is None:
        return True
    day = counts.get(_WEEK[now.weekday]) or {}
    if not day.get("enabled"):
        return False
    ranges = day.get("ranges") or ()
    return not ranges or any(
        part.get("from", "00:00") <= now.clock < part.get("to", "24:00") for part in ranges
    )


def is_holiday(holidays: Iterable[Json | None], now: LocalTime) -> bool:
    """Return whether one of ``holidays`` includes ``now``; deleted ones (None) do not."""
    return any(holiday is not None and _holds(holiday, now) for holiday in holidays)


def _holds(holiday: Json, now: LocalTime) -> bool:
    start, end = _moment(holiday, "start"), _moment(holiday, "end")
    today: tuple[int, ...] = (now.year, now.month, now.day, now.hour, now.minute)
    every_year, consecutive = bool(holiday.get("every_year")), bool(holiday.get("consecutive"))
    return within(start, today, end, every_year=every_year, consecutive=consecutive)


def _moment(holiday: Json, side: str) -> tuple[int, ...]:
    """Return year, month, day, hour and minute; a missing end date is the start date."""

    def part(name: str, missing: int) -> int:
        value: int | None = holiday.get(f"{name}_{side}")
        if value is None and name in ("year", "month", "day"):
            value = holiday.get(f"{name}_start")
        return missing if value is None else value

    return tuple(part(name, limits[side == "end"]) for name, limits in _PARTS.items())
