"""handlers/calendars/ics.py: the days of an iCalendar file."""

import contextlib
import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.calendars.ics import Calendar, read_calendar
from receiver import DeclarationError

OUTLOOK = """\ufeffBEGIN:VCALENDAR
PRODID:-//Microsoft Corporation//Outlook 16.0 MIMEDIR//EN
VERSION:2.0
BEGIN:VTIMEZONE
TZID:W. Europe Standard Time
BEGIN:STANDARD
DTSTART:16011028T030000
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
CLASS:PUBLIC
SUMMARY;LANGUAGE=de:Betriebsferien\\, mit "einem
\t sehr" langen Namen: 2026
DTSTART;VALUE=DATE:20261228
DTEND;VALUE=DATE:20270101
TRANSP:TRANSPARENT
X-ALT-DESC;FMTTYPE="text/html;x:y":<b>DTSTART:20260101</b>
END:VEVENT
BEGIN:VEVENT
DTSTART;TZID="W. Europe Standard Time":20261123T090000
DTEND;TZID="W. Europe Standard Time":20261123T100000
RRULE:FREQ=WEEKLY;BYDAY=MO
SUMMARY:An appointment
END:VEVENT
END:VCALENDAR
"""
GOOGLE = """BEGIN:VCALENDAR
PRODID:-//Google Inc//Google Calendar 70.9054//EN
BEGIN:VEVENT
DTSTART;VALUE=DATE:20261003
DTEND;VALUE=DATE:20261004
DTSTAMP:20261101T000000Z
SUMMARY:Tag der Deutschen Einheit
STATUS:CONFIRMED
TRANSP:TRANSPARENT
END:VEVENT
BEGIN:VEVENT
DTSTART;VALUE=DATE:20261031
STATUS:CANCELLED
END:VEVENT
END:VCALENDAR
"""


@pytest.mark.parametrize(
    ("properties", "closed"),
    [
        (("DTSTART:20261224T000000", "DTEND:20261226T000000"), True),  # as Exchange writes them
        (("DTSTART;TZID=Europe/Berlin:20261224T000000", "DURATION:P2D"), True),
        (("DTSTART:20261224T000000", "DTEND:20261224T170000"), False),
        (("DTSTART:20261224T000000", "DURATION:PT8H"), False),
        (("DTSTART:20261224T000000",), False),
        (("DTSTART:20261224T080000", "DTEND:20261226T000000"), False),
        (("DTSTART:20261224T000000Z", "DTEND:20261226T000000Z"), False),
    ],
)
def test_from_midnight_to_midnight_is_whole_days(
    tmp_path: Path, properties: tuple[str, ...], closed: bool
) -> None:
    days = calendar(tmp_path, *properties)
    assert [date(2026, 12, day) in days for day in (23, 24, 25, 26)] == [
        False,
        closed,
        closed,
        False,
    ]


def test_the_duration_of_an_alarm_is_ignored(tmp_path: Path) -> None:
    alarm = ("BEGIN:VALARM", "TRIGGER:-PT15M", "DURATION:PT5M", "END:VALARM")
    days = calendar(tmp_path, "DTSTART;VALUE=DATE:20261224", "DURATION:P3D", *alarm)
    assert [date(2026, 12, day) in days for day in (24, 26, 27)] == [True, True, False]


def test_a_calendar_in_utf_16(tmp_path: Path) -> None:
    path = tmp_path / "days.ics"
    path.write_bytes(GOOGLE.encode("utf-16"))
    assert date(2026, 10, 3) in read_calendar(path)


def calendar(folder: Path, *properties: str, newline: str = "\r\n") -> Calendar:
    """A file with one event."""
    lines = ["BEGIN:VCALENDAR", "BEGIN:VEVENT", *properties, "END:VEVENT", "END:VCALENDAR", ""]
    return written(folder, newline.join(lines))


def written(folder: Path, text: str) -> Calendar:
    path = folder / "days.ics"
    path.write_bytes(text.encode())
    return read_calendar(path)


def days(found: Calendar, begin: str, end: str) -> str:
    first, last = date.fromisoformat(begin), date.fromisoformat(end)
    span = (first + timedelta(number) for number in range((last - first).days + 1))
    return "".join("x" if day in found else "-" for day in span)


@pytest.mark.parametrize("newline", ["\r\n", "\n", "\r"])
def test_files_of_outlook(tmp_path: Path, newline: str) -> None:
    found = written(tmp_path, OUTLOOK.replace("\n", newline))
    assert days(found, "2026-12-27", "2027-01-02") == "-xxxx--"
    assert date(2026, 11, 23) not in found
    assert date(2026, 1, 1) not in found


def test_files_of_google(tmp_path: Path) -> None:
    found = written(tmp_path, GOOGLE)
    assert days(found, "2026-10-02", "2026-10-04") == "-x-"
    assert date(2026, 10, 31) not in found
    assert "2026-10-03" not in found


