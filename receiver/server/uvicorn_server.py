"""uvicorn, configured for callbacks: as a service, or inside a running event loop.

Rule 1: the access log is off: it would contain query strings with callers' digits.
Rule 2: connections are those of `receiver.server.http`, where no proxy header is trusted.
Rule 3: a TLS handshake has no more time than the head of a request.
Rule 4: graceful shutdown: ``/ready`` fails first; then the server accepts no new connections,
        answers the open ones and the calls in progress, and shuts the app down. A second signal
        ends it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from itertools import islice
from types import FrameType
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from receiver.callbacks.request import STOPPING
from receiver.errors import ReceiverError
from receiver.server.accept import Acceptor
from receiver.server.blocked_loop import BlockedLoop
from receiver.server.connection_limit import Connections, Limits
from receiver.server.handover import Handover
from receiver.server.http import Http
from receiver.server.sockets import (
    BACKLOG,
    IS_POSIX,
    bind,
    close_in_children,
    take_descriptors,
    url_of,
)
from receiver.server.watchdog import Watchdog
from receiver.server.worker import GRACE_PERIOD

LINGER = 1.0
"""Seconds in which the request of a connection may arrive that was accepted just before a stop."""

ADVICE = (
    "\n  other callers get the fallback meanwhile; with --workers 2 the other worker would give "
    "them the right answer"
)

_POLL_INTERVAL = 0.02


class Server(uvicorn.Server):
    """A server with one listener that loses no call when it stops, and has a watchdog.

    Parameters:
        config: made by `configure`.
        tls: certificates, for TLS.
        watchdog: None for none.
        beside: runs in the event loop as long as the server does, from before it accepts.
        notice: seconds for which it continues to serve after a signal, while ``/ready`` fails.
        handover: to the other workers; None with a single worker.
        is_worker: whether a second signal is ignored, because the parent ends its workers.
        limits: of its connections.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        tls: ssl.SSLContext | None = None,
        watchdog: Watchdog | None = None,
        beside: Callable[[Server], Coroutine[None, None, None]] | None = None,
        notice: float = 0.0,
        handover: Handover | None = None,
        *,
        is_worker: bool = False,
        limits: Limits = Limits(),  # noqa: B008 - immutable
    ) -> None:
        super().__init__(config)
        self._is_worker = is_worker
        self._limits = limits
        self._watchdog = watchdog
        self._beside = beside
        self._notice = notice
        self._handover = handover
        self._blocked: BlockedLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._signals = 0
        self._acceptor: Acceptor | None = None
        self.connections: Connections | None = None
        self._tls: dict[str, Any] = {}
        if tls:  # uvicorn allows a minute
            times = ("ssl_handshake_timeout", "ssl_shutdown_timeout")
            self._tls = {"ssl": tls, **dict.fromkeys(times, limits.handshake_timeout)}

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().serve(sockets)
        finally:  # also if a handler ended the event loop or cancelled all tasks
            self._answer_open()
            self.stop_accepting()
            for connection in self._open():
                connection.transport.close()
            if self._watchdog:
                self._watchdog.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])  # of uvicorn only the app's lifespan
        if not self.started or not sockets:
            return
        state: dict[str, Any] = self.lifespan.state  # undocumented: the app's lifespan state
        state[STOPPING] = self._stopping
        if self._watchdog:
            self._watchdog.start()
        loop, limits = asyncio.get_running_loop(), self._limits
        connections = Connections(self.config, self.server_state, state, self._watchdog, limits)
        self.connections = connections
        connect = functools.partial(
            cast("Any", self.config.http),  # a class, see `configure`
            config=self.config,
            server_state=self.server_state,
            app_state=state,
            _loop=loop,
        )
        acceptor = self._acceptor = Acceptor(
            sockets[0],
            connect,
            self._tls,
            connections.is_full,
            handshake_time=limits.handshake_time,
        )
        if self._beside:  # its first step comes before a handler can block the event loop
            self._task = asyncio.create_task(self._beside(self))
            await asyncio.sleep(0)
        await acceptor.begin(connections.limit)
        connections.on_short = acceptor.save
        if self._watchdog and self._watchdog.handover and not self._tls and IS_POSIX:
            self._blocked = BlockedLoop(connections, acceptor, self._handover)
            self._watchdog.relieve = self._blocked
            self._watchdog.advice = "" if self._handover else ADVICE
            if self._handover:
                loop.add_reader(self._handover, self._blocked.adopt)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn would wait again for a second SIGTERM. An earlier stop by the parent does not
        # count: a signal to the whole group reaches this worker too, with calls in progress.
        super().handle_exit(sig, frame)
        self.force_exit = self._signals > 0 and not self._is_worker
        self._signals += 1

    def stop_accepting(self) -> None:
        """Accept no further connection."""
        if self._acceptor:
            self._acceptor.close()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        if self.connections:
            self.connections.is_stopping = True
        if self._signals:
            await self._wait(self._notice)
        self.stop_accepting()
        if self._acceptor:
            for connected in islice(self._acceptor.waiting(), BACKLOG):
                self._acceptor.make(connected)  # closing the listener would reset it
            self._acceptor.listener.close()  # a connection is refused, or another worker's
        # uvicorn closes connections without a request immediately, but a call may be arriving.
        await asyncio.sleep(0)
        if self._blocked:
            self._blocked.adopt()
        await self._wait(LINGER, lambda: not self._expects())
        await super().shutdown()
        if self._handover:  # until now a blocked worker may hand connections over
            asyncio.get_running_loop().remove_reader(self._handover)
        self._answer_open()
        if self._acceptor:
            await self._acceptor.wait_closed()
        if self._task:
            self._task.cancel()

    def _open(self) -> list[Http]:
        return list(self.connections.all) if self.connections else []

    def _answer_open(self) -> None:
        """Send the fallback to all callbacks without an answer."""
        for connection in self._open():
            connection.give_up()

    def _expects(self) -> bool:
        """Return whether a request may be arriving."""
        return (
            bool(self._acceptor and self._acceptor.expects)
            or bool(self.connections and self.connections.pending)
            or any(connection.expects() for connection in self._open())
        )

    async def _wait(self, most: float, enough: Callable[[], bool] = lambda: False) -> None:
        """Wait ``most`` seconds, until ``enough``, or until a second signal."""
        for _ in range(round(most / _POLL_INTERVAL)):
            if self.force_exit or enough():
                return
            await asyncio.sleep(_POLL_INTERVAL)


