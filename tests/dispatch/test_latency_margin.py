"""The part of a timeout that is kept for the network."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.dispatch.latency_margin import Margin


def test_the_operator_has_the_first_word() -> None:
    assert Margin(0.5).of(2) == 0.5
    margin = Margin(0.5)
    for _ in range(10):
        margin.learn(0.01)
    assert margin.of(2) == 0.5


def test_a_way_that_stays_slow_is_learned_and_one_slow_packet_is_not() -> None:
    margin = Margin(0.1)
    for _ in range(30):
        margin.learn(0.4)
    assert margin.of(2) == pytest.approx(0.4, abs=0.01)
    quick = Margin(0.1)
    for seconds in [0.01] * 30 + [0.1]:
        quick.learn(seconds)
    assert quick.of(2) < 0.15


@given(st.lists(st.floats(0, 30)), st.floats(0, 0.9), st.integers(1, 30))
def test_never_less_than_the_least_nor_more_than_half(
    ways: list[float], least: float, timeout: int
) -> None:
    margin = Margin(least)
    for seconds in ways:
        margin.learn(seconds)
    assert least <= margin.of(timeout) <= max(least, timeout / 2)


def test_a_measurement_is_due_once_a_second_and_an_unknown_one_changes_nothing() -> None:
    margin = Margin(0.1)
    assert [margin.is_due(now) for now in (5.0, 5.0, 5.9, 6.0, 6.1)] == [
        True,
        False,
        False,
        True,
        False,
    ]
    margin.learn(0.4)
    before = margin.of(2)
    margin.learn(0.0)
    assert margin.of(2) == before > 0.4
