"""Accept connections: with the event loop's own server, or one at a time.

Rule 1: a connection for which this process has no descriptor stays in the accept queue: another
        worker accepts it, or this one a moment later. uvloop would accept and close it, losing the
        call. So uvloop's own server, which is three times as fast, accepts only where descriptors
        are plenty, and without TLS, whose handshakes it does not show.
Rule 2: where descriptors are short, one connection is accepted in one turn of the loop.
Rule 3: past the connection limit the oldest TLS handshake is evicted, as an idle connection is
        later. Not within `HANDSHAKE` seconds, nor if octets arrived that are not read yet.
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

PAUSE = 0.02
"""Seconds until the next try, where a connection could not be accepted."""

HANDSHAKE = 0.3
"""Seconds within which no TLS handshake is evicted: two round trips, and the keys."""

_LOOKS = 16  # handshakes that are looked at to find one that can be evicted

log = logging.getLogger("receiver")


class Acceptor:
    """Makes a protocol for each connection to ``listener``; see `begin`.

    Parameters:
        listener: bound, and listening.
        protocol: makes one for each connection.
        tls: the options of `loop.connect_accepted_socket` for TLS.
        is_full: returns whether new connections have to wait, given how many were accepted and
            have no protocol yet.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], Any],
        tls: Mapping[str, Any],
        is_full: Callable[[int], bool] = lambda making: False,
    ) -> None:
        self.listener = listener
        self.protocol = protocol
        self._tls = tls
        self._is_full = is_full
        self._loop = asyncio.get_running_loop()
        self._making: dict[asyncio.Task[None], tuple[socket.socket, float]] = {}  # since, in turn
        self._server: asyncio.Server | None = None
        self._pause: asyncio.TimerHandle | None = None
        self.is_closed = False
        self._log_throttle = LogThrottle()
        listener.setblocking(False)

    async def begin(self, limit: int) -> None:
        """Accept connections from now on; ``limit`` is the most there may be."""
        is_tcp = isinstance(self.listener.getsockname(), tuple)  # or else a path
        if IS_POSIX and (self._tls or limit < BACKLOG or not is_tcp):
            self._listen()
            return
        # A server closes its socket when it ends, and the listener is still needed then.
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
        """Accept one connection at a time from now on, for descriptors are short."""
        if self._server is not None and IS_POSIX:
            self._server.close()
            self._server = None
            self._listen()

    def close(self) -> None:
        """Accept no more connections; those that were accepted go on. It may be called again."""
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
        """Accept what is in the accept queue; also in another thread."""
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
            return  # another worker has it, or it is gone
        except OSError as error:
            self._wait(str(error.strerror))
            return
        self.make(connected)

    def _evict(self) -> bool:
        """End the oldest handshake; return whether there is one that can be evicted."""
        for task, (connected, since) in islice(self._making.items(), _LOOKS if self._tls else 0):
            if self._loop.time() - since < HANDSHAKE:
                return False
            descriptor = connected.fileno()
            if descriptor >= 0 and not has_unread(descriptor):
                del self._making[task]  # or it would be ended again for the next connection
                task.cancel()
                self._say("connection limit: TLS handshakes are evicted", logging.WARNING)
                return True
        return False

    def _wait(self, why: str) -> None:
        self._loop.remove_reader(self.listener)
        self._pause = self._loop.call_later(PAUSE, self._listen)
        self._say(f"a connection has to wait: {why}", logging.ERROR)

    def _say(self, said: str, level: int) -> None:
        if (more := self._log_throttle.due(said, time.monotonic())) is not None:
            log.log(level, "%s%s", said, more)

    def make(
        self, connected: socket.socket, protocol: Callable[[], asyncio.BaseProtocol] | None = None
    ) -> asyncio.Task[None]:
        """Make a protocol for a connection that was accepted; return the task that does it."""
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
        except OSError:  # also what is wrong with its TLS
            connected.close()
        except Exception as error:
            connected.close()
            log.error("a connection could not be made: %s", type(error).__name__)
