"""A call of the simulated PBX as the console's page shows it: pure.

Rule 1: no clock: an event has its seconds on the line, and a view knows when the call began.
Rule 2: credentials, secret headers and cookies are masked as in `receiver.pbx.callback_trace`.
        Numbers are not masked, and digits only if an action of the IVR is sensitive: the callers
        are simulated. Control characters are escaped.
Rule 3: each step keeps its index, and is replaced when more is known: a callback is updated from
        its request to the last log record of its handler.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from receiver.declarations.missing_action import MissingAction
from receiver.dev.callback_view import Callback, Json
from receiver.pbx.callback_trace import Outcome, Step
from receiver.simulator.events import ENDS, Event
from receiver.text import line

Changed = tuple[int, Json]
"""The index of a step, and its new value."""

_ENDS = {"voicemail": "forwarded", "disa": "forwarded", "left": "caller left"}
_BY_TRIGGER = {"press": "menu", "silence": "no input", "failure": "menu", "leaving": "left"}


@dataclass(slots=True)
class CallView:
    """One call, as the page shows it.

    Parameters:
        key: its id.
        seq: its number.
        ivr, pbx: the IVR's number and the PBX's label.
        caller, name: the caller's number and display name.
        begun: date and time of its start.
        start: the same in seconds on the line.
        prompt: of the IVR, see `receiver.dev.ivr_views.prompt_json`.
        at: the number of another IVR that the call is in now; or empty.
        after_failure: see `receiver.console.outcomes.AFTER_FAILURE`.
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
    at: str = ""
    state: str = "prompt"
    held: bool = False
    _steps: int = 0
    _end: Json | None = None
    _keys: str = ""
    _gap: float | None = None
    _gap_until: float | None = None
    _silent_until: float | None = None
    _prompts: int = 0

    @property
    def address(self) -> str:
        """The IVR that the call is in, with the label of its PBX."""
        number = self.at or self.ivr
        return f"{self.pbx}/{number}" if self.pbx else number

    def take(
        self,
        event: Event,
        due: float | None,
        outcome: Outcome | None = None,
        *,
        action: str = "",
        handler: str = "",
        missing: MissingAction | None = None,
    ) -> list[Changed]:
        """Add an event; return the steps that changed.

        Parameters:
            event: of the simulator.
            due: when the next timer ends, in seconds on the line; None without a timer.
            outcome: how the IVR's part of the call ended; None before.
            action, handler: of a callback, the identity and the function's name.
            missing: the declaration to paste, for keys that match nothing.
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
            case "prompt" | "announcement" | "ivr":
                self.state, self._keys = "prompt", ""
                counts = {"prompt": self._prompts + 1, "ivr": 0}  # of the IVR that the call is in
                self._prompts = counts.get(event.kind, self._prompts)
                steps.append(self._new(at, event.kind, event.text))
            case "asking" if event.ask is not None:
                self.state = "asking"
                made = Callback(self._steps, at, action, event.ask)
                self._steps += 1
                self.callbacks.append(made)
                steps.append((made.index, made.json(handler, self.after_failure)))
            case "decided" if event.step is not None:
                steps += self._decided(event.step, at, event.text, handler, missing)
            case "ended" if outcome is not None:
                steps += self._ended(outcome, event.text.removeprefix(ENDS), at)
        self._time(event, due)
        return steps

    def note(self, seconds: float, text: str) -> Changed:
        """Add a step that says ``text``, at a time on the line."""
        return self._new(round(seconds - self.start, 3), "event", text)

    def report(self, action: str, by: object, report: Json, handler: str = "") -> Changed | None:
        """Add the service's report on a callback; return the step, None if no callback fits.

        Parameters:
            action: the identity.
            by: identifies the callback in the service.
            report: see `receiver.dev.callback_view.Callback`.
            handler: the function's name, if the report has none.
        """
        fitting = [one for one in self.callbacks if one.action == action]
        known = [one for one in fitting if one.by == by]
        free = [one for one in fitting if one.by is None]
        if not (known or free):
            return None
        found = (known or free)[0]
        found.by, found.report = by, report
        return found.index, found.json(handler, self.after_failure)

    def fail(self, text: str) -> None:
        """Record that the call could not start."""
        self.state, self._end = "ended", {"kind": "failed", "text": text}

    def summary(self) -> Json:
        """Return the entry in the list of calls."""
        reasons = [one.reason for one in self.callbacks if one.reason]
        bad = [reason for reason in reasons if reason != "handled"]
        shown = bad or reasons
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
            "reason": shown[-1] if shown else None,
        }

    def now(self) -> Json:
        """Return the current state of the call."""
        return {
            "ivr": self.at or self.ivr,
            "prompt": self.prompt,
            "keys": self._keys,
            "gap_until": self._iso(self._gap_until),
            "gap_seconds": self._gap,
            "timeout_until": self._iso(self._silent_until),
            "repeats": max(0, self._prompts - 1),
        }

    def _decided(
        self, step: Step, at: float, text: str, handler: str, missing: MissingAction | None
    ) -> list[Changed]:
        if step.action is not None:
            made = self.callbacks[-1]
            made.step = step
            return [(made.index, made.json(handler, self.after_failure))]
        if step.trigger == "arrival":
            return [self._new(at, "night", text)] if step.rule else []
        index, shown = self._new(at, _BY_TRIGGER[step.trigger], text)
        return [(index, {**shown, "missing": missing and missing._asdict()})]

    def _ended(self, outcome: Outcome, text: str, at: float) -> list[Changed]:
        kind = _ENDS.get(outcome.kind, outcome.kind)
        self.state, self._end = "ended", {"kind": kind, "text": text}
        if kind == "caller left":
            return []
        return [self._new(at, "hang up" if kind == "hung up" else "forward", text)]

    def _gap_passed(self, event: Event, at: float) -> list[Changed]:
        """Return the step that shows that the digits are complete."""
        until, acts = self._gap_until, event.kind in ("asking", "decided")
        if until is None or not acts or event.seconds < until:
            return []
        self._gap_until = None
        return [self._new(at, "gap", f"no further key for {self._gap:g} s: {self._keys}")]

    def _time(self, event: Event, due: float | None) -> None:
        """Set which timer runs."""
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
