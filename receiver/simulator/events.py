"""The events of a call in an IVR, as values: pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from receiver.calls import Call, Kind
from receiver.pbx.callback_trace import Step, Trigger
from receiver.pbx.models import ActionUrl
from receiver.simulator.hours import LocalTime

ENDS = "the IVR's part of the call ends: "
"""The beginning of the text of an event ``ended``, before the outcome."""


class Moment(NamedTuple):
    """A time: seconds on the line, and the local time of the PBX."""

    seconds: float
    local: LocalTime


@dataclass(frozen=True, slots=True)
class PendingCallback:
    """A callback to send: of ``call`` to ``action``, because of ``trigger``.

    ``sensitive`` is the declared action's.
    """

    trigger: Trigger
    kind: Kind
    action: ActionUrl = field(repr=False)
    call: Call
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a call.

    Attributes:
        kind: ``key``: a key is accepted, more may follow; ``deaf``: a key is ignored; ``prompt``:
            the IVR plays its prompt; ``announcement``: the call continues in an IVR that only
            announces; ``ivr``: in another one with a dialog; ``asking``: a callback is about to be
            sent; ``decided``: a step is complete, with or without a callback; ``ended``: the IVR's
            part has ended.
        seconds: the time on the line.
        text: for people. It may contain numbers and DTMF input, but no credentials; no DTMF input
            where an action of the IVR is sensitive.
        ask: with ``asking``, the callback.
        step: with ``decided``, the step.
    """

    kind: Literal["key", "deaf", "prompt", "announcement", "ivr", "asking", "decided", "ended"]
    seconds: float
    text: str = field(repr=False)
    ask: PendingCallback | None = None
    step: Step | None = None


Events = tuple[Event, ...]
