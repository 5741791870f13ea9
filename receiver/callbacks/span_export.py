"""The exporters of spans, configured by the ``OTEL_*`` variables of OpenTelemetry.

Rule 1: a provider that the app has set up is kept.
Rule 2: ``OTEL_TRACES_EXPORTER`` names the exporters, by default ``otlp``, whose protocol is that of
        ``OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`` or ``OTEL_EXPORTER_OTLP_PROTOCOL``. They are found as
        OpenTelemetry finds them: by entry points. Endpoint, headers, sampler and limits are read by
        its SDK.
Rule 3: the service's name is that of ``OTEL_SERVICE_NAME`` or ``OTEL_RESOURCE_ATTRIBUTES``, else
        `SERVICE`.

Rule 4: when the service stops, the last spans are exported within `EXPORT_TIME`, or dropped.

Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from receiver.errors import SettingsError

SERVICE = "portsip-receiver"

EXPORT_TIME = 1.0
"""Seconds that the export of the last spans may take when the service stops."""

log = logging.getLogger("receiver")

_PROVIDED: list[TracerProvider] = []
_GROUP = "opentelemetry_traces_exporter"
_UNNAMED = "unknown_service"  # the SDK's name of a service without one
_PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_PACKAGES = {
    "otlp_proto_http": "'portsip-receiver[otel]'",
    "otlp_proto_grpc": "opentelemetry-exporter-otlp-proto-grpc",
}


def provide() -> None:
    """Set up the export of spans by the variables, unless the app has set up a provider.

    Raises:
        SettingsError: see `make_provider`.
    """
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        provider = make_provider()
        trace.set_tracer_provider(provider)
        atexit.register(provider.shutdown)  # for an app that gets no lifespan events
        _PROVIDED.append(provider)


async def export_rest(
    limit: float = EXPORT_TIME, *, providers: Iterable[TracerProvider] = _PROVIDED
) -> None:
    """Export the last spans within ``limit`` seconds; drop them if the collector does not answer.

    Parameters:
        limit: for each provider.
        providers: by default the one that `provide` has set up.

    The provider's own `shutdown` would retry for half a minute, after the event loop has ended, and
    the parent would kill the worker.
    """
    for provider in providers:
        await _export(provider, limit)


async def _export(provider: TracerProvider, limit: float) -> None:
    thread = threading.Thread(target=provider.force_flush, name="receiver-spans", daemon=True)
    thread.start()
    await asyncio.to_thread(thread.join, limit)
    if thread.is_alive():
        atexit.unregister(provider.shutdown)
        log.warning("the last spans were dropped: the OTLP endpoint did not answer in %g s", limit)


def make_provider() -> TracerProvider:
    """Return a provider with the exporters that the variables name.

    Raises:
        SettingsError: an exporter is unknown or not installed.
    """
    exporters = [_exporter(name) for name in exporter_names(os.environ)]
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith(_UNNAMED):
        resource = resource.merge(Resource({SERVICE_NAME: SERVICE}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def exporter_names(environ: Mapping[str, str]) -> list[str]:
    """Return the names of the exporters' entry points.

    Parameters:
        environ: the variables; an empty one counts as none.

    Raises:
        SettingsError: the protocol is not one that OpenTelemetry has in Python.
    """
    given = environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    names = [name.strip() for name in given.split(",")]
    return [_otlp(environ) if name == "otlp" else name for name in names if name != "none"]


def _otlp(environ: Mapping[str, str]) -> str:
    for variable in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if protocol := environ.get(variable, "").strip():
            if protocol not in _PROTOCOLS:
                known = " and ".join(_PROTOCOLS)
                raise SettingsError(f"{variable} is {protocol!r}: supported are {known}")
            return _PROTOCOLS[protocol]
    return _PROTOCOLS["http/protobuf"]


def _exporter(name: str) -> SpanExporter:
    exporters = list(entry_points(group=_GROUP, name=name))
    package = _PACKAGES.get(name, "the package that provides it")
    if not exporters:
        raise SettingsError(
            f"RECEIVER_TRACING is set, but no exporter {name!r} is installed: pip install {package}"
        )
    try:
        made: SpanExporter = exporters[0].load()()
    except ImportError as error:
        raise SettingsError(
            f"the exporter {name!r} cannot be imported ({error}): pip install {package}"
        ) from None
    return made
