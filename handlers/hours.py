"""Office hours: one way while somebody is there, another one else.

::

    Hours(open=menu, closed=Forward("8999"), zone="Europe/Berlin", country="DE",
          week={"mon-fri": "08:30-12:30, 13:30-18:00", "sat": "10:00-14:00"},
          days={"12-24": "09:00-12:00", "2026-05-15": "closed"}, switch="office.switch")

Rule 1: the times are those of a clock on the wall in the zone. When it is set forward, what would
        begin in the hour left out begins after it; in an hour that comes twice, both count.
Rule 2: a range past midnight (``22:00-06:00``) belongs to the day on which it began.
Rule 3: ``days`` come before the country's holidays (library holidays, extra ``hours``), on which
        all is closed, and these before the week.
Rule 4: the file ``switch`` comes before all of it, within a second and without a restart: ``open``
        or ``closed``, alone or with ``until 2026-11-22 18:00`` behind it; empty or missing it
        leaves it to the hours. So ``echo closed > office.switch``, and later
        ``rm office.switch``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Container, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from receiver import Call, DeclarationError, Reply, Then, handler_of, is_sensitive
from receiver.upstream import Reloading, stamp

_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_RANGE = re.compile(r"(\d\d?):(\d\d)\s*[-–]\s*(\d\d?):(\d\d)")
_DATE = re.compile(r"(?:\d{4}-)?\d\d-\d\d")
_SWITCH = re.compile(r"(open|closed)(?:\s+until\s+(\S+(?:[ ]\d\d:\d\d\S*)?))?", re.IGNORECASE)
_DAY = 24 * 60

Ranges = tuple[tuple[int, int], ...]
"""From and to, in minutes of the day; past midnight the second is over 24 hours."""

log = logging.getLogger("receiver.handlers")


class Hours:
    """A handler that looks at the clock.

    Parameters:
        open, closed: where a call leads; a reply or a handler.
        week: hours by days, as in ``{"mon-fri": "09:00-17:00", "sat": "10:00-12:00"}``; a day that
            is not named is closed. ``"00:00-24:00"`` is a whole day.
        zone: the time zone, as in ``"Europe/Berlin"``.
        days: hours of single days, by ``YYYY-MM-DD`` or, every year, ``MM-DD``; or ``"closed"``.
        country, subdivision: whose public holidays are closed, as in ``"DE"``; with a part of it,
            as in ``"BE"``, also those it has of its own.
        holiday: where a call leads on a holiday or a day of ``days`` that is closed; by default as
            ``closed``.
        switch: the path of a file that says otherwise; see above.
        clock: tells the time, for tests.

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
        week: Mapping[str, str],
        zone: str,
        days: Mapping[str, str] | None = None,
        country: str = "",
        subdivision: str = "",
        holiday: Then | None = None,
        switch: str | Path = "",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._open = handler_of(open, "Hours: open")
        self._closed = handler_of(closed, "Hours: closed")
        self._holiday = handler_of(closed if holiday is None else holiday, "Hours: holiday")
        self._week = _week(week)
        self._zone = _zone(zone)
        self._days = {_date(d): _ranges(text, f"days: {d!r}") for d, text in (days or {}).items()}
        self._holidays = _holidays(country, subdivision)
        self._switch = _switch(Path(switch), self._zone) if str(switch) else None
        self._clock = clock
        self.sensitive = is_sensitive(self._open, self._closed, self._holiday)

    async def __call__(self, call: Call) -> Reply:
        now = self._clock()
        if self._switch is not None:
            position, until = await self._switch(call)
            if position and (until is None or now < until):
                return await (self._open if position == "open" else self._closed)(call)
        if self.is_open(now):
            return await self._open(call)
        special = self._special(now.astimezone(self._zone).date())
        return await (self._closed if special is None else self._holiday)(call)

    def is_open(self, now: datetime) -> bool:
        """Whether the hours say so at ``now``, an aware time; the switch is not looked at."""
        local = now.astimezone(self._zone)
        minute = local.hour * 60 + local.minute
        today, before = self._hours(local.date()), self._hours(local.date() - timedelta(1))
        return any(begin <= minute < end for begin, end in today) or any(
            minute < end - _DAY for _, end in before
        )

    def _hours(self, day: date) -> Ranges:
        special = self._special(day)
        return self._week[day.weekday()] if special is None else special

    def _special(self, day: date) -> Ranges | None:
        """The hours of a day that is not as every week; None if it is."""
        found = self._days.get(day.isoformat(), self._days.get(f"{day:%m-%d}"))
        return () if found is None and day in self._holidays else found


