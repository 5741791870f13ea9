"""The throttle of wrong credentials."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.auth.throttle import (
    BLOCK_AFTER,
    BLOCK_TIME,
    FAILURE_LIFE,
    FREE_FAILURES,
    SLOW_RETRY_AFTER,
    FailureRecord,
    group,
)

NOW = 1_800_000_000.0
MOMENTS = st.integers(-2 * FAILURE_LIFE, 2 * FAILURE_LIFE).map(float)
STANDINGS = st.builds(FailureRecord, st.integers(0, 100), MOMENTS)


def after(failures: int, now: float = NOW) -> FailureRecord:
    record = FailureRecord()
    for _ in range(failures):
        record = record.failed(now)
    return record


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [
        (0, 0),
        (FREE_FAILURES, 0),
        (FREE_FAILURES + 1, SLOW_RETRY_AFTER),
        (BLOCK_AFTER - 1, SLOW_RETRY_AFTER),
        (BLOCK_AFTER, BLOCK_TIME),
        (1000, BLOCK_TIME),
    ],
)
def test_retry_after(failures: int, seconds: int) -> None:
    assert after(failures).retry_after() == seconds


def test_one_more_failure_after_the_wait_costs_the_same_again() -> None:
    assert after(BLOCK_AFTER).failed(NOW + BLOCK_TIME).retry_after() == BLOCK_TIME


def test_a_record_is_wiped_by_time() -> None:
    bad = after(BLOCK_AFTER)
    assert bad.at(NOW + FAILURE_LIFE - 1) == bad
    assert bad.at(NOW + FAILURE_LIFE) == FailureRecord()
    assert bad.failed(NOW + FAILURE_LIFE) == FailureRecord(1, NOW + FAILURE_LIFE)


def test_a_clock_that_was_set_back_keeps_no_record_for_ever() -> None:
    bad = after(BLOCK_AFTER)
    assert bad.failed(NOW - BLOCK_TIME).failures == BLOCK_AFTER + 1
    assert bad.failed(NOW - 3600) == FailureRecord(1, NOW - 3600)


@given(STANDINGS, STANDINGS, MOMENTS)
def test_two_views_joined_are_never_milder_than_either(
    a: FailureRecord, b: FailureRecord, now: float
) -> None:
    both = a.joined(b, now)
    assert both == b.joined(a, now)
    assert both.at(now).failures == max(a.at(now).failures, b.at(now).failures)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_sources_are_grouped(address: str, key: str) -> None:
    assert group(ip_address(address)) == key


def test_a_source_without_an_address() -> None:
    assert group(None) == "unknown"


def test_more_is_tolerated_at_all_actions_together() -> None:
    assert FailureRecord(BLOCK_AFTER, NOW).retry_after(10) == 0
    assert FailureRecord(FREE_FAILURES * 10 + 1, NOW).retry_after(10) == SLOW_RETRY_AFTER
    assert FailureRecord(BLOCK_AFTER * 10, NOW).retry_after(10) == BLOCK_TIME
