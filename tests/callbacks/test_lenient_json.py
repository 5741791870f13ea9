"""JSON that is almost right is read where it is certain, and a display name forges nothing."""

import json
from functools import partial
from itertools import permutations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from receiver.callbacks.lenient_json import read_fields
from receiver.callbacks.parser import read_body
from receiver.calls import WIRE, Call
from receiver.errors import CallbackError
from tests.growth import is_steep
from tests.support import FIELDS

GENUINE = Call("101", "", "888", "Sales", "22", "12345678")


def written(name: str, keys: tuple[str, ...] = tuple(WIRE)) -> str:
    """The documented callback, by a PBX that does not escape the display name."""
    values = {key: json.dumps(FIELDS[key]) for key in keys} | {"from_name": f'"{name}"'}
    return "{" + ",".join(f'"{key}":{values[key]}' for key in keys) + "}"


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("Jason\tBourne", "Jason\tBourne"),
        ("Jason\nBourne", "Jason\nBourne"),
        ("\0", "\0"),
        ("DOMAIN\\jason", "DOMAIN\\jason"),
        ("C:\\", "C:\\"),
        ('Jason "JB" Bourne', 'Jason "JB" Bourne'),
        ('"', '"'),
        ('"Jason"', '"Jason"'),
        ('J\\u00fcrgen\t\\"x\\"', 'Jürgen\t"x"'),
        ("a\\q", "a\\q"),
        ('x"}', "x"),
        ('x"},{"', "x"),
        ('x", "', "x"),
        ('x","account_name":"Boss\t', "x"),
    ],
)
def test_an_unescaped_name_costs_no_call(name: str, read: str) -> None:
    call = read_body(written(name).encode()).call
    assert (call.caller, call.ivr, call.digits, call.session_id) == ("101", "888", "22", "12345678")
    assert call.caller_name == read


@pytest.mark.parametrize("after", ["\0", "\0\0", "\n-- sent by a proxy", "}", ";", "{}", "\ufffd"])
def test_text_after_the_object_costs_no_call(after: str) -> None:
    for start in ("", "\ufeff", "\r\n"):
        call, oddities = read_body((start + json.dumps(FIELDS) + after).encode())
        assert call == Call("101", "Jason", "888", "Sales", "22", "12345678")
        assert "the body is not valid JSON; only unambiguous fields were read" in oddities


def test_older_pbxs_numbers_and_escapes_are_read() -> None:
    body = b'{"from":"\\u002b4930\\u002F1","to":888,"input":null,"from_name":"\t"}'
    assert read_body(body).call == Call(caller="+4930/1", ivr="888", caller_name="\t")
    assert read_body(b'{"from" : "1" ,\n "to" :\t-2.5 , "input":"","x":"\t"}').call.ivr == "-2.5"


@pytest.mark.parametrize(
    "name",
    [
        'x","from":"+49666',
        'x","from":"+49666"}',
        'x","from":"+49666","z":"\t',
        'x\t","to":"999',
        'x","input":"1"},{"a":"',
        'x"},"input":"1',
        'x","session_id":"1","z":"\\',
        'x","z":{"from":"666',
        '\\","from":"666","a":"\\',
        'x", "from" : "666',
        'x","from":666,"a":"',
    ],
)
def test_a_forged_field_is_answered_with_the_fallback(name: str) -> None:
    for order in permutations(WIRE, 6):
        with pytest.raises(CallbackError):
            read_body(written(name, order).encode())


@pytest.mark.parametrize(
    "body",
    [
        '{"from":"1","to":"2"\t',
        '{"from":"1","to":"2","input":"3"',
        '{"from":"1","to":"2","input":"3\t"}',
        '{"from":"1\\"","to":"2","input":"3"}\0',
        '{"from":"1\\\\","to":"2","input":"3"}\0',
        '{"from":["1"],"to":"2","input":"3"}\0',
        '{"from":tru,"to":"2","input":"3"}',
        '{x"from":"1","to":"2","input":"3"}',
        "{" + " " * 100 + '"from":"1","to":"2","input":"3",}',
    ],
)
def test_what_is_not_certain_is_not_read(body: str) -> None:
    with pytest.raises(CallbackError, match="with certainty"):
        read_body(body.encode())


def test_a_name_without_an_end_is_empty() -> None:
    assert read_fields('{"from":"1","to":"2","input":"3","from_name":"x')[-1] == ("from_name", "")
    assert read_fields('{"from":"1","to":"2","input":"3","from_name":5}')[-1] == ("from_name", "")


PIECES = ["\\", '"', ",", ":", "{", "}", "[", "\t", " ", "x", "666", "\\u0022", "null", "\0"]
PIECES += [f'"{key}"' for key in WIRE] + [f'"{key}":"666' for key in WIRE] + ['fr\\u006fm":"6']
HOSTILE = st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=20)


def half_escaped(name: str) -> list[str]:
    """The name as careless senders escape it."""
    quoted = name.replace('"', '\\"')
    return [name, quoted, name.replace("\\", "\\\\"), json.dumps(name)[1:-1]]


@given(HOSTILE, st.permutations(list(WIRE)), st.sampled_from(["", "\0", '"}', ',"from":"']))
@example('x","from":"+49666', list(WIRE), "")
@example('x","from":"+49666"}', ["from_name", *(k for k in WIRE if k != "from_name")], "")
@settings(max_examples=400)
def test_a_hostile_name_never_changes_caller_and_ivr(
    name: str, order: list[str], after: str
) -> None:
    for escaped in half_escaped(name):
        body = written(escaped, tuple(order)) + after
        try:
            call = read_body(body.encode("utf-8", "surrogatepass")).call
        except CallbackError:
            continue
        assert (call.caller, call.ivr, call.digits) == ("101", "888", "22")
        assert call.session_id == "12345678"


@given(st.text("abc\t\n\r\"\\'é{}[]:\0 ", max_size=20))
def test_a_name_without_a_comma_never_costs_the_call(name: str) -> None:
    call = read_body(written(name).encode()).call
    assert (call.caller, call.ivr, call.digits) == ("101", "888", "22")


@given(st.text(max_size=20))
def test_a_name_that_is_escaped_is_read_whole(name: str) -> None:
    body = json.dumps(FIELDS | {"from_name": name}) + "\0"
    assert dict(read_fields(body))["from_name"] == name


@pytest.mark.parametrize(
    "piece",
    ['"', '"from" ', '"from":', '" ', '" , ', "\\", '","', '{"from":', '"from_name":"', " "],
)
def test_the_time_is_proportional_to_the_length(piece: str) -> None:
    """Four times the length takes four times as long; a quadratic parser takes sixteen times."""
    fields = '"from":"1","to":"2","input":"3","from_name":"'
    for beginning in ("{" + fields, "{"):
        short, long = (
            partial(read_fields, beginning + piece * (length // len(piece)))
            for length in (15_000, 60_000)
        )
        assert not is_steep(short, long, 10, 0.0005)
