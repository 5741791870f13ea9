"""What all our connections do, whichever parser reads them: the clock, the way out.

Rule 1: nobody holds a connection by sending nothing, or slowly. The time for a head runs from the
        connection or from its first octet; that for the body of a callback is the app's, and what
        follows an answer has as long as a head. Nor by not reading his answers.
Rule 2: where a watchdog stands by, a request in plain text has its
        `receiver.serving.watchdog.Rescue`; and one that the app has not begun with may be passed on
        to another worker.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable
from typing import Any, ClassVar, cast

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from receiver.serving.framing import APART, TRAILERS
from receiver.serving.joining import Joining
from receiver.serving.passing import Passage, has_unread, pass_on
from receiver.serving.room import Watched
from receiver.serving.roundtrips import CONNECTION
from receiver.serving.watchdog import RESCUE, Cycle, Rescue, Watchdog

HEAD_TIME = 5.0
"""Seconds for the head of a request."""

log = logging.getLogger("receiver")


class Timed(asyncio.Protocol):
    """A connection of uvicorn's, of one kind or the other, that keeps to the rules above."""

    head_time: ClassVar[float] = HEAD_TIME

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    flow: FlowControl
    app: Any
    _app: Any
    scheme: Any
    server_state: ServerState
    cycle: Any
    armed: Rescue | None = None
    _watchdog: Watchdog | None = None
    _watched: Watched | None = None
    _timer: asyncio.TimerHandle | None = None
    _request = b""  # what was read of a request that the app has not begun with
    _held = b""  # what the watchdog read of it, and could not pass on
    _lost = False

    def _owes(self) -> bool:
        """Whether the sender began a head, or goes on with a body that was answered already."""
        raise NotImplementedError

    def expects(self) -> bool:
        """Whether a request may be on its way that was not read yet, or not all of it."""
        return self.cycle is None or self._owes()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        joining = Joining(cast("asyncio.Transport", transport), self.loop)
        super().connection_made(cast("asyncio.BaseTransport", joining))
        self._app, self.app = _bare(self.app), self._enter
        if isinstance(self.server_state, Watched):
            self._watched = self.server_state
            self._watched.idle[self] = self.loop.time()
            self._watched.make_room()
            if self.scheme == "http":
                self._watchdog = self._watched.watchdog
        self._timer = self.loop.call_later(self.head_time, self._late)

    def is_silent(self) -> bool:
        """Whether nothing came that the loop has not read yet."""
        found = self.transport.get_extra_info("socket")
        return found is None or found.fileno() < 0 or not has_unread(found.fileno())

    def connection_lost(self, exc: Exception | None) -> None:
        if self.armed is not None:
            self.armed.disarm()  # before the descriptor is closed, and is somebody else's
        if self._watchdog is not None:
            with self._watchdog.writing:
                self._lost = True
        self._stop()
        if self._watched is not None:
            self._watched.idle.pop(self, None)
        super().connection_lost(exc)

    def _equip(self, scope: Any, cycle: Cycle) -> None:
        scope[TRAILERS] = APART
        scope[CONNECTION] = self.transport
        if self._watched is not None and self._watched.stopping:
            cycle.keep_alive = False
        if self._watchdog is not None:
            scope[RESCUE] = Rescue(self._watchdog, self, cycle)

    def _enter(self, *arguments: Any) -> Awaitable[None]:
        """The app, as uvicorn calls it."""
        self._request = b""
        return _nothing() if self._lost else cast("Awaitable[None]", self._app(*arguments))

    def hand_over(self, passage: Passage) -> bool:
        """Pass the connection on if a request waits there that the app has not begun with.

        Called by the watchdog's thread while the loop is stuck; it holds `Watchdog.writing`.
        """
        cycle, transport = self.cycle, self.transport
        if self._watchdog is None or self._lost or transport.get_write_buffer_size():
            return False
        if cycle is not None and (self._owes() if cycle.response_complete else not self._request):
            return False
        descriptor = transport.get_extra_info("socket").fileno()
        data = pass_on(passage, descriptor, self._request + self._held)
        if data is not None:
            self._held += data  # for the next look, or for the loop if it is sooner
            if data:
                self.loop.call_soon_threadsafe(self._take_held, self._watchdog.writing)
            return False
        self._lost = True
        if cycle is not None:
            cycle.disconnected = True
        self.loop.call_soon_threadsafe(transport.abort)
        return True

    def _take_held(self, writing: threading.Lock) -> None:
        with writing:  # or the watchdog might pass on what is read here
            held, self._held = self._held, b""
            if held and not self._lost:
                self.data_received(held)

    def data_received(self, data: bytes) -> None:
        if self._request or self.cycle is None or self.cycle.response_complete:
            self._request += data
        super().data_received(data)
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._watch()

    def _watch(self) -> None:
        if self._watched is not None:
            if self.cycle is None or self.cycle.response_complete:
                self._watched.idle.setdefault(self, self.loop.time())
            else:
                self._watched.idle.pop(self, None)
        if not (self._owes() or self.flow.write_paused):
            self._stop()
        elif self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(self.head_time, self._late)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        log.debug("closed a connection on which nothing came in time")
        self.transport.abort()


async def _nothing() -> None:
    """Another worker does it."""


def _bare(app: Any) -> Any:
    while isinstance(app, ProxyHeadersMiddleware):
        app = app.app
    return app
