"""Parsing callbacks in every documented encoding."""

import json
from functools import partial
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from receiver.callbacks.parser import (
    Callback,
    _json,
    _pairs,
    _plain,
    _text,
    read_body,
    read_query,
)
from receiver.calls import Call
from receiver.errors import CallbackError
from tests import support
from tests.support import FIELDS

JASON = Call(
    caller="101",
    caller_name="Jason",
    ivr="888",
    ivr_name="Sales",
    digits="22",
    session_id="12345678",
)
QUERY = support.QUERY.encode()


def multipart(fields: dict[str, str], boundary: str = "XX") -> bytes:
    parts = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'
        for k, v in fields.items()
    )
    return ("".join(parts) + f"--{boundary}--\r\n").encode()


def test_reads_the_documented_get() -> None:
    assert read_query(QUERY) == Callback(JASON)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (json.dumps(FIELDS).encode(), "application/json"),
        (json.dumps(FIELDS).encode(), ""),
        (json.dumps(FIELDS).encode(), "application/x-www-form-urlencoded"),
        (json.dumps(FIELDS).encode(), "multipart/form-data; boundary=no"),
        (json.dumps(FIELDS).encode("utf-16"), "text/plain"),
        (json.dumps(FIELDS).encode("utf-16-le"), ""),
        (json.dumps(FIELDS).encode("utf-16-be"), ""),
        (json.dumps(FIELDS).encode("utf-8-sig"), ""),
        (b"\r\n " + json.dumps(FIELDS).encode(), "text/html"),
        (QUERY, "application/x-www-form-urlencoded"),
        (QUERY, ""),
        (QUERY + b"\r\n", "application/json"),
        (multipart(FIELDS), "multipart/form-data; boundary=XX"),
        (multipart(FIELDS), 'multipart/form-data; boundary="XX"'),
        (multipart(FIELDS), "application/json"),
        (multipart(FIELDS), ""),
        (multipart({**FIELDS, "other": "x"}), ""),
    ],
)
def test_reads_every_form_of_the_post_by_its_content(body: bytes, content_type: str) -> None:
    assert read_body(body, content_type) == Callback(JASON)


def test_what_is_missing_is_empty() -> None:
    call, oddities = read_body(b'{"from":"101","input":null,"to":"888"}')
    assert call == Call(caller="101", ivr="888")
    assert oddities == (
        "session_id is missing",
        "from_name is missing",
        "account_name is missing",
    )


def test_numbers_stay_exact() -> None:
    body = b'{"from":101,"to":888.0,"input":41111111111111111110000000000000000001,"session_id":-7}'
    call, _ = read_body(body)
    assert (call.caller, call.ivr, call.session_id) == ("101", "888.0", "-7")
    assert call.digits == "41111111111111111110000000000000000001"
    assert read_body(b'{"input":' + b"9" * 5000 + b"}").call.digits == "9" * 5000
    assert read_body(b'{"input":NaN}').call.digits == "NaN"


def test_what_is_no_text_is_odd() -> None:
    call, oddities = read_body(b'{"from":["101"],"input":true,"to":{"a":1}}')
    assert call == Call()
    assert "from is neither text nor a number" in oddities


@pytest.mark.parametrize("key", ["from", "to", "input", "session_id"])
def test_two_values_of_a_field_that_decides_are_refused(key: str) -> None:
    forms = (
        partial(read_query, f"{key}=1&from_name=x&{key}=2".encode()),
        partial(read_body, f'{{"{key}":"1","from_name":"x","{key}":"2"}}'.encode()),
        partial(read_body, multipart({key: "1"})[:-8] + multipart({key: "2"})),
    )
    for read in forms:
        with pytest.raises(CallbackError, match=f"{key} came twice with different values"):
            read()


def test_a_field_that_came_twice_with_one_value_is_odd() -> None:
    for callback in (read_query(b"input=1&input=1"), read_body(b'{"input":"1","input":"1"}')):
        assert callback.call.digits == "1"
        assert "input came more than once" in callback.oddities


def test_a_name_with_two_values_is_left_out() -> None:
    callback = read_query(b"from=1&from_name=a&from_name=b&account_name=c&account_name=c")
    assert (callback.call.caller_name, callback.call.ivr_name) == ("", "c")
    assert "from_name came more than once" in callback.oddities


def test_restores_a_plus_that_became_a_space() -> None:
    assert read_query(b"from=+4930123&to=%2B888&input=+1").call == Call(
        caller="+4930123", ivr="+888", digits=" 1"
    )
    assert read_query(b"from=+49+30+123").call.caller == "+49 30 123"
    assert read_query(b"from=+Jason").call.caller == " Jason"


