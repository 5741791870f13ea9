"""One call in an IVR, by its own rules: what happens, what to ask, when something is next due.

Rule 1: pure. Moments are passed in, in seconds and by the calendar; what has to be asked over a
        network is given as an `Ask`, and its outcome comes back by `Flow.answered`.
Rule 2: what counts is what the PBX holds at that moment: changed rules hold for calls in progress.
Rule 3: an action URL beats a menu entry for the same keys, and that beats an extension. A menu
        entry acts at once, 3 s later if it ends in ``#``; all else when the digit gap has passed.
Rule 4: while an action URL is asked the IVR hears no keys, and no timer runs.

Source: "Managing Virtual Receptionist" in the administration guide, release notes of 22.5. Guesses,
for the documents are silent: rule 4; when an action URL's mask is compared; that the CALLER action
is asked before the prompt; all about rules that are not set; that the silence counts from the
beginning of the prompt; that a key begins the count of repetitions anew. What follows on a callback
that failed is `receiver.simulator.behaviour.Behaviour.after_failure`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from receiver.actions import Kind
from receiver.calls import Call
from receiver.errors import MaskError
from receiver.masks import Mask
from receiver.pbx.models import ActionUrl
from receiver.simulator.hours import LocalTime, is_holiday, is_open
from receiver.simulator.model import Pbx
from receiver.simulator.schema import Fault, Json
from receiver.simulator.trace import Ending, Outcome, Step, Trigger

HASH_GAP = 3.0
"""Seconds that a menu entry waits which ends in ``#``."""

_TIMEOUT = 30  # seconds without a key; what 0 means is not documented, here the default
_REPEATS = 3
_INTERVAL = 2
_OUTCOMES: dict[str, Ending] = {
    "FORWARD_TO_NUMBER": "forwarded",
    "FORWARD_TO_VOICEMAIL": "voicemail",
    "REPEAT": "repeated",
    "HANGUP": "hung up",
    "DISA": "disa",
}


class Moment(NamedTuple):
    """When something happens: seconds on the line, and the time at the PBX."""

    seconds: float
    local: LocalTime


