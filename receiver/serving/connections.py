"""uvicorn's connections, for either of its parsers, without the holes that they leave open.

Rule 1: nobody holds a connection by sending nothing, or slowly. The time for a head runs from the
        connection or from its first octet; that for the body of a callback is the app's, and what
        follows an answer has as long as a head. Nor by not reading his answers.
Rule 2: what is not body, of one request, is bounded also while it is incomplete.
Rule 3: trailers are never among the headers, and the scope says so to the app.
Rule 4: an Upgrade is not followed, and the body of a request that asks for one is its body.
Rule 5: what is wrong with a request does not cost an earlier one its answer.
Rule 6: no more connections are held than there are descriptors for. One that has sent no request
        makes room for a new one, the oldest first: a caller speaks at once, so whoever is silent
        longest is the least likely one. Not within `YOUNG` seconds, nor if something came that is
        not read yet: where there is nobody else, who comes waits to be accepted.
Rule 7: what a proxy says is for the app to believe or not: uvicorn's own middleware is left out.
Rule 8: where a watchdog stands by, a request in plain text has its
        `receiver.serving.watchdog.Rescue`; and one that the app has not begun with may be passed on
        to another worker.

uvicorn takes them by name too: ``uvicorn --http receiver.serving.connections:Fastest``.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Awaitable
from itertools import islice
from typing import Any, ClassVar, cast

import h11
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from receiver.callbacks.framing import APART, HEAD_LIMIT, TRAILERS
from receiver.serving.joining import Joining
from receiver.serving.listening import MOST_CONNECTIONS
from receiver.serving.passing import Passage, has_unread, pass_on
from receiver.serving.roundtrips import CONNECTION
from receiver.serving.watchdog import RESCUE, Cycle, Rescue, Watchdog
from receiver.telemetry.seldom import Seldom

try:
    import httptools
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError:  # it comes with the extra "fast"
    HAS_HTTPTOOLS = False
else:
    HAS_HTTPTOOLS = True

HEAD_TIME = 5.0
"""Seconds for the head of a request."""

YOUNG = 0.05
"""Seconds for which a connection may be silent whoever else comes: the way of a caller's request,
or of the second leg of digest."""

PIPELINE_LIMIT = 32
"""Requests that may wait behind one that is being answered; a PBX sends none."""

_LOOKS = 16  # connections that are looked at to find a silent one

log = logging.getLogger("receiver")


class Watched(ServerState):
    """What the connections of one server share, with the watchdog that stands by."""

    def __init__(self, watchdog: Watchdog | None, most: int = MOST_CONNECTIONS) -> None:
        super().__init__()
        self.watchdog = watchdog
        self.stopping = False
        self.most = most
        self.idle: dict[_Timed, float] = {}  # those without a request, and since when, in order
        self._seldom = Seldom()

    def full(self, making: int) -> bool:
        """Whether there is no room besides so many that were accepted, and nobody to make some."""
        return len(self.connections) + making >= self.most and self._silent() is None

    def _silent(self) -> _Timed | None:
        """The one that says nothing longest, if that is long."""
        for one, since in islice(self.idle.items(), _LOOKS):
            if one.loop.time() - since < YOUNG:
                return None
            if one.is_silent():
                return one
        return None

    def make_room(self) -> None:
        """A connection was made: end the one that is without a request longest, if need be."""
        if len(self.connections) <= self.most:
            return
        silent = self._silent()
        if silent is None:
            return
        del self.idle[silent]
        silent.transport.abort()
        said = "too many connections: those without a request make room"
        if (more := self._seldom.due(said, time.monotonic())) is not None:
            log.warning("%s%s", said, more)


class _Timed(asyncio.Protocol):
    """The clock of rule 1, and rules 6 to 8."""

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


class H11(_Timed, H11Protocol):
    """Parsed by h11, which is written in Python and always there."""

    def _owes(self) -> bool:
        theirs = self.conn.their_state
        if theirs is h11.SEND_BODY:
            return self.cycle is not None and self.cycle.response_complete
        return theirs is h11.IDLE and bool(self.conn.trailing_data[0])

    def handle_events(self) -> None:
        super().handle_events()
        if self.scope is not None and TRAILERS not in self.scope:
            self._equip(self.scope, self.cycle)  # the app runs in a task, which has not begun yet

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:  # it was answered before its body broke
            self.transport.close()


if HAS_HTTPTOOLS:
    _WAITING, _HEAD, _BODY = range(3)

    class HttpTools(_Timed, HttpToolsProtocol):
        """Parsed by httptools, which is about three times as fast, and sets no limits itself."""

        _phase = _WAITING
        _framing = 0  # octets since the last request that were no body, as far as one can see
        _upgrading = False

        def _owes(self) -> bool:
            if self._phase == _BODY:
                return bool(self.cycle.response_complete)
            return self._phase == _HEAD

        def data_received(self, data: bytes) -> None:
            if self._phase == _WAITING:
                self._phase = _HEAD  # also an empty line, of which the parser says nothing
            self._framing += len(data)
            self._data = data
            super().data_received(data)
            if self._framing > HEAD_LIMIT and not self.transport.is_closing():
                self.send_400_response("Too much that is no body.")

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._phase = _HEAD

        def on_headers_complete(self) -> None:
            if self.parser.should_upgrade() and not self._should_upgrade():
                if self.parser.get_method() == b"CONNECT":
                    raise ValueError("this is no tunnel")
                self._upgrading = True
                return
            super().on_headers_complete()
            self.headers = []  # where trailers go, which nobody reads
            self._equip(self.scope, self.cycle)
            if len(self.pipeline) > PIPELINE_LIMIT:
                raise ValueError("too many requests at once")  # the parser makes it a bad request
            self._phase = _BODY

        def on_body(self, body: bytes) -> None:
            self._framing -= len(body)
            super().on_body(body)

        def on_message_complete(self) -> None:
            if self._upgrading:
                return
            super().on_message_complete()
            self._phase = _WAITING
            self._framing = 0

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._watch()

        def _unsupported_upgrade_warning(self) -> None:
            """Parse the head again without its Upgrade, for the parser took the body for none."""
            stopped = cast("httptools.HttpParserUpgrade", sys.exception())
            self._upgrading = False
            fields = [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
            version = self.parser.get_http_version().encode()
            line = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, version)
            rest = self._data[stopped.args[0] :]
            self.parser = httptools.HttpRequestParser(self)
            self.data_received(b"".join((line, *fields, b"\r\n", rest)))

        def send_400_response(self, msg: str) -> None:
            before = self.cycle is not None and not self.cycle.response_complete
            if self.pipeline or (before and self._phase == _HEAD):
                self.flow.pause_reading()
                self.shutdown()  # once the last is answered
            elif self._phase == _BODY and self.cycle.response_started:
                self.transport.close()
            else:
                super().send_400_response(msg)


Fastest: type[asyncio.Protocol] = HttpTools if HAS_HTTPTOOLS else H11
