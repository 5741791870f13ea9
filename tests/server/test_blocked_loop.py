"""Connections that a worker with a blocked event loop hands over."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from receiver import Call, Forward, Ivr, Receiver, Reply
from receiver.server import Http
from receiver.server.accept import Acceptor
from receiver.server.blocked_loop import BlockedLoop
from receiver.server.connection_limit import Connections
from receiver.server.handover import Handover, Pending
from receiver.server.sockets import bind
from receiver.server.uvicorn_server import Server, configure
from receiver.server.watchdog import Watchdog
from tests.server.conftest import Pair
from tests.support import SETTINGS


class Worker(threading.Thread):
    """A server in a separate thread."""

    def __init__(self, http: type[Http], handover: Handover) -> None:
        super().__init__()
        self.asked = 0
        ivr = Ivr("888", fallback=Forward("0"))
        ivr.add("DTMF", "1", self._pick, name="pick", method="GET", auth=None)
        app = Receiver(ivr, settings=SETTINGS)
        self.listener = bind("127.0.0.1", 0)
        self.server = Server(configure(app, http=http), None, Watchdog(), handover=handover)

    def run(self) -> None:
        self.server.run(sockets=[self.listener])

    async def _pick(self, call: Call) -> Reply:
        self.asked += 1
        return Forward("1")

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    def connect(self) -> socket.socket:
        return socket.create_connection(self.listener.getsockname(), timeout=60)

    def close(self) -> None:
        self.server.should_exit = True
        self.join(60)
        assert not self.is_alive()


def ask(line: socket.socket) -> None:
    line.sendall(b"GET /action/888/pick?input=1 HTTP/1.1\r\nHost: x\r\n\r\n")


def answer(line: socket.socket) -> bytes:
    found = b""
    while not found.endswith(b"}"):
        more = line.recv(4096)
        assert more, found
        found += more
    return found[-len(b'"1"}') :]


@dataclass
class Block:
    """Blocks the event loop of a worker, after it has read its first request, until `end`."""

    read: threading.Event = field(default_factory=threading.Event)
    end: threading.Event = field(default_factory=threading.Event)

    def http(self) -> type[Http]:
        class Blocked(Http):
            def data_received(connection, data: bytes) -> None:
                super().data_received(data)
                if not self.read.is_set():
                    self.read.set()
                    self.end.wait(60)

        return Blocked


@contextmanager
def blocked_stage(
    handover: Handover, connections: int = 2
) -> Iterator[tuple[Worker, Worker, list[socket.socket], Block]]:
    """Run two workers; the event loop of the first is blocked by a request on the first line."""
    block = Block()
    blocked, other = Worker(block.http(), handover), Worker(Http, handover)
    blocked.start()
    other.start()
    lines = [blocked.connect() for _ in range(connections)]
    try:
        while blocked.connections < len(lines):
            time.sleep(0.001)
        ask(lines[0])
        assert block.read.wait(60)
        yield blocked, other, lines, block
    finally:
        block.end.set()
        for line in lines:
            line.close()
        blocked.close()
        other.close()


class Narrow(Handover):
    """One that sends nothing until it is open."""

    is_open, asked = False, 0

    def send(self, pending: Pending) -> bool:
        self.asked += 1
        return self.is_open and super().send(pending)


@pytest.mark.parametrize("is_open", [True, False])
def test_a_connection_that_cannot_be_handed_over_now_is_not_lost(is_open: bool) -> None:
    """It is handed over as a whole once that is possible, or else answered where it arrived."""
    handover = Narrow.make()
    with blocked_stage(handover) as (blocked, other, lines, block):
        lines[1].sendall(b"GET /action/888/pick?input=1 HTTP/1.1\r\n")
        while handover.asked < 4:
            time.sleep(0.001)
        lines[1].sendall(b"Host: x\r\n\r\n")
        handover.is_open = is_open
        if not is_open:
            block.end.set()
        assert [answer(line) for line in lines] == [b'"1"}', b'"1"}']
        assert (blocked.asked, other.asked) == ((1, 1) if is_open else (2, 0))
    handover.close()


def test_an_answer_by_another_worker_ends_a_connection_that_is_to_be_closed(
    handover: Handover,
) -> None:
    """The worker that is blocked has it open, too."""
    with blocked_stage(handover) as (_blocked, _other, lines, block):
        lines[1].sendall(
            b"GET /action/888/pick?input=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        assert answer(lines[1]) == b'"1"}'
        assert lines[1].recv(1) == b""
        assert not block.end.is_set()


def test_another_worker_answers_what_a_blocked_loop_has_not_begun(handover: Handover) -> None:
    with blocked_stage(handover, 3) as (blocked, other, lines, block):
        ask(lines[1])  # is not read
        assert [answer(line) for line in lines[:2]] == [b'"1"}', b'"1"}']
        assert not block.end.is_set()
        block.end.set()
        while blocked.connections > 2:
            time.sleep(0.001)
        for line in lines:  # the second one is elsewhere
            ask(line)
            assert answer(line) == b'"1"}'
        assert (blocked.asked, other.asked) == (3, 2)


@pytest.mark.parametrize("is_handed_over", [True, False])
def test_what_was_answered_for_a_blocked_loop_is_not_answered_again(is_handed_over: bool) -> None:
    """The client continues to send before the event loop, running again, closes the connection."""
    handover = Narrow.make()
    handover.is_open = is_handed_over
    with blocked_stage(handover) as (blocked, _other, lines, _block):
        ask(lines[1])
        assert answer(lines[1]) == (b'"1"}' if is_handed_over else b'"0"}')
        connections = blocked.server.connections
        assert connections is not None
        while not (lost := [one for one in connections.all if one.pending and one.pending.ended]):
            time.sleep(0.001)
        lost[0].data_received(b"GET /action")  # as the loop does if it reads first
        assert (blocked.asked, lost[0].requests) == (1, 0)
    handover.close()


def test_a_server_of_the_app_on_the_same_port_is_left_alone(handover: Handover) -> None:
    block = Block()
    worker = Worker(block.http(), handover)
    port = worker.listener.getsockname()[1]
    worker.start()
    try:
        with (
            bind("127.0.0.2", port) as its,
            socket.create_connection(("127.0.0.2", port)) as client,
            worker.connect() as line,
        ):
            connected, _ = its.accept()
            with connected:
                ask(client)
                ask(line)
                assert block.read.wait(60)
                with worker.connect() as late:
                    ask(late)
                    assert answer(late) == b'"0"}'  # so the descriptors were searched
                connected.settimeout(60)
                assert connected.recv(4096).startswith(b"GET /action")
                client.settimeout(0)
                with pytest.raises(BlockingIOError):
                    client.recv(1)
    finally:
        block.end.set()
        worker.close()


def test_accepted_connections_are_searched_once_for_each_block(
    handover: Handover, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop may not have taken back in between what the thread had read."""
    searched = list[int]()
    worker = Worker(Http, handover)
    worker.start()
    try:
        with worker.connect() as line:
            ask(line)
            assert answer(line) == b'"1"}'
            relieve = worker.server._blocked
            assert relieve is not None
            monkeypatch.setattr(relieve, "_find_accepted", lambda: searched.append(1))
            for since in (1.0, 1.0, 2.0):
                relieve(since, False)
        assert len(searched) == 2
    finally:
        worker.close()


