"""handlers/hours.py"""

import asyncio
import os
import re
import sys
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.hours import Hours
from receiver import Call, DeclarationError, Forward, Ivr, Receiver, Reply
from receiver.testing import Phone
from tests.handlers.file_changes import read_again

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ZONES = (
    *("UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "Asia/Kathmandu"),
    *("Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia", "America/Santiago"),
)
MINUTE = timedelta(minutes=1)


def make(now: str = "2026-11-23T12:00+00:00", **options: Any) -> Hours:
    given: dict[str, Any] = {
        "open": "1",
        "closed": "2",
        "zone": "UTC",
        "week": {"mon-fri": "09:00-12:30, 13:30-18:00"},
        "clock": lambda: datetime.fromisoformat(now),
    }
    return Hours(**(given | options))


async def replies(handler: Hours) -> Reply:
    return await handler(Call())


@pytest.mark.parametrize(
    ("now", "number"),
    [
        (datetime(2026, 11, 30, 10), "1"),  # a Monday, in the handler's zone
        (datetime(2026, 11, 29, 10), "2"),
        (datetime(2026, 11, 30, 8, 30, tzinfo=UTC), "2"),  # 14:15 there
        (datetime(2026, 11, 30, 4, 15, tzinfo=UTC), "1"),  # 10:00 there
    ],
)
async def test_the_clock_of_the_phone_is_that_of_the_hours(now: datetime, number: str) -> None:
    ivr = Ivr("8000")
    week = {"mon-fri": "09:00-14:00"}
    hours = Hours(open="1", closed="2", zone="Asia/Kathmandu", week=week)
    ivr.add("CALLER", "1**", hours, name="pick")
    async with Phone(Receiver(ivr)) as phone:
        phone.clock.now = now
        assert (await phone.dial("8000")).forwarded_to == number


def opens(hours: Hours, *times: str) -> str:
    return "".join("o" if hours.is_open(datetime.fromisoformat(t)) else "-" for t in times)


def test_a_week() -> None:
    hours = make(week={"mon-fri": "09:00-12:30, 13:30-18:00", "sat": "10:00-24:00"})
    day = "2026-11-23T"  # a Monday
    times = ("08:59", "09:00", "12:29:59", "12:30", "13:30", "17:59:59.999999", "18:00")
    assert opens(hours, *(f"{day}{t}Z" for t in times)) == "-oo-oo-"
    assert opens(hours, *(f"2026-11-28T{t}Z" for t in ("09:59", "10:00", "23:59"))) == "-oo"
    assert opens(hours, "2026-11-29T00:00Z", "2026-11-29T12:00Z") == "--"


def test_past_midnight_belongs_to_the_day_on_which_it_began() -> None:
    hours = make(week={"fri": "22:00-06:00", "sun": "00:00-24:00"}, days={"2026-12-05": "closed"})
    times = ("27T21:59", "27T22:00", "28T05:59", "28T06:00", "28T22:00", "29T00:00", "29T23:59")
    assert opens(hours, *(f"2026-11-{t}Z" for t in times)) == "-oo--oo"
    # Its Saturday is closed, and the Friday still ends on it; a closed Friday never begins.
    assert opens(hours, "2026-12-05T03:00Z") == "o"
    assert (
        opens(make(week={"fri": "22:00-06:00"}, days={"12-04": "closed"}), "2026-12-05T03:00Z")
        == "-"
    )


def test_days_may_wrap_around_the_week() -> None:
    hours = make(week={"sat-mon": "09:00-10:00", "Wed": "09:00-10:00"})
    found = opens(hours, *(f"2026-11-{day}T09:30Z" for day in range(23, 30)))
    assert found == "o-o--oo"


def test_the_clock_goes_forward() -> None:
    """Berlin has no 02:00 to 03:00 on 29 March 2026 (01:00 UTC)."""
    hours = make(zone="Europe/Berlin", week={"sun": "02:30-04:00"})
    found = opens(hours, *(f"2026-03-29T{t}Z" for t in ("00:59:59", "01:00", "01:59", "02:00")))
    assert found == "-oo-"


def test_the_clock_goes_back() -> None:
    """Berlin has 02:00 to 03:00 twice on 25 October 2026 (from 00:00 UTC)."""
    hours = make(zone="Europe/Berlin", week={"sun": "02:15-02:45"})
    times = ("00:14", "00:15", "00:44", "00:45", "01:14", "01:15", "01:44", "01:45")
    assert opens(hours, *(f"2026-10-25T{t}Z" for t in times)) == "-oo--oo-"


@cache
def changes(zone: str, year: int) -> tuple[datetime, ...]:
    """Return the hours at which the clock in ``zone`` is changed."""
    hours = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(hours=h) for h in range(366 * 24)]
    offsets = [t.astimezone(ZoneInfo(zone)).utcoffset() for t in hours]
    return tuple(t for t, a, b in zip(hours[1:], offsets, offsets[1:], strict=False) if a != b)


