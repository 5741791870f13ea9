"""Sessions of browsers, and their cookies, on values."""

from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.auth.browser_sessions import BrowserSessions, cookie_of


def entropy() -> Callable[[int], bytes]:
    numbers = count()
    return lambda length: next(numbers).to_bytes(length, "big")


class Stage:
    """Sessions with a clock that is set by hand; it counts those that ended."""

    def __init__(self) -> None:
        self.now = 100.0
        self.ended = 0
        self.sessions = BrowserSessions(
            self._end, lambda: self.now, entropy(), lifetime=10.0, max_sessions=2
        )

    def _end(self) -> None:
        self.ended += 1


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_only_begun_sessions_are_known(stage: Stage) -> None:
    first, second = stage.sessions.begin(), stage.sessions.begin()
    assert first != second
    assert stage.sessions.has(first)
    for unknown in ("", first[:-1], first + "0", first.upper() + "x"):
        assert not stage.sessions.has(unknown)


def test_a_session_ends_once(stage: Stage) -> None:
    value = stage.sessions.begin()
    stage.sessions.end(value)
    stage.sessions.end(value)
    assert not stage.sessions.has(value)
    assert stage.ended == 1


def test_the_oldest_session_ends_first(stage: Stage) -> None:
    first, *others = [stage.sessions.begin() for _ in range(3)]
    assert not stage.sessions.has(first)
    assert all(map(stage.sessions.has, others))
    assert stage.ended == 1


def test_sessions_expire(stage: Stage) -> None:
    first = stage.sessions.begin()
    stage.now += 5
    second = stage.sessions.begin()
    stage.sessions.sweep()
    assert stage.ended == 0
    stage.now += 5
    assert not stage.sessions.has(first)
    stage.sessions.sweep()
    assert stage.sessions.has(second)
    assert stage.ended == 1


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (b"a=1", "1"),
        (b"b=2; a=1; c", "1"),
        (b"a=1; a=2", "1"),
        (b"b=2;\t a=x=y", "x=y"),
        (b"b=2", ""),
        (b"", ""),
        (b"a", ""),
        (b"a=\xff", "\xff"),
    ],
)
def test_the_value_of_a_cookie(header: bytes, value: str) -> None:
    assert cookie_of([(b"host", b"a=3"), (b"cookie", header)], "a") == value


@given(st.lists(st.tuples(st.just(b"cookie"), st.binary(max_size=100))))
def test_any_cookie_header_is_read(headers: list[tuple[bytes, bytes]]) -> None:
    assert BrowserSessions(list, lambda: 0.0, entropy()).has(cookie_of(headers, "a")) is False
