"""Collect what happens in a callback of the child process, and send it to the parent.

Rule 1: a callback has a `ReportBuilder` in its context, which its handler, threads and tasks
        inherit: log records, requests to a CRM and exceptions are collected there.
Rule 2: reports cannot delay an answer: they are sent a moment later, and their size is bounded.
Rule 3: neither the report of a sensitive callback nor the log has digits, number or name, even if
        the handler logs them.
Rule 4: times are seconds since the arrival of the callback.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import httpx
from msgspec import structs

from receiver.callbacks.request import Request
from receiver.calls import Call
from receiver.declarations.actions import Action, Handler
from receiver.declarations.introspection import from_here
from receiver.dev import error_details
from receiver.dev.messages import Blocking, Line, Report, Simulation, UpstreamRequest
from receiver.execution.blocking_calls import BlockingCall, BlockingCallDetector
from receiver.execution.guarded_call import describe
from receiver.execution.kinds import is_async
from receiver.observability.callback_record import STAGES, Record
from receiver.pbx.callback_trace import hidden
from receiver.upstream import request_observer

MAX_ENTRIES = 200
"""Log records, and requests to a CRM, in one report."""

REPORT_DELAY = 0.02
"""Seconds for which changes of a report are collected before it is sent."""

_MAX_MESSAGE = 2000  # characters

log = logging.getLogger("receiver.dev")

REPORT: ContextVar[ReportBuilder | None] = ContextVar("receiver.dev.report", default=None)


class ReportBuilder(request_observer.RequestObserver):
    """The report of one callback; also the trace of its `Tracer`, and the observer of upstreams.

    Parameters:
        reporter: sends the reports.
        action: the identity.
        handler: the function's name.
        before: seconds since the callback arrived.
    """

    def __init__(self, reporter: Reporter, action: Action, handler: str, before: float) -> None:
        self._reporter = reporter
        self._begun = time.monotonic() - before
        self._report = Report(next(reporter.numbers), action.identity, handler)
        self._is_scheduled = False
        self._sensitive = action.sensitive
        self._secrets: tuple[str, ...] = ()

    def begin(self, call: Call) -> None:
        """Record that the handler is called."""
        self._report.session = call.session_id
        if self._sensitive:
            secrets = {call.digits, call.caller, call.caller_name} - {""}
            self._secrets = tuple(sorted(secrets, key=len, reverse=True))
        self._schedule()

    @property
    def hides(self) -> bool:
        """Whether the action is sensitive, and its handler was called."""
        return bool(self._secrets)

    def hide(self, text: str) -> str:
        """Return ``text`` without the digits, number and name of a sensitive callback."""
        for secret in self._secrets:
            text = text.replace(secret, hidden(secret))
        return text

    def fail(self, error: BaseException) -> None:
        """Record that the handler raised ``error``."""
        self._report.error = error_details.described(error, with_text=not self._sensitive)
        self._schedule()

    def log(self, record: logging.LogRecord) -> None:
        """Record that the handler logged ``record``."""
        if len(self._report.log) < MAX_ENTRIES:
            text = self.hide(record.getMessage())[:_MAX_MESSAGE]
            self._report.log.append(Line(self._at(), record.levelname, record.name, text))
            self._schedule()

    def leave(self) -> None:
        """Do nothing: the report stays in the context of the handler."""

    def end(self, record: Record, handled: float) -> None:
        """Record that the callback was answered."""
        if isinstance(record.session, str):  # or else it is hidden, and `begin` has set it
            self._report.session = record.session
        self._report.reason = record.reason
        self._report.stages = dict(zip(STAGES, record.seconds, strict=True))
        self._schedule()

    def blocked(self, what: BlockingCall) -> None:
        """Record that the handler blocked the event loop; called in another thread."""
        place = from_here(what.file)
        log.warning("%s:%d: %s", place, what.line, what.problem)
        if len(self._report.blocking) < MAX_ENTRIES:
            self._report.blocking.append(Blocking(place, what.line, what.problem))
            self._schedule()

    # The observer of upstreams -----------------------------------------------------------------
    def record(self, request: request_observer.UpstreamRequest) -> None:
        """Record a request of the handler, or a cached answer."""
        if len(self._report.upstream) < MAX_ENTRIES:
            begun = max(0.0, self._at() - request.seconds)
            if self._sensitive and request.path:
                request = request._replace(path="/***")
            self._report.upstream.append(UpstreamRequest(begun, *request[:6]))
            self._schedule()

    def intercept(
        self, request: httpx.Request, sender: request_observer.Sender
    ) -> httpx.Response | float:
        return self._reporter.intercept(request, sender)

    def _at(self) -> float:
        return time.monotonic() - self._begun

    def _schedule(self) -> None:
        """Send the report in a moment; called by any thread."""
        if not self._is_scheduled:
            self._is_scheduled = True
            self._reporter.scheduled.add(self)
            with contextlib.suppress(RuntimeError):  # the event loop is closed
                self._reporter.loop.call_soon_threadsafe(self._start_timer)

    def _start_timer(self) -> None:
        self._reporter.loop.call_later(REPORT_DELAY, self._send_scheduled)

    def _send_scheduled(self) -> None:
        if self._is_scheduled:
            self.send()

    def send(self) -> None:
        """Send the report now."""
        self._is_scheduled = False
        self._reporter.scheduled.discard(self)
        self._reporter.send(structs.replace(self._report))


class Reporter(request_observer.RequestObserver):
    """Sends reports to the parent, and simulates faults.

    Requests that belong to no callback get the same faults, and are not reported.

    Parameters:
        send: sends a message to the parent.
        crm_delay: seconds that each request takes longer while the CRM is slow.

    Attributes:
        simulation: the current simulation.
        numbers: ids of callbacks.
        scheduled: the reports to be sent in a moment.
    """

    def __init__(self, send: Callable[[Report], None], *, crm_delay: float = 3.0) -> None:
        self.send = send
        self.crm_delay = crm_delay
        self.simulation = Simulation()
        self.numbers = itertools.count(1)
        self.scheduled: set[ReportBuilder] = set()
        self._detector = BlockingCallDetector()

    def flush(self) -> None:
        """Send the scheduled reports, after the service and its event loop have ended."""
        self._detector.close()
        for report in list(self.scheduled):
            report.send()

    @functools.cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the service."""
        return asyncio.get_running_loop()

    def intercept(
        self, request: httpx.Request, sender: request_observer.Sender
    ) -> httpx.Response | float:
        """Simulate a CRM that is slow or down.

        Raises:
            httpx.ConnectError: the CRM is down.
        """
        if self.simulation.crm == "down":
            raise httpx.ConnectError("receiver dev simulates a CRM that is down", request=request)
        return self.crm_delay if self.simulation.crm == "slow" else 0.0

    def reporting(self, handler: Handler) -> Handler:
        """Return ``handler`` with reports, and with the delay that is simulated."""
        if is_async(handler):

            @functools.wraps(handler)
            async def reporting_async(call: Call) -> Any:
                with _reporting(call) as report:
                    await asyncio.sleep(self.simulation.slow)
                    return await self._detector.run(handler, call, report.blocked)

            return reporting_async

        @functools.wraps(handler)
        def reporting_plain(call: Call) -> Any:
            with _reporting(call):
                time.sleep(self.simulation.slow)
                return handler(call)

        return reporting_plain