@pytest.mark.parametrize("caller", ["030 1234567", "1 2", "4930 ", "  4930", "49 30", "x 4930"])
def test_a_space_that_does_not_begin_a_number_is_no_plus(caller: str) -> None:
    for callback in (
        read_query(urlencode({"from": caller, "to": caller}).encode()),
        read_body(json.dumps({"from": caller, "to": caller}).encode()),
    ):
        assert (callback.call.caller, callback.call.ivr) == (caller, caller)


@given(st.text("0123456789 -()", max_size=12).filter(lambda text: text[:1] != " "))
def test_only_a_leading_space_can_be_a_lost_plus(caller: str) -> None:
    assert read_query(urlencode({"from": caller}).encode()).call.caller == caller


@pytest.mark.parametrize("name", ["J%C3%BCrgen", "J%FCrgen", "J%fcrgen"])
def test_odd_charsets_never_fail(name: str) -> None:
    assert read_query(f"from_name={name}".encode()).call.caller_name in ("Jürgen", "J\ufffdrgen")


def test_a_named_charset_is_used_where_utf_8_fails() -> None:
    body = "from_name=Jürgen".encode("latin-1")
    assert read_body(body, "text/plain; charset=latin-1").call.caller_name == "Jürgen"
    assert read_body(body, "text/plain; charset=nonsense").call.caller_name == "J\ufffdrgen"
    assert read_body(body, "text/plain; charset=\0").call.caller_name == "J\ufffdrgen"
    for other in ("latin-1" + " " * 300, "unicode_escape", "nonsense"):
        content_type = f"text/plain; charset={other}"
        assert read_body(body, content_type).call.caller_name == "J\ufffdrgen"
    body = '{"from_name":"Jürgen"}'.encode("latin-1")
    assert read_body(body, "application/json; charset=iso-8859-1").call.caller_name == "Jürgen"


def test_lone_surrogates_do_not_get_through() -> None:
    name = read_body(b'{"from_name":"a\\ud800b\\ud83d\\ude00"}').call.caller_name
    assert name == "a\ufffdb\U0001f600"
    name.encode()


def test_splits_a_query_that_was_put_behind_a_query() -> None:
    assert read_query(b"site=north?" + QUERY).call == JASON
    assert read_query(b"site=north?from=101&to=888").call.caller == "101"


@pytest.mark.parametrize("key", ["from", "to"])
def test_a_space_takes_the_long_way(key: str) -> None:
    body = json.dumps(FIELDS | {key: "1 2"}).encode()
    assert _plain(body) is None
    assert getattr(read_body(body).call, "caller" if key == "from" else "ivr") == "1 2"


def test_a_callers_name_cannot_smuggle_a_field() -> None:
    call = read_query(b"session_id=1&from=101&from_name=a?from=666&input=2").call
    assert (call.caller, call.caller_name) == ("101", "a?from=666")


def test_a_callers_name_cannot_add_a_session_that_an_older_pbx_does_not_send() -> None:
    call = read_query(b"from=101&to=888&input=2&from_name=a?session_id=666&account_name=b").call
    assert (call.session_id, call.caller_name) == ("", "a?session_id=666")
    assert read_query(b"site=north&x?session_id=1&from=101").call.session_id == "1"


HOSTILE = st.lists(
    st.sampled_from(["&", "=", "?", "%26", "%3d", "+", "x", "666", "\0", *FIELDS])
    | st.sampled_from([f"&{key}=666" for key in FIELDS]),
    max_size=10,
).map("".join)


@given(HOSTILE, st.permutations(list(FIELDS)), st.sampled_from(["", "site=north?", "a=b&"]))
@example("x&from=666", list(FIELDS), "")
@example("x?session_id=666", list(FIELDS), "site=north?")
@example("&from=666", list(FIELDS), "site=north?")
def test_a_hostile_name_in_a_form_never_changes_caller_and_ivr(
    name: str, keys: list[str], before: str
) -> None:
    values = FIELDS | {"from_name": name}
    query = "&".join(f"{key}={values[key]}" for key in keys).encode()
    reads = [partial(read_body, query)]
    if keys[0] in ("session_id", "from"):
        reads.append(partial(read_query, before.encode() + query))
    for read in reads:
        try:
            call = read().call
        except CallbackError:
            continue
        assert (call.caller, call.ivr, call.digits) == ("101", "888", "22")
        assert call.session_id == "12345678"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"[]",
        b'"text"',
        b"null",
        b"{",
        b'{"from":"1"',
        b"{}",
        b'{"a":' + b"[" * 100_000,
        b"--",
        b"--XX",
        b"--XX\r\nrubbish",
        b"\xff\xfe",
        b"\xff\xfe{",
        b"\0{",
        b"&" * 1000,
        multipart({"other": "x"}),
    ],
)
def test_what_is_no_callback_is_an_error(body: bytes) -> None:
    for content_type in ("", "application/json", "multipart/form-data; boundary=XX"):
        with pytest.raises(CallbackError):
            read_body(body, content_type)


