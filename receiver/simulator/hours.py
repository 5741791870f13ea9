"""Office hours and holidays: which of its rules a menu entry of an IVR follows at a moment.

Rule 1: a day that is off, or of which nothing is said, is closed; a day that is on without ranges
        is open all day; with ranges it is open in these only, until the minute in which one ends.
Rule 2: a holiday counts before the office hours.
Rule 3: what a holiday does not say is the whole of what it could say: no hour is the whole day, no
        end is the end of the day on which it begins.

Source: the page on office hours in the administration guide for rule 1. Rules 2 and 3, that a range
ends before its last minute begins, and that a holiday that is not consecutive has its hours on each
of its days, are guesses: the documents are silent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from receiver.simulator.schema import Json

_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_PARTS = {"year": (0, 9999), "month": (1, 12), "day": (1, 31), "hour": (0, 23), "minute": (0, 59)}


class LocalTime(NamedTuple):
    """A minute by the calendar and the clock on the wall, where the PBX is.

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
        """``HH:MM``, as it compares with the ranges of the PBX."""
        return f"{self.hour:02}:{self.minute:02}"


def is_open(hours: Json | None, tenant: Json | None, now: LocalTime) -> bool:
    """Whether office hours hold.

    Parameters:
        hours: of a menu entry; its own if its ``mode`` is ``CUSTOM``, else the tenant's count.
        tenant: the tenant's; always open if there are none.
        now: the moment.
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
    """Whether one of ``holidays`` holds at ``now``; what is gone (None) does not."""
    return any(holiday is not None and _holds(holiday, now) for holiday in holidays)


def _holds(holiday: Json, now: LocalTime) -> bool:
    start, end = _moment(holiday, "start"), _moment(holiday, "end")
    today: tuple[int, ...] = (now.year, now.month, now.day, now.hour, now.minute)
    if holiday.get("every_year"):
        start, end, today = start[1:], end[1:], today[1:]
    if holiday.get("consecutive"):
        return _within(start, today, end)
    return _within(start[:-2], today[:-2], end[:-2]) and _within(start[-2:], today[-2:], end[-2:])


def _within(start: tuple[int, ...], moment: tuple[int, ...], end: tuple[int, ...]) -> bool:
    """Also where it begins late in a year, or a day, and ends early in the next."""
    if start <= end:
        return start <= moment <= end
    return moment >= start or moment <= end


def _moment(holiday: Json, side: str) -> tuple[int, ...]:
    """Year, month, day, hour and minute; a date that has no end ends as it starts."""

    def part(name: str, missing: int) -> int:
        value: int | None = holiday.get(f"{name}_{side}")
        if value is None and name in ("year", "month", "day"):
            value = holiday.get(f"{name}_start")
        return missing if value is None else value

    return tuple(part(name, limits[side == "end"]) for name, limits in _PARTS.items())
