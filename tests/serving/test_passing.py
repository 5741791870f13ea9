"""What a stuck worker passes on, and who answers it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from receiver import Call, Forward, Ivr, Receiver, Reply
from receiver.serving.connections import H11, Fastest
from receiver.serving.listening import bind
from receiver.serving.passing import MOST, Passage, has_unread, pass_on, tcp
from receiver.serving.server import Server, configure
from receiver.serving.watchdog import Watchdog
from tests.support import SETTINGS

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def passage() -> Iterator[Passage]:
    passage = Passage.make()
    yield passage
    passage.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    with bind("127.0.0.1", 0) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with ours, theirs:
        theirs.settimeout(10)
        yield ours, theirs


def test_a_connection_goes_on_elsewhere(pair: Pair, passage: Passage) -> None:
    ours, theirs = pair
    assert passage.take() is None
    theirs.sendall(b"two")
    assert ours.recv(0, socket.MSG_PEEK) == b""  # it is there
    assert pass_on(passage, ours.fileno(), b"one ") is None
    ours.close()
    taken = passage.take()
    assert taken is not None
    with taken[0] as connected:
        assert (taken[1], connected.getpeername()) == (b"one two", theirs.getsockname())
        connected.sendall(b"three")
        assert theirs.recv(5) == b"three"
    assert passage.take() is None


def test_what_says_nothing_or_too_much_stays(pair: Pair, passage: Passage) -> None:
    ours, theirs = pair
    assert pass_on(passage, ours.fileno()) == b""
    assert pass_on(passage, -1, b"gone") == b""
    theirs.sendall(b"more")
    assert pass_on(passage, ours.fileno(), bytes(MOST)) is None  # what there is room for
    assert ours.recv(4) == b"more"
    theirs.sendall(b"back")
    passage.close()
    assert pass_on(passage, ours.fileno()) == b"back"


def test_nothing_waits_whatever_new_sockets_were_told(pair: Pair, passage: Passage) -> None:
    ours, _ = pair
    socket.setdefaulttimeout(60)
    try:
        begin = time.monotonic()
        assert pass_on(passage, ours.fileno()) == b""
        assert not has_unread(ours.fileno())
        assert time.monotonic() - begin < 50
    finally:
        socket.setdefaulttimeout(None)


def test_what_nobody_has_read_is_seen_and_stays(pair: Pair) -> None:
    ours, theirs = pair
    assert not has_unread(ours.fileno())
    theirs.sendall(b"here")
    assert ours.recv(0, socket.MSG_PEEK) == b""
    assert has_unread(ours.fileno())
    assert ours.recv(4) == b"here"
    theirs.shutdown(socket.SHUT_WR)
    assert ours.recv(4) == b""
    assert not has_unread(ours.fileno())


def test_a_passage_is_laid_through_a_channel(pair: Pair, passage: Passage) -> None:
    near, far = socket.socketpair()
    far.setblocking(False)
    with near, far:
        assert Passage.laid(far) is None
        passage.lay(near)
        other = Passage.laid(far)
        assert other is not None
        assert other.give(pair[0], b"hello")
        taken = passage.take()
        assert taken is not None
        assert taken[1] == b"hello"
        taken[0].close()
        other.close()


def test_what_is_no_socket_is_refused() -> None:
    with open("/dev/null", "rb") as file, pytest.raises(OSError, match="non-socket"):
        tcp(file.fileno())


class Worker(threading.Thread):
    """A server in a thread of its own."""

    def __init__(self, http: type[asyncio.Protocol], passage: Passage) -> None:
        super().__init__()
        self.asked = 0
        ivr = Ivr("888", fallback=Forward("0"))
        ivr.add("DTMF", "1", self._pick, name="pick", method="GET", auth=None)
        app = Receiver(ivr, settings=SETTINGS)
        self.listener = bind("127.0.0.1", 0)
        self.server = Server(configure(app, http=http), None, Watchdog(), passage=passage)

    def run(self) -> None:
        self.server.run(sockets=[self.listener])

    async def _pick(self, call: Call) -> Reply:
        self.asked += 1
        return Forward("1")

    def connect(self) -> socket.socket:
        return socket.create_connection(self.listener.getsockname(), timeout=10)

    def close(self) -> None:
        self.server.should_exit = True
        self.join(20)
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


class Narrow(Passage):
    """One that takes nothing until there is room."""

    room, asked = False, 0

    def give(self, connected: socket.socket, data: bytes) -> bool:
        self.asked += 1
        return self.room and super().give(connected, data)


@pytest.mark.parametrize("http", sorted({H11, Fastest}, key=str), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("room", [True, False])
def test_what_could_not_be_passed_on_at_once_is_lost_by_nobody(
    http: type[asyncio.Protocol], room: bool
) -> None:
    """It is passed on as a whole once there is room, or else answered where it came."""
    read, go, passage = threading.Event(), threading.Event(), Narrow.make()

    class Stuck(http):  # type: ignore[valid-type, misc]
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if not read.is_set():
                read.set()
                go.wait(30)

    stuck, other = Worker(Stuck, passage), Worker(http, passage)
    stuck.start()
    other.start()
    lines = [stuck.connect() for _ in range(2)]
    try:
        while len(stuck.server.server_state.connections) < len(lines):
            time.sleep(0.001)
        ask(lines[0])
        assert read.wait(10)
        lines[1].sendall(b"GET /action/888/pick?input=1 HTTP/1.1\r\n")
        while passage.asked < 4:
            time.sleep(0.001)
        lines[1].sendall(b"Host: x\r\n\r\n")
        passage.room = room
        if not room:
            go.set()
        assert [answer(line) for line in lines] == [b'"1"}', b'"1"}']
        assert (stuck.asked, other.asked) == ((0, 2) if room else (2, 0))
    finally:
        go.set()
        for line in lines:
            line.close()
        stuck.close()
        other.close()
        passage.close()


@pytest.mark.parametrize("http", sorted({H11, Fastest}, key=str), ids=lambda kind: kind.__name__)
def test_what_a_stuck_loop_has_not_begun_with_another_answers(
    http: type[asyncio.Protocol], passage: Passage
) -> None:
    read, go = threading.Event(), threading.Event()

    class Stuck(http):  # type: ignore[valid-type, misc]
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            read.set()
            go.wait(30)

    stuck, other = Worker(Stuck, passage), Worker(http, passage)
    stuck.start()
    other.start()
    lines = [stuck.connect() for _ in range(3)]
    try:
        while len(stuck.server.server_state.connections) < len(lines):
            time.sleep(0.001)
        ask(lines[0])  # is read, and that is all
        assert read.wait(10)
        ask(lines[1])  # is not read
        assert [answer(line) for line in lines[:2]] == [b'"1"}', b'"1"}']
        assert not go.is_set()
        go.set()
        while len(stuck.server.server_state.connections) > 1:
            time.sleep(0.001)
        for line in lines:  # the last one stayed
            ask(line)
            assert answer(line) == b'"1"}'
        assert (stuck.asked, other.asked) == (1, 4)
    finally:
        go.set()
        for line in lines:
            line.close()
        stuck.close()
        other.close()
