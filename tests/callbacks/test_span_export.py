"""The export of spans: the variables of OpenTelemetry, and a collector that reads them."""

import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from receiver import SettingsError
from receiver.callbacks.span_export import exporter_names, make_provider


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({}, ["otlp_proto_http"]),
        ({"OTEL_TRACES_EXPORTER": ""}, ["otlp_proto_http"]),
        ({"OTEL_TRACES_EXPORTER": "none"}, []),
        ({"OTEL_TRACES_EXPORTER": "otlp, console"}, ["otlp_proto_http", "console"]),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ["otlp_proto_grpc"]),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, ["otlp_proto_http"]),
        (
            {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            },
            ["otlp_proto_http"],
        ),
    ],
)
def test_the_exporters_are_those_of_the_variables(
    environ: Mapping[str, str], names: list[str]
) -> None:
    assert exporter_names(environ) == names


def test_an_unknown_protocol_is_an_error() -> None:
    with pytest.raises(SettingsError, match="OTLP_PROTOCOL is 'http/json': supported are"):
        exporter_names({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})


@pytest.mark.parametrize(
    ("variable", "value", "package"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "opentelemetry-exporter-otlp-proto-grpc"),
        ("OTEL_TRACES_EXPORTER", "elsewhere", "the package that provides it"),
    ],
)
def test_an_exporter_that_is_not_installed_is_an_error(
    variable: str, value: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=package):
        make_provider()


def test_an_exporter_that_cannot_be_imported_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingsError, match=r"portsip-receiver\[otel\]"):
        make_provider()


class Collector(HTTPServer):
    """An OTLP collector on the loopback interface."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.paths: list[str] = []
        self.received: list[ExportTraceServiceRequest] = []


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.paths.append(self.path)
        self.server.received.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{made.server_address[1]}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        yield made
        made.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("environ", "service", "zone"),
    [
        ({}, "portsip-receiver", ""),
        ({"OTEL_SERVICE_NAME": "calls"}, "calls", ""),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=ivr,zone=a"}, "ivr", "a"),
        (
            {"OTEL_SERVICE_NAME": "calls", "OTEL_RESOURCE_ATTRIBUTES": "service.name=ivr,zone=a"},
            "calls",
            "a",
        ),
    ],
)
def test_a_collector_gets_the_spans_and_the_resource(
    environ: Mapping[str, str],
    service: str,
    zone: str,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    provider = make_provider()
    provider.get_tracer("test").start_span("callback").end()
    provider.shutdown()
    assert collector.paths == ["/v1/traces"]
    (spans,) = collector.received[0].resource_spans
    found = {one.key: one.value.string_value for one in spans.resource.attributes}
    assert (found["service.name"], found.get("zone", "")) == (service, zone)
    assert spans.scope_spans[0].spans[0].name == "callback"
