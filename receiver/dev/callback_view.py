"""One callback of the simulated PBX as the page shows it: pure.

Rule: credentials, secret headers and cookies are masked as in `receiver.pbx.callback_trace`, and so
are the requests to a sensitive action and its answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from receiver.console.outcomes import callback_step, outcome_json
from receiver.pbx.callback_trace import Exchange, Step, hidden, masked, without_call_data
from receiver.simulator.events import PendingCallback
from receiver.text import counted

Json = dict[str, Any]

MAX_BODY = 20_000
"""Characters of a body that are shown."""


_REPORTED = ("stages", "log", "error", "upstream", "blocking")


def exchange_json(exchange: Exchange) -> Json:
    """Return a request and its response, masked."""
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


@dataclass(slots=True)
class Callback:
    """A callback, from its request on.

    Attributes:
        index: of its step.
        at: seconds since the call began.
        action: the identity of the action.
        ask: the request that is sent.
        step: its outcome; None before.
        report: what the service reports (handler, stages, reason, log, error, upstream, blocking);
            None without a report.
        by: the service's key of the callback.
    """

    index: int
    at: float
    action: str
    ask: PendingCallback
    step: Step | None = None
    report: Json | None = None
    by: object = None

    @property
    def share(self) -> float:
        """The share of the deadline that was used."""
        if self.step is None or not self.step.deadline:
            return 0.0
        return self.step.seconds / self.step.deadline

    @property
    def reason(self) -> str | None:
        """The reason of the reply; ``failed`` if none reached the PBX."""
        if self.step is not None and self.step.outcome.kind == "failed":
            return "failed"
        reason: str | None = self.report["reason"] if self.report else None
        return reason

    def json(self, handler: str, after_failure: str) -> Json:
        """Return the step, as the page gets it."""
        report, step, kind = self.report or {}, self.step, self.ask.kind
        digits = self.ask.call.digits
        text = f"callback to {self.action}"
        if step is not None:
            text = f"{text}: {step.result}"
        return callback_step(
            self.at,
            text,
            id=self.index,
            action=self.action,
            handler=report.get("handler") or handler,
            trigger=self.ask.trigger,
            digits=hidden(digits) if self.ask.sensitive else digits,
            exchanges=self._exchanges(),
            deadline=step.deadline if step else float(self.ask.action.request_timeout or 2),
            seconds=round(step.seconds, 6) if step else None,
            outcome=outcome_json(step.shown_outcome, after_failure, kind) if step else None,
            reason=self.reason,
            **{key: report[key] for key in _REPORTED if key in report},
        )

    def _exchanges(self) -> list[Json]:
        exchanges = self.step.exchanges if self.step else ()
        if self.ask.sensitive:
            exchanges = tuple(map(without_call_data, exchanges))
        return [exchange_json(one) for one in exchanges]


def _body(body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    return text if len(text) <= MAX_BODY else f"{text[:MAX_BODY]} … ({counted(len(body), 'byte')})"
