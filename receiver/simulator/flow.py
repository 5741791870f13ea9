"""The call flow of an IVR as a state machine: events, callbacks to send, the next timer.

Rule 1: pure. Times are passed in; a callback to send is a `PendingCallback`, and its outcome is
        passed to `Flow.answered`.
Rule 2: the current configuration of the PBX applies, also to calls in progress.
Rule 3: an action URL beats a menu entry for the same keys, and a menu entry beats an extension. A
        menu entry acts at once, 3 s later if it ends in ``#``; the others after the digit gap.
Rule 4: during a callback the IVR ignores keys, and no timer runs.
Rule 5: a call that is forwarded to another IVR continues there. An IVR that only announces has no
        action URLs and no menu, repeats nothing, and its timeout rule leads on.

Source: "Managing Virtual Receptionist" in the administration guide, release notes of 22.5. Guesses,
for it is not documented: rule 4; when the mask of an action URL is matched; that the CALLER
callback is sent before the prompt; the behaviour without a rule; that the timeout begins with the
end of the prompt, as far as its length is known; that a key resets the count of repetitions; and
the switches of `receiver.simulator.behaviour`, such as ``after_failure`` and ``finish_key``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import NamedTuple

from receiver.calls import Call, Kind
from receiver.pbx.callback_trace import (
    HIDDEN_KEY,
    Outcome,
    Step,
    Trigger,
    hidden,
    shown_outcome,
)
from receiver.pbx.models import ActionUrl
from receiver.simulator import ivr_rules
from receiver.simulator.events import ENDS, Event, Events, Moment, PendingCallback
from receiver.simulator.model import Pbx
from receiver.simulator.validation import Json

HASH_GAP = 3.0
"""Seconds before a menu entry that ends in ``#`` acts."""

MAX_IVRS = 20
"""IVRs in a row without a key; more of them lead in a circle, and the call ends there."""

_TIMEOUT = 30  # seconds without a key; 0 is not documented, here the default
_REPEATS = 3
_INTERVAL = 2