@dataclass(frozen=True, slots=True)
class Ask:
    """An action URL that has to be asked: ``action`` with ``call``, because of ``trigger``."""

    trigger: Trigger
    kind: Kind
    action: ActionUrl = field(repr=False)
    call: Call


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened on the line.

    Attributes:
        kind: ``key``: a key was heard, and more may come; ``deaf``: it was not heard; ``prompt``:
            the IVR plays its prompt; ``asking``: an action URL is about to be asked; ``decided``:
            a step is complete, after a callback or without one; ``ended``: the IVR is out.
        seconds: when, on the line.
        text: for people. It may hold numbers and what was keyed in, but no credentials.
        ask: with ``asking``, what is to be asked.
        step: with ``decided``, what was decided and why.
    """

    kind: Literal["key", "deaf", "prompt", "asking", "decided", "ended"]
    seconds: float
    text: str = field(repr=False)
    ask: Ask | None = None
    step: Step | None = None


Events = tuple[Event, ...]


class Flow:
    """A call in an IVR. Begin with `arrive`; after an event ``asking`` go on with `answered`.

    Parameters:
        pbx: the PBX in memory.
        call: who calls, and the IVR.

    Raises:
        Fault: 404, there is no such IVR.

    Attributes:
        due: when `on_time` is to be called, in seconds on the line; None for never.
        asking: what is being asked now.
        digits: what was keyed in since the prompt.
        outcome: how the IVR's part of the call ended; None before.
    """

    def __init__(self, pbx: Pbx, call: Call) -> None:
        self._pbx = pbx
        self._call = call
        self._ivr = pbx.ivrs.stored(pbx.at(call.ivr)["id"])  # what is stored changes in place
        self._repeated = 0
        self.due: float | None = None
        self.asking: Ask | None = None
        self.digits = ""
        self.outcome: Outcome | None = None

    # What happens to it ------------------------------------------------------------------------
    def arrive(self, at: Moment) -> Events:
        """The call arrives."""
        if (rule := self._night_rule()) is not None:
            # Since 22.5 at once. Before, the prompt came first.
            first = () if self._pbx.behaviour.has("22.6") else self._prompt(at)
            return first + self._follow(rule, _Cause("arrival", "night mode"), at)
        action = self._pbx.fires(self._call.ivr, "CALLER", self._call.caller)
        if action is not None:
            return self._ask(Ask("arrival", "CALLER", action, self._call), at)
        return self._decide(Outcome("menu"), _Cause("arrival"), at)

    def key(self, key: str, at: Moment) -> Events:
        """The caller presses one of ``0-9 * #``."""
        if self.asking is not None or self.outcome is not None:
            return (Event("deaf", at.seconds, f"the key {key} is not heard"),)
        self.digits += key
        self._repeated = 0
        heard = (Event("key", at.seconds, f"the caller presses {key}"),)
        own = self._fires() is not None
        if not own and self._entry(self.digits) is not None:
            return heard + self._match(at)
        wait = self._ivr.get("dtmf_interval") or _INTERVAL
        if not own and self._entry(f"{self.digits}#") is not None:
            wait = HASH_GAP
        self.due = at.seconds + wait
        return heard

    def on_time(self, at: Moment) -> Events:
        """A timer may have ended; nothing happens if none has."""
        if self.due is None or at.seconds < self.due:
            return ()
        self.due = None
        return self._match(at) if self.digits else self._silence(at)

    def answered(self, outcome: Outcome, at: Moment) -> Events:
        """What was asked has an outcome; it changes nothing if the caller has left meanwhile."""
        asked, self.asking = self.asking, None
        if asked is None or self.outcome is not None:
            return ()
        if outcome.kind == "failed":
            return self._failed(asked, at)
        return self._result(outcome, asked.trigger, at)

    def hang_up(self, at: Moment) -> Events:
        """The caller hangs up."""
        if self.outcome is not None:
            return ()
        return self._decide(Outcome("left"), _Cause("leaving", "the call is over"), at)

    # By which rule -----------------------------------------------------------------------------
    def _match(self, at: Moment) -> Events:
        action = self._fires()
        if action is not None:
            call = replace(self._call, digits=self.digits)
            return self._ask(Ask("press", "DTMF", action, call), at)
        return self._menu(at)

    def _menu(self, at: Moment) -> Events:
        """What the IVR itself has for the keys."""
        step = _Cause("press", digits=self.digits)
        entry = self._entry(self.digits) or self._entry(f"{self.digits}#")
        if entry is not None:
            name, rule = self._rule_of(entry, at.local)
            why = f"menu entry {entry['user_input']}{name}"
            return self._follow(rule, step._replace(rule=why), at)
        if self._is_extension(self.digits):
            why = "an extension, dialled directly"
            return self._decide(Outcome("forwarded", self.digits), step._replace(rule=why), at)
        return self._decide(Outcome("menu"), step, at)

    def _rule_of(self, entry: Json, now: LocalTime) -> tuple[str, Json | None]:
        """What a menu entry says for now, and in words when that counts."""
        holidays = (self._pbx.holidays.find(key) for key in entry.get("holidays") or ())
        if _says(holiday := entry.get("holiday_forward_rule")) and is_holiday(holidays, now):
            return ", on a holiday", holiday
        if is_open(entry.get("office_hours"), self._pbx.office_hours, now):
            return "", entry.get("office_hours_forward_rule")
        return ", outside of office hours", entry.get("non_office_hours_forward_rule")

    def _silence(self, at: Moment) -> Events:
        rule = self._ivr.get("timeout_forward_rule") or {}
        repeats = rule.get("repeat_times", _REPEATS)
        step = _Cause("silence", f"nothing for {rule.get('timeout') or _TIMEOUT} s")
        if self._repeated < repeats:
            self._repeated += 1
            step = step._replace(rule=f"{step.rule}, time {self._repeated} of {repeats}")
            return self._decide(Outcome("repeated"), step, at)
        self._repeated = 0
        if not _says(rule):
            return self._decide(Outcome("hung up"), step, at)
        return self._follow(rule, step, at)

    def _failed(self, asked: Ask, at: Moment) -> Events:
        how = self._pbx.behaviour.after_failure
        if how == "failure_rule":
            step = _Cause("failure", "the failure rule", asked.call.digits)
            return self._follow(self._ivr.get("failure_forward_rule"), step, at)
        if how == "hang_up":
            step = _Cause("failure", "the PBX hangs up", asked.call.digits)
            return self._decide(Outcome("hung up"), step, at)
        if how == "menu" and asked.kind == "DTMF":
            return self._menu(at)
        return self._prompt(at)

    def _night_rule(self) -> Json | None:
        has = self._pbx.behaviour.has
        own = has("22.3") and self._ivr.get("enable_night_mode")
        rule: Json | None = self._ivr.get("night_mode_forward_rule")
        on = has("22.2") and (own or self._pbx.night_mode)
        return rule if on and _says(rule) else None

    # What follows ------------------------------------------------------------------------------
    def _follow(self, rule: Json | None, step: _Cause, at: Moment) -> Events:
        """Do as a rule of the IVR says; one that says nothing leaves the call at the prompt."""
        if rule is None or not _says(rule):
            return self._decide(Outcome("menu"), step, at)
        kind = _OUTCOMES[rule["action"]]
        number = rule.get("number") or ""
        detail = number if kind in ("forwarded", "voicemail") else ""
        return self._decide(Outcome(kind, detail), step, at)

    def _decide(self, outcome: Outcome, made: _Cause, at: Moment) -> Events:
        kind: Kind = "CALLER" if made.trigger == "arrival" else "DTMF"
        step = Step(made.trigger, kind, made.digits, None, (), outcome, 0.0, None, made.rule)
        event = Event("decided", at.seconds, f"{step.text}: {outcome.text}", step=step)
        return (event, *self._result(outcome, made.trigger, at))

    def _result(self, outcome: Outcome, trigger: Trigger, at: Moment) -> Events:
        """What an outcome comes to: the end, the prompt, or another try by the failure rule."""
        if not outcome.ends_call:
            return self._prompt(at)
        if outcome.kind == "forwarded" and outcome.detail in self._pbx.unreachable:
            step = _Cause("failure", f"{outcome.detail} cannot be reached")
            rule = self._ivr.get("failure_forward_rule")
            if trigger == "failure":  # its target, too
                rule = {"action": "HANGUP"}
            return self._follow(rule, step, at)
        self.due, self.digits, self.outcome = None, "", outcome
        return (Event("ended", at.seconds, f"the IVR is out of the call: {outcome.text}"),)

    def _prompt(self, at: Moment) -> Events:
        rule = self._ivr.get("timeout_forward_rule") or {}
        self.digits, self.due = "", at.seconds + (rule.get("timeout") or _TIMEOUT)
        return (Event("prompt", at.seconds, "the IVR plays its prompt"),)

    def _ask(self, ask: Ask, at: Moment) -> Events:
        self.asking, self.due = ask, None
        text = f'the PBX asks the {ask.kind} action URL "{ask.action.name}"'
        return (Event("asking", at.seconds, text, ask=ask),)

    # What the PBX holds ------------------------------------------------------------------------
    def _fires(self) -> ActionUrl | None:
        return self._pbx.fires(self._call.ivr, "DTMF", self.digits)

    def _entry(self, user_input: str) -> Json | None:
        entries = self._ivr.get("custom_forward_rules") or ()
        return next((e for e in entries if e.get("user_input") == user_input), None)

    def _is_extension(self, number: str) -> bool:
        try:
            self._pbx.at(number)
        except Fault:
            return False
        excluded = (self._ivr.get("exclude_list") or "").replace(",", ";")
        try:
            return not Mask.parse(excluded).matches(number)
        except MaskError:
            return True  # empty, or nothing that could be read


class _Cause(NamedTuple):
    """What is known of a step before its outcome."""

    trigger: Trigger
    rule: str = ""
    digits: str = ""


def _says(rule: Json | None) -> bool:
    """Whether a rule says what to do, and to whom."""
    action = (rule or {}).get("action") or ""
    return action in _OUTCOMES and bool(
        not action.startswith("FORWARD_") or (rule or {}).get("number")
    )
