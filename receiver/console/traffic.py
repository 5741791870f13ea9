"""Calls and callbacks of production as the console's page shows them. Pure.

Rule 1: callbacks with one session are one call; a callback without a session is a call. No clock:
        callbacks have their times.
Rule 2: texts are masked as in a recording; of a masked text the length is shown, ``<3>``.
Rule 3: a PBX does not report that a caller hangs up: a call ends after `CALL_TIMEOUT` seconds
        without a callback.
Rule 4: bounded: the oldest calls are removed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from receiver.console.outcomes import callback_step, outcome_json
from receiver.pbx.callback_trace import Outcome
from receiver.recording.format import Masked, Piece, Recorded, Text
from receiver.recording.publisher import PublishedCallback, PublishedEvent
from receiver.replies import KINDS
from receiver.text import line

Json = dict[str, Any]

CALL_TIMEOUT = 300.0
"""Seconds without a callback after which a call has ended."""

MAX_CALLS = 10_000
"""Calls that are kept."""

NO_FALLBACK = ("handled", "continued")
"""Reasons of replies that are not a fallback."""


def shown(text: Text) -> str:
    """Return a text with its control characters escaped, or the length of a masked one."""
    return f"<{len(text.form)}>" if isinstance(text, Masked) else line(text)


def destination(record: Recorded) -> str:
    """Return where a call is forwarded to; of the caller's digits the length."""
    found = record.destination
    parts: Iterable[str | Piece] = (found,) if isinstance(found, str) else found
    return "".join(f"<{one.stop - one.start}>" if isinstance(one, Piece) else one for one in parts)


def outcome(record: Recorded) -> Outcome:
    """Return the reply as an outcome of the simulator."""
    return Outcome(KINDS[record.decision].outcome, destination(record))


@dataclass(slots=True)
class Call:
    """One call, with the callbacks that were published."""

    seq: int
    key: str
    first: PublishedCallback
    last: PublishedCallback
    callbacks: int = 0
    steps: int = 0
    worst: float = 0.0
    reason: str | None = None
    end: Json | None = None

    def add(self, published: PublishedCallback) -> None:
        """Add a callback; the order does not matter."""
        self.callbacks += 1
        self.steps += 1
        self.worst = max(self.worst, published.record.seconds / published.budget)
        if self.reason is None or published.record.reason not in NO_FALLBACK:
            self.reason = published.record.reason
        self.last = max(self.last, published, key=lambda one: one.arrived)
        found = outcome(self.last.record)
        self.end = {"kind": found.kind, "text": found.text} if found.ends_call else None

    def summary(self) -> Json:
        """Return the entry in the list of calls."""
        record = self.first.record
        return {
            "seq": self.seq,
            "id": self.key,
            "ivr": record.ivr or ivr_of(record),
            "pbx": record.pbx,
            "caller": shown(record.caller),
            "name": shown(record.caller_name),
            "begun": iso(self.first.arrived),
            "state": "ended" if self.end else "waiting",
            "end": self.end,
            "callbacks": self.callbacks,
            "worst": round(self.worst, 4),
            "reason": self.reason,
        }


class Traffic:
    """The calls.

    Parameters:
        handlers: the names of handlers, by the identity of an action.
        max_calls: that are kept.
    """

    def __init__(self, handlers: Mapping[str, str], max_calls: int = MAX_CALLS) -> None:
        self._max_calls = max_calls
        self._handlers = handlers
        self._calls: OrderedDict[str, Call] = OrderedDict()
        self._seq = 0

    def take(self, published: PublishedCallback) -> tuple[Call, Json]:
        """Add a callback; return its call, and its step there."""
        key = published.record.session or f"alone-{self._seq + 1}"
        call = self._calls.get(key)
        if call is None:
            self._seq += 1
            call = self._calls[key] = Call(self._seq, key, published, published)
            if len(self._calls) > self._max_calls:
                self._calls.popitem(last=False)
        call.add(published)
        return call, self._step(call, published)

    def event(self, event: PublishedEvent) -> tuple[Call, Json] | None:
        """Add an event of a call; return its call, and its step; None for an unknown call."""
        call = self._calls.get(event.session)
        if call is None:
            return None
        call.steps += 1
        text = _text_of(event)
        if event.kind == "call_ended":
            before = call.end or {"kind": "caller left", "text": "the call ended"}
            call.end = {**before, "text": f"{before['text']}; {text}"}
        at = round(max(0.0, event.when - call.first.arrived), 3)
        return call, {"at": at, "type": "event", "text": f"the PBX reports: {text}"}

    def end_silent(self, now: float) -> list[Call]:
        """End the calls that have had no callback for `CALL_TIMEOUT` seconds; return them."""
        ended = [
            call
            for call in self._calls.values()
            if call.end is None and now - call.last.arrived > CALL_TIMEOUT
        ]
        for call in ended:
            call.end = {"kind": "caller left", "text": "no further callback"}
        return ended

    def _step(self, call: Call, published: PublishedCallback) -> Json:
        record, found = published.record, outcome(published.record)
        return callback_step(
            round(max(0.0, published.arrived - call.first.arrived), 3),
            f"callback to {record.action}: {found.text_of(record.kind)}",
            id=call.callbacks,
            action=record.action,
            handler=self._handlers.get(record.action, ""),
            trigger="arrival" if record.kind == "CALLER" else "press",
            digits=shown(record.digits),
            deadline=published.budget,
            seconds=record.seconds,
            outcome=outcome_json(found, "prompt", record.kind),
            stages={
                "authentication": published.authentication,
                "body": published.body,
                "handler": record.handler,
                "whole": record.seconds,
            },
            reason=record.reason,
        )


def _text_of(event: PublishedEvent) -> str:
    """Return an event for people."""
    words = event.kind.replace("_", " ")
    if event.kind == "call_ended":
        words = "missed" if event.missed else "answered" if event.target else "ended"
    at = f" at {line(event.target)}" if event.target else ""
    talk = f", {event.talk:.0f} s" if event.talk is not None and event.kind == "call_ended" else ""
    return f"{words}{at}{talk}"


def ivr_of(record: Recorded) -> str:
    """Return the IVR's number from the action's identity, for callbacks without it."""
    return record.action.split("/")[-2]


def iso(when: float) -> str:
    """Return seconds since the epoch in the format of RFC 3339."""
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds")