class Flow:
    """A call in an IVR. Begin with `arrive`; after an event ``asking`` continue with `answered`.

    Parameters:
        pbx: the PBX in memory.
        call: the caller and the IVR.
        sensitive: returns the names of an IVR's sensitive actions.

    Raises:
        ApiError: 404, there is no such IVR.

    Attributes:
        due: when to call `on_time`, in seconds on the line; None without a timer.
        asking: the running callback.
        digits: the DTMF input since the prompt.
        outcome: how the IVR's part of the call ended; None before.
        announced, announcing: the numbers of announcements that were played; whether one plays.
        passed_to: the number of the other IVR that the call was forwarded to last; or empty.
    """

    def __init__(
        self, pbx: Pbx, call: Call, sensitive: Callable[[str], Collection[str]] = lambda ivr: ()
    ) -> None:
        self._sensitive = sensitive
        self._pbx = pbx
        self._call = call
        self._ivr = pbx.ivrs.stored(pbx.at(call.ivr)["id"])  # a stored resource changes in place
        self._repeated = 0
        self.due: float | None = None
        self.asking: PendingCallback | None = None
        self.digits = ""
        self.outcome: Outcome | None = None
        self.announced: list[str] = []
        self.passed_to = ""
        self._announces = False
        self._passed = 0

    @property
    def announcing(self) -> bool:
        return self._announces and self.outcome is None

    @property
    def ivr(self) -> str:
        """The number of the IVR that the call is in, or was in last."""
        return self._call.ivr

    @property
    def hides_keys(self) -> bool:
        """Whether texts hide the DTMF input."""
        return bool(self._sensitive(self._call.ivr))

    # Input ------------------------------------------------------------------------
    def arrive(self, at: Moment) -> Events:
        """The call arrives."""
        return self._begin(at) or self._decide(Outcome("menu"), _Cause("arrival"), at)

    def _begin(self, at: Moment) -> Events:
        """Apply night mode, or ask the CALLER action URL; nothing if the prompt comes next."""
        if (rule := ivr_rules.night_rule(self._pbx, self._ivr)) is not None:
            # Since 22.5 at once. Before, the prompt came first.
            first = () if self._pbx.behaviour.has("22.6") else self._prompt(at)
            return first + self._follow(rule, _Cause("arrival", "night mode"), at)
        action = self._pbx.fires(self._call.ivr, "CALLER", self._call.caller)
        return self._ask("arrival", "CALLER", action, self._call, at) if action else ()

    def key(self, key: str, at: Moment) -> Events:
        """Press one of ``0-9 * #``."""
        if self.asking is not None or self.outcome is not None:
            shown = HIDDEN_KEY if self.hides_keys else key
            return (Event("deaf", at.seconds, f"the key {shown} is ignored"),)
        self._repeated = self._passed = 0
        shown = HIDDEN_KEY if self.hides_keys else key
        heard = (Event("key", at.seconds, f"the caller presses {shown}"),)
        if key == "#" and self.digits and self._pbx.behaviour.finish_key != "none":
            return heard + self._match(at, finish_key=key)
        self.digits += key
        own = self._fires() is not None
        if not own and self._entry(self.digits) is not None:
            return heard + self._match(at)
        hash_gap = not own and self._entry(f"{self.digits}#") is not None
        gap = HASH_GAP if hash_gap else self._ivr.get("dtmf_interval") or _INTERVAL
        self.due = at.seconds + gap
        return heard

    def on_time(self, at: Moment) -> Events:
        """Run a timer that is due; nothing happens without one."""
        if self.due is None or at.seconds < self.due:
            return ()
        self.due = None
        return self._match(at) if self.digits else self._silence(at)

    def answered(self, outcome: Outcome, at: Moment) -> Events:
        """Continue with the outcome of a callback; ignored if the caller has hung up."""
        callback, self.asking = self.asking, None
        if callback is None or self.outcome is not None:
            return ()
        if outcome.kind == "failed":
            return self._failed(callback, at)
        return self._result(outcome, callback.trigger, at)

    def hang_up(self, at: Moment) -> Events:
        """Hang up."""
        if self.outcome is not None:
            return ()
        return self._decide(Outcome("left"), _Cause("leaving", "the call is over"), at)

    # Rules -----------------------------------------------------------------------------
    def _match(self, at: Moment, finish_key: str = "") -> Events:
        if (action := self._fires()) is not None:
            sent = finish_key if self._pbx.behaviour.finish_key == "sent" else ""
            call = replace(self._call, digits=self.digits + sent)
            return self._ask("press", "DTMF", action, call, at)
        return self._menu(at)

    def _menu(self, at: Moment) -> Events:
        """Apply the IVR's menu to the digits."""
        step = _Cause("press", digits=self.digits)
        entry = self._entry(self.digits) or self._entry(f"{self.digits}#")
        if entry is not None:
            name, rule = ivr_rules.rule_of(self._pbx, entry, at.local)
            keys = entry["user_input"]
            why = f"menu entry {hidden(keys) if self.hides_keys else keys}{name}"
            return self._follow(rule, step._replace(rule=why), at)
        if ivr_rules.is_dialled(self._pbx, self._ivr, self.digits):
            why = "an extension, dialled directly"
            return self._decide(Outcome("forwarded", self.digits), step._replace(rule=why), at)
        return self._decide(Outcome("menu"), step, at)

    def _silence(self, at: Moment) -> Events:
        rule = self._ivr.get("timeout_forward_rule") or {}
        repeats = rule.get("repeat_times", _REPEATS)
        step = _Cause("silence", f"nothing for {rule.get('timeout') or _TIMEOUT} s")
        if self._repeated < repeats:
            self._repeated += 1
            step = step._replace(rule=f"{step.rule}, time {self._repeated} of {repeats}")
            return self._decide(Outcome("repeated"), step, at)
        self._repeated = 0
        if not ivr_rules.is_complete(rule):
            return self._decide(Outcome("hung up"), step, at)
        return self._follow(rule, step, at)

    def _failed(self, callback: PendingCallback, at: Moment) -> Events:
        how = self._pbx.behaviour.after_failure
        if how == "failure_rule":
            step = _Cause("failure", "the failure rule", callback.call.digits)
            return self._follow(self._ivr.get("failure_forward_rule"), step, at)
        if how == "hang_up":
            step = _Cause("failure", "the PBX hangs up", callback.call.digits)
            return self._decide(Outcome("hung up"), step, at)
        if how == "menu" and callback.kind == "DTMF":
            return self._menu(at)
        return self._prompt(at)

    # Results ------------------------------------------------------------------------------
    def _follow(self, rule: Json | None, step: _Cause, at: Moment) -> Events:
        """Apply a rule of the IVR; an incomplete one leaves the call at the prompt."""
        if rule is None or not ivr_rules.is_complete(rule):
            return self._decide(Outcome("menu"), step, at)
        kind = ivr_rules.outcomes()[rule["action"]]
        number = rule.get("number") or ""
        detail = number if rule["action"].startswith("FORWARD_") else ""
        return self._decide(Outcome(kind, detail), step, at)

    def _decide(self, outcome: Outcome, made: _Cause, at: Moment) -> Events:
        kind: Kind = "CALLER" if made.trigger == "arrival" else "DTMF"
        of_step = made.trigger, kind, made.digits, None, (), outcome, 0.0, None, made.rule
        step = Step(*of_step, self.hides_keys)
        event = Event("decided", at.seconds, f"{step.text}: {step.result}", step=step)
        return (event, *self._result(outcome, made.trigger, at))

    def _result(self, outcome: Outcome, trigger: Trigger, at: Moment) -> Events:
        """Apply an outcome: end, play the prompt, or apply the failure rule."""
        if not outcome.ends_call:
            return self._prompt(at)
        if outcome.kind == "forwarded" and outcome.detail in self._pbx.unreachable:
            number = hidden(outcome.detail) if self.hides_keys else outcome.detail
            step = _Cause("failure", f"{number} cannot be reached")
            rule = self._ivr.get("failure_forward_rule")
            if trigger == "failure":  # its target failed, too
                rule = {"action": "HANGUP"}
            return self._follow(rule, step, at)
        found = self._pbx.ivr_at(outcome.detail) if outcome.kind == "forwarded" else None
        if found is not None:
            ivr = self._pbx.ivrs.stored(found.id)
            if ivr_rules.announces(self._pbx, ivr):
                return self._announce(ivr, at)
            if self._passed < MAX_IVRS:
                return self._enter(ivr, at)
        text = ENDS + shown_outcome(outcome, self.digits if self.hides_keys else "").text
        self.due, self.digits, self.outcome = None, "", outcome
        return (Event("ended", at.seconds, text),)

    def _prompt(self, at: Moment) -> Events:
        if self.announcing:
            return self._announce(self._ivr, at)
        self._wait_for_keys(at)
        return (Event("prompt", at.seconds, "the IVR plays its prompt"),)

    def _announce(self, ivr: Json, at: Moment) -> Events:
        """Continue the call in an IVR that only announces, which plays its prompt."""
        number, name = self._move(ivr, announces=True)
        self.announced.append(number)
        self._wait_for_keys(at)
        return (Event("announcement", at.seconds, f"the announcement {number} plays: {name}"),)

    def _enter(self, ivr: Json, at: Moment) -> Events:
        """Continue the call in another IVR with a dialog."""
        self.passed_to, name = self._move(ivr, announces=False)
        self._passed += 1
        text = f"the call continues in IVR {self.passed_to}, {name}"
        return (Event("ivr", at.seconds, text), *(self._begin(at) or self._prompt(at)))

    def _move(self, ivr: Json, *, announces: bool) -> tuple[str, str]:
        """Set the IVR that the call is in; return its number and name."""
        number, name = ivr["extension_number"], ivr["name"]
        self._ivr, self._call = ivr, replace(self._call, ivr=number, ivr_name=name)
        self._announces, self._repeated = announces, 0
        self.due, self.digits = None, ""
        return number, name

    def _wait_for_keys(self, at: Moment) -> None:
        rule = self._ivr.get("timeout_forward_rule") or {}
        timeout = rule.get("timeout") or _TIMEOUT
        lasts = ivr_rules.prompt_seconds(self._pbx, self._ivr)
        self.digits, self.due = "", at.seconds + lasts + timeout

    def _ask(
        self, trigger: Trigger, kind: Kind, action: ActionUrl, call: Call, at: Moment
    ) -> Events:
        sensitive = action.name.partition("~")[0] in self._sensitive(self._call.ivr)
        ask = PendingCallback(trigger, kind, action, call, sensitive)
        self.asking, self.due = ask, None
        text = f'the PBX asks the {ask.kind} action URL "{ask.action.name}"'
        return (Event("asking", at.seconds, text, ask=ask),)

    # Configuration ------------------------------------------------------------------------
    def _fires(self) -> ActionUrl | None:
        return self._pbx.fires(self._call.ivr, "DTMF", self.digits)

    def _entry(self, user_input: str) -> Json | None:
        entries = self._ivr.get("custom_forward_rules") or ()
        return next((e for e in entries if e.get("user_input") == user_input), None)


class _Cause(NamedTuple):
    """The cause of a step, before its outcome."""

    trigger: Trigger
    rule: str = ""
    digits: str = ""
