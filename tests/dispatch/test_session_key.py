"""The callbacks that share a session, and a name that reveals no caller."""

from __future__ import annotations

import itertools
import string

import pytest
from msgspec.structs import replace

from receiver.credentials import Secret
from receiver.dispatch.session_key import LONG_LIFE, SHORT_LIFE, history_key
from receiver.dispatch.sessions import LIFE, Key, key_of

SECRET = Secret("a secret of the service")


def key(session_id: str = "", caller: str = "", ivr: str = "8000", pbx: str = "") -> Key:
    found = key_of(session_id, caller, ivr, pbx, secret=SECRET)
    assert found is not None
    return found


def test_a_session_id_identifies_a_call() -> None:
    assert key("1", "100") == key("1", "200") == key("1", ivr="8001")
    assert key("1").life == LIFE
    assert key_of("1", "", "", "", secret=SECRET, life=5) == replace(key("1"), life=5)


def test_without_a_session_id_caller_and_ivr_identify_a_call_for_a_minute() -> None:
    assert key(caller="100") == key(caller="100")
    assert key(caller="100").life == SHORT_LIFE == 60


def test_callers_that_cannot_be_distinguished_have_no_session() -> None:
    assert key_of("", "", "8000", "", secret=SECRET) is None


def test_different_calls_have_different_names() -> None:
    odd = [
        "1",
        "2",
        "1,2",
        "', '",
        "a\0b",
        "\0",
        "\x1b[2J",
        "\r\n",
        "ü",
        "\\xfc",
        "\ud800",
        "7" * 65536,
    ]
    names = [key(a, pbx=b).name for a, b in itertools.product(odd, [*odd, ""])]
    names += [key("", a, b, c).name for a, b, c in itertools.product(odd, [*odd, ""], ["", "n"])]
    assert len(names) == len(set(names)) == 12 * 13 * 3
    assert {len(name) for name in names} == {40}
    assert set("".join(names)) <= set(string.hexdigits.lower())


def test_the_name_depends_on_the_secret() -> None:
    other = key_of("", "100", "8000", "", secret=Secret("another secret of a service"))
    assert other is not None
    assert other.name != key(caller="100").name


@pytest.mark.parametrize("number", ["4930123456", "100"])
def test_the_name_contains_no_number(number: str) -> None:
    assert number not in key(caller=number * 4).name


def test_the_history_of_a_call_has_a_separate_name() -> None:
    one = history_key("1", "", secret=SECRET)
    assert one == history_key("1", "", secret=SECRET)
    assert one.life == LONG_LIFE
    names = {one.name, key("1").name, history_key("1", "north", secret=SECRET).name}
    assert len(names | {history_key("2", "", secret=SECRET).name}) == 4
