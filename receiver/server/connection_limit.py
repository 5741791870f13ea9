"""The state that the connections of one server share: the app, and the connection limit.

Rule: there are no more connections than file descriptors. A new connection evicts an idle one,
      without a request, the oldest first: a PBX sends its request immediately, so the connection
      that is idle longest is the least likely to come from it. Connections that are idle for less
      than `Limits.idle_time`, or have unread octets, are not evicted. If none can be evicted, new
      connections wait in the accept queue.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import traceback
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.server import ServerState

from receiver.observability.log_throttle import LogThrottle
from receiver.server.handover import Pending
from receiver.server.sockets import descriptor_limit, has_unread, max_connections
from receiver.server.watchdog import Watchdog

if TYPE_CHECKING:
    from receiver.callbacks.routes import ActionTable

HEAD_TIME = 5.0
"""Seconds for the head of a request, and for a TLS handshake."""

MAX_ACCEPTED = 16
"""Connections without a protocol above the connection limit, for which descriptors are left."""

_MAX_CANDIDATES = 16  # connections that are searched for one that can be evicted

log = logging.getLogger("receiver")


class Limits(NamedTuple):
    """The limits of a server's connections; times are in seconds.

    Attributes:
        max_connections: None for as many as descriptors allow.
        idle_time: after which an idle connection can be evicted: the time until a request arrives,
            or the second request of digest.
        handshake_time: after which a TLS handshake can be evicted: two round trips, and the keys.
        handshake_timeout: after which a TLS handshake is aborted.
    """

    max_connections: int | None = None
    idle_time: float = 0.05
    handshake_time: float = 0.3
    handshake_timeout: float = HEAD_TIME


class Connections:
    """The connections of one server.

    Parameters:
        config: of uvicorn.
        state: of uvicorn, which waits for the connections in it when it stops.
        app_state: the state that the app's lifespan set.
        watchdog: None for none.
        limits: see `Limits`.

    Attributes:
        is_stopping: whether answers close their connections.
        on_short: called when descriptors run short.
        writing: held by the watchdog's thread while it touches connections.
        is_relieved: whether that thread may have read from connections.
        pending: the connections that it reads.
        unmade: the pending ones for which the event loop makes a protocol anyway, by inode.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        state: ServerState,
        app_state: dict[str, Any],
        watchdog: Watchdog | None = None,
        limits: Limits = Limits(),  # noqa: B008 - immutable
    ) -> None:
        app: Any = config.loaded_app
        while isinstance(app, ProxyHeadersMiddleware):
            app = app.app
        self.app = app
        self.callbacks: ActionTable | None = getattr(app, "callbacks", None)
        self.app_state = app_state
        self.root_path = config.root_path
        self.keep_alive = float(config.timeout_keep_alive)
        self.watchdog = watchdog
        self.writing = watchdog.writing if watchdog else threading.Lock()
        self.is_relieved = False
        self.pending: set[Pending] = set()
        self.unmade: dict[int, Pending] = {}
        self.limit = limits.max_connections or max_connections()
        self._idle_time = limits.idle_time
        self._high = descriptor_limit() // 2
        self.is_stopping = False
        self.on_short: Callable[[], None] = lambda: None
        self.tasks: set[asyncio.Task[Any]] = set()
        self.log_throttle = LogThrottle()
        self.all: set[Any] = state.connections
        self.idle: dict[Any, float] = {}  # without a request: since when, the oldest first
        _SHARED[state] = self

    def add(self, connection: Any, descriptor: int, now: float) -> None:
        """Add a new connection; at the limit, evict the one that is idle longest."""
        self.all.add(connection)
        self.idle[connection] = now
        if self.unmade or self.is_relieved:
            with self.writing:
                read = self.unmade.pop(os.fstat(descriptor).st_ino, None)
                connection.pending = connection.pending or read
        if connection.pending is not None:
            connection.loop.call_soon(connection.data_received, b"")
        if len(self.all) >= self.limit // 2 or descriptor >= self._high:
            self.on_short()
        if len(self.all) <= self.limit or (idle := self._evictable()) is None:
            return
        del self.idle[idle]
        idle.transport.abort()
        message = "connection limit: idle connections are evicted"
        if (more := self.log_throttle.due(message, time.monotonic())) is not None:
            log.warning("%s%s", message, more)

    def remove(self, connection: Any) -> None:
        """Remove a closed connection."""
        self.all.discard(connection)
        self.idle.pop(connection, None)

    def order(self, connection: Any, is_idle: bool, now: float) -> None:
        """Record that a connection is idle from ``now`` on, or has a request."""
        self.idle.pop(connection, None)
        if is_idle and connection in self.all:
            self.idle[connection] = now

    def is_full(self, making: int) -> bool:
        """Whether the connection limit is reached and no idle connection can be evicted.

        Parameters:
            making: connections that were accepted, and have no protocol yet.
        """
        over = len(self.all) + making - self.limit
        # A new connection evicts an idle one only once it has a protocol; a handshake may never.
        return over >= 0 and (over >= MAX_ACCEPTED or self._evictable() is None)

    def log_error(self, error: BaseException) -> None:
        """Log an exception that came out of the app: its type and place."""
        if isinstance(error, asyncio.CancelledError):
            log.error("a request was cancelled")
        else:
            place = "".join(traceback.format_tb(error.__traceback__)).rstrip()
            log.error("exception in the app: %s\n%s", type(error).__name__, place)

    def _evictable(self) -> Any | None:
        """Return the connection that is idle longest, if it can be evicted."""
        for one, since in islice(self.idle.items(), _MAX_CANDIDATES):
            if one.loop.time() - since < self._idle_time:
                return None
            if one.pending is not None:
                continue
            connected = one.transport.get_extra_info("socket")
            if connected is None or connected.fileno() < 0 or not has_unread(connected.fileno()):
                return one
        return None


def shared_by(config: uvicorn.Config, state: ServerState, app_state: dict[str, Any]) -> Connections:
    """Return the shared state of connections with this ``state``; the first one creates it."""
    return _SHARED.get(state) or Connections(config, state, app_state)


_SHARED: WeakKeyDictionary[ServerState, Connections] = WeakKeyDictionary()
