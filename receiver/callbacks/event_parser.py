"""Parse what the PBX reports about a call.

Rule 1: an event is one JSON object of an event webhook. Values are read leniently: strings or
        numbers, missing, null and nested garbage become empty; only a text that is no JSON object,
        and a type that is not listed here, is no event (`receiver.errors.CallbackError`).
Rule 2: what each type of the PBX yields is in `KINDS`. The final record ``call_cdr`` yields
        ``call_ended``, and also ``call_missed`` if `CallEvent.missed`. The answer of an IVR of the
        app yields nothing.
Rule 3: reading takes time in proportion to the length of the text.

Source: "Event Reference" of the vendor's webhook notifications. It has two spellings of the
direction, of ``end_reason`` and of ``destination``; all are read. A field for a link to a recording
is not documented; the keys in `RECORDINGS` are a guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from receiver.declarations.call_events import CallEvent, CallTarget, Direction, EventKind
from receiver.errors import CallbackError
from receiver.execution.current_time import utc

if TYPE_CHECKING:
    from datetime import datetime

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
"""The kind of an event, by the ``event_type`` of the PBX."""

RECORDINGS = ("recording_url", "record_url", "recording_link", "recording_file", "recording")
"""Keys under which a final record may have a link to its recording; undocumented."""

MAX_TARGETS = 200
"""Targets of one record that are read."""

_ADDRESS = re.compile(r"<?(?:sips?|tel):([^@;>]*)", re.IGNORECASE)
_TYPE = re.compile(r"[a-zA-Z0-9_.-]{1,64}")


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


def _event(kind: EventKind, raw: Mapping[str, Any], pbx: str, ivrs: frozenset[str]) -> CallEvent:
    times = {name: _time(raw, f"{name}_time") for name in ("start", "answered", "ended")}
    listed = raw.get("call_targets")
    if kind != "call_ended":
        listed = [raw] if kind not in ("call_started", "call_updated") else []
    entries = map(_lower, listed[:MAX_TARGETS] if isinstance(listed, list) else [])
    targets = (_target(one, ivrs) for one in entries)
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
        targets=tuple(one for one in targets if one.number or one.destination),
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
    values = (raw.get(name) for name in names)
    return next((one.strip() for one in values if isinstance(one, str) and one.strip()), "")


def _number(text: str) -> str:
    """Return the number in an address, or the text."""
    match = _ADDRESS.match(text)
    return match[1] if match else text


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
    url = _text(raw, *RECORDINGS)
    return url if url.lower().startswith(("http://", "https://")) else ""
