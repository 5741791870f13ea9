"""receiver/upstream/circuits.py"""

import pytest

from receiver.errors import CircuitOpen
from receiver.upstream.circuits import Circuits

CRM = "https://crm.example.com"


def is_open(circuits: Circuits, now: float, origin: str = CRM) -> bool:
    try:
        circuits.admit(origin, now)
    except CircuitOpen:
        return True
    return False


def test_failures_in_a_row_open_it_once() -> None:
    circuits = Circuits(failures=3)
    assert [circuits.failed(CRM, 0) for _ in range(4)] == [False, False, True, False]
    with pytest.raises(CircuitOpen, match=f"^{CRM} was not asked: it failed 4 times in a row$"):
        circuits.admit(CRM, 1)
    assert not is_open(circuits, 1, "https://other.example.com")


def test_an_answer_between_breaks_the_row() -> None:
    circuits = Circuits(failures=2)
    for _ in range(3):
        circuits.failed(CRM, 0)
        assert is_open(circuits, 0) is False
        assert circuits.alive(CRM) is False  # it was not open


def test_one_probe_a_pause_until_one_is_answered() -> None:
    circuits = Circuits(failures=1, pause=5)
    circuits.failed(CRM, 0)
    assert [is_open(circuits, now) for now in (4.9, 5, 5, 9.9)] == [True, False, True, True]
    circuits.failed(CRM, 6)  # the probe's end
    assert [is_open(circuits, now) for now in (10.9, 11, 11)] == [True, False, True]
    # This one came to nothing and said nothing: its handler was cancelled.
    assert [is_open(circuits, now) for now in (15.9, 16)] == [True, False]
    assert circuits.alive(CRM) is True
    assert not is_open(circuits, 16)


def test_hosts_are_bounded() -> None:
    circuits = Circuits(failures=1, most=2)
    for origin in ("a", "b", "a", "c"):
        circuits.failed(origin, 0)
    assert [is_open(circuits, 1, origin) for origin in "abc"] == [True, False, True]
