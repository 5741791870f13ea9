"""Accept connections: with the event loop's own server, or one at a time.

Rule 1: a connection for which this process has no descriptor stays in the accept queue: another
        worker accepts it, or this one accepts it a moment later. uvloop would accept and close it,
        losing the call. So uvloop's own server, which is three times as fast, is used only while
        descriptors are plenty, and not with TLS, because it does not expose the handshakes.
Rule 2: when descriptors are short, one connection is accepted in one iteration of the event loop.
Rule 3: past the connection limit the oldest TLS handshake is evicted, but not within the first
        `handshake_time` seconds, and not if it has unread octets.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from receiver.observability.log_throttle import LogThrottle
from receiver.server.sockets import BACKLOG, IS_POSIX, has_unread

RETRY_INTERVAL = 0.02
"""Seconds until the next attempt after a connection could not be accepted."""

_MAX_CANDIDATES = 16  # handshakes that are searched for one that can be evicted

log = logging.getLogger("receiver")


class Acceptor:
    """Accepts connections from ``listener`` and makes a protocol for each; see `begin`.

    Parameters:
        listener: bound, and listening.
        protocol: makes one for each connection.
        tls: the options of `loop.connect_accepted_socket` for TLS.
        is_full: returns whether new connections must wait; its argument is the number of accepted
            connections without a protocol.
        handshake_time: seconds after which a TLS handshake can be evicted.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], Any],
        tls: Mapping[str, Any],
        is_full: Callable[[int], bool] = lambda making: False,
        *,
        handshake_time: float = 0.0,
    ) -> None:
        self.listener = listener
        self.protocol = protocol
        self._tls = tls
        self._is_full = is_full
        self._handshake_time = handshake_time
        self._loop = asyncio.get_running_loop()
        self._making: dict[asyncio.Task[None], tuple[socket.socket, float]] = {}  # since, in turn
        self._server: asyncio.Server | None = None
        self._pause: asyncio.TimerHandle | None = None
        self.is_closed = False
        self._log_throttle = LogThrottle()
        listener.setblocking(False)

    async def begin(self, limit: int) -> None:
        """Start accepting connections, up to ``limit``."""
        is_tcp = isinstance(self.listener.getsockname(), tuple)  # or else a path
        if IS_POSIX and (self._tls or limit < BACKLOG or not is_tcp):
            self._listen()
            return
        # A server closes its socket when it ends; the listener is still needed afterwards.
        shared = self.listener.dup()
        shared.set_inheritable(False)
        self._server = await self._loop.create_server(
            self.protocol, sock=shared, backlog=BACKLOG, **self._tls
        )

    @property
    def expects(self) -> bool:
        """Whether an accepted connection has no protocol yet."""
        return bool(self._making)

    def save(self) -> None:
        """Accept one connection at a time from now on, because descriptors are short."""
        if self._server is not None and IS_POSIX:
            self._server.close()
            self._server = None
            self._listen()

    def close(self) -> None:
        """Stop accepting; accepted connections continue. It may be called again."""
        if self.is_closed:
            return
        self.is_closed = True
        if self._server is not None:
            self._server.close()
        elif self._pause is not None:
            self._pause.cancel()
        elif self.listener.fileno() >= 0:
            self._loop.remove_reader(self.listener)

    async def wait_closed(self) -> None:
        """Close the connections that have no protocol yet."""
        for task in self._making:
            task.cancel()
        await asyncio.gather(*self._making, return_exceptions=True)

    def waiting(self) -> Iterator[socket.socket]:
        """Accept connections from the accept queue; may run in another thread."""
        with contextlib.suppress(OSError):  # the queue is empty, or descriptors are short
            while True:
                yield self.listener.accept()[0]

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self.listener, self._accept)

    def _accept(self) -> None:
        if self._is_full(len(self._making)) and not self._evict():
            self._wait("too many at once")
            return
        try:
            connected, _ = self.listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker accepted it, or the client closed it
        except OSError as error:
            self._wait(str(error.strerror))
            return
        self.make(connected)

    def _evict(self) -> bool:
        """End the oldest handshake; return whether there is one that can be evicted."""
        for task, (connected, since) in islice(
            self._making.items(), _MAX_CANDIDATES if self._tls else 0
        ):
            if self._loop.time() - since < self._handshake_time:
                return False
            descriptor = connected.fileno()
            if descriptor >= 0 and not has_unread(descriptor):
                del self._making[task]  # the next connection must not evict it again
                task.cancel()
                self._log("connection limit: TLS handshakes are evicted", logging.WARNING)
                return True
        return False

    def _wait(self, why: str) -> None:
        self._loop.remove_reader(self.listener)
        self._pause = self._loop.call_later(RETRY_INTERVAL, self._listen)
        self._log(f"new connections wait in the accept queue: {why}", logging.ERROR)

    def _log(self, message: str, level: int) -> None:
        if (more := self._log_throttle.due(message, time.monotonic())) is not None:
            log.log(level, "%s%s", message, more)

    def make(
        self, connected: socket.socket, protocol: Callable[[], asyncio.BaseProtocol] | None = None
    ) -> asyncio.Task[None]:
        """Start a task that makes a protocol for an accepted connection; return it."""
        connected.setblocking(False)
        task = self._loop.create_task(self._make(connected, protocol or self.protocol))
        self._making[task] = connected, self._loop.time()
        task.add_done_callback(lambda done: self._making.pop(done, None))
        return task

    async def _make(
        self, connected: socket.socket, protocol: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        try:
            await self._loop.connect_accepted_socket(protocol, connected, **self._tls)
        except OSError:  # TLS errors too
            connected.close()
        except Exception as error:
            connected.close()
            log.error("a connection failed during its setup: %s", type(error).__name__)
