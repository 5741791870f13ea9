"""One HTTP/1.1 connection, parsed by httptools.

Rule 1: a slow client cannot keep a connection open. The time limit of a head starts with the
        connection or with its first octet; the same limit applies to the octets after an answer,
        and to a client that does not read. The body of a callback must arrive in the callback's
        time.
Rule 2: pipelined requests are answered one after another, one in each iteration of the event loop,
        so that other connections wait for one of them at most; no more than `PIPELINE_LIMIT` wait.
        A malformed request does not cost an earlier one its answer.
Rule 3: a callback is passed to the core as a plain value, without a task unless the handler waits;
        all other paths go to the app (`receiver.server.asgi_cycle`).
Rule 4: the app decides which proxy headers are trusted; uvicorn's middleware for them is not used.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, ClassVar, cast

import uvicorn
from uvicorn.server import ServerState

from receiver.callbacks.http_limits import PIPELINED, Bad
from receiver.callbacks.request import CLOSE, Answer, Request
from receiver.callbacks.request_checks import note
from receiver.server.asgi_cycle import Cycle
from receiver.server.connection_limit import HEAD_TIME, Connections, shared_by
from receiver.server.exchange import CONTINUE, Callback, Exchange, Refusal, head_of
from receiver.server.handover import Pending
from receiver.server.request_parser import RequestParser
from receiver.server.sockets import address_of, place_of

GRACE_TIME = 0.1
"""Seconds added at the end of a time limit: octets that arrived in time may be unread."""

PIPELINE_LIMIT = 32
"""Most pipelined requests that wait; a PBX sends none."""

_IDLE, _HEAD, _BUSY = range(3)

log = logging.getLogger("receiver")


class Http(RequestParser, asyncio.Protocol):
    """A connection; the class for uvicorn's parameter ``http``."""

    head_time: ClassVar[float] = HEAD_TIME

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__()
        self.loop = _loop or asyncio.get_running_loop()
        self.shared: Connections = shared_by(config, server_state, app_state)
        self.client: tuple[str, int] | None = None
        self.server: tuple[str, int | None] | None = None
        self.is_lost = False
        self.requests = 0
        # For `receiver.server.blocked_loop`: the octets of an incomplete head, if known; the octets
        # after them that the thread has read, and when these arrived.
        self.partial: bytes | None = b""
        self.pending: Pending | None = None
        self._arrived = 0.0
        self._is_shared = False  # whether another worker may have it open too
        self._is_reading = False
        self.current: Exchange | None = None
        self._queue: deque[Exchange] = deque()
        self._phase = _IDLE
        self._counted = 0
        self._until: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_write_paused = False
        self._is_overdue = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.client = address_of(transport.get_extra_info("peername"))
        self.server = place_of(transport.get_extra_info("sockname"))
        self.is_secure = transport.get_extra_info("sslcontext") is not None
        self.watchdog = None if self.is_secure else self.shared.watchdog
        now = self.loop.time()
        self._until = now + self.head_time
        self._step = min(self.head_time, self.shared.keep_alive)  # no limit is shorter
        self._timer = self.loop.call_later(self._step, self._on_time)
        connected = transport.get_extra_info("socket")
        self.shared.add(self, -1 if connected is None else connected.fileno(), now)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.current is not None:
            self.current.disarm()
        self.is_lost = True
        self._take_pending()  # the thread must not use a descriptor that is closed and reused
        self.shared.remove(self)
        self.is_finished = True
        if self._timer is not None:
            self._timer.cancel()
        for exchange in (self.current, *self._queue):
            if exchange is not None:
                exchange.gone()
        self._queue.clear()
        self.drop_parser()

    def pause_writing(self) -> None:
        self._is_write_paused, self._is_overdue = True, False
        self._until = self.loop.time() + self.head_time
        if self.current is not None:
            self.current.pause_writing()

    def resume_writing(self) -> None:
        self._is_write_paused = self._is_overdue = False
        self._until = None if self._phase == _BUSY else self.loop.time() + self.head_time
        if self.current is not None:
            self.current.resume_writing()

    def data_received(self, data: bytes) -> None:
        if self.is_finished or self.is_lost:  # lost: answered by the watchdog, or handed over
            return
        self._is_reading = True
        if self.pending is not None or self.shared.is_relieved:
            data = self._take_pending() + data
        if data and not self.is_lost:
            self._read(data)
        self._is_reading, self._arrived = False, 0.0

    def _read(self, data: bytes) -> None:
        before = self.messages
        self.feed(data)
        if not (self.is_in_message or self.line):
            self.partial = b""
        elif self.messages != before or self.receiving is not None:
            self.partial = None
        elif self.partial is not None:
            self.partial += data
        if self._queue:
            self._advance()
        self._set_phase()

    @property
    def is_free(self) -> bool:
        """Whether no request is being read or answered, and no answer is unsent."""
        is_busy = self._is_reading or self.current is not None or self._queue
        ended = self.is_lost or self.is_finished or self.transport.is_closing()
        return not (is_busy or ended or self.transport.get_write_buffer_size())

    def _take_pending(self) -> bytes:
        """Return the octets that the watchdog has read; close a connection that it has ended."""
        with self.shared.writing:
            pending, self.pending = self.pending, None
            if pending is None:
                return b""
            self.shared.pending.discard(pending)
            if pending.is_copy:
                pending.connected.close()
            self._arrived, self._is_shared = pending.since, self._is_shared or pending.is_shared
            if pending.ended:
                self.is_lost = True
                self.transport.abort()
            return pending.data

    def start(
        self, request: Request, version: str, keep_alive: bool, path: bytes
    ) -> Exchange | None:
        if len(self._queue) > PIPELINE_LIMIT:
            self.refuse(PIPELINED)
            return None
        if self._arrived:
            request.arrived = self._arrived
        callbacks = self.shared.callbacks
        exchange: Exchange
        if callbacks is not None and (endpoint := callbacks.find(request)) is not None:
            exchange = Callback(self, request, endpoint, keep_alive)
        else:
            exchange = Cycle(self, request, version, keep_alive, path)
        self._queue.append(exchange)
        return exchange

    def refuse(self, bad: Bad) -> None:
        """Refuse a request with invalid framing, and stop reading."""
        self.is_finished = True
        note(bad, self.client, self.shared.log_throttle)
        receiving, self.receiving = cast("Exchange | None", self.receiving), None
        if receiving is None:
            self._queue.append(Refusal(self, bad))
        elif receiving is self.current:
            receiving.gone()
            self.current = None
            self._queue.appendleft(Refusal(self, bad))
        elif receiving in self._queue:
            self._queue.remove(receiving)
            self._queue.append(Refusal(self, bad))
        else:  # it was answered before its body became invalid
            self.transport.close()

    def _advance(self) -> None:
        """Start the next request; one after it starts in the next iteration of the event loop."""
        if self.current is not None or not self._queue or self.transport.is_closing():
            return
        self.current = self._queue.popleft()
        self.requests += 1
        self.current.begin()
        if self.current is None and self._queue and not self.transport.is_closing():
            self.transport.pause_reading()  # or more requests would arrive than are answered
            self.loop.call_soon(self._continue)

    def _continue(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()
            self.resume()

    def finish(self, exchange: Exchange) -> None:
        """Continue after ``exchange``, which is answered."""
        if exchange is not self.current:
            return
        self.current = None
        if exchange.keep_alive and not self.shared.is_stopping:
            return
        if not self._queue or not exchange.keep_alive:
            self.is_finished = True
            if self._is_shared:  # so that the client sees the end
                self.transport.write_eof()
            self.transport.close()

    def resume(self) -> None:
        """Continue after an exchange that was answered by a task."""
        if self._queue:
            self._advance()
        self._set_phase()

    def respond(self, exchange: Exchange, answer: Answer) -> None:
        """Write a whole answer."""
        closes = CLOSE in answer.headers
        if closes or self.shared.is_stopping:
            exchange.keep_alive = False
        self.transport.write(head_of(answer, exchange.keep_alive or closes))
        self.finish(exchange)

    def expect_more(self) -> None:
        """Send 100 Continue, for which the client waits before it sends the body."""
        self.transport.write(CONTINUE)

    def _set_phase(self) -> None:
        if self.current is not None or (self._queue and not self.transport.is_closing()):
            phase = _BUSY
        elif self.is_in_message or self.line:
            phase = _HEAD
        else:
            phase = _IDLE
        if phase == self._phase and self._counted == self.requests:
            return
        self._counted = self.requests
        now = self.loop.time()
        self._phase = phase
        if not self._is_write_paused:
            limit = self.shared.keep_alive if phase == _IDLE else self.head_time
            self._until, self._is_overdue = None if phase == _BUSY else now + limit, False
        self.shared.order(self, phase != _BUSY, now)

    def _on_time(self) -> None:
        now, until = self.loop.time(), self._until
        if until is not None and now >= until:
            if self._is_overdue:
                log.debug("connection closed: no request in time")
                self.transport.abort()
                return
            self._is_overdue, until = True, now + GRACE_TIME
            self._until = until
        later = self._step if until is None else min(until - now, self._step)
        self._timer = self.loop.call_later(later, self._on_time)

    def shutdown(self) -> None:
        """Close, after the answer to a request in progress; called by uvicorn."""
        if self.current is None and not self._queue:
            self.transport.close()
        else:
            for exchange in (self.current, *self._queue):
                if exchange is not None:
                    exchange.keep_alive = False

    def give_up(self) -> None:
        """Write the fallback of a callback without an answer: the event loop may end."""
        if self.current is not None and not self.is_lost:
            self.current.give_up()

    def expects(self) -> bool:
        """Return whether a request may have arrived that is not, or not completely, read."""
        return not self.requests or self.is_in_message or bool(self.line)
