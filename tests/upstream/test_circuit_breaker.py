"""receiver/upstream/circuit_breaker.py"""

import pytest

from receiver.errors import CircuitOpen
from receiver.upstream.circuit_breaker import CircuitBreaker

CRM = "https://crm.example.com"


def is_open(breaker: CircuitBreaker, now: float, origin: str = CRM) -> bool:
    try:
        breaker.check(origin, now)
    except CircuitOpen:
        return True
    return False


def test_consecutive_failures_open_a_circuit_once() -> None:
    breaker = CircuitBreaker(failures=3)
    assert [breaker.record_failure(CRM, 0) for _ in range(4)] == [False, False, True, False]
    with pytest.raises(CircuitOpen, match=f"^circuit open: {CRM} failed 4 times in a row$"):
        breaker.check(CRM, 1)
    assert not is_open(breaker, 1, "https://other.example.com")


def test_an_answer_resets_the_failures() -> None:
    breaker = CircuitBreaker(failures=2)
    for _ in range(3):
        breaker.record_failure(CRM, 0)
        assert is_open(breaker, 0) is False
        assert breaker.record_success(CRM) is False  # it was not open


def test_one_probe_per_pause_until_one_succeeds() -> None:
    breaker = CircuitBreaker(failures=1, pause=5)
    breaker.record_failure(CRM, 0)
    assert [is_open(breaker, now) for now in (4.9, 5, 5, 9.9)] == [True, False, True, True]
    breaker.record_failure(CRM, 6)  # the probe's end
    assert [is_open(breaker, now) for now in (10.9, 11, 11)] == [True, False, True]
    # This one came to nothing and said nothing: its handler was cancelled.
    assert [is_open(breaker, now) for now in (15.9, 16)] == [True, False]
    assert breaker.record_success(CRM) is True
    assert not is_open(breaker, 16)


def test_the_number_of_hosts_is_limited() -> None:
    breaker = CircuitBreaker(failures=1, max_hosts=2)
    for origin in ("a", "b", "a", "c"):
        breaker.record_failure(origin, 0)
    assert [is_open(breaker, 1, origin) for origin in "abc"] == [True, False, True]
