"""uvicorn, set up for callbacks: on a port of one's choice for good, or on a free one for a while.

Rule 1: the access log is off, for it would write query strings: what callers keyed in.
Rule 2: h11 parses, for httptools puts the trailers of a chunked request among its headers, where
        they pass for credentials.
Rule 3: no header of a proxy is believed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from receiver.errors import ReceiverError, SettingsError

log = logging.getLogger("receiver")

BACKLOG = 2048
"""Connections that may wait: a PBX is likely to open one for each callback."""

GRACE = 5
"""Seconds that calls in hand have to end when the service stops."""


class _Quiet(uvicorn.Server):
    """A server that leaves the signals to whoever started it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        with contextlib.suppress(SystemExit):  # how uvicorn says that the app did not start
            await super().serve(sockets)


def configure(app: ASGIApp, lifespan: str = "on") -> uvicorn.Config:
    """uvicorn's configuration for ``app``."""
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="on" if lifespan == "on" else "off",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE,
    )


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one.

    Raises:
        SettingsError: the address is not one of this machine's, or is in use.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without the protocol's number asyncio does not switch Nagle's algorithm off on what is
    # accepted, and the second leg of digest waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise SettingsError(f"cannot listen on {host} port {port}: {error}") from None
    listener.set_inheritable(True)
    return listener


def serve(app: ASGIApp, host: str, port: int) -> None:
    """Serve ``app`` until SIGINT or SIGTERM.

    Raises:
        SettingsError: nothing can listen there.
        ReceiverError: the app did not start.
    """
    with bind(host, port) as listener:
        address = f"[{host}]" if ":" in host else host
        log.info("serving on http://%s:%d", address, listener.getsockname()[1])
        server = uvicorn.Server(configure(app))
        # The first is raised again after an orderly end, the second if the app did not start.
        with contextlib.suppress(KeyboardInterrupt, SystemExit):
            server.run(sockets=[listener])
        if not server.started:
            raise ReceiverError("the app did not start; the log above says why")


@asynccontextmanager
async def running(app: ASGIApp, *, lifespan: str = "on") -> AsyncIterator[str]:
    """Serve ``app`` on a free loopback port inside the running event loop; gives its URL."""
    with bind("127.0.0.1", 0) as listener:
        server = _Quiet(configure(app, lifespan))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started:
                if task.done():
                    raise ReceiverError("the app did not start; the log above says why")
                await asyncio.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
