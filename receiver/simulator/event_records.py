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

Moment = tuple[float, list[Json]]
"""Events that happen together, and the seconds since those before."""

RING = 3.0
"""Seconds that a target rings before it answers, or before the caller gives up."""


@dataclass(frozen=True, slots=True)
class CallEnd:
    """The result of a call after the IVR.

    Attributes:
        talk: seconds that the destination and the caller talked; None if it did not answer.
        by_caller: whether the caller hung up.
        recording: a link to the recording; a field for it is not documented.
    """

    talk: float | None = None
    by_caller: bool = True
    recording: str = ""


class EventRecords:
    """Makes the events of one call, in their order: `arrived`, then those of `after_ivr`.

    Parameters:
        call: the caller and the IVR.
        begun: when it began, in seconds since the epoch.
        tenant: the id of the tenant.
        old_directions: ``in`` rather than ``inbound``; the vendor documents both.
    """

    def __init__(
        self, call: Call, begun: float, *, tenant: str = "1", old_directions: bool = True
    ) -> None:
        self._ivr = call.ivr
        self._begun = begun
        self._common: Json = {
            "session_id": call.session_id,
            "cdr_id": f"{call.session_id}1",
            "tenant_id": tenant,
            "direction": "in" if old_directions else "inbound",
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

    def arrived(self) -> list[Json]:
        """Return the events of a call that arrives at the IVR."""
        begun = self._begun
        target = [self._of_target(what, begun, self._ivr) for what in ("add", "ringing", "answer")]
        return [self._of_call("call_start", begun), *target]

    def after_ivr(self, in_ivr: float, destination: str, end: CallEnd) -> list[Moment]:
        """Return the events from the end of the IVR's part, by their moments.

        Parameters:
            in_ivr: seconds that the call was in the IVR.
            destination: the number that the IVR forwarded to; empty if the call ended in the IVR.
            end: what happened after the IVR.
        """
        begun, left = self._begun, self._begun + in_ivr
        reason = "caller_disconnect" if end.by_caller else "callee_disconnect"
        referred = "referred" if destination else reason
        targets = [_target(self._ivr, begun, begun, left, referred)]
        left_ivr = self._of_target("end", left, self._ivr)
        if not destination:
            return [(0.0, [left_ivr, self._final(left, reason, targets, end)])]
        rings = [self._of_target(what, left, destination) for what in ("add", "ringing")]
        moments = [(0.0, [left_ivr, *rings])]
        answered, ended, seconds = None, left + RING, RING
        if end.talk is not None:
            answered, ended, seconds = ended, ended + end.talk, end.talk
            moments.append((RING, [self._of_target("answer", answered, destination)]))
        last = self._of_target("noanswer" if answered is None else "end", ended, destination)
        targets.append(_target(destination, left, answered, ended, reason))
        moments.append((seconds, [last, self._final(ended, reason, targets, end)]))
        return moments

    def _final(self, ended: float, reason: str, targets: list[Json], end: CallEnd) -> Json:
        """Return the final record of the call."""
        record = self._of_call("call_cdr", ended) | {
            "start_time": _at(self._begun),
            "ring_time": _at(self._begun),
            "answered_time": _at(self._begun),
            "ended_time": _at(ended),
            "call_status": "answered",  # by the IVR
            "status_code": "200",
            "trunk_name": "",
            "end_reason": reason,
            "ring_duration": 0,
            "talk_duration": round(ended - self._begun),
            "call_targets": targets,
        }
        return record | ({"recording_url": end.recording} if end.recording else {})

    def _of_call(self, type_: str, when: float) -> Json:
        return {"event_type": type_, "time": _at(when), **self._common, **self._whole}

    def _of_target(self, what: str, when: float, number: str) -> Json:
        type_, address = f"cdr_target_{what}", {"destiantion": _address(number)}
        return {"event_type": type_, "time": _at(when), **self._common, **address}


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
