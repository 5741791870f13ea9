"""Masked records, and placeholders for masked texts."""

import json
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from receiver import Call, Forward, Hangup, Ivr
from receiver.recording.format import Lost, Masked, Piece, RecordingError, decode, encode
from receiver.recording.masking import express, form
from receiver.recording.placeholders import Placeholders, resolve, sample
from tests.recording.recorded_actions import make_ivr, record

CALL = Call(
    caller="+493012345",
    caller_name="Jason Bourne",
    ivr="8000",
    ivr_name="Sales",
    digits="1742",
    session_id="12345678",
)


def test_nothing_of_the_caller_is_shown() -> None:
    line = encode(record("pick", CALL, Forward("1742"))).decode()
    found = re.sub(r'"(alias|session|shape)":"[^"]*"', "", line)
    for text in ("1742", "493012345", "Jason", "Bourne", "12345678"):
        assert text not in found
    assert record("pick", CALL).masked == ("digits", "caller", "caller_name", "session_id")
    assert "destination" in record("pick", CALL, Forward("1742")).masked


DIGITS = st.text("0123456789", min_size=4, max_size=20)


@given(
    DIGITS,
    DIGITS,
    st.text(min_size=4).filter(lambda name: name.strip() and "d" not in name),  # as forms have it
    st.sampled_from(["pick", "pin", "known"]),
    st.sampled_from(["{}", "+{}", "9{}", "{}#", "00{}1"]),
    st.booleans(),
)
def test_no_caller_data_is_in_a_masked_record(
    digits: str, number: str, name: str, asked: str, made: str, back: bool
) -> None:
    call = Call(caller=f"+{number}", caller_name=name, digits=digits, session_id="1")
    reply = Forward(made.format(number if back else digits))
    line = json.loads(encode(record(asked, call, reply)))
    found = {key: line[key] for key in ("caller", "caller_name", "digits", "destination")}
    text = re.sub(r'"(alias|shape)": "[^"]*"', "", json.dumps(found))
    assert digits not in text
    assert number not in text
    assert name not in _texts(found)


def _texts(found: object) -> list[str]:
    if isinstance(found, dict):
        return [text for value in found.values() for text in _texts(value)]
    if isinstance(found, list):
        return [text for value in found for text in _texts(value)]
    return [found] if isinstance(found, str) else []


def test_what_is_not_the_callers_is_shown() -> None:
    found = record("pick", CALL)
    assert (found.ivr, found.ivr_name, found.action) == ("8000", "Sales", "8000/pick")
    assert (found.decision, found.destination, found.reason) == ("call", "222", "handled")
    assert (found.seconds, found.handler, found.method, found.v) == (0.012, 0.01, "POST", 1)
    assert record("pick", Call(caller="Anonymous")).caller == "Anonymous"
    assert record("pick", CALL, Hangup()).destination == ""


def test_aloud_all_is_shown_but_the_session() -> None:
    found = record("pick", CALL, Forward("1742"), shown=True)
    assert (found.digits, found.caller, found.caller_name) == ("1742", CALL.caller, "Jason Bourne")
    assert found.destination == "1742"
    assert found.masked == ("session_id",)
    assert found.session != CALL.session_id


@pytest.mark.parametrize("shown", [True, False])
def test_a_sensitive_action_shows_nothing_and_tells_not_even_which_entry(shown: bool) -> None:
    found = record("pin", Call(digits="4712", caller="101"), shown=shown)
    assert found.digits == Masked("dddd")
    assert isinstance(found.caller, Masked)


def test_the_same_caller_is_the_same_and_another_is_another() -> None:
    one, same = record("pick", CALL), record("known", Call(caller=CALL.caller))
    assert one.caller == same.caller
    assert one.caller != record("pick", Call(caller="+493012346")).caller
    assert one.session != record("pick", Call(session_id="2")).session


def test_two_services_tell_the_same_caller_differently() -> None:
    from receiver.recording.masking import Masker

    pick = next(iter(make_ivr()))
    made = [
        Masker(key, [pick], caller_data=False).record(
            pick, CALL, Hangup(), "handled", time="", seconds=0, handler=0
        )
        for key in (b"one", b"other")
    ]
    assert made[0].digits != made[1].digits
    assert made[0].session != made[1].session


@given(st.from_regex(r"\A(1|22|1[0-9]{3}|9[0-9]{4})\Z"), st.from_regex(r"\A1[0-9]{2}\Z"))
def test_a_placeholder_matches_the_same_entries(digits: str, caller: str) -> None:
    found = record("pick", Call(digits=digits, caller=caller))
    today = Placeholders(make_ivr())
    made, number = today.digits(found), today.caller(found)
    assert made is not None
    assert number is not None
    pick, _, known = make_ivr()
    assert [e.matches(made) for e in pick.mask] == [e.matches(digits) for e in pick.mask]
    assert known.mask.matches(number)
    assert (made, number) == (today.digits(found), today.caller(found))


