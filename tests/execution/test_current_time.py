"""receiver/execution/current_time.py"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest

from receiver import Call
from receiver.execution.current_time import current_time, utc

BERLIN = ZoneInfo("Europe/Berlin")
WALL = datetime(2026, 11, 30, 10)
INSTANT = datetime(2026, 11, 30, 10, tzinfo=UTC)


def test_without_a_simulation_it_is_the_system_clock() -> None:
    for zone in (None, UTC, "Europe/Berlin"):
        now = current_time(None, "", zone)
        assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)
        assert now.tzinfo is not None
    assert Call().now("Europe/Berlin").tzinfo == BERLIN
    assert Call().now().utcoffset() == datetime.now().astimezone().utcoffset()


def test_a_simulated_time_without_a_zone_is_the_same_in_each_zone() -> None:
    for zone in (UTC, BERLIN, "Asia/Kathmandu", None):
        now = current_time(lambda _: WALL, "", zone)
        assert (now.replace(tzinfo=None), now.tzinfo is None) == (WALL, False)


def test_a_simulated_time_with_a_zone_is_converted() -> None:
    assert current_time(lambda _: INSTANT, "", BERLIN).isoformat() == "2026-11-30T11:00:00+01:00"
    assert current_time(lambda _: INSTANT, "", None) == INSTANT


def test_the_clock_is_asked_for_the_call() -> None:
    assert (
        current_time(lambda session: WALL.replace(minute=len(session)), "1234567", UTC).minute == 7
    )


def test_an_unknown_zone_is_an_error() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        Call().now("Europe/Nowhere")


def test_seconds_since_the_epoch() -> None:
    assert utc(0) == datetime(1970, 1, 1, tzinfo=UTC)
    for beyond in (1e20, -1e20, float("inf"), float("nan")):
        assert utc(beyond) is None
