"""Office hours and holidays, as IVRs declare them and handlers use them.

Rule 1: a range past midnight (``22:00-06:00``) belongs to the day on which it begins.
Rule 2: a holiday without a time begins with its first day, and ends with its last; that of a single
        day is its beginning.
Rule 3: a holiday includes the minute in which it ends. One that is not consecutive has its times on
        each of its days. Neither is documented for a PBX.

Pure.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from receiver.errors import DeclarationError

if TYPE_CHECKING:
    from datetime import datetime

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60
"""The minutes of a day."""

_RANGE = re.compile(r"(\d\d?):(\d\d)\s*[-–]\s*(\d\d?):(\d\d)")
_MOMENT = re.compile(r"(?:(\d{4})-)?(\d\d)-(\d\d)(?: (\d\d):(\d\d))?")
_REGION = re.compile("[A-Z]{3}")
_MAX_NAME = 64  # characters that the PBX accepts
_LEAP_YEAR = 2024

Ranges = tuple[tuple[int, int], ...]
"""Begin and end in minutes of the day; an end past midnight is above 24 hours."""


@dataclass(frozen=True, slots=True)
class OfficeHours:
    """The office hours of a week, for menu entries of IVRs and for `handlers.hours.Hours`.

    ::

        office = OfficeHours({"mon-thu": "09:00-12:30, 13:30-17:00", "fri": "09:00-15:00"})

    In a file::

        value = "office-hours"
        week = {mon-thu = "09:00-12:30, 13:30-17:00", fri = "09:00-15:00"}

    Parameters:
        week: hours by days; other days are closed. ``"00:00-24:00"`` is a whole day.

    Attributes:
        ranges: those of each day, Monday first.

    Raises:
        DeclarationError: a day or a range is none.
    """

    week: Mapping[str, str] = field(compare=False)
    ranges: tuple[Ranges, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranges", _week(self.week))

    @staticmethod
    def of_day(text: str, where: str) -> Ranges:
        """Return the ranges of one day, as in ``"09:00-12:30, 13:30-17:00"`` or ``"closed"``.

        Parameters:
            text: the hours.
            where: the option that has them, for the error.

        Raises:
            DeclarationError: a range is none.
        """
        if text == "closed":
            return ()
        ranges = []
        for part in text.split(",") if isinstance(text, str) else ("",):
            found = _RANGE.fullmatch(part.strip())
            numbers = [int(n) for n in found.groups()] if found else [99] * 4
            begin, end = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
            if max(numbers[1], numbers[3]) > 59 or begin >= DAY or end > DAY:
                raise DeclarationError(f'{where}: write hours as "09:00-12:30, 13:30-17:00"')
            ranges.append((begin, end if end > begin else end + DAY))
        return tuple(ranges)


class Moment(NamedTuple):
    """A date, with a time if one is given, of a year if one is given."""

    year: int | None
    month: int
    day: int
    hour: int | None
    minute: int | None


@dataclass(frozen=True, slots=True)
class Holiday:
    """A holiday, for menu entries of IVRs and for `handlers.hours.Hours`.

    ``apply`` creates it on the PBX if that has none of this name, and updates it; it is never
    deleted. ::

        christmas = Holiday("Christmas", "12-24 14:00 to 12-26", region="DEU")
        moving = Holiday("We move", "2026-12-28 to 2027-01-02", region="DEU")

    In a file::

        value = "holiday"
        name = "Christmas"
        days = "12-24 14:00 to 12-26"
        region = "DEU"

    Parameters:
        name: 1 to 64 characters.
        days: a day or a range of days: ``MM-DD`` every year, or ``YYYY-MM-DD``. A time may follow
            each; without one the PBX keeps its own, for a new holiday none.
        region: a country of ISO 3166-1 in three letters, as the PBX has it.
        consecutive: whether it lasts from its start to its end without a break; False has its
            times on each of its days.

    Raises:
        DeclarationError: the name, the days or the region are none.
    """

    name: str
    days: str
    region: str
    consecutive: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 1 <= len(self.name) <= _MAX_NAME:
            raise DeclarationError(f"Holiday: name must be a text of 1 to {_MAX_NAME} characters")
        if not isinstance(self.region, str) or not _REGION.fullmatch(self.region):
            raise DeclarationError(
                f'Holiday: region must be a country in three letters, as "DEU": {self.region!r}'
            )
        if not isinstance(self.consecutive, bool):
            raise DeclarationError(f"Holiday: consecutive={self.consecutive!r} is no bool")
        start, end = moments(self)
        if (start.year is None) != (end.year is None) or (start.year and start[:3] > end[:3]):
            raise _no_days(self.days)

    def covers(self, moment: datetime) -> bool:
        """Return whether it is this holiday at ``moment``, in local time."""
        now = (moment.year, moment.month, moment.day, moment.hour, moment.minute)
        start, end = moments(self)
        return within(
            (start.year or 0, start.month, start.day, start.hour or 0, start.minute or 0),
            now,
            (
                end.year or 0,
                end.month,
                end.day,
                23 if end.hour is None else end.hour,
                59 if end.minute is None else end.minute,
            ),
            every_year=start.year is None,
            consecutive=self.consecutive,
        )


def moments(holiday: Holiday) -> tuple[Moment, Moment]:
    """Return the first and the last day of ``holiday``, with the times on them.

    Raises:
        DeclarationError: its days are none.
    """
    if not isinstance(holiday.days, str):
        raise _no_days(holiday.days)
    first, _, last = holiday.days.partition(" to ")
    start = _moment(holiday.days, first)
    if last:
        return start, _moment(holiday.days, last)
    return start, start._replace(hour=None, minute=None)


def within(
    start: tuple[int, ...],
    now: tuple[int, ...],
    end: tuple[int, ...],
    *,
    every_year: bool,
    consecutive: bool,
) -> bool:
    """Return whether a holiday includes ``now``.

    Parameters:
        start, now, end: year, month, day, hour and minute.
        every_year: whether years do not count; the holiday may cross New Year.
        consecutive: whether it lasts from its start to its end without a break.
    """
    if every_year:
        start, now, end = start[1:], now[1:], end[1:]
    if consecutive:
        return _between(start, now, end)
    return _between(start[:-2], now[:-2], end[:-2]) and _between(start[-2:], now[-2:], end[-2:])


def _between(start: tuple[int, ...], moment: tuple[int, ...], end: tuple[int, ...]) -> bool:
    """Return whether a period includes a moment; it may cross the end of a year or a day."""
    if start <= end:
        return start <= moment <= end
    return moment >= start or moment <= end


def _week(week: Mapping[str, str]) -> tuple[Ranges, ...]:
    if not isinstance(week, Mapping) or not week:
        raise DeclarationError('week= is a table such as {"mon-fri": "09:00-17:00"}')
    hours: dict[int, Ranges] = {}
    for names, text in week.items():
        parts = re.split(r" ?[-–] ?", str(names).lower())
        ends = [WEEK.index(name) for name in parts if name in WEEK]
        if len(ends) != len(parts) or len(ends) > 2:
            raise DeclarationError(
                f"week: {names!r} is no day: write one of {', '.join(WEEK)}, or a range "
                "of them such as mon-fri"
            )
        for day in range(ends[0], ends[-1] + 1 if ends[0] <= ends[-1] else ends[-1] + 8):
            if day % 7 in hours:
                raise DeclarationError(f"week: {WEEK[day % 7]} is there twice")
            hours[day % 7] = OfficeHours.of_day(text, f"week: {names!r}")
    return tuple(hours.get(day, ()) for day in range(7))


def _moment(days: str, text: str) -> Moment:
    found = _MOMENT.fullmatch(text.strip())
    if found is None:
        raise _no_days(days)
    year, month, day, hour, minute = (None if n is None else int(n) for n in found.groups())
    assert month is not None and day is not None  # noqa: S101, PT018 - for the type checker
    valid_month = 1 <= month <= 12 and (year is None or year >= 1)
    if not valid_month or not 1 <= day <= monthrange(year or _LEAP_YEAR, month)[1]:
        raise _no_days(days)
    if (hour or 0) > 23 or (minute or 0) > 59:
        raise _no_days(days)
    return Moment(year, month, day, hour, minute)


def _no_days(days: object) -> DeclarationError:
    return DeclarationError(
        f'Holiday: {days!r} are no days: write them as "12-24", "12-24 14:00 to 01-06", or with '
        'years, as "2026-12-24 to 2027-01-06"'
    )
