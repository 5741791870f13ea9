"""How long a source that fails must wait."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.auth.throttle import FORGET, FREE, SHUT, SHUT_AFTER, SLOW, Standing, group

NOW = 1_800_000_000.0
MOMENTS = st.integers(-2 * FORGET, 2 * FORGET).map(float)
STANDINGS = st.builds(Standing, st.integers(0, 100), MOMENTS)


def after(failures: int, now: float = NOW) -> Standing:
    standing = Standing()
    for _ in range(failures):
        standing = standing.failed(now)
    return standing


@pytest.mark.parametrize(
    ("failures", "passed", "wait"),
    [
        (0, 0.0, 0),
        (FREE, 0.0, 0),
        (FREE + 1, 0.0, SLOW),
        (FREE + 1, 0.5, SLOW),
        (FREE + 1, 1.0, 0),
        (SHUT_AFTER - 1, 0.0, SLOW),
        (SHUT_AFTER, 0.0, SHUT),
        (SHUT_AFTER, 0.1, SHUT),
        (SHUT_AFTER, 58.5, 2),
        (SHUT_AFTER, 59.999, 1),
        (SHUT_AFTER, 60.0, 0),
        (1000, 60.0, 0),
    ],
)
def test_the_wait(failures: int, passed: float, wait: int) -> None:
    assert after(failures).wait(NOW + passed) == wait


def test_who_comes_back_after_being_shut_out_is_shut_out_again_by_one_failure() -> None:
    assert after(SHUT_AFTER).failed(NOW + SHUT).wait(NOW + SHUT) == SHUT


def test_a_record_is_wiped_by_time() -> None:
    bad = after(SHUT_AFTER)
    assert bad.at(NOW + FORGET - 1) == bad
    assert bad.at(NOW + FORGET) == Standing()
    assert bad.failed(NOW + FORGET) == Standing(1, NOW + FORGET)


def test_a_clock_that_was_set_back_shuts_nobody_out_for_ever() -> None:
    bad = after(SHUT_AFTER)
    assert bad.wait(NOW - SHUT) == SHUT
    assert bad.wait(NOW - SHUT - 1) == 0
    assert bad.failed(NOW - 3600) == Standing(1, NOW - 3600)


@given(STANDINGS, STANDINGS, MOMENTS)
def test_two_views_joined_are_never_milder_than_either(
    a: Standing, b: Standing, now: float
) -> None:
    both = a.joined(b, now)
    assert both == b.joined(a, now)
    assert both.wait(now) >= max(a.wait(now), b.wait(now))
    assert both.at(now).failures == max(a.at(now).failures, b.at(now).failures)


@given(STANDINGS, MOMENTS)
def test_a_wait_ends(standing: Standing, now: float) -> None:
    assert 0 <= standing.wait(now) <= SHUT
    assert standing.wait(max(now, standing.last) + SHUT) == 0


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


def test_more_is_put_up_with_where_it_is_many_places() -> None:
    assert Standing(SHUT_AFTER, NOW).wait(NOW, 10) == 0
    assert Standing(FREE * 10 + 1, NOW).wait(NOW, 10) == SLOW
    assert Standing(SHUT_AFTER * 10, NOW).wait(NOW, 10) == SHUT
