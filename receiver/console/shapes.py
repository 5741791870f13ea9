"""From what the engine tells of a call to what the console's page is told: pure.

Rule 1: no clock: an event has its seconds on the line, and a view knows when the call began.
Rule 2: credentials, secret headers and cookies are masked as in `receiver.simulator.trace`. What
        the caller keys in and his number are not: who sees this has invented them.
        A mark that would turn the text around it is shown as what it is.
Rule 3: each step has one place in the list, and grows there: a callback from the question to the
        last line that its handler logs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from receiver.console.callbacks import Callback, Json
from receiver.printable import line
from receiver.simulator.flow import Event
from receiver.simulator.trace import Outcome, Step

Changed = tuple[int, Json]
"""The index of a step, and what it is now."""

_ENDS = {"voicemail": "forwarded", "disa": "forwarded", "left": "caller left"}
_BY_TRIGGER = {"press": "menu", "silence": "no input", "failure": "menu", "leaving": "left"}


@dataclass(slots=True)
class CallView:
    """What the page is told of one call.

    Parameters:
        key: its id.
        seq: counts the calls.
        ivr, pbx, caller, name: who calls whom.
        begun: when, by the clock on the wall.
        start: the same in seconds on the line.
        prompt: what the IVR plays, as the protocol says it.
        after_failure: see `AFTER_FAILURE`.
    """

    key: str
    seq: int
    ivr: str
    pbx: str
    caller: str
    name: str
    begun: datetime
    start: float
    prompt: Json
    after_failure: str = "prompt"
    callbacks: list[Callback] = field(default_factory=list)
    state: str = "prompt"
    held: bool = False
    _steps: int = 0
    _end: Json | None = None
    _keys: str = ""
    _gap: float | None = None
    _gap_until: float | None = None
    _silent_until: float | None = None
    _prompts: int = 0

    def take(
        self,
        event: Event,
        due: float | None,
        outcome: Outcome | None = None,
        *,
        action: str = "",
        handler: str = "",
    ) -> list[Changed]:
        """Something happened.

        Parameters:
            event: what.
            due: when the next timer ends, in seconds on the line; None if none runs.
            outcome: how the IVR's part of the call ended; None before.
            action, handler: with ``asking`` and a callback, the identity and the function.
        """
        at = round(event.seconds - self.start, 3)
        steps = self._gap_passed(event, at)
        match event.kind:
            case "key":
                self.state = "gap"
                self._keys += event.text[-1:]
                steps.append(self._new(at, "key", self._keys[-1:]))
            case "deaf":
                steps.append(self._new(at, "key", event.text))
            case "prompt":
                self.state, self._keys = "prompt", ""
                self._prompts += 1
                steps.append(self._new(at, "prompt", event.text))
            case "asking" if event.ask is not None:
                self.state = "asking"
                made = Callback(self._steps, at, action, event.ask)
                self._steps += 1
                self.callbacks.append(made)
                steps.append((made.index, made.json(handler, self.after_failure)))
            case "decided" if event.step is not None:
                steps += self._decided(event.step, at, event.text, handler)
            case "ended" if outcome is not None:
                steps += self._ended(outcome, at)
        self._time(event, due)
        return steps

    def told(self, action: str, by: object, told: Json, handler: str = "") -> Changed | None:
        """The service tells of a callback for ``action``; None if it is of none.

        Parameters:
            by: tells one callback of the service from another.
            told: what it tells, see `Callback`.
            handler: the function, if it does not say so.
        """
        fitting = [one for one in self.callbacks if one.action == action]
        mine = [one for one in fitting if one.by == by]
        free = [one for one in fitting if one.by is None]
        if not (mine or free):
            return None
        found = mine[0] if mine else free[0]
        found.by, found.told = by, told
        return found.index, found.json(handler, self.after_failure)

    def fail(self, text: str) -> None:
        """The call could not even begin."""
        self.state, self._end = "ended", {"kind": "failed", "text": text}

    def summary(self) -> Json:
        """What stands in the list of calls."""
        reasons = [one.reason for one in self.callbacks if one.reason]
        bad = [reason for reason in reasons if reason != "handled"]
        told = bad or reasons
        return {
            "seq": self.seq,
            "id": self.key,
            "ivr": self.ivr,
            "pbx": self.pbx,
            "caller": line(self.caller),
            "name": line(self.name),
            "begun": self.begun.isoformat(timespec="milliseconds"),
            "state": "waiting" if self.held and self._end is None else self.state,
            "end": self._end,
            "callbacks": len(self.callbacks),
            "worst": round(max((one.share for one in self.callbacks), default=0.0), 4),
            "reason": told[-1] if told else None,
        }

    def now(self) -> Json:
        """What the call does at this moment."""
        return {
            "prompt": self.prompt,
            "keys": self._keys,
            "gap_until": self._iso(self._gap_until),
            "gap_seconds": self._gap,
            "timeout_until": self._iso(self._silent_until),
            "repeats": max(0, self._prompts - 1),
        }

    def _decided(self, step: Step, at: float, text: str, handler: str) -> list[Changed]:
        if step.action is not None:
            made = self.callbacks[-1]
            made.step = step
            return [(made.index, made.json(handler, self.after_failure))]
        if step.trigger == "arrival":
            return [self._new(at, "night", text)] if step.rule else []
        return [self._new(at, _BY_TRIGGER[step.trigger], text)]

    def _ended(self, outcome: Outcome, at: float) -> list[Changed]:
        kind = _ENDS.get(outcome.kind, outcome.kind)
        self.state, self._end = "ended", {"kind": kind, "text": outcome.text}
        if kind == "caller left":
            return []
        return [self._new(at, "forward" if kind == "forwarded" else "hang up", outcome.text)]

    def _gap_passed(self, event: Event, at: float) -> list[Changed]:
        """The digits are complete, since no further one came."""
        until, acts = self._gap_until, event.kind in ("asking", "decided")
        if until is None or not acts or event.seconds < until:
            return []
        self._gap_until = None
        return [self._new(at, "gap", f"no further key for {self._gap:g} s: {self._keys}")]

    def _time(self, event: Event, due: float | None) -> None:
        """Which timer runs."""
        self._gap_until = self._silent_until = None
        if due is not None and self._keys:
            self._gap_until = due
            if event.kind == "key":
                self._gap = round(due - event.seconds, 3)
        else:
            self._gap, self._silent_until = None, due

    def _new(self, at: float, kind: str, text: str) -> Changed:
        self._steps += 1
        return self._steps - 1, {"at": at, "type": kind, "text": text, "callback": None}

    def _iso(self, seconds: float | None) -> str | None:
        if seconds is None:
            return None
        when = self.begun + timedelta(seconds=seconds - self.start)
        return when.isoformat(timespec="milliseconds")