@st.composite
def instants(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone and a time, most often within a day of a change of its clock."""
    zone, year = draw(st.sampled_from(ZONES)), draw(st.sampled_from((2011, 2026, 2027, 2030)))
    near = changes(zone, year) or (datetime(year, 6, 1, tzinfo=UTC),)
    away = draw(st.integers(-26 * 60, 26 * 60) | st.integers(-90, 90))
    return zone, draw(st.sampled_from(near)) + away * MINUTE


RANGES = st.tuples(st.integers(0, 24 * 60 - 1), st.integers(1, 24 * 60))
WEEKS = st.dictionaries(st.sampled_from(DAYS), st.lists(RANGES, max_size=3), min_size=1)


def written(ranges: list[tuple[int, int]]) -> str:
    clock = (f"{a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}" for a, b in ranges)
    return ", ".join(clock) or "closed"


def is_open(ranges: list[tuple[int, int]], minute: int) -> bool:
    """Return whether a day with ``ranges`` is open ``minute`` minutes after its begin."""
    return any(a <= minute < (b if b > a else b + 24 * 60) for a, b in ranges)


@given(instants(), WEEKS, st.dictionaries(st.integers(-2, 2), st.lists(RANGES, max_size=2)))
@example(("Pacific/Apia", datetime(2011, 12, 30, 11, tzinfo=UTC)), {"fri": [(0, 1)]}, {})
def test_local_time_counts(
    drawn: tuple[str, datetime],
    week: dict[str, list[tuple[int, int]]],
    special: dict[int, list[tuple[int, int]]],
) -> None:
    zone, now = drawn
    offset = now.astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    wall = now.replace(tzinfo=None) + offset
    days = {wall.date() + timedelta(n): ranges for n, ranges in special.items()}
    hours = make(
        zone=zone,
        week={day: written(ranges) for day, ranges in week.items()},
        days={day.isoformat(): written(ranges) for day, ranges in days.items()},
    )

    def of(day: date) -> list[tuple[int, int]]:
        return days.get(day, week.get(DAYS[day.weekday()], []))

    minute = wall.hour * 60 + wall.minute
    today, before = of(wall.date()), of(wall.date() - timedelta(1))
    assert hours.is_open(now) == (is_open(today, minute) or is_open(before, minute + 24 * 60))


@given(instants())
def test_always_open_is_open_at_every_instant(drawn: tuple[str, datetime]) -> None:
    zone, now = drawn
    assert make(zone=zone, week={"mon-sun": "00:00-24:00"}).is_open(now)
    assert make(zone=zone, week={"mon-sun": "06:00-06:00"}).is_open(now)
    assert not make(zone=zone, week={"mon-sun": "closed"}).is_open(now)


async def test_routes_of_holidays_and_days() -> None:
    options: dict[str, Any] = {
        "country": "DE",
        "subdivision": "BE",
        "days": {"12-24": "09:00-12:00", "2026-12-28": "closed", "2026-12-25": "10:00-11:00"},
        "holiday": "3",
    }
    for now, expected in {
        "2026-03-06T12:00Z": "1",  # a Friday
        "2027-03-08T12:00Z": "3",  # Women's Day, in Berlin
        "2026-12-24T11:59Z": "1",
        "2026-12-24T12:00Z": "3",
        "2026-12-25T10:30Z": "1",  # a day in days= takes precedence
        "2026-12-28T10:00Z": "3",
        "2026-12-23T20:00Z": "2",
    }.items():
        assert await replies(make(now, **options)) == Forward(expected), now
    assert await replies(make("2027-03-08T12:00Z", country="DE")) == Forward("1")
    assert await replies(make("2026-12-25T12:00Z", country="DE")) == Forward("2")


def test_ranges_of_days() -> None:
    days = {
        "12-24 to 01-06": "closed",
        "12-27": "09:00-10:00",
        "2026-12-28 to 2026-12-29": "10:00-11:00",
        "2027-01-04": "09:00-10:00",
    }
    hours = make(days=days, week={"mon-sun": "09:00-11:00"})
    december = opens(hours, *(f"2026-12-{day}T09:30Z" for day in range(23, 32)))
    assert december == "o---o----"
    assert opens(hours, "2026-12-28T10:30Z", "2026-12-29T10:30Z", "2026-12-30T10:30Z") == "oo-"
    january = opens(hours, *(f"2027-01-0{day}T09:30Z" for day in range(3, 8)))
    assert january == "-o--o"
    assert opens(hours, "2031-12-31T09:30Z", "2031-01-06T09:30Z", "2031-07-01T09:30Z") == "--o"


DAY = st.dates(date(2026, 1, 1), date(2029, 12, 31))


@given(DAY, st.integers(0, 400), DAY)
def test_a_range_includes_its_ends(begin: date, length: int, day: date) -> None:
    end = begin + timedelta(length)
    hours = make(days={f"{begin} to {end}": "closed"}, week={"mon-sun": "00:00-24:00"})
    assert hours.is_open(datetime(day.year, day.month, day.day, 12, tzinfo=UTC)) is not (
        begin <= day <= end
    )


@given(st.dates(date(2028, 1, 1), date(2028, 12, 31)), st.integers(0, 364), DAY)
def test_a_range_without_a_year_may_span_new_year(begin: date, length: int, day: date) -> None:
    span = [begin + timedelta(number) for number in range(length + 1)]
    meant = {f"{one:%m-%d}" for one in span}
    if date(2029, 2, 28) in span and date(2029, 3, 1) in span:
        meant.add("02-29")  # which that year does not have
    hours = make(days={f"{span[0]:%m-%d} to {span[-1]:%m-%d}": "closed"})
    assert (hours._special(day) == ()) is (f"{day:%m-%d}" in meant)


async def test_a_calendar_closes_and_is_reloaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "holidays.ics"
    event = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:{}\nEND:VEVENT\nEND:VCALENDAR\n"
    path.write_text(event.format("20261123"))
    hours = make("2026-11-23T10:00Z", calendar=path, holiday="3")
    assert not hours.is_open(datetime(2026, 11, 23, 10, tzinfo=UTC))
    assert await replies(hours) == Forward("3")
    path.write_text(event.format("20261124"))
    read_again(hours._calendar_file)
    assert await replies(hours) == Forward("1")
    path.write_text(event.format("24.11."))
    read_again(hours._calendar_file)
    assert await replies(hours) == Forward("1")
    assert f"the calendar {path} cannot be read, the old value is kept: {path}:3:" in caplog.text
    path.write_text(event.format("20261124"))
    own = make("2026-11-24T10:00Z", calendar=path)
    assert await replies(own) == Forward("2")
    some = make("2026-11-24T10:00Z", calendar=path, days={"11-24": "09:00-12:00"})
    assert await replies(some) == Forward("1")


async def test_the_switch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    switch = tmp_path / "office.switch"
    hours = make("2026-11-23T12:00+00:00", zone="Europe/Berlin", switch=str(switch))
    night = make("2026-11-23T22:00+00:00", zone="Europe/Berlin", switch=switch)

    async def both(text: str) -> str:
        switch.write_text(text)
        read_again(hours._switch, night._switch)
        found = [await replies(one) for one in (hours, night)]
        return "".join(reply.destination for reply in found if isinstance(reply, Forward))

    assert [await replies(hours), await replies(night)] == [Forward("2"), Forward("2")]
    hours._week = night._week = make(week={"mon": "09:00-20:00"})._week
    assert await both("") == "12"
    assert await both("closed\n") == "22"
    assert await both(" OPEN ") == "11"
    assert await both("closed until 2026-11-23 14:00") == "22"  # in Berlin, 13:00 UTC
    assert await both("closed until 2026-11-23 13:00") == "12"
    assert await both("open until 2026-11-23T22:30Z") == "11"
    assert await both("open until 2026-11-23") == "11"  # to the end of the day
    assert await both("open until 2026-11-22") == "12"
    assert not caplog.messages
    assert await both("closed") == "22"
    for nonsense in ("opne", "closed until 24.12.2026", "open until 2026-13-01"):
        assert await both(nonsense) == "22"  # what it said before
        with pytest.raises(DeclarationError, match="closed until 2026-12-24 18:00"):
            make(switch=switch)
    assert {(record.levelname, record.getMessage()) for record in caplog.records} == {
        (
            "ERROR",
            f"the switch {switch} cannot be read, the old value is kept: {switch} cannot be "
            "understood: write open or closed, alone or with a time, as in closed until "
            "2026-12-24, or closed until 2026-12-24 18:00",
        )
    }
    switch.unlink()
    assert await replies(night) == Forward("2")


async def test_a_switch_that_powershell_wrote(tmp_path: Path) -> None:
    switch = tmp_path / "office.switch"
    switch.write_bytes("closed\r\n".encode("utf-16"))
    assert await replies(make("2026-11-23T12:00+00:00", switch=switch)) == Forward("2")
    switch.write_bytes("open\r\n".encode("utf-16"))
    assert await replies(make("2026-11-23T22:00+00:00", switch=switch)) == Forward("1")


def test_days_as_people_write_them() -> None:
    assert (
        make(week={"Mon – Fri": "09:00-20:00"})._week == make(week={"mon-fri": "09:00-20:00"})._week
    )
    with pytest.raises(DeclarationError, match="write one of mon, tue, wed, thu, fri, sat, sun"):
        make(week={"monday": "09:00-20:00"})
    with pytest.raises(DeclarationError, match='no range, as "12-24 to 01-06"'):
        make(days={"12-24 - 01-06": "closed"})


async def test_a_switch_until_the_last_day(tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    switch.write_text("closed until 9999-12-31")
    hours = make("2026-11-23T10:00+00:00", switch=switch)
    assert await replies(hours) == Forward("2")


def test_a_switch_that_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="Is a directory"):
        make("2026-11-23T12:00+00:00", switch=tmp_path)


async def test_a_hanging_switch_delays_no_call(tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    switch.write_text("open")
    os.utime(switch, (1, 1))
    hours = make("2026-11-22T12:00Z", switch=switch)
    switch.unlink()
    os.mkfifo(switch)
    assert await replies(hours) == Forward("1")
    writer = await asyncio.to_thread(switch.open, "w")
    writer.close()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"open": "x"}, "Hours: open is neither"),
        ({"closed": None}, "Hours: closed is neither"),
        ({"holiday": 1}, "Hours: holiday is neither"),
        ({"zone": "Europe/Nowhere"}, "zone='Europe/Nowhere' is no time zone"),
        ({"zone": "../etc"}, "is no time zone"),
        ({"zone": ""}, "is no time zone"),
        ({"zone": 7}, "zone=7 is no time zone"),
        ({"week": {}}, "week= is a table"),
        ({"week": "9-17"}, "week= is a table"),
        ({"week": {"day": "09:00-17:00"}}, "week: 'day' is no day"),
        ({"week": {"mon-tue-wed": "09:00-17:00"}}, "is no day"),
        ({"week": {1: "09:00-17:00"}}, "week: 1 is no day"),
        ({"week": {"mon-wed": "09:00-17:00", "tue": "closed"}}, "week: tue is there twice"),
        ({"week": {"mon": "9-17"}}, "week: 'mon': write hours as"),
        ({"week": {"mon": "09:60-17:00"}}, "write hours as"),
        ({"week": {"mon": "24:00-25:00"}}, "write hours as"),
        ({"week": {"mon": "09:00-24:01"}}, "write hours as"),
        ({"week": {"mon": ""}}, "write hours as"),
        ({"week": {"mon": 9}}, "write hours as"),
        ({"days": {"24.12.": "closed"}}, r"days: '24.12.' is no date"),
        ({"days": {"02-30": "closed"}}, "is no date"),
        ({"days": {"2027-02-29": "closed"}}, "is no date"),
        ({"days": {"12-24": "9"}}, "days: '12-24': write hours as"),
        ({"days": {"12-24 to": "closed"}}, r"days: '12-24 to' is no date"),
        ({"days": {"12-24 to 12-32": "closed"}}, "days: '12-32' is no date"),
        ({"days": {"2026-12-24 to 01-06": "closed"}}, "is no range, as"),
        ({"days": {"2026-12-24 to 2026-12-23": "closed"}}, "is no range, as"),
        ({"calendar": "none.ics"}, r"none\.ics: No such file"),
        ({"country": "XX"}, "does not know country='XX'"),
        ({"country": "DE", "subdivision": "XX"}, "subdivision='XX'"),
        ({"subdivision": "BE"}, "subdivision= needs a country="),
    ],
)
def test_wrong_options(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(DeclarationError, match=problem):
        make(**options)


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holidays", None)
    with pytest.raises(DeclarationError, match=re.escape("pip install 'portsip-receiver[hours]'")):
        make(country="DE")
    assert make().is_open(datetime(2026, 11, 23, 10, tzinfo=UTC))
