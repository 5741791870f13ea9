"""A span of OpenTelemetry for each callback that was let in.

Rule 1: nothing of the caller is in any attribute: no digits, numbers, names, no query string, no
        text of an exception.
Rule 2: a ``traceparent`` that was sent is gone on with only if it comes from an allowed source
        (``RECEIVER_ALLOWED_SOURCES``); everybody else begins a new trace. Baggage is never read.
Rule 3: who is turned away leaves no span, so that no stranger can flood the tracing.
Rule 4: the span of the handler is the current one while it runs, so that what it asks others, if
        that is traced too, stands below it.

Without the extra ``otel`` and ``RECEIVER_TRACING`` none of this is imported.
"""

from __future__ import annotations

import os
import time
from contextvars import Token
from dataclasses import dataclass

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Scope

from receiver.actions import Action
from receiver.auth.sources import Sources
from receiver.telemetry.records import Record

_NEW = Context()
_READER = TraceContextTextMapPropagator()


@dataclass(frozen=True, slots=True)
class Trace:
    """The spans of one callback that is being answered."""

    whole: Span
    handler: Span
    token: Token[Context]
    offset: float  # from the event loop's seconds to those since the epoch

    def end(self, record: Record, handled: float) -> None:
        """Write down what came out.

        Parameters:
            record: of the callback.
            handled: when the decision was made, in the event loop's time.
        """
        context.detach(self.token)
        self.handler.end(_ns(handled + self.offset))
        self.whole.set_attribute("receiver.decision", record.decision)
        self.whole.set_attribute("receiver.reason", record.reason)
        self.whole.set_attribute("receiver.budget_share", record.share)
        if record.reason != "handled":
            self.whole.set_status(Status(StatusCode.ERROR, record.reason))
        self.whole.end()


class Tracer:
    """Traces the callbacks of one action.

    Parameters:
        action: which.
        sources: whose ``traceparent`` is believed.
        tracer: makes the spans; by default that of the global provider.
    """

    def __init__(
        self, action: Action, sources: Sources, tracer: trace.Tracer | None = None
    ) -> None:
        self._tracer = tracer or trace.get_tracer("receiver")
        self._sources = sources
        self._name = f"callback {action.identity}"
        self._attributes = {
            "receiver.action": action.identity,
            "receiver.pbx": action.pbx,
            "receiver.kind": action.kind,
        }

    def begin(self, scope: Scope, arrived: float, admitted: float, read: float) -> Trace:
        """Begin the spans of a callback, with what lies behind it.

        Parameters:
            arrived, admitted, read: when it came, was let in and was read whole; the event loop's
                time, of which ``read`` is now.
        """
        offset = time.time() - read
        whole = self._tracer.start_span(
            self._name,
            self._parent(scope),
            SpanKind.SERVER,
            self._attributes,
            start_time=_ns(arrived + offset),
        )
        inside = trace.set_span_in_context(whole, _NEW)
        for name, start, end in (("authentication", arrived, admitted), ("body", admitted, read)):
            span = self._tracer.start_span(name, inside, start_time=_ns(start + offset))
            span.end(_ns(end + offset))
        handler = self._tracer.start_span("handler", inside, start_time=_ns(read + offset))
        token = context.attach(trace.set_span_in_context(handler))
        return Trace(whole, handler, token, offset)

    def _parent(self, scope: Scope) -> Context:
        found = [value for key, value in scope["headers"] if key == b"traceparent"]
        if len(found) != 1:
            return _NEW
        source = self._sources.find(scope.get("client"), scope["headers"])
        if not self._sources.lists(source):
            return _NEW
        return _READER.extract({"traceparent": found[0].decode("latin-1")}, _NEW)


def provide() -> None:
    """Send spans over OTLP, as the ``OTEL_*`` variables say, unless the app set up a provider.

    Raises:
        ImportError: the extra ``otel`` is not installed.
    """
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - slow
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    name = os.environ.get("OTEL_SERVICE_NAME", "portsip-receiver")
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
