"""Spans, through the app."""

from collections.abc import Iterator
from functools import partial
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from receiver import Call, Forward, Hangup, Reply, Settings, SettingsError, app
from receiver.telemetry.tracing import Tracer
from tests.support import FIELDS, QUERY, SECRET, make_app

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRUSTED = (ip_network("127.0.0.0/8"),)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    monkeypatch.setattr(app, "tracer", lambda: partial(Tracer, tracer=tracer))
    yield exporter
    provider.shutdown()


async def call(handler: Any, *, headers: dict[str, str] | None = None, **settings: Any) -> None:
    made = make_app(handler, Settings(secret=SECRET, tracing=True, **settings))
    transport = httpx.ASGITransport(made)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        await http.get(f"/action/888/get-open?{QUERY}", headers=headers)


def by_name(spans: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans.get_finished_spans()}


async def test_a_span_a_callback_with_its_stages_below(spans: InMemorySpanExporter) -> None:
    seen: list[trace.SpanContext] = []

    async def handler(_: Call) -> Reply:
        seen.append(trace.get_current_span().get_span_context())
        return Forward("222")

    await call(handler)
    found = by_name(spans)
    assert set(found) == {"callback 888/get-open", "authentication", "body", "handler"}
    whole = found.pop("callback 888/get-open")
    assert whole.parent is None
    attributes = dict(whole.attributes or {})
    assert 0 < attributes.pop("receiver.budget_share") < 1  # type: ignore[operator]
    assert attributes == {
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


async def test_nothing_of_the_caller_is_in_a_span(spans: InMemorySpanExporter) -> None:
    async def handler(given: Call) -> Reply:
        raise LookupError(f"{given.digits} {given.caller} {given.session_id}")

    await call(handler, log_caller_data=True)
    whole = by_name(spans)["callback 888/get-open"]
    assert whole.status.status_code is trace.StatusCode.ERROR
    told = " ".join(span.to_json() for span in spans.get_finished_spans() if span.attributes)
    for hidden in (FIELDS["session_id"], "Jason", '"101"', '"22"', "LookupError", "input"):
        assert hidden not in told
    assert not whole.events


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
    allowed: Any, sent: str, followed: bool, spans: InMemorySpanExporter
) -> None:
    async def handler(_: Call) -> Reply:
        return Hangup()

    await call(handler, headers={"traceparent": sent}, allowed_sources=allowed)
    whole = by_name(spans)["callback 888/get-open"]
    assert whole.context is not None
    assert (whole.context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C) is followed
    assert (whole.parent is not None) is followed


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "receiver.telemetry.tracing", None)
    monkeypatch.delattr("receiver.telemetry.tracing", raising=False)
    with pytest.raises(SettingsError, match=r"portsip-receiver\[otel\]"):
        _ = make_app(lambda _: Hangup(), Settings(secret=SECRET, tracing=True)).starlette
