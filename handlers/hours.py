"""Handler for office hours: one route while open, another one while closed.

::

    Hours(open=menu, closed=Forward("8999"), zone="Europe/Berlin", country="DE",
          week={"mon-fri": "08:30-12:30, 13:30-18:00", "sat": "10:00-14:00"},
          days={"12-24": "09:00-12:00", "12-27 to 01-06": "closed"}, switch="office.switch")

Rule 1: Times are local times of the zone. A range that begins in the hour skipped by summer time
        begins after it; an hour that occurs twice counts twice.
Rule 2: A range past midnight (``22:00-06:00``) belongs to the day on which it begins.
Rule 3: ``days`` take precedence over the country's holidays (library holidays, extra ``hours``),
        those of ``calendar`` and ``holidays``, which are closed, and these over the week. Among
        ``days`` a single day precedes a range, one with a year precedes one without, and the first
        of several ranges applies. Shifts end when one of ``holidays`` begins.
Rule 4: The file ``switch`` takes precedence over all, within a second and without a restart:
        ``open`` or ``closed``, alone or followed by ``until 2026-11-22 18:00``; empty or missing it
        has no effect. For example ``echo closed > office.switch``, and later ``rm office.switch``.
        An invalid file is an error at start; later it is logged and the old content stays in use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from handlers.calendars.ics import Calendar, read_calendar
from handlers.tables.text_files import read_text
from receiver import (
    Call,
    DeclarationError,
    Holiday,
    OfficeHours,
    Reply,
    Then,
    handler_of,
    is_sensitive,
    repeats_of,
)
from receiver.upstream import Reloading, stamp

_DATE = re.compile(r"(?:\d{4}-)?\d\d-\d\d")
_SWITCH = re.compile(r"(open|closed)(?:\s+until\s+(\S+(?:[ ]\d\d:\d\d\S*)?))?", re.IGNORECASE)
_DAY = 24 * 60

_SPAN = " to "

Ranges = tuple[tuple[int, int], ...]
"""Begin and end in minutes of the day; an end past midnight is above 24 hours."""


class Hours:
    """A handler that chooses by the time.

    ::

        week = {"mon-thu": "08:30-17:00", "fri": "08:30-15:00"}
        office = Hours(open="222", closed="8999", zone="Europe/Berlin", week=week)
        ivr.add("DTMF", "1", office, name="office")

    Parameters:
        open, closed: a reply or a handler.
        week: hours by days, as in ``{"mon-fri": "09:00-17:00", "sat": "10:00-12:00"}``; other days
            are closed. ``"00:00-24:00"`` is a whole day. Or the `receiver.OfficeHours` that IVRs
            declare, too.
        zone: time zone, as in ``"Europe/Berlin"``.
        days: hours of single days, by ``YYYY-MM-DD`` or, every year, ``MM-DD``, and of ranges of
            days, as in ``"12-24 to 01-06"``; or ``"closed"``.
        country, subdivision: closed on the public holidays of a country, as in ``"DE"``, and of a
            subdivision, as in ``"BE"``.
        calendar: path of an iCalendar file (``.ics``) with closed days; reloaded after a change.
        holidays: closed on these, a list of `receiver.Holiday`, which IVRs declare, too.
        holiday: reply or handler on a holiday or a closed day of ``days``; the default is
            ``closed``.
        switch: path of a file with ``open`` or ``closed``, for now or ``until 2026-11-22 18:00``.
        clock: returns the current time; by default `receiver.Call.now`.

    In a file::

        handler = "hours"
        zone = "Europe/Berlin"
        week = {mon-thu = "08:30-18:00", fri = "08:30-15:00"}
        open = {handler = "menu", choices = {1 = "222"}}
        closed = "8999"

    Raises:
        DeclarationError: an option is wrong, or the library for holidays is not installed.
    """

    def __init__(
        self,
        *,
        open: Then,
        closed: Then,
        week: OfficeHours | Mapping[str, str],
        zone: str,
        days: Mapping[str, str] | None = None,
        country: str = "",
        subdivision: str = "",
        calendar: str | Path = "",
        holidays: Iterable[Holiday] = (),
        holiday: Then | None = None,
        switch: str | Path = "",
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._open = handler_of(open, "Hours: open")
        self._closed = handler_of(closed, "Hours: closed")
        self._holiday = handler_of(closed if holiday is None else holiday, "Hours: holiday")
        self._week = _office_hours(week).ranges
        self._zone = _zone(zone)
        self._days, self._spans = _days(days or {})
        self._holidays = _holidays(country, subdivision)
        self._declared = _declared(holidays)
        self._calendar = Calendar()
        self._calendar_file = self._reload(Path(calendar)) if str(calendar) else None
        self._switch = _switch(Path(switch), self._zone) if str(switch) else None
        self._clock = clock
        self.sensitive = is_sensitive(self._open, self._closed, self._holiday)
        self.repeats = repeats_of(self._open, self._closed, self._holiday)

    async def __call__(self, call: Call) -> Reply:
        now = call.now(self._zone) if self._clock is None else self._clock()
        if self._switch is not None:
            position, until = await self._switch(call)
            if position and (until is None or now < until):
                return await (self._open if position == "open" else self._closed)(call)
        if self._calendar_file is not None:
            await self._calendar_file(call)
        if self.is_open(now):
            return await self._open(call)
        local = now.astimezone(self._zone)
        special = self._special(local.date()) is not None or self._is_holiday(local)
        return await (self._holiday if special else self._closed)(call)

    def is_open(self, now: datetime) -> bool:
        """Return whether ``now``, an aware time, is within the hours; ignores the switch."""
        local = now.astimezone(self._zone)
        if self._is_holiday(local):
            return False
        minute = local.hour * 60 + local.minute
        today, before = self._hours(local.date()), self._hours(local.date() - timedelta(1))
        return any(begin <= minute < end for begin, end in today) or any(
            minute < end - _DAY for _, end in before
        )

    def _hours(self, day: date) -> Ranges:
        special = self._special(day)
        return self._week[day.weekday()] if special is None else special

    def _special(self, day: date) -> Ranges | None:
        """Return the special hours of a day; None for a day with the hours of the week."""
        ranges = self._hours_of_days(day)
        if ranges is None and (day in self._holidays or day in self._calendar):
            return ()
        return ranges

    def _is_holiday(self, local: datetime) -> bool:
        """Return whether it is one of ``holidays``, and the day is not among ``days``."""
        return self._hours_of_days(local.date()) is None and any(
            one.covers(local) for one in self._declared
        )

    def _hours_of_days(self, day: date) -> Ranges | None:
        """Return the hours that ``days`` have for a day."""
        iso = day.isoformat()
        for key in (iso, iso[5:]):
            if key in self._days:
                return self._days[key]
        for begin, end, ranges in self._spans:
            if _is_within(iso[-len(begin) :], begin, end):
                return ranges
        return None

    def _reload(self, path: Path) -> Reloading[None]:
        def read() -> None:
            self._calendar = read_calendar(path)

        return Reloading(f"the calendar {path}", read, partial(stamp, path))


def _office_hours(week: OfficeHours | Mapping[str, str]) -> OfficeHours:
    if isinstance(week, OfficeHours):
        return week
    try:
        return OfficeHours(week)
    except DeclarationError as error:
        raise DeclarationError(f"Hours: {error.problem}") from None


def _days(
    days: Mapping[str, str],
) -> tuple[dict[str, Ranges], list[tuple[str, str, Ranges]]]:
    """Return the hours of single days, and of ranges, those with a year first."""
    single: dict[str, Ranges] = {}
    spans: list[tuple[str, str, Ranges]] = []
    for day, text in days.items():
        ranges = OfficeHours.of_day(text, f"Hours: days: {day!r}")
        if isinstance(day, str) and _SPAN in day:
            begin, _, end = day.partition(_SPAN)
            spans.append((_date(begin.strip()), _date(end.strip()), ranges))
            if len(spans[-1][0]) != len(spans[-1][1]) or (len(begin) > 5 and begin > end):
                raise DeclarationError(
                    f'Hours: days: {day!r} is no range, as "12-24 to 01-06", or with both years'
                )
        else:
            single[_date(day)] = ranges
    return single, sorted(spans, key=lambda span: -len(span[0]))


def _is_within(day: str, begin: str, end: str) -> bool:
    """Return whether a day is in a range; one without a year may span New Year."""
    return begin <= day <= end if begin <= end else day >= begin or day <= end


def _date(day: str) -> str:
    try:
        if _DATE.fullmatch(day):
            date.fromisoformat(day if len(day) > 5 else f"2024-{day}")  # a leap year
            return day
    except (TypeError, ValueError):
        pass
    raise DeclarationError(
        f'Hours: days: {day!r} is no date, as "2026-12-24" or "12-24", and no '
        'range, as "12-24 to 01-06"'
    )


def _zone(zone: str) -> ZoneInfo:
    try:
        return ZoneInfo(zone)
    except (OSError, ValueError, TypeError, KeyError):
        raise DeclarationError(
            f'Hours: zone={zone!r} is no time zone, as "Europe/Berlin"; on a system without them: '
            "pip install 'portsip-receiver[hours]'"
        ) from None


def _holidays(country: str, subdivision: str) -> Container[date]:
    if not country:
        if subdivision:
            raise DeclarationError("Hours: subdivision= needs a country=")
        return frozenset()
    try:
        from holidays import country_holidays  # noqa: PLC0415 - an extra
    except ImportError:
        raise DeclarationError(
            "Hours: country= needs the library holidays: pip install 'portsip-receiver[hours]'"
        ) from None
    try:
        return country_holidays(country, subdiv=subdivision or None)
    except NotImplementedError:
        raise DeclarationError(
            f"Hours: the library holidays does not know country={country!r}, "
            f"subdivision={subdivision!r}"
        ) from None


def _declared(holidays: Iterable[Holiday]) -> tuple[Holiday, ...]:
    found = tuple(holidays) if isinstance(holidays, Iterable) else ()
    if not isinstance(holidays, Iterable) or not all(isinstance(one, Holiday) for one in found):
        raise DeclarationError("Hours: holidays= is a list of Holiday(…)")
    return found


def _switch(path: Path, zone: ZoneInfo) -> Reloading[tuple[str, datetime | None]]:
    return Reloading(f"the switch {path}", partial(_position, path, zone), partial(stamp, path))


def _position(path: Path, zone: ZoneInfo) -> tuple[str, datetime | None]:
    """Return the state in the file, which may be empty, and its end.

    Raises:
        DeclarationError: the file cannot be read or parsed.
    """
    text = read_text(path).strip() if path.exists() else ""  # PowerShell writes UTF-16
    if not text:
        return "", None
    try:
        return _read(text, zone)
    except ValueError:
        raise DeclarationError(
            f"{path} cannot be understood: write open or closed, alone or with a time, as in "
            "closed until 2026-12-24, or closed until 2026-12-24 18:00"
        ) from None


def _read(text: str, zone: ZoneInfo) -> tuple[str, datetime | None]:
    found = _SWITCH.fullmatch(text)
    if found is None:
        raise ValueError
    if found[2] is None:
        return found[1].lower(), None
    until = datetime.fromisoformat(found[2])
    if len(found[2]) == len("2026-11-22") and until.date() < date.max:
        until += timedelta(1)  # a day without a time ends at midnight
    return found[1].lower(), until if until.tzinfo else until.replace(tzinfo=zone)
