"""The log record, the metrics and the spans of each callback of one action.

Rule 1: everything that is logged or counted of a callback is in its `Record`, which is made only if
        it is used.
Rule 2: it delays no answer: it runs after the answer, and never waits. If a thread writes the log
        (``receiver serve``), the event loop only appends the callback to that thread's queue; the
        thread makes records, counts, recordings and log lines in batches.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextvars import Token
from typing import Protocol

from msgspec import Struct

from receiver.callbacks.request import Request
from receiver.calls import Call
from receiver.declarations.actions import Action
from receiver.dispatch.dispatcher import Decision
from receiver.observability.callback_record import STAGES, Record
from receiver.observability.log_setup import BACKGROUND_HANDLERS, line_of
from receiver.observability.metrics import CALLBACKS, COUNTS, REFUSALS, STAGE, put
from receiver.upstream.request_log import RequestLog
from receiver.upstream.request_observer import OBSERVER, RequestObserver

log = logging.getLogger("receiver")


class Times(Struct, gc=False):
    """The times at which a callback arrived, was authenticated, read, decided and answered.

    Attributes:
        requests: of the handler to other services; None if they are not recorded.
    """

    arrived: float
    authenticated: float
    read: float = 0.0
    handled: float = 0.0
    answered: float = 0.0
    requests: RequestLog | None = None


Listener = Callable[[Call, Decision, Times], object]
"""Called with each answered callback."""


class Trace(Protocol):
    """The spans of one callback, see `receiver.callbacks.tracing`."""

    def leave(self) -> None: ...

    def end(self, record: Record, handled: float) -> None: ...


class Tracer(Protocol):
    """Begins the spans of callbacks."""

    def begin(
        self, request: Request, arrived: float, authenticated: float, read: float
    ) -> Trace: ...


class Answered(Struct, eq=False, gc=False):
    """An answered callback, for the thread that writes the log.

    It is as small as possible: the garbage collector scans objects in a queue, and they have left
    the CPU's cache when they are freed.

    Attributes:
        when: in seconds since the epoch.
        is_logged: whether the log takes its record.
        seen: the arguments of the listeners, if there are any.
    """

    observer: Observer
    record: Record
    when: float
    is_logged: bool
    seen: tuple[Call, Decision, Times] | None = None
    is_settled: bool = False

    def settle(self) -> Record | None:
        """Count the callback once; return its record if it is logged. One thread at a time."""
        if not self.is_settled:
            self.is_settled = True
            self.observer.settle(self)
        return self.record if self.is_logged else None


class Observer:
    """Logs, counts and traces the callbacks of ``action``.

    Parameters:
        action: the declared action.
        log_caller_data: whether digits and numbers are shown, if the action is not sensitive.
        counted: whether they are counted.
        tracer: None traces nothing.
        listeners: get each callback that was answered, such as a recorder and the console.
        records_requests: whether they get the requests of handlers to other services.
        history: gets each answered callback, in the event loop's thread; None for nothing.
    """

    def __init__(
        self,
        action: Action,
        *,
        log_caller_data: bool = False,
        counted: bool = False,
        tracer: Tracer | None = None,
        listeners: Sequence[Listener] = (),
        records_requests: bool = False,
        history: Callable[[Call, Decision], object] | None = None,
    ) -> None:
        self._history = history
        self._listeners = listeners
        self._records_requests = records_requests and not action.sensitive
        self._identity, self._pbx, self._kind = action.identity, action.pbx, action.kind
        self._budget = float(action.request_timeout)
        self._shown = log_caller_data and not action.sensitive
        self._counted = counted
        self._cells = [COUNTS.cell(STAGE, (action.identity, stage)) for stage in STAGES if counted]
        self._decisions: dict[tuple[str, str], list[float]] = {}
        self._tracer = tracer
        self.traces = tracer is not None  # spans need a separate context

    def begin(self, request: Request, times: Times) -> Trace | None:
        """Return the spans of a callback that was read just now; None if none are made."""
        if self._tracer is None:
            return None
        return self._tracer.begin(request, times.arrived, times.authenticated, times.read)

    def watch(self, times: Times) -> Token[RequestObserver | None] | None:
        """Observe the requests of the handler that runs next, if they are recorded.

        Returns:
            A function that resets the context after the call.
        """
        if not self._records_requests:
            return None
        times.requests = RequestLog()
        return OBSERVER.set(times.requests)

    def add(self, call: Call, decision: Decision, times: Times, trace: Trace | None = None) -> None:
        """Log and count an answered callback; in the log's thread, if there is one."""
        if self._history is not None:
            self._history(call, decision)
        is_logged = log.isEnabledFor(logging.INFO)
        if not (is_logged or self._counted or self._listeners or trace):
            return
        record = self._record(call, decision, times)
        seen = (call, decision, times) if self._listeners else None
        one = Answered(self, record, time.time(), is_logged, seen)
        if trace is not None:
            trace.end(record, times.handled)
        elif BACKGROUND_HANDLERS and BACKGROUND_HANDLERS[-1].put_deferred(one):
            return
        if one.settle() is not None:
            log.handle(line_of(record, one.when))

    def settle(self, one: Answered) -> None:
        """Count a callback and call the listeners; see `Answered.settle`."""
        if one.seen is not None:
            for listener in self._listeners:
                listener(*one.seen)
        if self._counted:
            record = one.record
            labels = record.decision, record.reason
            cell = self._decisions.get(labels)
            if cell is None:
                cell = self._decisions[labels] = COUNTS.cell(CALLBACKS, (record.action, *labels))
            cell[0] += 1
            put(STAGE, self._cells, record.seconds, self._budget)

    def _record(self, call: Call, decision: Decision, times: Times) -> Record:
        """Return the record of a callback, with the data that may be logged."""
        hides = not self._shown
        return Record(
            self._identity,
            self._pbx,
            self._kind,
            decision.reply.action,
            decision.reason,
            len(call.digits) if hides else call.digits,
            len(call.caller) if hides else call.caller,
            len(call.session_id) if hides else call.session_id,
            times.authenticated - times.arrived,
            times.read - times.authenticated,
            times.handled - times.read,
            times.answered - times.arrived,
            self._budget,
        )


class Completion(Struct, eq=False, gc=False):
    """The work after the answer to a callback was sent.

    Attributes:
        late: returns the decision that counts if the watchdog has sent the fallback.
        loop: its time is when the answer was sent.
    """

    observer: Observer
    late: Callable[[Call], Decision]
    call: Call
    decision: Decision
    times: Times
    loop: asyncio.AbstractEventLoop
    trace: Trace | None

    def after(self, sent: bool) -> None:
        """Start the background jobs of the handler, and log the callback.

        Parameters:
            sent: whether the answer was sent; else the watchdog had sent the fallback.
        """
        decision, times = self.decision, self.times
        decision.release()
        if not sent:
            decision = self.late(self.call)
        times.answered = self.loop.time()
        self.observer.add(self.call, decision, times, self.trace)


def refused(reason: str) -> None:
    """Count a request that was refused for ``reason``, one of a fixed list of words."""
    COUNTS.add(REFUSALS, (reason,))
