"""Reading the PBX's events: the vendor's sample, both spellings, and garbage."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.callbacks.event_parser import KINDS, MAX_TARGETS, key_of_event, read_event
from receiver.declarations.call_events import (
    EVENT_KINDS,
    CallEvent,
    CallTarget,
    Direction,
    PastCallback,
    joined,
)
from receiver.errors import CallbackError

STARTED = 1679476851

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
FIELDS = st.sampled_from(
    (
        *("session_id", "cdr_id", "time", "direction", "caller", "callee", "did", "call_status"),
        *("call_targets", "talk_duration", "ended_time", "end_reason", "destiantion", "Caller"),
        "recording_url",
    )
)


def target(number: str, **fields: object) -> dict[str, object]:
    return {
        "answered_time": "0",
        "call_type": "normal_call",
        "callee": number,
        "destination": f"sip:{number}@192.168.0.16:8922",
        "end_reason": "None",
        "start_time": str(STARTED),
        "status_code": 0,
        **fields,
    }


def record(*targets: dict[str, object], **fields: object) -> bytes:
    """The final record of a call, in the form of the vendor's sample."""
    return json.dumps(
        {
            "event_type": "call_cdr",
            "answered_time": str(STARTED),
            "call_id": "b6PEEYEcn5speSovMAybCw..",
            "callee": "5000",
            "caller": "1888722",
            "caller_display_name": "",
            "did": "18800606",
            "direction": "in",
            "ended_reason": "callee_disconnect",
            "ended_time": str(STARTED + 19),
            "session_id": "690852418417594368",
            "start_time": str(STARTED),
            "status_code": "0",
            "talk_duration": "16",
            "call_targets": targets,
            **fields,
        }
    ).encode()


IVR = target("5000", answered_time=str(STARTED), end_reason="referred")
QUEUE = target("8000", answered_time=str(STARTED + 6), end_reason="referred")
UNANSWERED = target("102", ring_time=str(STARTED + 7))
ANSWERED = target("103", answered_time=str(STARTED + 11), talk_duration="16")


def kinds(body: bytes, ivrs: tuple[str, ...] = ()) -> list[str]:
    return [event.kind for event in read_event(body, ivrs=ivrs)]


def test_the_vendors_sample() -> None:
    (event,) = read_event(record(IVR, QUEUE, UNANSWERED, ANSWERED), ivrs=("5000",))
    assert event == CallEvent(
        "call_ended",
        session_id="690852418417594368",
        time=datetime.fromtimestamp(STARTED + 19, UTC),
        direction=Direction.INBOUND,
        caller="1888722",
        callee="5000",
        did="18800606",
        end_reason="callee_disconnected",
        started=datetime.fromtimestamp(STARTED, UTC),
        answered=datetime.fromtimestamp(STARTED, UTC),
        ended=datetime.fromtimestamp(STARTED + 19, UTC),
        talk_duration=16.0,
        targets=event.targets,
    )
    assert [one.number for one in event.targets] == ["5000", "8000", "102", "103"]
    assert [one.is_ivr for one in event.targets] == [True, False, False, False]
    assert [one.by_person for one in event.targets] == [False, False, False, True]
    assert event.answered_by == event.target == event.targets[3]
    assert event.target.talk_duration == 16.0
    assert event.raw["status_code"] == "0"


@pytest.mark.parametrize(
    ("targets", "fields", "missed"),
    [
        ((IVR, UNANSWERED), {}, True),
        ((IVR, UNANSWERED, ANSWERED), {}, False),
        ((IVR,), {}, False),  # it ended inside the IVR
        ((IVR, QUEUE), {}, False),
        ((IVR, QUEUE, UNANSWERED), {}, True),
        ((IVR, UNANSWERED), {"direction": "out"}, False),
        ((IVR, UNANSWERED), {"direction": "outbound"}, False),
        ((), {"call_status": "noanswer"}, True),
        ((), {"call_status": "fail"}, True),
        ((), {"call_status": "answered"}, False),
        ((), {}, False),
        ((UNANSWERED,), {"call_status": "noanswer"}, True),
        ((target("102", status="answered"),), {}, False),
        ((target("102", status="noanswer", answered_time="5"),), {}, True),
    ],
)
def test_missed(
    targets: tuple[dict[str, object], ...], fields: dict[str, object], missed: bool
) -> None:
    found = kinds(record(*targets, **fields), ("5000",))
    assert found == (["call_ended", "call_missed"] if missed else ["call_ended"])


def test_an_ivr_of_another_system_passed_the_call_on() -> None:
    assert kinds(record(IVR, UNANSWERED)) == ["call_ended", "call_missed"]


@pytest.mark.parametrize("type_", sorted(KINDS))
def test_every_type(type_: str) -> None:
    body = json.dumps({"event_type": type_, "destiantion": "sip:102@10.0.0.1", "direction": "ext"})
    (event,) = read_event(body, pbx="north")
    assert event.kind == KINDS[type_] in EVENT_KINDS
    assert (event.pbx, event.direction) == ("north", Direction.INTERNAL)
    shown = "" if type_ in ("call_start", "call_update_info", "call_cdr") else "102"
    assert event.target.number == shown


