"""From what the workers tell to what the console's page is told: calls, and their callbacks. Pure.

Rule 1: callbacks with one session are one call; one without a session is a call of its own. No
        clock: times come with what is told.
Rule 2: only what a recording shows is shown; a masked text is told as its length, ``<3>``.
Rule 3: that a caller has left is not told by a PBX: a call of which nothing is heard for `QUIET`
        seconds has ended.
Rule 4: bounded: `MOST` calls are known, the oldest are forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from receiver.console.callbacks import outcome_json
from receiver.console.telling import Told
from receiver.printable import line
from receiver.recordings.lines import Piece, Recorded, Text, Veiled
from receiver.simulator.trace import Ending, Outcome

Json = dict[str, Any]

QUIET = 300.0
"""Seconds without a callback after which a call has ended."""

MOST = 10_000
"""Calls that are known."""

WELL = ("handled", "handed over")
"""Reasons for which no fallback answered."""

_KINDS: Mapping[str, Ending] = {"call": "forwarded", "hangup": "hung up", "repeat": "repeated"}


def shown(text: Text) -> str:
    """A text, which turns nothing around on a page; or how long it is."""
    return f"<{len(text.form)}>" if isinstance(text, Veiled) else line(text)


def destination(record: Recorded) -> str:
    """Where a call is forwarded to; what the caller keyed in is in it as a length."""
    told = record.destination
    parts: Iterable[str | Piece] = (told,) if isinstance(told, str) else told
    return "".join(f"<{one.stop - one.start}>" if isinstance(one, Piece) else one for one in parts)


def outcome(record: Recorded) -> Outcome:
    """What the PBX is told, as the simulator says it."""
    return Outcome(_KINDS[record.decision], destination(record))


@dataclass(slots=True)
class Call:
    """One call, as far as it is known."""

    seq: int
    key: str
    first: Told
    last: Told
    callbacks: int = 0
    worst: float = 0.0
    reason: str | None = None
    end: Json | None = None

    def add(self, told: Told) -> None:
        """One more callback; they may come out of their order."""
        self.callbacks += 1
        self.worst = max(self.worst, told.record.seconds / told.budget)
        if self.reason is None or told.record.reason not in WELL:
            self.reason = told.record.reason
        self.last = max(self.last, told, key=lambda one: one.arrived)
        found = outcome(self.last.record)
        over = found.kind != "repeated"
        self.end = {"kind": found.kind, "text": found.text} if over else None

    def summary(self) -> Json:
        """What stands in the list of calls."""
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
    """The calls that are known.

    Parameters:
        handlers: what a handler is called, by the identity of an action.
    """

    def __init__(self, handlers: Mapping[str, str]) -> None:
        self._handlers = handlers
        self._calls: OrderedDict[str, Call] = OrderedDict()
        self._seq = 0

    def take(self, told: Told) -> tuple[Call, Json]:
        """One callback: the call that it belongs to, and its step there."""
        key = told.record.session or f"alone-{self._seq + 1}"
        call = self._calls.get(key)
        if call is None:
            self._seq += 1
            call = self._calls[key] = Call(self._seq, key, told, told)
            if len(self._calls) > MOST:
                self._calls.popitem(last=False)
        call.add(told)
        return call, self._step(call, told)

    def quiet(self, now: float) -> list[Call]:
        """Calls that have ended by ``now``, since nothing is heard of them."""
        over = [
            call
            for call in self._calls.values()
            if call.end is None and now - call.last.arrived > QUIET
        ]
        for call in over:
            call.end = {"kind": "caller left", "text": "no further callback"}
        return over

    def _step(self, call: Call, told: Told) -> Json:
        record, found = told.record, outcome(told.record)
        return {
            "at": round(max(0.0, told.arrived - call.first.arrived), 3),
            "type": "callback",
            "text": f"asks {record.action}: {found.text}",
            "callback": {
                "id": call.callbacks,
                "action": record.action,
                "handler": self._handlers.get(record.action, ""),
                "trigger": "arrival" if record.kind == "CALLER" else "press",
                "digits": shown(record.digits),
                "exchanges": [],
                "deadline": told.budget,
                "seconds": record.seconds,
                "outcome": outcome_json(found, "prompt"),
                "stages": {
                    "authentication": told.authentication,
                    "body": told.body,
                    "handler": record.handler,
                    "whole": record.seconds,
                },
                "reason": record.reason,
                "log": [],
                "error": None,
                "upstream": [],
            },
        }


def ivr_of(record: Recorded) -> str:
    """The number of the IVR in the action's identity, where the callback does not say it."""
    return record.action.split("/")[-2]


def iso(when: float) -> str:
    """RFC 3339, of seconds since the epoch."""
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds")
