"""The throttle of wrong credentials."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.auth.throttle import FORGET, FREE, SHUT, SHUT_AFTER, SLOW, FailureRecord, group

NOW = 1_800_000_000.0
MOMENTS = st.integers(-2 * FORGET, 2 * FORGET).map(float)
STANDINGS = st.builds(FailureRecord, st.integers(0, 100), MOMENTS)


def after(failures: int, now: float = NOW) -> FailureRecord:
    standing = FailureRecord()
    for _ in range(failures):
        standing = standing.failed(now)
    return standing


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 0), (FREE, 0), (FREE + 1, SLOW), (SHUT_AFTER - 1, SLOW), (SHUT_AFTER, SHUT), (1000, SHUT)],
)
def test_retry_after(failures: int, seconds: int) -> None:
    assert after(failures).retry_after() == seconds


def test_one_more_failure_after_the_wait_costs_the_same_again() -> None:
    assert after(SHUT_AFTER).failed(NOW + SHUT).retry_after() == SHUT


def test_a_record_is_wiped_by_time() -> None:
    bad = after(SHUT_AFTER)
    assert bad.at(NOW + FORGET - 1) == bad
    assert bad.at(NOW + FORGET) == FailureRecord()
    assert bad.failed(NOW + FORGET) == FailureRecord(1, NOW + FORGET)


def test_a_clock_that_was_set_back_keeps_no_record_for_ever() -> None:
    bad = after(SHUT_AFTER)
    assert bad.failed(NOW - SHUT).failures == SHUT_AFTER + 1
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
    assert FailureRecord(SHUT_AFTER, NOW).retry_after(10) == 0
    assert FailureRecord(FREE * 10 + 1, NOW).retry_after(10) == SLOW
    assert FailureRecord(SHUT_AFTER * 10, NOW).retry_after(10) == SHUT