def test_the_answer_of_an_ivr_is_none() -> None:
    body = json.dumps({"event_type": "cdr_target_answer", "destination": "<sip:8000@pbx>"})
    assert read_event(body, ivrs={"8000"}) == ()
    assert [event.kind for event in read_event(body)] == ["call_answered"]


@pytest.mark.parametrize(
    ("wire", "direction"),
    [
        ("ext", Direction.INTERNAL),
        ("in2out", Direction.INBOUND_OUTBOUND),
        ("Inbound", Direction.INBOUND),
        ("sideways", Direction.UNKNOWN),
        (None, Direction.UNKNOWN),
    ],
)
def test_directions(wire: object, direction: Direction) -> None:
    assert read_event(record(direction=wire))[0].direction is direction


def test_numbers_and_durations_of_any_type() -> None:
    event = read_event(
        record(
            session_id=10**40,
            caller="sip:101@10.0.0.1;transport=tcp",
            talk_duration=16,
            ring_duration="soon",
            ended_time=1e300,
            start_time=-1,
            recording_url="https://pbx/r.wav",
        )
    )[0]
    assert event.session_id == str(10**40)
    assert event.caller == "101"
    assert (event.talk_duration, event.ring_duration) == (16.0, None)
    assert (event.started, event.ended) == (None, None)
    assert event.recording == "https://pbx/r.wav"
    assert read_event(record(recording="r.wav", talk_duration="inf"))[0].recording == ""


def test_keys_in_capitals() -> None:
    assert read_event(b'\xef\xbb\xbf{"Event_Type": "call_start", "Caller": "7"}')[0].caller == "7"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "is not JSON"),
        (b"[1]", "not a JSON object"),
        (b"[" * 100_000, "is not JSON"),
        (b"{}", "no type that can be read"),
        (b'{"event_type": ["x"]}', "no type that can be read"),
        (b'{"event_type": "extension_status"}', "extension_status"),
        (b'{"event_type": "a\\nb"}', "no type that can be read"),
    ],
)
def test_what_is_no_event(body: bytes, text: str) -> None:
    with pytest.raises(CallbackError, match=text):
        read_event(body)


@given(st.sampled_from(sorted(KINDS)), st.dictionaries(FIELDS | st.text(), JSON), st.booleans())
def test_any_json_is_an_event_if_its_type_is_known(
    type_: str, fields: dict[str, Any], is_ivr: bool
) -> None:
    others = {name: value for name, value in fields.items() if name.lower() != "event_type"}
    body = json.dumps({**others, "EVENT_TYPE": "", "event_type": type_})
    ivrs = ("8000",) if is_ivr else ()
    for event, again in zip(*(read_event(body, ivrs=ivrs) for _ in (1, 2)), strict=True):
        assert len(key_of_event(event)) == 40
        assert key_of_event(event) == key_of_event(again)
        assert isinstance(event.missed, bool)


@given(st.binary())
def test_any_bytes_are_an_event_or_none(body: bytes) -> None:
    with pytest.raises(CallbackError):
        read_event(body)


def test_targets_are_bounded_and_garbage_among_them_is_left_out() -> None:
    body = json.loads(record())
    body["call_targets"] = [None, "x", {}, *[UNANSWERED] * 1000]
    assert len(read_event(json.dumps(body))[0].targets) == MAX_TARGETS - 3


def test_a_repetition_has_the_same_key_and_no_other_event_has() -> None:
    first = read_event(record(ANSWERED))[0]
    assert key_of_event(first) == key_of_event(read_event(record(IVR, talk_duration="17"))[0])
    others = (
        read_event(record(session_id="2"))[0],
        read_event(record(cdr_id="2"))[0],
        read_event(record(start_time="2"))[0],
        read_event(record(), pbx="north")[0],
        *read_event(b'{"event_type": "cdr_target_ringing", "destination": "sip:102@a"}'),
        *read_event(b'{"event_type": "cdr_target_ringing", "destination": "sip:102@b"}'),
        *read_event(b'{"event_type": "call_cdr"}'),
        *read_event(b'{"event_type": "call_cdr", "time": "1"}'),
    )
    assert len({key_of_event(one) for one in (first, *others)}) == 1 + len(others)


def test_joined_to_the_callbacks_of_the_call() -> None:
    callbacks = (
        PastCallback("8000/pick", digits="22", reply="repeat"),
        PastCallback("8000/pick", reply="call", destination="222"),
    )
    event = joined(CallEvent("call_ended", caller="4930123"), callbacks, {"customer": 7})
    assert (event.digits, event.forwarded_to) == ("22", "222")
    assert event.session == {"customer": 7}
    assert (CallEvent("call_ended").digits, CallEvent("call_ended").forwarded_to) == ("", "")
    assert CallEvent("call_ended").target == CallTarget()
    shown = f"{event!r} {CallTarget('4930123')!r} {callbacks!r}"
    assert "4930123" not in shown
    assert "22" not in shown
