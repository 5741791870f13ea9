"""Read the whole days of an iCalendar file, such as public holidays and works holidays.

Rule 1: only events that last whole days count, from midnight to midnight: an appointment closes no
        office.
Rule 2: a rule of repetition (RRULE) is read if it is yearly on the date of its event. A file with
        any other is refused, for days would be left out without a word.
Rule 3: an error names the line and the cure, never what an event is about.

Source: RFC 5545, sections 3.1 (folded lines), 3.3.10 (rules), 3.6.1 (events).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from handlers.tables.text_files import read_text
from receiver import DeclarationError

_PROPERTY = re.compile(r'([A-Za-z0-9-]+)((?:;(?:"[^"]*"|[^":])*)?):(.*)', re.DOTALL)
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)")
_DURATION = re.compile(r"\+?P(?:(\d{1,3})W|(\d{1,4})D)")
_LONGEST = 3660  # days of one event


@dataclass(frozen=True, slots=True)
class Event:
    """Whole days, from ``begin`` on.

    Attributes:
        days: how many.
        every: years between two repetitions; 0 for none.
        until: the last day on which a repetition may begin.
        left_out: days on which no repetition begins.
    """

    begin: date
    days: int = 1
    every: int = 0
    until: date = date.max
    left_out: frozenset[date] = frozenset()

    def __contains__(self, day: date) -> bool:
        if not self.every:
            return 0 <= (day - self.begin).days < self.days
        for year in range(day.year - self.days // 365 - 1, day.year + 1):
            try:
                begin = self.begin.replace(year=year)
            except ValueError:  # 29 February, or before the first year
                continue
            if (
                self.begin <= begin <= self.until
                and (year - self.begin.year) % self.every == 0
                and begin not in self.left_out
                and 0 <= (day - begin).days < self.days
            ):
                return True
        return False


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days of all events of a file."""

    events: tuple[Event, ...] = ()

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and any(day in event for event in self.events)


@dataclass(slots=True)
class _Draft:
    """The properties of an event read so far."""

    where: str
    begin: date | None = None
    end: date | None = None
    days: int = 0
    rule: dict[str, str] = field(default_factory=dict)
    left_out: set[date] = field(default_factory=set)
    counts: bool = True
    timed: bool = False  # begins at midnight, not on a date


def read_calendar(path: Path) -> Calendar:
    """Read a file.

    Raises:
        DeclarationError: it cannot be read, is no iCalendar file, or has an event that is not
            understood.
    """
    events: list[Event] = []
    draft: _Draft | None = None
    nested = ""
    inside = False
    for number, line in _lines(read_text(path)):
        where = f"{path}:{number}"
        found = _PROPERTY.fullmatch(line)
        if found is None:
            raise DeclarationError("this is no line of an iCalendar file (.ics)", where)
        name, parameters, value = found[1].upper(), found[2].upper(), found[3].strip()
        inside = inside or (name, value.upper()) == ("BEGIN", "VCALENDAR")
        if name == "BEGIN" and value.upper() == "VEVENT":
            draft = _Draft(where)
        elif name == "END" and value.upper() == "VEVENT" and draft is not None:
            events += _event(draft)
            draft, nested = None, ""
        elif draft is not None and (
            name == "BEGIN" or nested
        ):  # an alarm of the event has a DURATION, too
            nested = "" if (name, value.upper()) == ("END", nested) else nested or value.upper()
        elif draft is not None:
            _take(draft, name, parameters, value, where)
    if not inside or draft is not None:
        raise DeclarationError(f"{path} is no iCalendar file (.ics), or not a whole one")
    return Calendar(tuple(events))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Return the unfolded lines of a file with their numbers, without empty ones."""
    whole, first = "", 0
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if line[:1] in (" ", "\t"):
            whole += line[1:]
            continue
        if whole.strip():
            yield first, whole
        whole, first = line, number
    if whole.strip():
        yield first, whole


def _take(draft: _Draft, name: str, parameters: str, value: str, where: str) -> None:
    """Add one property to an event."""
    if name == "DTSTART":
        draft.begin = _day(value, where)
        draft.timed = "T" in value.upper()
        draft.counts &= draft.begin is not None
    elif name == "DTEND":
        draft.end = _day(value, where)
        draft.counts &= draft.end is not None
    elif name == "DURATION":
        found = _DURATION.fullmatch(value.upper())
        draft.days = int(found[1] or 0) * 7 + int(found[2] or 0) if found else 0
    elif name == "RRULE":
        draft.rule = dict(part.partition("=")[::2] for part in value.upper().split(";") if part)
    elif name == "EXDATE":
        draft.left_out |= {day for one in value.split(",") if (day := _day(one, where))}
    elif name == "STATUS" and value.upper() == "CANCELLED":
        draft.counts = False
    elif name in ("RDATE", "RECURRENCE-ID"):
        raise DeclarationError(
            f"{name} is not understood: export the calendar with single events", where
        )


def _day(value: str, where: str) -> date | None:
    """Return the date that a property holds; None if it holds a time other than midnight."""
    value = value.upper().removesuffix("T000000")
    if "T" in value:
        return None
    found = _DATE.fullmatch(value)
    try:
        return date(*map(int, found.groups())) if found else _wrong(where)
    except ValueError:
        return _wrong(where)


def _wrong(where: str) -> date:
    raise DeclarationError("this is no date: write it as 20261225", where)


def _event(draft: _Draft) -> Iterator[Event]:
    """Return the event of a draft, None if it does not last whole days."""
    if not draft.counts or (draft.timed and draft.end is None and not draft.days):
        return
    if draft.begin is None:
        raise DeclarationError(
            "an event without DTSTART: write its first day, as in DTSTART;VALUE=DATE:20261225",
            draft.where,
        )
    days = (draft.end - draft.begin).days if draft.end else draft.days or 1
    if not 1 <= days <= _LONGEST:
        raise DeclarationError(
            "an event ends before it begins, or lasts for years: correct its DTEND", draft.where
        )
    every, until = _repetition(draft, draft.begin)
    yield Event(draft.begin, days, every, until, frozenset(draft.left_out))


def _repetition(draft: _Draft, begin: date) -> tuple[int, date]:
    """Return the years between repetitions, 0 for none, and the last day on which one may begin."""
    rule = dict(draft.rule)
    if not rule:
        return 0, date.max
    same = {"FREQ": "YEARLY", "BYMONTH": str(begin.month), "BYMONTHDAY": str(begin.day)}
    rule.pop("WKST", None)
    every, until, count = rule.pop("INTERVAL", "1"), rule.pop("UNTIL", ""), rule.pop("COUNT", "")
    known = rule.get("FREQ") == "YEARLY" and all(same.get(key) == v for key, v in rule.items())
    if not known or not every.isdecimal() or not int(every[:4]) or (count and not _is_count(count)):
        raise DeclarationError(
            "this RRULE is not understood: only a yearly repetition on the same date is; export "
            "the calendar with single events",
            draft.where,
        )
    last = _day(until.partition("T")[0], draft.where) if until else date.max
    if count:
        year = min(begin.year + int(every[:4]) * (int(count) - 1), date.max.year)
        last = date(year, 12, 31)
    return int(every[:4]), last or date.max


def _is_count(count: str) -> bool:
    return count.isdecimal() and 1 <= int(count[:5]) <= 9999