@contextlib.contextmanager
def _reporting(call: Call) -> Iterator[ReportBuilder]:
    report = REPORT.get()
    assert report is not None  # noqa: S101 - the tracer set it
    report.begin(call)
    try:
        yield report
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:
        report.fail(error)
        raise


class Tracer:
    """Begins the report of each callback of ``action``; a `receiver.callbacks.observer.Tracer`."""

    def __init__(self, reporter: Reporter, action: Action, handler: str) -> None:
        self._reporter = reporter
        self._action = action
        self._handler = handler

    def begin(
        self, request: Request, arrived: float, authenticated: float, read: float
    ) -> ReportBuilder:
        """Begin the report of a callback that was read now; times are the event loop's."""
        _ = self._reporter.loop
        report = ReportBuilder(self._reporter, self._action, self._handler, read - arrived)
        REPORT.set(report)
        request_observer.OBSERVER.set(report)
        return report


def hiding(make: Callable[..., logging.LogRecord]) -> Callable[..., logging.LogRecord]:
    """Return a factory of log records that masks the log lines of sensitive callbacks.

    Parameters:
        make: the factory so far.
    """

    def make_hiding(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        report = REPORT.get()
        if report is None or not report.hides or _is_ours(record):  # which masks its records itself
            return record
        try:
            record.msg, record.args = report.hide(record.getMessage()), ()
        except Exception:  # its arguments do not fit; the log would show them
            record.msg, record.args = "(a message that cannot be formatted)", ()
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = describe(record.exc_info[1], with_text=False)
            record.exc_info = None
        return record

    return make_hiding


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in ("receiver", "uvicorn")


class LogCapture(logging.Handler):
    """Adds each log record to the report of its callback, except those of this package."""

    def emit(self, record: logging.LogRecord) -> None:
        report = REPORT.get()
        if report is not None and not _is_ours(record):
            try:
                report.log(record)
            except Exception:
                self.handleError(record)