def test_a_file_in_a_multipart_form_is_passed_over() -> None:
    part = b'--XX\r\nContent-Disposition: form-data; name="from"; filename="a"\r\n\r\n1\r\n'
    assert read_body(part + multipart({"input": "2"})).call == Call(digits="2")


def test_at_most_a_hundred_parts_are_read() -> None:
    many = multipart({f"f{i}": "x" for i in range(150)} | {"from": "1"})
    with pytest.raises(CallbackError):
        read_body(many)


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), st.text(max_size=20), min_size=1))
@example({"from": " 1"})
def test_every_form_reads_the_same(fields: dict[str, str]) -> None:
    from urllib.parse import urlencode

    clean = {k: v.encode("utf-8", "replace").decode() for k, v in fields.items()}
    wanted = read_body(json.dumps(clean).encode())
    assert read_query(urlencode(clean).encode()) == wanted
    assert read_body(urlencode(clean).encode()) == wanted


@given(st.binary(max_size=200), st.text(max_size=40))
def test_any_octets_are_a_callback_or_a_callback_error(body: bytes, content_type: str) -> None:
    for read in (partial(read_body, body, content_type), partial(read_query, body)):
        try:
            callback = read()
        except CallbackError:
            continue
        for text in (callback.call.caller, callback.call.caller_name, callback.call.digits):
            text.encode()  # could be sent on


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.recursive(leaves, st.lists))
def test_any_json_value_is_taken(value: object) -> None:
    assert isinstance(read_body(json.dumps({"input": value}).encode()).call.digits, str)


# the short cut, and what was read by the standard library before -----------------------------

NAMES = ("session_id", "from", "to", "input", "from_name", "account_name", "other")
VALUES = st.text(max_size=6) | st.sampled_from(["", " 49", "\ud800", "😀", '"', "\\", "\x7f", "\0"])


@given(
    st.lists(st.tuples(st.sampled_from(NAMES), VALUES | st.integers() | st.none()), max_size=8),
    st.booleans(),
    st.sampled_from(["", " ", "\r\n", "x"]),
)
@example([(name, "1") for name in NAMES[:6]], True, "")
@example([(name, "\ud800") for name in NAMES[:6]], True, "")
@example([(name, "\ud800") for name in NAMES[:6]], False, "")
@example([(name, "a\t\x7f\0é😀") for name in NAMES[:6]], True, "\r\n")
@example([(name, "é\x7f😀\u2028") for name in NAMES[:6]], False, "\r\n")
def test_the_short_cut_reads_as_the_long_way(
    pairs: list[tuple[str, str | int | None]], escaped: bool, around: str
) -> None:
    members = (f'"{key}": {json.dumps(value, ensure_ascii=escaped)}' for key, value in pairs)
    body = f"{around}{{{','.join(members)}}}{around}".encode("utf-8", "surrogatepass")
    if (call := _plain(body)) is not None:
        assert _json(body, "") == Callback(call)
        assert call.context is not Call().context


@pytest.mark.parametrize("body", [json.dumps(FIELDS), json.dumps(FIELDS, indent=4)])
def test_the_documented_callback_takes_the_short_cut(body: str) -> None:
    assert _plain(body.encode()) == JASON
    assert _plain(body.replace("Jason", '\\"').encode()) is None


@given(st.binary(max_size=40) | st.text("ab=&+%2Bfé;", max_size=20).map(str.encode))
def test_forms_are_split_as_the_standard_library_does(text: bytes) -> None:
    octets = [
        (key.encode("latin-1"), value.encode("latin-1"))
        for key, value in parse_qsl(
            text.strip(b"\r\n").decode("latin-1"), keep_blank_values=True, encoding="latin-1"
        )
    ]
    assert _pairs(text) == [(_text(key, ""), _text(value, "")) for key, value in octets]