class _Inner(Server):
    """A server inside a running event loop, which handles no signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        with contextlib.suppress(SystemExit):  # uvicorn exits if the app did not start
            await super().serve(sockets)


def configure(
    app: ASGIApp,
    lifespan: str = "on",
    http: type[asyncio.Protocol] = Http,
    keep_alive: int = 5,
) -> uvicorn.Config:
    """Return uvicorn's configuration for ``app``; ``keep_alive`` in seconds, when idle."""
    return uvicorn.Config(
        app,
        http=http,
        ws="none",
        lifespan="on" if lifespan == "on" else "off",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_config=None,
        timeout_keep_alive=keep_alive,
        timeout_graceful_shutdown=GRACE_PERIOD,
    )


def serve_on(listener: socket.socket, server: Server) -> None:
    """Serve on ``listener`` until SIGINT or SIGTERM, in the main thread.

    Raises:
        ReceiverError: the app did not start.
    """
    take_descriptors()
    close_in_children(listener)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a stop is not a failure: status 0
    gc.freeze()  # imported objects stay: scanning them for garbage takes 10 to 40 ms
    try:
        server.run(sockets=[listener])
    except (KeyboardInterrupt, SystemExit) as end:  # uvicorn raises the signal again
        if isinstance(end, KeyboardInterrupt):
            return
    if not server.started:
        raise ReceiverError("the app did not start; the log above says why")


@asynccontextmanager
async def running(
    app: ASGIApp,
    *,
    lifespan: str = "on",
    http: type[asyncio.Protocol] = Http,
    tls: ssl.SSLContext | None = None,
    watchdog: Watchdog | None = None,
    port: int = 0,
    listener: socket.socket | None = None,
    limits: Limits = Limits(),  # noqa: B008 - immutable
) -> AsyncIterator[str]:
    """Serve ``app`` on a loopback port inside the running event loop; yield its URL.

    Parameters:
        port: 0 for a free one.
        listener: a bound socket, used instead of ``port``.
        limits: of its connections.

    Raises:
        SettingsError: the port is taken.
        ReceiverError: the app did not start.
    """
    with listener or bind("127.0.0.1", port, "--port") as bound:
        server = _Inner(configure(app, lifespan, http), tls, watchdog, limits=limits)
        task = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            while not server.started:
                if task.done():
                    raise ReceiverError("the app did not start; the log above says why")
                await asyncio.sleep(0.005)
            yield url_of(bound, tls=bool(tls))
        finally:
            server.should_exit = True
            await task