@pytest.mark.parametrize(
    ("properties", "begin", "shown"),
    [
        (("DTSTART:20261225",), "2026-12-24", "-x---"),
        (("DTSTART:20261225", "DURATION:P2D"), "2026-12-24", "-xx--"),
        (("DTSTART:20261225", "DURATION:P1W"), "2026-12-24", "-xxxx"),
        (("DTSTART:20261225", "DURATION:PT24H"), "2026-12-24", "-x---"),
        (("dtstart;value=date:20261225", "dtend:20261227"), "2026-12-24", "-xx--"),
        (("DTSTART:20201225", "RRULE:FREQ=YEARLY"), "2026-12-24", "-x---"),
        (("DTSTART:20201225", "RRULE:FREQ=YEARLY"), "2019-12-24", "-----"),
        (("DTSTART:20201231", "DTEND:20210103", "RRULE:FREQ=YEARLY"), "2026-12-30", "-xxx-"),
        (("DTSTART:20241225", "RRULE:FREQ=YEARLY;INTERVAL=2"), "2026-12-24", "-x---"),
        (("DTSTART:20251225", "RRULE:FREQ=YEARLY;INTERVAL=2"), "2026-12-24", "-----"),
        (("DTSTART:20241225", "RRULE:FREQ=YEARLY;COUNT=3"), "2026-12-24", "-x---"),
        (("DTSTART:20241225", "RRULE:FREQ=YEARLY;COUNT=2"), "2026-12-24", "-----"),
        (("DTSTART:20241225", "RRULE:FREQ=YEARLY;UNTIL=20261225"), "2026-12-24", "-x---"),
        (("DTSTART:20241225", "RRULE:FREQ=YEARLY;UNTIL=20261224T225959Z"), "2026-12-24", "-----"),
        (
            ("DTSTART:20241225", "RRULE:FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=25;WKST=MO"),
            *("2026-12-24", "-x---"),
        ),
        (("DTSTART:20241225", "RRULE:FREQ=YEARLY", "EXDATE:20261225"), "2026-12-24", "-----"),
        (("DTSTART:20240229", "RRULE:FREQ=YEARLY"), "2026-02-27", "-----"),
        (("DTSTART:20240229", "RRULE:FREQ=YEARLY"), "2028-02-28", "-x---"),
    ],
)
def test_events(tmp_path: Path, properties: tuple[str, ...], begin: str, shown: str) -> None:
    found = calendar(tmp_path, *properties)
    end = date.fromisoformat(begin) + timedelta(4)
    assert days(found, begin, end.isoformat()) == shown


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        (("DTSTART:25.12.2026",), ":3: this is no date: write it as 20261225"),
        (("DTSTART:20261325",), ":3: this is no date"),
        (("SUMMARY:hunter2",), ":2: an event without DTSTART"),
        (("DTSTART:20261225", "DTEND:20261225"), ":2: an event ends before it begins"),
        (("DTSTART:20261225", "DTEND:20991225"), ":2: an event ends before it begins, or lasts"),
        (("DTSTART:20261225", "RRULE:FREQ=WEEKLY"), ":2: this RRULE is not"),
        (("DTSTART:20261126", "RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH"), ":2: this RRULE"),
        (("DTSTART:20261225", "RRULE:FREQ=YEARLY;BYMONTH=11"), ":2: this RRULE"),
        (("DTSTART:20261225", "RRULE:FREQ=YEARLY;INTERVAL=0"), ":2: this RRULE"),
        (("DTSTART:20261225", "RRULE:FREQ=YEARLY;COUNT=x"), ":2: this RRULE"),
        (("DTSTART:20261225", "RRULE:FREQ=YEARLY;COUNT=0"), ":2: this RRULE"),
        (("DTSTART:20261225", "RDATE:20261226"), ":4: RDATE is not understood"),
        (("DTSTART:20261225", "hunter2"), ":4: this is no line of an iCalendar file"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, properties: tuple[str, ...], problem: str) -> None:
    with pytest.raises(DeclarationError, match=re.escape(problem)) as caught:
        calendar(tmp_path, *properties)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261225", "A:B"])
def test_a_truncated_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DeclarationError, match="no iCalendar file"):
        written(tmp_path, text)


@given(st.dates(date(2000, 1, 1), date(2060, 1, 1)), st.integers(1, 800), st.integers(-900, 900))
def test_an_event_is_its_days(
    tmp_path_factory: pytest.TempPathFactory, begin: date, length: int, away: int
) -> None:
    folder = tmp_path_factory.mktemp("calendars")
    end = begin + timedelta(length)
    found = calendar(folder, f"DTSTART:{begin:%Y%m%d}", f"DTEND:{end:%Y%m%d}")
    day = begin + timedelta(away)
    assert (day in found) is (begin <= day < end)
    yearly = calendar(folder, f"DTSTART:{begin:%Y%m%d}", "DURATION:P2D", "RRULE:FREQ=YEARLY")
    starts = {(day.month, day.day), ((day - timedelta(1)).month, (day - timedelta(1)).day)}
    meant = day >= begin and (begin.month, begin.day) in starts
    assert (day in yearly) is meant


@given(st.binary(max_size=200))
def test_any_octets_parse_or_raise(tmp_path_factory: pytest.TempPathFactory, octets: bytes) -> None:
    path = tmp_path_factory.mktemp("calendars") / "days.ics"
    path.write_bytes(b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:" + octets + b"\nEND:VEVENT\n")
    with contextlib.suppress(DeclarationError):
        read_calendar(path)
