"""Values of events: what the PBX reports while a call rings, is answered and ends.

Rule 1: an IVR answers a call, and the record calls it answered. A person answered if a target was
        answered that is neither an IVR of the app nor ended as ``referred``: in the vendor's sample
        the IVR and the queue that passed the call on end so. A person who transfers a call does,
        too, and the call counts as missed if no person answers after that.
Rule 2: a call is missed if it rang at a target other than an IVR and no person answered; for a
        record without targets its status decides. An outbound call is not missed, nor one that
        ended inside an IVR.
Rule 3: the event does not print numbers, names or digits.

Source: "Event Reference" of the vendor's webhook notifications.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, get_args

from receiver.calls import veil

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


class Direction(StrEnum):
    """The direction of a call; ``UNKNOWN`` if the event does not say."""

    INTERNAL = "internal"
    INBOUND = "inbound"
    INBOUND_OUTBOUND = "inbound_outbound"
    OUTBOUND = "outbound"
    UNKNOWN = ""


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
        """The person who answered last, see rule 1 of this module; None if none did."""
        return next((one for one in reversed(self.targets) if one.by_person), None)

    @property
    def missed(self) -> bool:
        """Whether the call rang and no person answered, see rule 2 of this module."""
        if self.direction is Direction.OUTBOUND or self.answered_by:
            return False
        if self.targets and self.status not in ("noanswer", "fail"):
            return any(not one.is_ivr and not _passed_on(one) for one in self.targets)
        return self.status in ("noanswer", "fail")

    @property
    def digits(self) -> str:
        """The digits that the caller keyed in last; empty if they are unknown or sensitive."""
        return next((one.digits for one in reversed(self.callbacks) if one.digits), "")

    @property
    def forwarded_to(self) -> str:
        """The destination to which the last callback forwarded the call; empty if unknown."""
        return next((one.destination for one in reversed(self.callbacks) if one.destination), "")

    def __repr__(self) -> str:
        return (
            f"CallEvent({self.kind!r}, session_id={self.session_id!r}, "
            f"caller={veil(self.caller)}, status={self.status!r})"
        )


def joined(
    event: CallEvent, callbacks: tuple[PastCallback, ...], session: Mapping[str, Any]
) -> CallEvent:
    """Return the event with what is known of its call."""
    return replace(event, callbacks=callbacks, session=session)


def _passed_on(target: CallTarget) -> bool:
    return target.was_answered and target.end_reason == "referred"
