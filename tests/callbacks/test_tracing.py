"""Spans, through the app."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExportResult,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from receiver import Call, Forward, Hangup, Receiver, Reply, Settings, SettingsError
from receiver.assembly import MakeTracer
from receiver.callbacks import span_export
from receiver.callbacks.tracing import Tracer
from receiver.server.uvicorn_server import running
from tests.support import FIELDS, QUERY, SECRET, make_app, make_ivr

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NAME = "GET /action/888/get-open"
TRUSTED = (ip_network("127.0.0.0/8"),)


class Spans(InMemorySpanExporter):
    """The spans of the apps that it makes."""

    def __init__(self) -> None:
        super().__init__()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self))

    def make_app(self, handler: Any, **settings: Any) -> Receiver:
        tracer = self.provider.get_tracer("test")

        class Traced(Receiver):
            def _make_tracer(self, settings: Settings) -> MakeTracer:
                return partial(Tracer, tracer=tracer)

        return Traced(make_ivr(handler), settings=Settings(secret=SECRET, **settings))

    async def call(
        self, handler: Any, *, headers: dict[str, str] | None = None, **settings: Any
    ) -> None:
        transport = httpx.ASGITransport(self.make_app(handler, **settings))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            await http.get(f"/action/888/get-open?{QUERY}", headers=headers)

    def by_name(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.get_finished_spans()}


@pytest.fixture
def spans() -> Iterator[Spans]:
    made = Spans()
    yield made
    made.provider.shutdown()


async def test_a_span_a_callback_with_its_stages_below(spans: Spans) -> None:
    seen: list[trace.SpanContext] = []

    async def handler(_: Call) -> Reply:
        seen.append(trace.get_current_span().get_span_context())
        return Forward("222")

    await spans.call(handler)
    found = spans.by_name()
    assert set(found) == {NAME, "authentication", "body", "handler"}
    whole = found.pop(NAME)
    assert whole.parent is None
    attributes = dict(whole.attributes or {})
    assert 0 < attributes.pop("receiver.budget_share") < 1  # type: ignore[operator]
    assert attributes == {
        "http.request.method": "GET",
        "http.route": "/action/888/get-open",
        "http.response.status_code": 200,
        "url.path": "/action/888/get-open",
        "url.scheme": "http",
        "receiver.action": "888/get-open",
        "receiver.pbx": "",
        "receiver.kind": "DTMF",
        "receiver.decision": "call",
        "receiver.reason": "handled",
    }
    assert whole.start_time is not None
    assert whole.end_time is not None
    for span in found.values():
        assert span.parent == whole.context
        assert span.start_time is not None
        assert span.end_time is not None
        assert whole.start_time <= span.start_time <= span.end_time <= whole.end_time
    assert seen == [found["handler"].context]
    assert not trace.get_current_span().get_span_context().is_valid


async def test_a_handler_that_waits_keeps_its_span(
    spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    """On a connection its answer is sent from another context than the one in which it began."""
    seen: list[trace.SpanContext] = []

    async def handler(_: Call) -> Reply:
        await asyncio.sleep(0.001)
        seen.append(trace.get_current_span().get_span_context())
        return Forward("222")

    async with running(spans.make_app(handler)) as url, httpx.AsyncClient() as http:
        await http.get(f"{url}/action/888/get-open?{QUERY}")
    assert seen == [spans.by_name()["handler"].context]
    assert not [one for one in caplog.messages if "detach" in one]


async def test_nothing_of_the_caller_is_in_a_span(spans: Spans) -> None:
    async def handler(given: Call) -> Reply:
        raise LookupError(f"{given.digits} {given.caller} {given.session_id}")

    await spans.call(handler, log_caller_data=True)
    whole = spans.by_name()[NAME]
    assert whole.status.status_code is trace.StatusCode.ERROR
    assert dict(whole.attributes or {})["error.type"] == "raised"
    exported = " ".join(span.to_json() for span in spans.get_finished_spans() if span.attributes)
    for hidden in (FIELDS["session_id"], "Jason", '"101"', '"22"', "LookupError", "input"):
        assert hidden not in exported
    assert not whole.events


@pytest.mark.parametrize(
    ("public_url", "route", "server"),
    [
        ("https://ivr.example.com/calls", "/calls/action/888/get-open", ("ivr.example.com", 443)),
        ("http://192.0.2.1:8000", "/action/888/get-open", ("192.0.2.1", 8000)),
        ("http://[2001:db8::1]", "/action/888/get-open", ("2001:db8::1", 80)),
    ],
)
async def test_the_server_is_the_one_of_the_public_url(
    public_url: str, route: str, server: tuple[str, int], spans: Spans
) -> None:
    async def handler(_: Call) -> Reply:
        return Hangup()

    await spans.call(handler, public_url=public_url, headers={"Host": "evil.example"})
    found = dict(spans.by_name()[f"GET {route}"].attributes or {})
    assert (found["server.address"], found["server.port"]) == server
    assert found["http.route"] == found["url.path"] == route
    assert found["url.scheme"] == public_url.partition(":")[0]


@pytest.mark.parametrize(
    ("allowed", "sent", "followed"),
    [
        (TRUSTED, PARENT, True),
        ((), PARENT, False),
        (TRUSTED, "00-nonsense", False),
        (TRUSTED, f"{PARENT}, {PARENT}", False),
    ],
)
async def test_a_traceparent_is_followed_from_allowed_sources_only(
    allowed: Any, sent: str, followed: bool, spans: Spans
) -> None:
    async def handler(_: Call) -> Reply:
        return Hangup()

    await spans.call(handler, headers={"traceparent": sent}, allowed_sources=allowed)
    whole = spans.by_name()[NAME]
    assert whole.context is not None
    assert (whole.context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C) is followed
    assert (whole.parent is not None) is followed


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "receiver.callbacks.tracing", None)
    monkeypatch.delattr("receiver.callbacks.tracing", raising=False)
    with pytest.raises(SettingsError, match=r"portsip-receiver\[otel\]"):
        _ = make_app(lambda _: Hangup(), Settings(secret=SECRET, tracing=True)).starlette


@pytest.mark.parametrize("answers", [True, False])
async def test_the_last_spans_are_exported_within_a_limit(
    answers: bool, caplog: pytest.LogCaptureFixture
) -> None:
    go, provider, exporter = threading.Event(), TracerProvider(), InMemorySpanExporter()
    if answers:
        go.set()

    class Endpoint(InMemorySpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            go.wait(60)
            return exporter.export(spans)

    provider.add_span_processor(BatchSpanProcessor(Endpoint()))
    provider.get_tracer("test").start_span("last").end()
    await span_export.export_rest(20 if answers else 0.05, providers=[provider])
    assert [span.name for span in exporter.get_finished_spans()] == ["last"] * answers
    assert ("the last spans were dropped" in caplog.text) is not answers
    go.set()
    provider.shutdown()
