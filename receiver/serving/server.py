"""uvicorn, set up for callbacks: on a port of one's choice for good, or on a free one for a while.

Rule 1: the access log is off, for it would write query strings: what callers keyed in.
Rule 2: connections are those of ``receiver.serving.connections``: slow senders are cut off, and
        trailers are no headers, whichever parser reads them.
Rule 3: no header of a proxy is believed.
Rule 4: TLS does not wait for a slow handshake either.
Rule 5: who is told to stop says so first (``/ready``), takes no new connections, answers those that
        are open and the calls in hand, and then lets the app close what it has. The second time it
        is told, it goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from receiver.errors import ReceiverError
from receiver.operators.health import STOPPING
from receiver.serving.accepting import Acceptor
from receiver.serving.connections import Fastest
from receiver.serving.framing import HEAD_LIMIT
from receiver.serving.listening import bind, most_connections, take_descriptors, url_of
from receiver.serving.passing import Passage
from receiver.serving.room import Watched
from receiver.serving.timed import HEAD_TIME
from receiver.serving.watchdog import Watchdog
from receiver.telemetry.seldom import Seldom

log = logging.getLogger("receiver")

GRACE = 5
"""Seconds that calls in hand have to end when the service stops."""


LINGER = 1.0
"""Seconds for a request on a connection that was accepted just before the service stops."""

_STEP = 0.02
_ON_THE_WAY = 16  # connections above the most, for which there are descriptors, too


class Server(uvicorn.Server):
    """A server that loses no call when it stops, and has a watchdog.

    It leaves a TLS handshake no more time than a head; uvicorn allows a minute.

    Parameters:
        config: made by `configure`.
        tls: certificates, if TLS is spoken.
        watchdog: stands by; None for none.
        beside: runs in the loop as long as the server does.
        notice: seconds for which it serves on after a signal, while it says that it is not ready.
        passage: to the other workers, if there are such.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        tls: ssl.SSLContext | None = None,
        watchdog: Watchdog | None = None,
        beside: Callable[[Server], Coroutine[None, None, None]] | None = None,
        notice: float = 0.0,
        passage: Passage | None = None,
    ) -> None:
        super().__init__(config)
        self.server_state: Watched = Watched(watchdog, most_connections())
        self._watchdog = watchdog
        self._beside = beside
        self._notice = notice
        self._passage = passage
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._acceptors: list[Acceptor] = []
        self._tls: dict[str, Any] = {}
        if tls:
            self._tls = {"ssl": tls}
            self._tls |= dict.fromkeys(("ssl_handshake_timeout", "ssl_shutdown_timeout"), HEAD_TIME)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise SystemExit(3)  # as uvicorn says it
        self.lifespan.state[STOPPING] = self._stopping
        if self._watchdog:
            self._watchdog.start()
        protocol: Any = self.config.http_protocol_class
        connect = functools.partial(
            protocol,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        self._acceptors = [
            Acceptor(listener, connect, self._tls, self._full) for listener in sockets or ()
        ]
        self.servers = cast("list[asyncio.base_events.Server]", self._acceptors)
        if self._passage and self._watchdog and not self._tls:
            reader = functools.partial(self._acceptors[0].adopt, self._passage)
            asyncio.get_running_loop().add_reader(self._passage, reader)
            self._watchdog.hand_over = functools.partial(self._hand_over, self._passage)
        self.started = True
        if self._beside:
            self._task = asyncio.create_task(self._beside(self))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn would wait again for a second SIGTERM. A parent that said so before, or is gone,
        # counts for nothing: the signal for all comes to who has calls in hand, too.
        told = bool(self._captured_signals)
        super().handle_exit(sig, frame)
        self.force_exit = told

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        self.server_state.stopping = True
        if self._captured_signals:
            await self._wait(self._notice)
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()  # who comes now is refused, or is another worker's
        if self._passage:
            asyncio.get_running_loop().remove_reader(self._passage)
        # uvicorn closes at once what it has read nothing from: there a call may be on its way.
        await asyncio.sleep(0)
        await self._wait(LINGER, lambda: not self._expects())
        await super().shutdown(sockets)
        if self._task:
            self._task.cancel()
        if self._watchdog:
            self._watchdog.close()

    def _full(self, making: int) -> bool:
        """Whether who comes has to wait, while so many were accepted and are not made yet.

        Where a silent connection could make room, it does so once another is made; but handshakes
        may never come to that, and so are counted.
        """
        state = self.server_state
        return state.full(making) or len(state.connections) + making >= state.most + _ON_THE_WAY

    def _hand_over(self, passage: Passage) -> int:
        """Pass on what the app has not begun with; how many. For the watchdog's thread."""
        handed = 0
        for connection in list(self.server_state.connections):
            with self._watchdog.writing if self._watchdog else contextlib.nullcontext():
                handed += connection.hand_over(passage)  # type: ignore[union-attr]
        return handed + sum(acceptor.hand_over(passage) for acceptor in self._acceptors)

    def _expects(self) -> bool:
        return any(acceptor.expects for acceptor in self._acceptors) or any(
            connection.expects()  # type: ignore[union-attr]
            for connection in self.server_state.connections
        )

    async def _wait(self, most: float, enough: Callable[[], bool] = lambda: False) -> None:
        """Wait so many seconds, until it is enough, or until a second signal comes."""
        for _ in range(round(most / _STEP)):
            if self.force_exit or enough():
                return
            await asyncio.sleep(_STEP)


class _Quiet(Server):
    """A server that leaves the signals to whoever started it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        with contextlib.suppress(SystemExit):  # how uvicorn says that the app did not start
            await super().serve(sockets)


class _Seldomly(logging.Filter):
    """Keeps whoever sends rubbish from flooding the log with uvicorn's warnings of it."""

    def __init__(self) -> None:
        super().__init__()
        self._seldom = Seldom()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING:
            return True
        said = record.getMessage()
        if (more := self._seldom.due(said, time.monotonic())) is None:
            return False
        record.msg, record.args = said + more, ()
        return True


_SELDOMLY = _Seldomly()


def configure(
    app: ASGIApp, lifespan: str = "on", http: type[asyncio.Protocol] = Fastest
) -> uvicorn.Config:
    """uvicorn's configuration for ``app``, whose connections are read by ``http``."""
    logging.getLogger("uvicorn.error").addFilter(_SELDOMLY)
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


def serve(
    app: ASGIApp,
    host: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    *,
    watchdog: Watchdog | None = None,
    notice: float = 0.0,
) -> None:
    """Serve ``app`` until SIGINT or SIGTERM.

    Raises:
        SettingsError: nothing can listen there.
        ReceiverError: the app did not start.
    """
    with bind(host, port) as listener:
        log.info("serving on %s", url_of(listener, host, tls=bool(tls)))
        serve_on(listener, Server(configure(app), tls, watchdog, notice=notice))


def serve_on(listener: socket.socket, server: Server) -> None:
    """Serve on what was bound already, until SIGINT or SIGTERM.

    Raises:
        ReceiverError: the app did not start.
    """
    take_descriptors()
    server.server_state.most = most_connections()
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
    watchdog: Watchdog | None = None,
    port: int = 0,
) -> AsyncIterator[str]:
    """Serve ``app`` on a loopback port inside the running event loop; gives its URL.

    By default it is a free port. Raises SettingsError: nothing can listen there.
    """
    with bind("127.0.0.1", port) as listener:
        server = _Quiet(configure(app, lifespan, http), tls, watchdog)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started:
                if task.done():
                    raise ReceiverError("the app did not start; the log above says why")
                await asyncio.sleep(0.005)
            yield url_of(listener, tls=bool(tls))
        finally:
            server.should_exit = True
            await task
