"""One callback as the console's page is told of it: pure.

Rule: credentials, secret headers and cookies are masked as in `receiver.simulator.trace`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from receiver.simulator.flow import Ask
from receiver.simulator.trace import Exchange, Outcome, Step, masked

Json = dict[str, Any]

LONGEST = 20_000
"""Characters of a body that are shown."""

AFTER_FAILURE = {
    "prompt": "the IVR plays its prompt again and hears further keys",
    "failure_rule": "the IVR follows its rule for failures",
    "menu": "the IVR's own menu takes what was keyed in",
    "hang_up": "the PBX hangs up",
}
"""What follows on a failed callback, by `receiver.simulator.behaviour.Behaviour.after_failure`."""

_GUESS = " (what a real PBX does then is not documented)"
_THEN = {
    "forwarded": "the call goes to {}",
    "voicemail": "the call goes to the voicemail of {}",
    "hung up": "the PBX hangs up",
    "disa": "the caller may dial out",
    "left": "the call is over",
    "repeated": "the IVR plays its prompt again",
    "menu": "the IVR goes on by its own rules",
}


def exchange_json(exchange: Exchange) -> Json:
    """A request and its answer, masked."""
    shown = masked(exchange)
    return {
        "method": shown.method,
        "url": shown.url,
        "request_headers": [list(pair) for pair in shown.request_headers],
        "request_body": _body(shown.request_body),
        "status": shown.status,
        "response_headers": [list(pair) for pair in shown.response_headers],
        "response_body": _body(shown.response_body),
        "seconds": round(shown.seconds, 6),
    }


def outcome_json(outcome: Outcome, after_failure: str) -> Json:
    """What became of a callback, and what the PBX does then."""
    if outcome.kind == "failed":
        then = AFTER_FAILURE[after_failure] + _GUESS
    else:
        then = _THEN[outcome.kind].format(outcome.detail)
    return {"kind": outcome.kind, "detail": outcome.detail, "then": then}


@dataclass(slots=True)
class Callback:
    """A callback, from the question on.

    Attributes:
        index: of its step.
        at: seconds since the call began.
        action: the identity of the action that is asked.
        ask: what is asked.
        step: what became of it; None before.
        told: what the service tells of it, with the keys of the protocol; None if it tells nothing.
        by: who told it: a later report of the same belongs here, too.
    """

    index: int
    at: float
    action: str
    ask: Ask
    step: Step | None = None
    told: Json | None = None
    by: object = None

    @property
    def share(self) -> float:
        """How much of the deadline was used."""
        if self.step is None or not self.step.deadline:
            return 0.0
        return self.step.seconds / self.step.deadline

    @property
    def reason(self) -> str | None:
        """Why the caller got what he got."""
        if self.told and self.told["reason"]:
            return str(self.told["reason"])
        failed = self.step is not None and self.step.outcome.kind == "failed"
        return "failed" if failed else None

    def json(self, handler: str, after_failure: str) -> Json:
        """As a step of the protocol."""
        told, step = self.told or {}, self.step
        text = f"asks {self.action}"
        if step is not None:
            text = f"{text}: {step.outcome.text}"
        callback = {
            "id": self.index,
            "action": self.action,
            "handler": told.get("handler") or handler,
            "trigger": self.ask.trigger,
            "digits": self.ask.call.digits,
            "exchanges": [exchange_json(one) for one in step.exchanges] if step else [],
            "deadline": step.deadline if step else float(self.ask.action.request_timeout or 2),
            "seconds": round(step.seconds, 6) if step else None,
            "outcome": outcome_json(step.outcome, after_failure) if step else None,
            "stages": told.get("stages"),
            "reason": self.reason,
            "log": told.get("log", []),
            "error": told.get("error"),
            "upstream": told.get("upstream", []),
        }
        return {"at": self.at, "type": "callback", "text": text, "callback": callback}


def _body(body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(body)} bytes)"
