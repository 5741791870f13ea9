"""uvicorn, set up for callbacks: on a port of one's choice for good, or on a free one for a while.

Rule 1: the access log is off, for it would write query strings: what callers keyed in.
Rule 2: connections are those of ``receiver.connections``: slow senders are cut off, and trailers
        are no headers, whichever parser reads them.
Rule 3: no header of a proxy is believed.
Rule 4: TLS is 1.2 or newer, with Python's own choice of ciphers, and does not wait for a slow
        handshake either.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from receiver.connections import HEAD_TIME, Fastest
from receiver.errors import ReceiverError, SettingsError
from receiver.framing import HEAD_LIMIT

log = logging.getLogger("receiver")

BACKLOG = 2048
"""Connections that may wait: a PBX is likely to open one for each callback."""

GRACE = 5
"""Seconds that calls in hand have to end when the service stops."""


class _Server(uvicorn.Server):
    """A server that leaves a TLS handshake no more time than a head; uvicorn allows a minute."""

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None) -> None:
        super().__init__(config)
        self._tls: dict[str, Any] = {}
        if tls:
            self._tls = {"ssl": tls}
            self._tls |= dict.fromkeys(("ssl_handshake_timeout", "ssl_shutdown_timeout"), HEAD_TIME)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise SystemExit(3)  # as uvicorn says it
        protocol: Any = self.config.http_protocol_class
        connect = functools.partial(
            protocol,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(connect, sock=listener, backlog=BACKLOG, **self._tls)
            for listener in sockets or ()
        ]
        self.started = True


class _Quiet(_Server):
    """A server that leaves the signals to whoever started it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        with contextlib.suppress(SystemExit):  # how uvicorn says that the app did not start
            await super().serve(sockets)


def configure(
    app: ASGIApp, lifespan: str = "on", http: type[asyncio.Protocol] = Fastest
) -> uvicorn.Config:
    """uvicorn's configuration for ``app``, whose connections are read by ``http``."""
    return uvicorn.Config(
        app,
        http=http,
        ws="none",
        lifespan="on" if lifespan == "on" else "off",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE,
        h11_max_incomplete_event_size=HEAD_LIMIT,
    )


def secured(certfile: Path, keyfile: Path | None = None) -> ssl.SSLContext:
    """TLS with a certificate chain and its key, in PEM; the key may be in the same file.

    Raises:
        SettingsError: a file cannot be read or is no PEM, or the key is encrypted or another's.
    """
    keyfile = keyfile or certfile
    for path, what, label in (
        (certfile, "certificate", b"-----BEGIN CERTIFICATE-----"),
        (keyfile, "private key", b"PRIVATE KEY-----"),
    ):
        try:
            found = label in path.read_bytes()
        except OSError as error:
            raise SettingsError(f"cannot read {path}: {error.strerror}") from None
        if not found:
            raise SettingsError(f"{path} has no {what} in PEM")

    def encrypted() -> str:
        raise SettingsError(
            f"the key in {keyfile} is encrypted, which is not taken: write a plain one, readable "
            "by the service alone, with: openssl pkey -in KEY -out PLAIN"
        )

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(certfile, keyfile, encrypted)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise SettingsError(f"the key in {keyfile} is not that of {certfile}") from None
        raise SettingsError(
            f"{certfile} and {keyfile} cannot be used: {error.reason or 'broken PEM'}"
        ) from None
    return context


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


def serve(app: ASGIApp, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
    """Serve ``app`` until SIGINT or SIGTERM.

    Raises:
        SettingsError: nothing can listen there.
        ReceiverError: the app did not start.
    """
    with bind(host, port) as listener:
        log.info("serving on %s", _url(listener, tls, host))
        server = _Server(configure(app), tls)
        # The first is raised again after an orderly end, the second if the app did not start.
        with contextlib.suppress(KeyboardInterrupt, SystemExit):
            server.run(sockets=[listener])
        if not server.started:
            raise ReceiverError("the app did not start; the log above says why")


@asynccontextmanager
async def running(
    app: ASGIApp,
    *,
    lifespan: str = "on",
    http: type[asyncio.Protocol] = Fastest,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[str]:
    """Serve ``app`` on a free loopback port inside the running event loop; gives its URL."""
    with bind("127.0.0.1", 0) as listener:
        server = _Quiet(configure(app, lifespan, http), tls)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started:
                if task.done():
                    raise ReceiverError("the app did not start; the log above says why")
                await asyncio.sleep(0.005)
            yield _url(listener, tls)
        finally:
            server.should_exit = True
            await task


def _url(listener: socket.socket, tls: ssl.SSLContext | None, host: str = "127.0.0.1") -> str:
    address = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{address}:{listener.getsockname()[1]}"
