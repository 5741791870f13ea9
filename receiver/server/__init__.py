"""The HTTP server.

`http`, on `request_parser`, is one connection (``--http receiver.server:Http``), `exchange` and
`asgi_cycle` one request on it. `uvicorn_server` serves, with `accept` and `connection_limit`;
`watchdog`, `blocked_loop` and `handover` answer while the event loop is blocked; `supervisor` and
`worker` are several processes on one port.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from receiver.server.http import Http as Http


def __getattr__(name: str) -> Any:
    """Import `Http` on its first use; no other module needs it."""
    if name == "Http":
        from receiver.server.http import Http  # noqa: PLC0415 - see above

        return Http
    raise AttributeError(name)
