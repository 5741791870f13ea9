"""The events that the simulated PBX reports of a call: pure.

Rule 1: the fields, their order and their mixed types are those of the vendor's samples: times are
        Unix seconds as text, ``status_code`` is text in the record and a number in a target, the
        key of a target's event has the vendor's typing error.
Rule 2: the IVR is the first target and answers at once. Where it forwards the call, it ends as
        ``referred``, and the destination is the second target.

Source: "Event Reference" of the vendor's webhook notifications.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from receiver.calls import Call

Json = dict[str, Any]

RING = 3.0
"""Seconds that a target rings before it answers, or before the caller gives up."""


@dataclass(frozen=True, slots=True)
class CallEnd:
    """The result of a call after the IVR.

    Attributes:
        destination: the number that the IVR forwarded to; empty if the call ended in the IVR.
        talk: seconds that the destination and the caller talked; None if it did not answer.
        by_caller: whether the caller hung up.
        recording: a link to the recording; a field for it is not documented.
    """

    destination: str = ""
    talk: float | None = None
    by_caller: bool = True
    recording: str = ""


def event_records(
    call: Call,
    end: CallEnd,
    *,
    begun: float,
    in_ivr: float,
    tenant: str = "1",
    old_directions: bool = True,
) -> list[Json]:
    """Return the events of a call, in their order.

    Parameters:
        call: the caller and the IVR.
        end: what happened after the IVR.
        begun: when it began, in seconds since the epoch.
        in_ivr: seconds that it was in the IVR.
        tenant: the id of the tenant.
        old_directions: ``in`` rather than ``inbound``; the vendor documents both.
    """
    made = _Events(call, tenant, "in" if old_directions else "inbound")
    left = begun + in_ivr
    ended = left + (RING + (end.talk or 0.0) if end.destination else 0.0)
    reason = "caller_disconnect" if end.by_caller else "callee_disconnect"
    in_the_ivr = "referred" if end.destination else reason
    targets = [_target(call.ivr, begun, begun, left, in_the_ivr)]
    events = [made.of_call("call_start", begun)]
    events += [made.of_target(what, begun, call.ivr) for what in ("add", "ringing", "answer")]
    events.append(made.of_target("end", left, call.ivr))
    if end.destination:
        answered = None if end.talk is None else left + RING
        targets.append(_target(end.destination, left, answered, ended, reason))
        whens = [("add", left), ("ringing", left)]
        if answered is None:
            whens.append(("noanswer", ended))
        else:
            whens += [("answer", answered), ("end", ended)]
        events += [made.of_target(what, when, end.destination) for what, when in whens]
    record = made.of_call("call_cdr", ended) | _outcome(begun, ended, reason, targets)
    if end.recording:
        record["recording_url"] = end.recording
    return [*events, record]


class _Events:
    """Makes the events of one call."""

    def __init__(self, call: Call, tenant: str, direction: str) -> None:
        self._common: Json = {
            "session_id": call.session_id,
            "cdr_id": f"{call.session_id}1",
            "tenant_id": tenant,
            "direction": direction,
            "caller": call.caller,
            "did": "",
            "outbound_caller_id": "",
        }
        self._whole: Json = {
            "call_id": f"{call.session_id}@pbx",
            "caller_display_name": call.caller_name,
            "callee": call.ivr,
            "callee_display_name": call.ivr_name,
            "user_data": "",
        }

    def of_call(self, type_: str, when: float) -> Json:
        return {"event_type": type_, "time": _at(when), **self._common, **self._whole}

    def of_target(self, what: str, when: float, number: str) -> Json:
        type_, address = f"cdr_target_{what}", {"destiantion": _address(number)}
        return {"event_type": type_, "time": _at(when), **self._common, **address}


def _outcome(begun: float, ended: float, reason: str, targets: list[Json]) -> Json:
    """Return what only the final record has."""
    return {
        "start_time": _at(begun),
        "ring_time": _at(begun),
        "answered_time": _at(begun),
        "ended_time": _at(ended),
        "call_status": "answered",  # by the IVR
        "status_code": "200",
        "trunk_name": "",
        "end_reason": reason,
        "ring_duration": 0,
        "talk_duration": round(ended - begun),
        "call_targets": targets,
    }


def _target(number: str, rang: float, answered: float | None, ended: float, reason: str) -> Json:
    talk = 0.0 if answered is None else ended - answered
    return {
        "callee": number,
        "destination": _address(number),
        "call_type": "normal_call",
        "start_time": _at(rang),
        "ring_time": _at(rang),
        "answered_time": "0" if answered is None else _at(answered),
        "ended_time": _at(ended),
        "status": "noanswer" if answered is None else "answered",
        "status_code": 487 if answered is None else 200,
        "end_reason": reason,
        "talk_duration": str(round(talk)),
    }


def _address(number: str) -> str:
    return f"sip:{number}@192.0.2.10:5060"


def _at(seconds: float) -> str:
    return str(int(seconds))
