"""Who answers when the event loop does not run, and what is said about it."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from receiver import Call, Forward, Ivr, Receiver, Reply
from receiver.serving.connections import H11, Fastest
from receiver.serving.server import running
from receiver.serving.watchdog import PATIENCE, STUCK, Rescue, Watchdog, describe
from tests.support import SETTINGS

BODY = b'{"status_code":200,"action":"call","destination":"0"}'


class Transport:
    """The half of a connection that a `Rescue` asks."""

    def __init__(self, connected: socket.socket) -> None:
        self.connected = connected
        self.waiting = 0
        self.closed = False

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def get_extra_info(self, name: str) -> socket.socket:
        return self.connected

    def close(self) -> None:
        self.closed = True


class Stage:
    """A watchdog whose time stands still, and one callback."""

    def __init__(self, ours: socket.socket) -> None:
        self.now = 100.0
        self.disconnected = self.keep_alive = False
        self.armed: Rescue | None = None
        self.transport: Any = Transport(ours)
        self.watchdog = Watchdog({describe.__code__: "888/pick"}, clock=lambda: self.now)
        self.watchdog._beat = self.now
        self.rescue = Rescue(self.watchdog, self, self)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.watchdog.look()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


Pair = tuple[socket.socket, socket.socket]


def test_a_loop_that_is_stuck_is_answered_for(pair: Pair) -> None:
    stage = Stage(pair[0])
    stage.rescue.arm(101.5, BODY)
    stage.pass_time(1.0)
    with pytest.raises(BlockingIOError):
        pair[1].recv(1)
    stage.pass_time(0.5)
    head, _, body = pair[1].recv(4096).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert lines[1].startswith(b"date: ")
    assert lines[2:] == [
        b"content-type: application/json",
        b"content-length: %d" % len(BODY),
        b"connection: close",
    ]
    assert body == BODY
    assert stage.rescue.disarm() is False
    assert (stage.disconnected, stage.transport.closed) == (True, True)


def test_a_loop_that_runs_answers_itself(pair: Pair) -> None:
    stage = Stage(pair[0])
    stage.rescue.arm(100.0, BODY)
    stage.pass_time(STUCK / 2)
    assert stage.rescue.disarm() is True
    stage.pass_time(10)
    assert (stage.disconnected, stage.transport.closed) == (False, False)
    with pytest.raises(BlockingIOError):
        pair[1].recv(1)


def test_nothing_overtakes_an_earlier_answer(pair: Pair) -> None:
    stage = Stage(pair[0])
    stage.transport.waiting = 1
    stage.rescue.arm(100.0, BODY)
    stage.pass_time(10)
    assert stage.rescue.disarm() is True


def test_what_could_not_be_written_is_the_loops(pair: Pair) -> None:
    stage = Stage(pair[0])
    stage.rescue.arm(100.0, BODY)
    pair[1].close()
    stage.pass_time(10)
    assert stage.rescue.disarm() is True


def test_who_comes_while_the_thread_writes_waits_for_it(pair: Pair) -> None:
    """Between taking it out and writing nobody may close the connection."""
    stage = Stage(pair[0])
    stage.rescue.arm(100.0, BODY)
    written, found = threading.Event(), list[bool]()
    with stage.watchdog.writing:
        stage.watchdog.armed.pop(stage.rescue)
        loop = threading.Thread(target=lambda: found.append(stage.rescue.disarm()))
        loop.start()
        assert not stage.transport.closed
        stage.rescue.write()
        written.set()
    loop.join(10)
    assert found == [False]


def test_the_place_is_named_once(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    stage, said = Stage(pair[0]), threading.active_count()
    stage.watchdog._loop_thread = threading.get_ident()
    for _ in range(5):
        stage.pass_time(PATIENCE)
    deadline = time.monotonic() + 10
    while threading.active_count() > said and time.monotonic() < deadline:
        threading.Event().wait(0.001)
    assert caplog.text.count("the event loop is stuck") == 1
    assert "test_watchdog.py:" in caplog.text


def test_the_handler_is_named() -> None:
    def handler() -> str:
        card = 4111411141114111
        assert card
        return describe(sys._getframe(), {handler.__code__: "888/pick"})

    found = handler()
    assert found.startswith(" in the handler of 888/pick\n")
    assert "handler" in found.splitlines()[1]
    assert "4111" not in found


# A real server, in a thread of its own --------------------------------------------------------


class Service:
    """Answers on a port; ``block`` holds the loop until `go` is set."""

    def __init__(self, http: type[asyncio.Protocol], watchdog: Watchdog | None) -> None:
        self.asked, self.go, self._up = threading.Semaphore(0), threading.Event(), threading.Event()
        self._http, self._watchdog = http, watchdog
        ivr = Ivr("888")
        for digits, name, handler in (("1", "wait", self._wait), ("2", "block", self._block)):
            ivr.add(
                "DTMF", digits, handler, name=name, method="GET", auth=None, fallback=Forward("0")
            )
        self._app = Receiver(ivr, settings=SETTINGS)
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.thread.start()
        assert self._up.wait(10)

    async def _serve(self) -> None:
        self._end, self._loop = asyncio.Event(), asyncio.get_running_loop()
        async with running(self._app, http=self._http, watchdog=self._watchdog) as url:
            self.port = int(url.rpartition(":")[2])
            self._up.set()
            await self._end.wait()

    def close(self) -> None:
        self.go.set()
        self._loop.call_soon_threadsafe(self._end.set)
        self.thread.join(20)
        assert not self.thread.is_alive()

    async def _wait(self, call: Call) -> Reply:
        self.asked.release()
        await asyncio.Event().wait()
        raise AssertionError

    async def _block(self, call: Call) -> Reply:
        self.asked.release()
        assert self.go.wait(30)
        return Forward("222")

    def ask(self, name: str) -> socket.socket:
        line = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        line.sendall(b"GET /action/888/%b?input=1 HTTP/1.1\r\nHost: x\r\n\r\n" % name.encode())
        return line


def read(line: socket.socket) -> bytes:
    found = b""
    while data := line.recv(4096):
        found += data
    return found


@pytest.mark.parametrize("http", sorted({H11, Fastest}, key=str), ids=lambda kind: kind.__name__)
def test_those_in_flight_on_a_blocked_loop_get_the_fallback_in_time(
    http: type[asyncio.Protocol],
) -> None:
    service = Service(http, Watchdog())
    try:
        begin = time.monotonic()
        lines = [service.ask("wait") for _ in range(5)]
        for _ in lines:
            assert service.asked.acquire(timeout=10)
        lines.append(service.ask("block"))
        assert service.asked.acquire(timeout=10)
        heads = [line.recv(4096) for line in lines]
        assert time.monotonic() - begin < 1.9  # the PBX waits for 2
        assert not service.go.is_set()
    finally:
        service.close()
    for line, head in zip(lines, heads, strict=True):
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert head.endswith(b'"action":"call","destination":"0"}')
        assert read(line) == b""  # one answer, and the end
        line.close()