def test_a_connection_that_was_handed_over_is_served(handover: Handover, pair: Pair) -> None:
    ours, theirs = pair
    worker = Worker(Http, handover)
    worker.start()
    try:
        request = b"GET /action/888/pick?input=1 HTTP/1.1\r\nHost: x\r\n\r\n"
        assert handover.send(Pending(ours, request, time.monotonic()))
        assert answer(theirs) == b'"1"}'
    finally:
        worker.close()


async def test_a_connection_that_is_just_added_is_read_by_one_copy_only(pair: Pair) -> None:
    """Found before it had a protocol, and again before the event loop took what was read."""
    ours, theirs = pair
    theirs.sendall(b"GET")
    ours.recv(1, socket.MSG_PEEK)  # it has arrived
    copy = Pending(ours.dup(), is_copy=True)
    connections = SimpleNamespace(unmade={copy.inode: copy}, pending={copy})
    transport = SimpleNamespace(get_extra_info=lambda name: ours)
    connection = SimpleNamespace(pending=None, is_free=True, partial=b"", transport=transport)
    with bind("127.0.0.1", 0) as listener:
        relieve = BlockedLoop(
            cast("Connections", connections),
            cast("Acceptor", SimpleNamespace(listener=listener)),
        )
        relieve._find_unread(cast("Http", connection))
        assert (connection.pending, connections.pending) == (None, {copy})
        del connections.unmade[copy.inode]  # the event loop has taken it
        copy.connected.close()
        relieve._find_unread(cast("Http", connection))
        assert connection.pending is not None
        connection.pending.connected.close()
