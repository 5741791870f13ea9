"""Office hours and holidays as values, and compared with the simulated PBX."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.hours import Hours
from receiver import DeclarationError, Forward, Holiday, MenuEntry, OfficeHours
from receiver.declarations.ivr_menu import holiday_fields
from receiver.declarations.office_hours import Moment, moments
from receiver.pbx.models import write
from receiver.simulator.hours import LocalTime, is_holiday, is_open

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def local(now: datetime) -> LocalTime:
    return LocalTime(now.year, now.month, now.day, now.hour, now.minute, now.weekday())


# office hours --------------------------------------------------------------------------------


def test_equal_hours_are_equal_however_they_are_written() -> None:
    one = OfficeHours({"mon-tue": "09:00-17:00"})
    other = OfficeHours({"Mon": "9:00 - 17:00", "tue": "9:00–17:00", "wed": "closed"})
    assert one == other
    assert hash(one) == hash(other)
    assert one.ranges == ((((540, 1020),),) * 2) + ((),) * 5
    assert one != OfficeHours({"mon": "09:00-17:00"})


def test_days_may_wrap_around_the_week_and_ranges_around_midnight() -> None:
    found = OfficeHours({"sat-mon": "22:00-06:00"}).ranges
    assert found == (((1320, 1800),), (), (), (), (), *([((1320, 1800),)] * 2))


@pytest.mark.parametrize(
    ("week", "problem"),
    [
        ({}, "week= is a table such as"),
        ("mon", "week= is a table such as"),
        ({"month": "09:00-17:00"}, "week: 'month' is no day: write one of mon, tue"),
        ({"mon-tue-wed": "09:00-17:00"}, "week: 'mon-tue-wed' is no day"),
        ({"mon": "09:00-17:00", "mon-tue": "closed"}, "week: mon is there twice"),
        ({"mon": "9-17"}, "week: 'mon': write hours as"),
        ({"mon": "09:60-17:00"}, "week: 'mon': write hours as"),
        ({"mon": "24:00-25:00"}, "week: 'mon': write hours as"),
        ({"mon": 9}, "week: 'mon': write hours as"),
    ],
)
def test_hours_that_are_none(week: Any, problem: str) -> None:
    with pytest.raises(DeclarationError, match=problem):
        OfficeHours(week)


# holidays ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "start", "end"),
    [
        ("12-24", (None, 12, 24, None, None), (None, 12, 24, None, None)),
        ("02-29", (None, 2, 29, None, None), (None, 2, 29, None, None)),
        ("12-24 14:00 to 01-06", (None, 12, 24, 14, 0), (None, 1, 6, None, None)),
        ("2026-12-24 to 2027-01-06 09:30", (2026, 12, 24, None, None), (2027, 1, 6, 9, 30)),
    ],
)
def test_days_of_a_holiday(days: str, start: Any, end: Any) -> None:
    found = Holiday("Closed", days, region="DEU")
    assert moments(found) == (Moment(*start), Moment(*end))


@pytest.mark.parametrize(
    ("days", "times"),
    [
        ("12-24", "-o-"),
        ("12-24 14:00", "-o-"),
        ("12-24 16:00", "---"),
        ("2025-12-24", "---"),
        ("2026-12-24", "-o-"),
        ("12-24 15:01 to 01-06", "--o"),
        ("12-23 to 12-24 15:00", "oo-"),
        ("2026-12-01 to 2027-01-06", "ooo"),
        ("2027-01-01 to 2027-01-06", "---"),
    ],
)
def test_when_a_holiday_is(days: str, times: str) -> None:
    moments = map(at, ("2026-12-23 23:59", "2026-12-24 15:00", "2026-12-25 00:00"))
    holiday = Holiday("Closed", days, region="DEU")
    assert "".join("o" if holiday.covers(one) else "-" for one in moments) == times


def test_a_holiday_that_is_not_consecutive_has_its_times_on_each_day() -> None:
    holiday = Holiday("Fair", "05-01 08:00 to 05-03 12:00", region="DEU", consecutive=False)
    times = ("05-01 08:00", "05-01 13:00", "05-02 07:00", "05-02 09:00", "05-04 09:00")
    assert [holiday.covers(at(f"2026-{one}")) for one in times] == [True, False, False, True, False]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"name": ""}, "name must be a text of 1 to 64 characters"),
        ({"name": "x" * 65}, "name must be a text of 1 to 64 characters"),
        ({"name": 5}, "name must be a text of 1 to 64 characters"),
        ({"region": "DE"}, "country in three letters"),
        ({"region": None}, "country in three letters"),
        ({"consecutive": "no"}, "consecutive='no' is no bool"),
        ({"days": 5}, "5 are no days"),
        ({"days": "24.12."}, "are no days"),
        ({"days": "13-01"}, "are no days"),
        ({"days": "12-00"}, "are no days"),
        ({"days": "02-30"}, "are no days"),
        ({"days": "2026-02-29"}, "are no days"),
        ({"days": "0000-02-28"}, "are no days"),
        ({"days": "12-24 24:00"}, "are no days"),
        ({"days": "12-24 10:60"}, "are no days"),
        ({"days": "12-24 to 2027-01-06"}, "are no days"),
        ({"days": "2027-01-06 to 2026-12-24"}, "are no days"),
    ],
)
def test_holidays_that_are_none(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(DeclarationError, match=problem):
        Holiday(**{"name": "Closed", "days": "12-24", "region": "DEU", **options})


# a handler and a PBX -------------------------------------------------------------------------

NOW = st.datetimes(datetime(2024, 1, 1), datetime(2028, 12, 31)).map(
    lambda now: now.replace(second=0, microsecond=0)
)
DATES = st.dates(datetime(2024, 1, 1).date(), datetime(2028, 12, 31).date())
TIMES = st.none() | st.times().map(lambda one: one.strftime("%H:%M"))


@st.composite
def holidays(draw: st.DrawFn) -> Holiday:
    start, end = sorted([draw(DATES), draw(DATES)])
    form = draw(st.sampled_from(["%Y-%m-%d", "%m-%d"]))
    texts = [f"{day.strftime(form)} {draw(TIMES) or ''}".strip() for day in (start, end)]
    return Holiday("Closed", " to ".join(texts), region="DEU", consecutive=draw(st.booleans()))


@given(holiday=holidays(), now=NOW)
@example(holiday=Holiday("X", "12-24 to 01-06", region="DEU"), now=datetime(2026, 1, 6, 23, 59))
def test_a_handler_and_a_simulated_pbx_agree_on_holidays(holiday: Holiday, now: datetime) -> None:
    fields = write(holiday_fields(holiday))
    assert is_holiday([fields], local(now)) == holiday.covers(now)


RANGES = st.lists(st.integers(0, 23 * 60 + 59), min_size=2, max_size=4, unique=True).map(sorted)


def clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


@given(
    week=st.dictionaries(
        st.sampled_from(WEEK),
        st.sampled_from(["closed", "00:00-24:00"])
        | RANGES.map(
            lambda ends: ", ".join(
                f"{clock(a)}-{clock(b)}" for a, b in zip(ends[::2], ends[1::2], strict=False)
            )
        ),
        min_size=1,
    ),
    now=NOW,
)
def test_a_handler_and_a_simulated_pbx_agree_on_office_hours(
    week: dict[str, str], now: datetime
) -> None:
    office = OfficeHours(week)
    hours = Hours(open="1", closed="2", zone="UTC", week=office)
    fields = MenuEntry("1", Forward("222"), hours=office).fields["office_hours"]
    assert is_open(fields, None, local(now)) == hours.is_open(now.replace(tzinfo=UTC))


async def test_hours_are_closed_on_declared_holidays() -> None:
    christmas = Holiday("Christmas", "12-24 14:00 to 12-26", region="DEU")
    hours = Hours(
        open="1",
        closed="2",
        holiday="3",
        zone="Europe/Berlin",
        week={"mon-sun": "09:00-17:00"},
        holidays=[christmas],
        days={"12-26": "09:00-10:00"},
    )
    berlin = timedelta(hours=1)

    def opens(text: str) -> bool:
        return hours.is_open((at(text) - berlin).replace(tzinfo=UTC))

    assert [opens(f"2026-12-{one}") for one in ("24 13:59", "24 14:00", "25 12:00")] == [
        True,
        False,
        False,
    ]
    assert [opens(f"2026-12-{one}") for one in ("26 09:30", "26 12:00", "27 09:30")] == [
        True,
        False,
        True,
    ]


@pytest.mark.parametrize("holidays", ["12-24", ["12-24"], 5, None])
def test_holidays_of_hours_that_are_none(holidays: Any) -> None:
    with pytest.raises(DeclarationError, match="holidays= is a list of Holiday"):
        Hours(open="1", closed="2", zone="UTC", week={"mon": "closed"}, holidays=holidays)
