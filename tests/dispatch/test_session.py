"""The mapping of a session: values it holds, values it refuses, and its repr."""

from __future__ import annotations

import enum
import math
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.dispatch.session import MAX_DEPTH, MAX_SIZE
from receiver.dispatch.sessions import Session, SessionError, SessionLost


class Language(enum.StrEnum):
    DE = "de"


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


def same(one: object, other: object) -> bool:
    """Equal, and of the same types all the way down."""
    return repr(one) == repr(other)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_stored_values_are_read_unchanged(values: dict[str, Any]) -> None:
    session = Session()
    session.update(values)
    again = Session(session.change() or b"")
    assert same(dict(again), values)
    assert again.change() is None


def nest(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ((1, 2), "a tuple"),
        ([{"a": (1,)}], "a tuple"),
        ({1, 2}, "a set"),
        (b"secret 4711", "a bytes"),
        (datetime(2026, 1, 1, tzinfo=UTC), "a datetime"),
        (Language.DE, "a Language"),
        (OrderedDict(a=1), "an? OrderedDict"),
        (2**64, "a number beyond 64 bits"),
        (-(2**63) - 1, "a number beyond 64 bits"),
        (math.nan, "a number that is not finite"),
        ([-math.inf], "a number that is not finite"),
        ("4711\ud800", "text with a lone surrogate"),
        ({"\udfff": 1}, "text with a lone surrogate"),
        ({1: "one"}, "a key that is not str"),
        ({Language.DE: 1}, "a key that is not str"),
        (nest(MAX_DEPTH + 1), "more than 20 lists or dicts inside each other"),
    ],
)
def test_invalid_values_are_refused_on_assignment(value: Any, problem: str) -> None:
    session = Session()
    said = rf"^session\['customer'\] is or contains {problem}"
    with pytest.raises(TypeError, match=said) as caught:
        session["customer"] = value
    assert "4711" not in str(caught.value)
    assert not session


def test_the_deepest_allowed_value_is_stored() -> None:
    session = Session()
    session["deep"] = nest(MAX_DEPTH)
    assert Session(session.change() or b"")["deep"] == nest(MAX_DEPTH)


@pytest.mark.parametrize("key", [1, None, b"k", Language.DE, "\ud800"])
def test_keys_are_plain_text(key: Any) -> None:
    with pytest.raises(TypeError, match=r"^session\[.*\] is or contains"):
        Session()[key] = 1


def test_a_list_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="inside each other"):
        Session()["endless"] = endless


def test_values_added_to_a_list_later_are_checked_at_the_end() -> None:
    session = Session()
    tried: list[Any] = []
    session["tried"] = tried
    tried.append({4711})
    with pytest.raises(TypeError, match=r"^session\['tried'\] is or contains a set"):
        session.change()


def test_a_change_inside_a_list_is_a_change() -> None:
    session = Session(b'{"tried":["1"],"count":1}')
    assert session.read("tried", [""]) == ["1"]
    session.read("tried", [""]).append("2")
    assert session.change() == b'{"tried":["1","2"],"count":1}'


def test_equal_content_is_no_change() -> None:
    session = Session(b'{"count":1}')
    session["count"] = 2
    session["more"] = True
    session["count"] = 1
    del session["more"]
    assert session.change() is None
    assert Session().change() is None


def test_an_emptied_session_is_stored_as_nothing() -> None:
    session = Session(b'{"count":1}')
    session.clear()
    assert session.change() == b""


def test_a_change_of_type_is_a_change() -> None:
    session = Session(b'{"count":1}')
    session["count"] = True
    assert session.change() == b'{"count":true}'


def test_the_size_is_bounded() -> None:
    room = MAX_SIZE - len('{"a":1,"number":""}')
    for spare, fits in ((0, True), (1, False)):
        session = Session()
        session["a"] = 1
        session["number"] = "7" * (room + spare)
        if fits:
            assert len(session.change() or b"") == MAX_SIZE
        else:
            said = r"16385 octets .* session\['number'\]$"
            with pytest.raises(SessionError, match=said) as caught:
                session.change()
            assert "77" not in str(caught.value)


def test_a_long_key_does_not_make_a_long_error() -> None:
    with pytest.raises(TypeError) as caught:
        Session()["k" * 10_000] = cast("Any", ())
    assert len(str(caught.value)) < 250


def test_repr_shows_keys_and_no_values() -> None:
    session = Session(b'{"pin":"4711","language":"de"}')
    assert repr(session) == str(session) == "Session('pin', 'language')"
    assert repr(Session()) == "Session()"


def test_after_its_end_a_session_is_read_only() -> None:
    session = Session(b'{"count":1}')
    session.change()
    assert session["count"] == 1
    with pytest.raises(SessionError, match="the session is over"):
        session["count"] = 2
    with pytest.raises(SessionError, match="the session is over"):
        del session["count"]


def test_reading_with_a_type() -> None:
    session = Session(b'{"count":1,"vip":true,"rate":0.5,"nothing":null}')
    assert session.read("count", 0) + 1 == 2
    assert session.read("language", "de") == "de"
    assert session.read("vip", False)
    assert session.read("nothing", None) is None
    for key, default in (("vip", 0), ("count", False), ("count", 0.0), ("nothing", "")):
        with pytest.raises(TypeError, match=rf"^session\['{key}'\] is of type \w+, not \w+$"):
            session.read(key, default)


@pytest.mark.parametrize("damaged", [b"{", b"[]", b"\xff", b"4711", b'{"a":1}x'])
def test_damaged_content_raises_session_lost(damaged: bytes) -> None:
    with pytest.raises(SessionLost, match=r"^the stored session of this call is invalid$"):
        Session(damaged)