@given(st.text("0123456789*#", min_size=1, max_size=300))
def test_a_placeholder_for_all_has_the_same_form(digits: str) -> None:
    text = Masked(form(digits), "an alias")
    (everything,) = Ivr("8000").add("DTMF", "ALL", lambda call: Hangup(), name="x").mask
    assert form(sample(everything, text, 0)) == form(digits)


def test_two_callers_have_two_placeholders() -> None:
    today = Placeholders(make_ivr())
    made = {today.caller(record("known", Call(caller=str(number)))) for number in range(100, 150)}
    assert len(made) == 50
    others = {today.caller(record("known", Call(caller=name))) for name in ("alice", "carol")}
    assert len(others) == 2


def test_a_placeholder_of_a_sensitive_action_matches_its_mask_and_is_not_the_callers() -> None:
    today = Placeholders(make_ivr())
    assert today.digits(record("pin", Call(digits="4712"))) == "4711"
    assert today.digits(record("pin", Call(digits="471"))) == "000"
    assert Placeholders([]).digits(record("pin", Call(digits="4712"))) == "0000"


def test_names_stand_apart() -> None:
    today = Placeholders([])
    assert today.name(record("pick", CALL)).startswith("Caller ")
    assert today.name(record("pick", Call())) == ""
    assert today.name(record("pick", CALL, shown=True)) == "Jason Bourne"


def test_a_mask_with_another_shape_has_no_placeholder() -> None:
    ivr = Ivr("8000")
    ivr.add("DTMF", "1;22;1000-1999", lambda call: Hangup(), name="pick")
    assert Placeholders(ivr).digits(record("pick", CALL)) is None


@given(
    st.from_regex(r"\A\+?[0-9*#]{1,20}\Z"),
    st.text("0123456789", max_size=12),
    st.from_regex(r"\A(\+?[0-9]{3,12})?\Z"),
)
def test_a_destination_in_pieces_is_the_same_for_the_same_caller(
    destination: str, digits: str, caller: str
) -> None:
    found = express(destination, digits, caller)
    assert resolve(found, digits, caller) == destination
    if len(digits) > 1 and digits in destination:
        assert isinstance(found, tuple)
        assert digits not in "".join(part if isinstance(part, str) else " " for part in found)


@given(st.text("0123456789", min_size=3, max_size=12), st.integers(0, 20), st.integers(3, 20))
def test_a_destination_has_no_three_digits_of_the_caller(
    digits: str, start: int, size: int
) -> None:
    part = digits[start : start + size]
    assume(len(part) >= 3)
    found = express(f"7{part}8", digits, "")
    shown = " ".join(part if isinstance(part, str) else " " for part in found)
    assert not any(shown[i : i + 3] in digits for i in range(len(shown) - 2))


@pytest.mark.parametrize(
    ("destination", "digits", "caller", "found"),
    [
        ("100", "1", "", "100"),
        ("0", "0", "", (Piece("digits", 0, 1),)),
        ("222", "22", "", (Piece("digits", 0, 2), "2")),
        ("2005", "1005", "", ("2", Piece("digits", 1, 4))),
        ("0049301234", "", "+49301234", ("00", Piece("caller", 0, 8))),
        ("222", "", "", "222"),
    ],
)
def test_destinations(destination: str, digits: str, caller: str, found: object) -> None:
    assert express(destination, digits, caller) == found


def test_a_line_comes_back_as_it_was() -> None:
    for line in (record("pick", CALL, Forward("91742")), Lost(time="x", lost=3)):
        text = encode(line)
        assert text.endswith(b"}\n")
        assert text.count(b"\n") == 1
        assert decode(text) == line


@given(
    st.binary(max_size=200) | st.integers(0, 700).map(lambda n: encode(record("pick", CALL))[:n])
)
def test_damage_is_no_error(line: bytes) -> None:
    if line != encode(record("pick", CALL)) and line + b"\n" != encode(record("pick", CALL)):
        assert decode(line) is None


def test_a_newer_version_is_refused_with_what_to_do() -> None:
    assert decode(b'{"v":1,"type":"callback"}') is None
    with pytest.raises(RecordingError, match="version 2"):
        decode(b'{"v":2,"type":"callback"}')


def test_a_line_with_an_unknown_decision_is_damaged() -> None:
    line = encode(record("pick", CALL, Forward("1742")))
    assert decode(line) is not None
    assert decode(line.replace(b'"decision":"call"', b'"decision":"dance"')) is None
