"""What is told of the callbacks of one action: to the log, the counts, and the trace.

Rule 1: whatever is told or counted of a callback is in its `Record`; one is made only where it is
        read.
Rule 2: telling costs no caller his answer: it comes after the answer, and nothing in it waits.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct
from starlette.types import Scope

from receiver.actions import Action
from receiver.calls import Call
from receiver.dispatch.dispatcher import Decision
from receiver.telemetry.counts import CALLBACKS, COUNTS, REFUSALS, STAGE, put
from receiver.telemetry.records import DECISIONS, STAGES, Record, Told

log = logging.getLogger("receiver")


class Times(Struct, frozen=True):
    """When a callback arrived, was let in, was read, decided and answered: the loop's time."""

    arrived: float
    admitted: float
    read: float
    handled: float
    answered: float


Witness = Callable[[Call, Decision, Times], object]
"""Is given each callback that was answered."""


class Trace(Protocol):
    """The spans of one callback, see `receiver.telemetry.tracing`."""

    def end(self, record: Record, handled: float) -> None: ...


class Tracer(Protocol):
    """Makes them."""

    def begin(self, scope: Scope, arrived: float, admitted: float, read: float) -> Trace: ...


class Observer:
    """Tells of the callbacks of ``action``.

    Parameters:
        action: which.
        log_caller_data: whether digits and numbers are shown, if the action is not sensitive.
        counted: whether they are counted.
        tracer: None traces nothing.
        witnesses: are given all that is told of, such as a recorder and the console.
    """

    def __init__(
        self,
        action: Action,
        *,
        log_caller_data: bool = False,
        counted: bool = False,
        tracer: Tracer | None = None,
        witnesses: Sequence[Witness] = (),
    ) -> None:
        self._witnesses = witnesses
        self._fixed = action.identity, action.pbx, action.kind
        self._budget = float(action.request_timeout)
        self._shown = log_caller_data and not action.sensitive
        self._counted = counted
        self._cells = [COUNTS.cell(STAGE, (action.identity, stage)) for stage in STAGES if counted]
        self._tracer = tracer
        self._like = log.makeRecord(log.name, logging.INFO, __file__, 0, "", (), None).__dict__

    def begin(self, scope: Scope, arrived: float, admitted: float, read: float) -> Trace | None:
        """The spans of a callback that was read just now; None if none are made."""
        if self._tracer is None:
            return None
        return self._tracer.begin(scope, arrived, admitted, read)

    def tell(
        self, call: Call, decision: Decision, times: Times, trace: Trace | None = None
    ) -> None:
        """Tell of a callback that was answered."""
        for witness in self._witnesses:
            witness(call, decision, times)
        logged = log.isEnabledFor(logging.INFO)
        if not (logged or self._counted or trace):
            return
        record = self._record(call, decision, times)
        if logged:
            log.handle(self._line(record))
        if self._counted:
            COUNTS.add(CALLBACKS, (record.action, record.decision, record.reason))
            put(STAGE, self._cells, record.seconds, self._budget)
        if trace:
            trace.end(record, times.handled)

    def _line(self, record: Record) -> logging.LogRecord:
        """As ``log.info(record)`` would make it, which first looks for the line that calls it."""
        line = logging.LogRecord.__new__(logging.LogRecord)
        now, values = time.time(), self._like.copy()
        # Its text is made where it is written.
        values["msg"], values["created"], values["msecs"] = record, now, now % 1 * 1000
        line.__dict__ = values
        return line

    def _record(self, call: Call, decision: Decision, times: Times) -> Record:
        told: tuple[Told, Told, Told] = call.digits, call.caller, call.session_id
        if not self._shown:
            told = len(call.digits), len(call.caller), len(call.session_id)
        return Record(
            *self._fixed,
            DECISIONS[type(decision.reply)],
            decision.reason,
            *told,
            times.admitted - times.arrived,
            times.read - times.admitted,
            times.handled - times.read,
            times.answered - times.arrived,
            self._budget,
        )


def refused(reason: str) -> None:
    """Count a request that was turned away for ``reason``, one of a fixed list of words."""
    COUNTS.add(REFUSALS, (reason,))
