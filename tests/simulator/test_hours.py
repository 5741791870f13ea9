"""Office hours and holidays, by the minute."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from receiver.simulator.hours import LocalTime, is_holiday, is_open


def at(text: str) -> LocalTime:
    now = datetime.fromisoformat(text)
    return LocalTime(now.year, now.month, now.day, now.hour, now.minute, now.weekday())


MONDAY = "2026-01-05T"
RANGES = [{"from": "09:00", "to": "12:00"}, {"from": "13:00", "to": "17:00"}]


@pytest.mark.parametrize(
    ("clock", "expected"),
    [("08:59", False), ("09:00", True), ("12:00", False), ("13:00", True), ("16:59", True)],
)
def test_ranges(clock: str, expected: bool) -> None:
    hours = {"mode": "CUSTOM", "monday": {"enabled": True, "ranges": RANGES}}
    assert is_open(hours, None, at(MONDAY + clock)) is expected


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ({"enabled": True}, True),
        ({"enabled": True, "ranges": []}, True),
        ({"enabled": True, "ranges": [{}]}, True),
        ({"enabled": False, "ranges": RANGES}, False),
        ({}, False),
        (None, False),
    ],
)
def test_days(day: dict[str, Any] | None, expected: bool) -> None:
    assert is_open({"mode": "CUSTOM", "monday": day}, None, at(MONDAY + "10:00")) is expected


def test_which_office_hours_apply() -> None:
    noon, tenant = at(MONDAY + "12:00"), {"sunday": {"enabled": True}}
    assert is_open(None, None, noon)
    assert is_open({"mode": "GLOBAL", "sunday": {"enabled": True}}, None, noon)
    assert not is_open({"mode": "GLOBAL", "monday": {"enabled": True}}, tenant, noon)
    assert is_open({"mode": "CUSTOM", "monday": {"enabled": True}}, tenant, noon)


def holiday(text: str, *, consecutive: bool = True, every_year: bool = False) -> dict[str, Any]:
    """Year, month, day, hour and minute, as many as there are: ``"2026 12 24 18 - 2026 12 26"``."""
    made: dict[str, Any] = {"consecutive": consecutive, "every_year": every_year}
    for side, numbers in zip(("start", "end"), text.split("-"), strict=False):
        names = ("year", "month", "day", "hour", "minute")
        made |= {f"{n}_{side}": int(v) for n, v in zip(names, numbers.split(), strict=False)}
    return made


@pytest.mark.parametrize(
    ("which", "moment", "expected"),
    [
        (holiday("2026 12 25"), "2026-12-25T00:00", True),
        (holiday("2026 12 25"), "2026-12-25T23:59", True),
        (holiday("2026 12 25"), "2026-12-26T00:00", False),
        (holiday("2026 12 25"), "2027-12-25T10:00", False),
        (holiday("2026 12 25", every_year=True), "2027-12-25T10:00", True),
        (holiday("2026 12"), "2026-12-31T10:00", True),
        (holiday("2026 12 24 18 - 2026 12 26 9 30"), "2026-12-24T17:59", False),
        (holiday("2026 12 24 18 - 2026 12 26 9 30"), "2026-12-25T03:00", True),
        (holiday("2026 12 24 18 - 2026 12 26 9 30"), "2026-12-26T09:31", False),
        (holiday("2025 12 30 - 2026 1 2", every_year=True), "2030-01-01T10:00", True),
        (holiday("2025 12 30 - 2026 1 2", every_year=True), "2030-01-03T10:00", False),
        (holiday("2026 8 1 12 - 2026 8 7 14", consecutive=False), "2026-08-03T13:00", True),
        (holiday("2026 8 1 12 - 2026 8 7 14", consecutive=False), "2026-08-03T15:00", False),
        (holiday("2026 8 1 22 - 2026 8 7 6", consecutive=False), "2026-08-03T23:00", True),
        (holiday("2026 8 1 12 - 2026 8 7 14", consecutive=False), "2026-08-08T13:00", False),
    ],
)
def test_holidays(which: dict[str, Any], moment: str, expected: bool) -> None:
    assert is_holiday([None, which], at(moment)) is expected


def test_a_moment_for_people() -> None:
    assert str(at(MONDAY + "09:05")) == "09:05 on Monday"
