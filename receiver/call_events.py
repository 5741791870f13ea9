"""Events of a call: what the PBX reports while a call rings, is answered and ends.

Rule 1: an event is one JSON object of an event webhook. Values are read leniently: strings or
        numbers, missing, null and nested garbage become empty; only a text that is no JSON object,
        and a type that is not listed here, is no event (`receiver.errors.CallbackError`).
Rule 2: what each type of the PBX yields is in `KINDS`. The final record ``call_cdr`` yields
        ``call_ended``, and also ``call_missed`` if `CallEvent.missed`.
Rule 3: an IVR answers a call, and the record calls it answered. A person answered if a target was
        answered that is neither an IVR of the app nor ended as ``referred``: in the vendor's sample
        the IVR and the queue that passed the call on end so. A person who transfers a call does,
        too, and the call counts as missed if no person answers after that.
Rule 4: a call is missed if it rang at a target other than an IVR and no person answered; for a
        record without targets its status decides. An outbound call is not missed, nor one that ended
        inside an IVR.
Rule 5: the event does not print numbers, names or digits.
Rule 6: reading takes time in proportion to the length of the text.

Source: "Event Reference" of the vendor's webhook notifications. It has two spellings of the
direction, of ``end_reason`` and of ``destination``; all are read. A field for a link to a recording
is not documented; the keys in `RECORDINGS` are a guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal, get_args

from receiver.calls import veil
from receiver.errors import CallbackError
from receiver.execution.current_time import utc

if TYPE_CHECKING:
    from datetime import datetime

EventKind = Literal[
    "call_started",
    "call_updated",
    "call_ringing",
    "call_answered",
    "call_missed",
    "call_ended",
    "target_added",
    "target_unanswered",
    "target_failed",
    "target_ended",
]
"""The kinds of events that a handler can be declared for."""

EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)

KINDS: Mapping[str, EventKind] = {
    "call_start": "call_started",
    "call_update_info": "call_updated",
    "cdr_target_add": "target_added",
    "cdr_target_ringing": "call_ringing",
    "cdr_target_answer": "call_answered",
    "cdr_target_noanswer": "target_unanswered",
    "cdr_target_fail": "target_failed",
    "cdr_target_end": "target_ended",
    "call_cdr": "call_ended",
}
"""What the ``event_type`` of the PBX is here. The answer of an IVR yields nothing (rule 3)."""

RECORDINGS = ("recording_url", "record_url", "recording_link", "recording_file", "recording")
"""Keys under which a final record may have a link to its recording; undocumented."""

MOST_TARGETS = 200
"""Targets of one record that are read."""

_ADDRESS = re.compile(r"<?(?:sips?|tel):([^@;>]*)", re.IGNORECASE)
_TYPE = re.compile(r"[a-zA-Z0-9_.-]{1,64}")


class Direction(StrEnum):
    """The direction of a call; ``UNKNOWN`` if the event does not say."""

    INTERNAL = "internal"
    INBOUND = "inbound"
    INBOUND_OUTBOUND = "inbound_outbound"
    OUTBOUND = "outbound"
    UNKNOWN = ""


_DIRECTIONS = {one.value: one for one in Direction} | {
    "ext": Direction.INTERNAL,
    "in": Direction.INBOUND,
    "in2out": Direction.INBOUND_OUTBOUND,
    "out": Direction.OUTBOUND,
}
_REASONS = {
    "none": "",
    "caller_disconnect": "caller_disconnected",
    "callee_disconnect": "callee_disconnected",
}


@dataclass(frozen=True, slots=True, repr=False)
class CallTarget:
    """A target of a call: an extension, an IVR, a queue or a device that the PBX called.

    Attributes:
        number: the number that was called.
        destination: the address, such as ``sip:102@192.168.0.18:5066``.
        call_type: such as ``normal_call``, ``queue_call``, ``ring_group_call``.
        status: ``answered``, ``noanswer``, ``fail``; empty if it is not known.
        end_reason: such as ``caller_disconnected``, ``referred``, ``cancelled``; empty if unknown.
        started, rang, answered, ended: when; None for not at all.
        ring_duration, talk_duration: seconds, None if unknown.
        is_ivr: whether it is an IVR of the app.
    """

    number: str = ""
    destination: str = ""
    call_type: str = ""
    status: str = ""
    end_reason: str = ""
    started: datetime | None = None
    rang: datetime | None = None
    answered: datetime | None = None
    ended: datetime | None = None
    ring_duration: float | None = None
    talk_duration: float | None = None
    is_ivr: bool = False

    @property
    def was_answered(self) -> bool:
        """Whether it was answered, by a person or not."""
        return self.status == "answered" or (not self.status and self.answered is not None)

    @property
    def by_person(self) -> bool:
        """Whether a person answered: not an IVR, and not what passed the call on."""
        return self.was_answered and not self.is_ivr and self.end_reason != "referred"

    def __repr__(self) -> str:
        return f"CallTarget(number={veil(self.number)}, status={self.status!r})"


@dataclass(frozen=True, slots=True, repr=False)
class PastCallback:
    """A callback of the same call, and its answer.

    Attributes:
        action: the identity of the action, such as ``"8000/pick"``.
        ivr: the extension number of the IVR.
        kind: ``DTMF`` or ``CALLER``.
        digits: what the caller keyed in; empty for a sensitive action.
        reply: ``call``, ``hangup`` or ``repeat``, the action on the wire.
        destination: where the call was forwarded; empty for another reply, and for a sensitive
            action.
        reason: ``handled``, or why the fallback was the answer.
        time: when it was answered.
        sensitive: whether the action is sensitive.
    """

    action: str
    ivr: str = ""
    kind: str = ""
    digits: str = ""
    reply: str = ""
    destination: str = ""
    reason: str = ""
    time: datetime | None = None
    sensitive: bool = False

    def __repr__(self) -> str:
        return f"PastCallback(action={self.action!r}, reply={self.reply!r})"


@dataclass(frozen=True, slots=True, repr=False)
class CallEvent:
    """One event of a call, joined to the callbacks of the same call.

    A test of a handler makes one by hand::

        await log_call(CallEvent("call_ended", session_id="1", talk_duration=12.0))

    Attributes:
        kind: see `EventKind`.
        session_id: the same as that of the callbacks.
        cdr_id: of the record; one call may have several.
        time: when it happened, as the PBX says; for the final record, when the call ended.
        direction: see `Direction`.
        caller, caller_name: the caller's number and display name.
        callee: the number that was called first, such as the IVR's.
        did: of an inbound call, the number that was dialled.
        status: of the final record: ``answered``, ``noanswer``, ``fail``; an IVR counts as an
            answer, see `answered_by`.
        end_reason: of the final record, as for `CallTarget`.
        started, answered, ended: of the final record; None for not at all.
        ring_duration, talk_duration: seconds, None if unknown. The PBX counts the time in an IVR.
        targets: of the final record, in its order; of an event about one target, that one.
        recording: a link to the recording, if the record has one.
        pbx: the label of the PBX; empty for the only one.
        callbacks: the callbacks of the same call, the oldest first; empty if none are known.
        session: what handlers stored in the session of the call; empty if it is not known.
        raw: the JSON object, with its keys in lower case; numbers are strings.
    """

    kind: EventKind
    session_id: str = ""
    cdr_id: str = ""
    time: datetime | None = None
    direction: Direction = Direction.UNKNOWN
    caller: str = ""
    caller_name: str = ""
    callee: str = ""
    did: str = ""
    status: str = ""
    end_reason: str = ""
    started: datetime | None = None
    answered: datetime | None = None
    ended: datetime | None = None
    ring_duration: float | None = None
    talk_duration: float | None = None
    targets: tuple[CallTarget, ...] = ()
    recording: str = ""
    pbx: str = ""
    callbacks: tuple[PastCallback, ...] = ()
    session: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def target(self) -> CallTarget:
        """The last target; empty if the event has no target."""
        return self.targets[-1] if self.targets else CallTarget()

    @property
    def answered_by(self) -> CallTarget | None:
        """The person who answered last, see rule 3 of `receiver.call_events`; None if none did."""
        return next((one for one in reversed(self.targets) if one.by_person), None)

    @property
    def missed(self) -> bool:
        """Whether the call rang and no person answered, see rule 4 of `receiver.call_events`."""
        if self.direction is Direction.OUTBOUND or self.answered_by:
            return False
        if self.targets and self.status not in ("noanswer", "fail"):
            return any(not one.is_ivr and not _passed_on(one) for one in self.targets)
        return self.status in ("noanswer", "fail")

    @property
    def digits(self) -> str:
        """What the caller keyed in last; empty if it is not known or sensitive."""
        return next((one.digits for one in reversed(self.callbacks) if one.digits), "")

    @property
    def forwarded_to(self) -> str:
        """Where the last callback forwarded the call; empty if it is not known."""
        return next((one.destination for one in reversed(self.callbacks) if one.destination), "")

    def __repr__(self) -> str:
        return (
            f"CallEvent({self.kind!r}, session_id={self.session_id!r}, "
            f"caller={veil(self.caller)}, status={self.status!r})"
        )


def read_event(
    body: bytes | str, *, pbx: str = "", ivrs: Collection[str] = ()
) -> tuple[CallEvent, ...]:
    """Parse one event of the PBX; return what handlers get of it, see rule 2.

    Parameters:
        body: JSON, in UTF-8.
        pbx: the label of the PBX.
        ivrs: the extension numbers of the app's IVRs on it.

    Raises:
        CallbackError: it is no JSON object, or of an unknown type. The text names the type at most.
    """
    raw = _decode(body)
    type_ = _text(raw, "event_type")
    kind = KINDS.get(type_)
    if kind is None:
        known = type_ if _TYPE.fullmatch(type_) else "no type that can be read"
        raise CallbackError(f"not an event of a call: {known}")
    event = _event(kind, raw, pbx, frozenset(ivrs))
    if kind == "call_answered" and event.target.is_ivr:
        return ()
    if kind == "call_ended" and event.missed:
        return event, replace(event, kind="call_missed")
    return (event,)


def key_of_event(event: CallEvent) -> str:
    """Return a key that a repetition of the event shares, and no other event does.

    The PBX documents no id of an event. A final record is known by its call and record; any other
    event by all of its fields, because its ``time`` may be that of the call's start.
    """
    parts: object = {key: event.raw[key] for key in sorted(event.raw)}
    if event.kind in ("call_ended", "call_missed") and (event.session_id or event.cdr_id):
        call = [str(event.raw.get(name, "")) for name in ("call_id", "start_time")]
        parts = [event.session_id, event.cdr_id, *call]
    text = json.dumps([event.pbx, event.kind, parts], sort_keys=True)
    return blake2b(text.encode(), digest_size=20).hexdigest()


def joined(
    event: CallEvent, callbacks: tuple[PastCallback, ...], session: Mapping[str, Any]
) -> CallEvent:
    """Return the event with what is known of its call."""
    return replace(event, callbacks=callbacks, session=session)


def _event(kind: EventKind, raw: Mapping[str, Any], pbx: str, ivrs: frozenset[str]) -> CallEvent:
    times = {name: _time(raw, f"{name}_time") for name in ("start", "answered", "ended")}
    listed = raw.get("call_targets")
    if kind != "call_ended":
        listed = [raw] if kind not in ("call_started", "call_updated") else []
    found = [_lower(one) for one in listed[:MOST_TARGETS]] if isinstance(listed, list) else []
    return CallEvent(
        kind,
        session_id=_text(raw, "session_id"),
        cdr_id=_text(raw, "cdr_id"),
        time=(times["ended"] if kind == "call_ended" else None) or _time(raw, "time"),
        direction=_DIRECTIONS.get(_text(raw, "direction").lower(), Direction.UNKNOWN),
        caller=_number(_text(raw, "caller")),
        caller_name=_text(raw, "caller_display_name"),
        callee=_number(_text(raw, "callee")),
        did=_text(raw, "did", "did_cid"),
        status=_text(raw, "call_status").lower(),
        end_reason=_reason(raw),
        started=times["start"],
        answered=times["answered"],
        ended=times["ended"],
        ring_duration=_seconds(raw, "ring_duration"),
        talk_duration=_seconds(raw, "talk_duration"),
        targets=tuple(_target(one, ivrs) for one in found if one),
        recording=_recording(raw),
        pbx=pbx,
        raw=raw,
    )


def _target(raw: Mapping[str, Any], ivrs: frozenset[str]) -> CallTarget:
    destination = _text(raw, "destination", "destiantion")
    number = _number(destination if "event_type" in raw else "") or _number(_text(raw, "callee"))
    number = number or _number(destination)
    return CallTarget(
        number=number,
        destination=destination,
        call_type=_text(raw, "call_type").lower(),
        status=_text(raw, "status").lower(),
        end_reason=_reason(raw),
        started=_time(raw, "start_time"),
        rang=_time(raw, "ring_time"),
        answered=_time(raw, "answered_time"),
        ended=_time(raw, "ended_time"),
        ring_duration=_seconds(raw, "ring_duration"),
        talk_duration=_seconds(raw, "talk_duration"),
        is_ivr=number in ivrs,
    )


def _passed_on(target: CallTarget) -> bool:
    return target.was_answered and target.end_reason == "referred"


def _decode(body: bytes | str) -> Mapping[str, Any]:
    text = body.decode("utf-8-sig", "replace") if isinstance(body, bytes) else body
    try:
        # Numbers stay text: an id of 18 digits is exact, and one of a million costs nothing.
        data = json.loads(text, strict=False, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise CallbackError("not an event of a call: the body is not JSON") from None
    if not isinstance(data, dict):
        raise CallbackError("not an event of a call: the body is not a JSON object")
    return _lower(data)


def _lower(data: object) -> dict[str, Any]:
    return {key.lower(): value for key, value in data.items()} if isinstance(data, dict) else {}


def _text(raw: Mapping[str, Any], *names: str) -> str:
    """Return the first of the fields that is text."""
    found = (raw.get(name) for name in names)
    return next((one.strip() for one in found if isinstance(one, str) and one.strip()), "")


def _number(text: str) -> str:
    """Return the number in an address, or the text."""
    found = _ADDRESS.match(text)
    return found[1] if found else text


def _reason(raw: Mapping[str, Any]) -> str:
    text = _text(raw, "end_reason", "ended_reason").lower()
    return _REASONS.get(text, text)


def _seconds(raw: Mapping[str, Any], name: str) -> float | None:
    try:
        value = float(_text(raw, name)[:32])
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


def _time(raw: Mapping[str, Any], name: str) -> datetime | None:
    """Return a time; the PBX writes 0 for none."""
    seconds = _seconds(raw, name)
    return utc(seconds) if seconds else None


def _recording(raw: Mapping[str, Any]) -> str:
    found = _text(raw, *RECORDINGS)
    return found if found.lower().startswith(("http://", "https://")) else ""
