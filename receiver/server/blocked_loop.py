"""Answer callbacks while the event loop is blocked, in the watchdog's thread.

Rule 1: a request whose handler has not started is handed over to another worker; otherwise it gets
        the fallback at its deadline. New connections are accepted meanwhile.
Rule 2: connections that the event loop has accepted but has no protocol for can only be found among
        the process's descriptors. They are searched for once each time the loop is blocked.
Rule 3: credentials are checked without the store; a digest nonce count is accepted once. Requests
        with wrong credentials, which must be counted, and for other paths wait for the loop.
Rule 4: the thread touches a connection only while it holds `Connections.writing`, with
        `is_relieved` set. The event loop, seeing that, takes the lock before it reads from a
        connection or adds one; it always takes the lock before one is closed.
Rule 5: no call blocks: work that is not possible now is left to the next check, or to the loop.

POSIX only, and without TLS, whose keys are in the event loop. ``RECEIVER_HANDOVER=false`` disables
all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from itertools import islice

from receiver.callbacks.request import CLOSE
from receiver.server.accept import Acceptor
from receiver.server.connection_limit import Connections
from receiver.server.exchange import head_of, send_last
from receiver.server.handover import Handover, Pending
from receiver.server.http import Http
from receiver.server.request_parser import WholeRequest
from receiver.server.sockets import (
    address_of,
    has_unread,
    is_served,
    place_of,
    place_of_listener,
)

MAX_ACCEPTED_CONNECTIONS = 256
"""The most connections accepted in one check of a blocked event loop."""


class BlockedLoop:
    """Answers callbacks of a blocked event loop; called by the watchdog's thread.

    Parameters:
        connections: of the server.
        acceptor: of the server.
        handover: to the other workers; None with a single worker.
        clock: the event loop's time, readable from a thread.
    """

    def __init__(
        self,
        connections: Connections,
        acceptor: Acceptor,
        handover: Handover | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = connections
        self._acceptor = acceptor
        self._handover = handover
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._places = {place_of_listener(acceptor.listener)}
        self._looked = self._searched = 0.0
        self._is_called = self._is_urgent = False

    def __call__(self, blocked_since: float, is_urgent: bool) -> tuple[int, int]:
        """Return how many connections were handed over, and how many requests were answered.

        Parameters:
            blocked_since: in the event loop's time.
            is_urgent: whether the fallback is due now for all requests.
        """
        self._is_urgent = is_urgent
        now, since = self._clock(), max(self._looked, blocked_since)
        connections, done = self._connections, list[str]()
        with self._holding():
            if self._searched != blocked_since:  # `_give_back` may not have run in between
                self._searched = blocked_since
                self._find_accepted()
            self._accept()
        for connection in list(connections.all):
            with self._holding():
                self._find_unread(connection)
        for pending in list(connections.pending):
            with self._holding():
                done.append(self._serve(pending, since, now))
        self._looked = now
        if not self._is_called:
            self._is_called = True
            self._loop.call_soon_threadsafe(self._give_back)
        return done.count("handed"), done.count("answered")

    @contextlib.contextmanager
    def _holding(self) -> Iterator[None]:
        with self._connections.writing:
            self._connections.is_relieved = True
            yield

    def _find_accepted(self) -> None:
        """Find the connections that the event loop has accepted but has no protocol for."""
        known = {one.inode for one in self._connections.pending}
        for connection in list(self._connections.all):
            with contextlib.suppress(OSError, AttributeError):  # it is being closed
                descriptor = connection.transport.get_extra_info("socket").fileno()
                known.add(os.fstat(descriptor).st_ino)
        with contextlib.suppress(OSError):  # descriptors are short
            for descriptor in map(int, os.listdir("/dev/fd")):
                with contextlib.suppress(OSError):  # it is closed by now, or is not a connection
                    status = os.fstat(descriptor)
                    if stat.S_ISSOCK(status.st_mode) and status.st_ino not in known:
                        known.add(status.st_ino)  # so that the copy is not found too
                        self._add_accepted(os.dup(descriptor))

    def _add_accepted(self, copy: int) -> None:
        """Add a copied socket if it is the server's end of a connection to a listener."""
        try:
            connected = socket.socket(fileno=copy)
        except OSError:  # another thread closed it and opened another file
            os.close(copy)
            return
        try:
            is_connection = (
                is_served(connected, self._places) and connected.getpeername() is not None
            )
        except OSError:  # it listens
            is_connection = False
        if not is_connection:
            connected.close()
            return
        pending = Pending(connected, is_copy=True)
        self._connections.unmade[pending.inode] = pending
        self._connections.pending.add(pending)

    def _find_unread(self, connection: Http) -> None:
        """Add a connection with unread octets, if it has no request in progress."""
        if connection.pending or not connection.is_free:
            return
        connected: socket.socket = connection.transport.get_extra_info("socket")
        if connection.partial is not None and has_unread(connected.fileno()):
            with contextlib.suppress(OSError):  # descriptors are short
                if os.fstat(connected.fileno()).st_ino in self._connections.unmade:
                    return  # `Connections.add` waits for the lock, to take that copy
                pending = Pending(connected.dup(), before=connection.partial, is_copy=True)
                connection.pending = pending
                self._connections.pending.add(pending)

    def _accept(self) -> None:
        """Accept new connections, and those handed over that no other worker has accepted."""
        if not self._acceptor.is_closed:
            for connected in islice(self._acceptor.waiting(), MAX_ACCEPTED_CONNECTIONS):
                self._connections.pending.add(Pending(connected))
        while self._handover is not None and (pending := self._handover.receive()) is not None:
            self._connections.pending.add(pending)

    def _serve(self, pending: Pending, since: float, now: float) -> str:
        """Answer or hand over a request; return "handed", "answered", "challenged", or ""."""
        if pending.ended or pending not in self._connections.pending:
            return ""
        is_open = pending.receive(since)
        done = self._answer(pending, now) if pending.data else ""
        if not done and pending.data and self._handover and self._handover.send(pending):
            done = "handed"
        if done == "challenged":
            pending.data, pending.since = b"", 0.0
        elif done or not (is_open or pending.data):
            pending.ended = True
            if not (pending.is_copy or pending.is_made):
                pending.connected.close()
                self._connections.pending.discard(pending)
        return "" if done == "handed" and pending.is_shared else done  # it is counted only once

    def _answer(self, pending: Pending, now: float) -> str:
        callbacks, connected = self._connections.callbacks, pending.connected
        try:
            peer, here = connected.getpeername(), connected.getsockname()
        except OSError:  # the client has left
            return ""
        whole = WholeRequest(address_of(peer), place_of(here), self._loop)
        request = whole.read(pending.before + pending.data, pending.since)
        if callbacks is None or request is None or (endpoint := callbacks.find(request)) is None:
            return ""
        answer = endpoint.answer_blocked(request, now, self._is_urgent)
        if answer is None:
            return ""
        # After a request that the event loop's parser has begun, no other can follow.
        keep_alive = whole.keep_alive and not pending.before
        head = head_of(answer, keep_alive or CLOSE in answer.headers)
        keep_alive = keep_alive and CLOSE not in answer.headers
        if not send_last(connected, head, keep_alive=keep_alive):
            return ""
        if answer.after is not None:
            self._loop.call_soon_threadsafe(answer.after, True)
        return "challenged" if keep_alive else "answered"

    # The following methods run in the event loop.

    def adopt(self) -> None:
        """Serve the connections that other workers handed over."""
        while self._handover is not None and (pending := self._handover.receive()) is not None:
            self._make(pending)

    def _make(self, pending: Pending) -> None:
        """Make a protocol that continues with the octets that the thread has read."""
        pending.is_made = True  # before the thread can see it
        self._connections.pending.add(pending)

        def protocol() -> Http:
            connection: Http = self._acceptor.protocol()
            connection.pending = pending
            return connection

        task = self._acceptor.make(pending.connected, protocol)
        task.add_done_callback(lambda _: self._connections.pending.discard(pending))

    def _give_back(self) -> None:
        """Return the waiting requests to the event loop, which runs again."""
        connections = self._connections
        with connections.writing:
            self._is_called = connections.is_relieved = False
            waiting = [one for one in connections.pending if not (one.is_copy or one.is_made)]
        for pending in waiting:
            self._make(pending)
        for connection in list(connections.all):
            if connection.pending is not None:
                connection.data_received(b"")
