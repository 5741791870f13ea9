"""OpenTelemetry spans of authenticated callbacks.

Rule 1: no attribute contains caller data: no digits, numbers, names, no query string, no text of an
        exception.
Rule 2: names and attributes are those of OpenTelemetry's semantic conventions for HTTP servers;
        others begin with ``receiver.``. The server is the one of the public URL,
        never the Host header, which the client writes. An answer has status 200; if it is a
        fallback, ``error.type`` is the reason.
Rule 3: a ``traceparent`` is continued only if it comes from an allowed source
        (``RECEIVER_ALLOWED_SOURCES``); other clients begin a new trace. Baggage is never read.
Rule 4: a refused request has no span, so that no client can flood the tracing.
Rule 5: the span of the handler is the current one while it runs, so that the spans of its requests
        are children of it.

Without the extra ``otel`` and ``RECEIVER_TRACING`` none of this is imported.
"""

from __future__ import annotations

import time
from contextvars import Token
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from receiver.auth.client_address import Sources
from receiver.callbacks.request import Request
from receiver.declarations.actions import Action
from receiver.observability.callback_record import Record

_PORTS = {"http": 80, "https": 443}
_NEW = Context()
_READER = TraceContextTextMapPropagator()


@dataclass(frozen=True, slots=True)
class Trace:
    """The spans of one callback."""

    whole: Span
    handler: Span
    token: Token[Context]
    offset: float  # from the event loop's seconds to those since the epoch

    def leave(self) -> None:
        """Leave the context of the handler, which has a copy if it waits."""
        context.detach(self.token)

    def end(self, record: Record, handled: float) -> None:
        """End the spans, with the result.

        Parameters:
            record: of the callback.
            handled: when the decision was made, in the event loop's time.
        """
        self.handler.end(_ns(handled + self.offset))
        self.whole.set_attribute("receiver.decision", record.decision)
        self.whole.set_attribute("receiver.reason", record.reason)
        self.whole.set_attribute("receiver.budget_share", record.share)
        self.whole.set_attribute("http.response.status_code", 200)
        if record.reason != "handled":
            self.whole.set_attribute("error.type", record.reason)
            self.whole.set_status(Status(StatusCode.ERROR, record.reason))
        self.whole.end()


class Tracer:
    """Traces the callbacks of one action.

    Parameters:
        action: the declared action.
        sources: whose ``traceparent`` is continued.
        public_url: of the service, as the PBX has it; empty if it is not configured.
        tracer: makes the spans; by default that of the global provider.
    """

    def __init__(
        self,
        action: Action,
        sources: Sources,
        public_url: str,
        tracer: trace.Tracer | None = None,
    ) -> None:
        self._tracer = tracer or trace.get_tracer("receiver")
        self._sources = sources
        url = urlsplit(public_url)
        route = url.path + action.path
        self._name = f"{action.method} {route}"
        self._attributes: dict[str, str | int] = {
            "http.request.method": action.method,
            "http.route": route,
            "url.path": route,
            "url.scheme": url.scheme or "http",
            **_server(url),
            "receiver.action": action.identity,
            "receiver.pbx": action.pbx,
            "receiver.kind": action.kind,
        }

    def begin(self, request: Request, arrived: float, authenticated: float, read: float) -> Trace:
        """Begin the spans of a callback, with the stages that have ended.

        Parameters:
            arrived, authenticated, read: when it arrived, was authenticated and was read; the event
                loop's time, of which ``read`` is now.
        """
        offset = time.time() - read
        whole = self._tracer.start_span(
            self._name,
            self._parent(request),
            SpanKind.SERVER,
            self._attributes,
            start_time=_ns(arrived + offset),
        )
        inside = trace.set_span_in_context(whole, _NEW)
        for name, start, end in (
            ("authentication", arrived, authenticated),
            ("body", authenticated, read),
        ):
            span = self._tracer.start_span(name, inside, start_time=_ns(start + offset))
            span.end(_ns(end + offset))
        handler = self._tracer.start_span("handler", inside, start_time=_ns(read + offset))
        token = context.attach(trace.set_span_in_context(handler))
        return Trace(whole, handler, token, offset)

    def _parent(self, request: Request) -> Context:
        parents = request.all(b"traceparent")
        if len(parents) != 1:
            return _NEW
        source = self._sources.find(request.client, request.headers, request.server)
        if not self._sources.lists(source):
            return _NEW
        return _READER.extract({"traceparent": parents[0]}, _NEW)


def _server(url: SplitResult) -> dict[str, str | int]:
    if not url.hostname:
        return {}
    return {"server.address": url.hostname, "server.port": url.port or _PORTS[url.scheme]}


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
