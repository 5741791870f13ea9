"""Requests to other services, such as a CRM, during a call.

- `http_client`: `Client`, whose requests end before the call's deadline; `requests`, what it sends
- `lookup`: `Lookup`, a cache with refresh that can be started ahead
- `reload`: `Reloading`, for files and tables that change
- `circuit_breaker`, `decompression`: protection against failing hosts and large bodies
- `request_observer`, `request_log`, `interception`: for ``receiver dev``, recordings and replay
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from receiver.errors import CircuitOpen, UpstreamError, UpstreamLate, UpstreamRefused
    from receiver.upstream.http_client import Answer, Client
    from receiver.upstream.lookup import Lookup
    from receiver.upstream.reload import Reloading, stamp

__all__ = [
    "Answer",
    "CircuitOpen",
    "Client",
    "Lookup",
    "Reloading",
    "UpstreamError",
    "UpstreamLate",
    "UpstreamRefused",
    "stamp",
]

_MODULES = {
    "Answer": "receiver.upstream.http_client",
    "CircuitOpen": "receiver.errors",
    "Client": "receiver.upstream.http_client",
    "Lookup": "receiver.upstream.lookup",
    "Reloading": "receiver.upstream.reload",
    "UpstreamError": "receiver.errors",
    "UpstreamLate": "receiver.errors",
    "UpstreamRefused": "receiver.errors",
    "stamp": "receiver.upstream.reload",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: an app without HTTP requests does not load httpx."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