def _week(week: Mapping[str, str]) -> tuple[Ranges, ...]:
    if not isinstance(week, Mapping) or not week:
        raise DeclarationError('Hours: week= is a table such as {"mon-fri": "09:00-17:00"}')
    hours: dict[int, Ranges] = {}
    for names, text in week.items():
        ends = [_WEEK.index(n) for n in str(names).lower().split("-") if n in _WEEK]
        if len(ends) != len(str(names).split("-")) or len(ends) > 2:
            raise DeclarationError(f'Hours: week: {names!r} is no day, as "mon", or "mon-fri"')
        for day in range(ends[0], ends[-1] + 1 if ends[0] <= ends[-1] else ends[-1] + 8):
            if day % 7 in hours:
                raise DeclarationError(f"Hours: week: {_WEEK[day % 7]} is there twice")
            hours[day % 7] = _ranges(text, f"week: {names!r}")
    return tuple(hours.get(day, ()) for day in range(7))


def _ranges(text: str, where: str) -> Ranges:
    if text == "closed":
        return ()
    ranges = []
    for part in text.split(",") if isinstance(text, str) else ("",):
        found = _RANGE.fullmatch(part.strip())
        numbers = [int(n) for n in found.groups()] if found else [99] * 4
        begin, end = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
        if max(numbers[1], numbers[3]) > 59 or begin >= _DAY or end > _DAY:
            raise DeclarationError(f'Hours: {where}: hours are "09:00-12:30, 13:30-17:00"')
        ranges.append((begin, end if end > begin else end + _DAY))
    return tuple(ranges)


def _date(day: str) -> str:
    try:
        if _DATE.fullmatch(day):
            date.fromisoformat(day if len(day) > 5 else f"2024-{day}")  # a leap year
            return day
    except (TypeError, ValueError):
        pass
    raise DeclarationError(f'Hours: days: {day!r} is no date, as "2026-12-24", or "12-24"')


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


def _switch(path: Path, zone: ZoneInfo) -> Reloading[tuple[str, datetime | None]]:
    return Reloading(f"the switch {path}", partial(_position, path, zone), partial(stamp, path))


def _position(path: Path, zone: ZoneInfo) -> tuple[str, datetime | None]:
    """What the file says, empty if nothing, and until when."""
    try:
        text = path.read_text("utf-8-sig", "replace").strip()
    except FileNotFoundError:
        text = ""
    except OSError as error:
        raise DeclarationError(f"{path}: {error.strerror}") from None
    if not text:
        return "", None
    try:
        return _read(text, zone)
    except ValueError:
        log.warning("the switch %s says neither open nor closed: the hours count", path)
        return "", None


def _read(text: str, zone: ZoneInfo) -> tuple[str, datetime | None]:
    found = _SWITCH.fullmatch(text)
    if found is None:
        raise ValueError
    if found[2] is None:
        return found[1].lower(), None
    until = datetime.fromisoformat(found[2])
    if len(found[2]) == len("2026-11-22") and until.date() < date.max:
        until += timedelta(1)  # a day without a time is meant to its end
    return found[1].lower(), until if until.tzinfo else until.replace(tzinfo=zone)
