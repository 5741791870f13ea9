"""Answers while the event loop is blocked, and what the log says."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop

from receiver import Call, Forward, Ivr, Receiver, Reply, Secret, Settings
from receiver.server import Http
from receiver.server import watchdog as watchdogs
from receiver.server.exchange import Exchange
from receiver.server.supervisor import HANG_TIMEOUT
from receiver.server.uvicorn_server import running
from receiver.server.watchdog import BLOCKED_TIME, RELIEVE_TIME, Watchdog, describe, is_idle
from receiver.storage.auth_fallback import AuthFallback
from tests.stopwatch import Stopwatch
from tests.support import SECRET, SETTINGS, credentials

BODY = b'{"status_code":200,"action":"call","destination":"0"}'


class Transport:
    """The half of a connection that an `Exchange` asks."""

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


class Unanswered(Exchange):
    """A request whose answer does not come."""

    def begin(self) -> None:
        pass


class Stage:
    """A watchdog with a fixed clock, and one callback."""

    def __init__(self, ours: socket.socket) -> None:
        self.now = 100.0
        self.transport: Any = Transport(ours)
        self.watchdog = Watchdog({describe.__code__: "888/pick"}, clock=lambda: self.now)
        self.watchdog._last_beat = self.now
        self.rescue = Unanswered(self, None, True)

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


def test_the_watchdog_answers_for_a_blocked_loop(pair: Pair) -> None:
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


def test_a_loop_that_runs_answers_itself(pair: Pair) -> None:
    stage = Stage(pair[0])
    stage.rescue.arm(100.0, BODY)
    stage.pass_time(BLOCKED_TIME / 2)
    assert stage.rescue.disarm() is True
    stage.pass_time(10)
    with pytest.raises(BlockingIOError):
        pair[1].recv(1)


def test_nothing_overtakes_an_earlier_answer(pair: Pair) -> None:
    stage = Stage(pair[0])
    stage.transport.waiting = 1
    stage.rescue.arm(100.0, BODY)
    stage.pass_time(10)
    assert stage.rescue.disarm() is True


def test_an_answer_that_cannot_be_written_is_left_to_the_loop(pair: Pair) -> None:
    stage = Stage(pair[0])
    stage.rescue.arm(100.0, BODY)
    pair[1].close()
    stage.pass_time(10)
    assert stage.rescue.disarm() is True


def test_the_loop_waits_while_the_thread_writes(pair: Pair) -> None:
    """The connection stays open until the answer is written."""
    stage = Stage(pair[0])
    stage.rescue.arm(100.0, BODY)
    written, found = threading.Event(), list[bool]()
    with stage.watchdog.writing:
        stage.watchdog.armed.pop(stage.rescue)
        loop = threading.Thread(target=lambda: found.append(stage.rescue.disarm()))
        loop.start()
        assert not stage.transport.closed
        stage.rescue.write_late()
        written.set()
    loop.join(60)
    assert found == [False]


def test_the_place_is_named_once(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(pair[0])
    stage.watchdog._loop_thread = threading.get_ident()
    for _ in range(5):
        stage.pass_time(RELIEVE_TIME)
    deadline = time.monotonic() + 60
    while "the event loop is blocked" not in caplog.text and time.monotonic() < deadline:
        threading.Event().wait(0.001)  # another thread writes it
    assert caplog.text.count("the event loop is blocked") == 1
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


# A real server, in a separate thread --------------------------------------------------------


NewLoop = Callable[[], asyncio.AbstractEventLoop]


class Service:
    """Answers on a port; ``block`` holds the loop until `go` is set."""

    def __init__(
        self, new_loop: NewLoop, settings: Settings = SETTINGS, http: type[Http] = Http
    ) -> None:
        self._http = http
        self.asked, self.go, self._up = threading.Semaphore(0), threading.Event(), threading.Event()
        self._new_loop = new_loop
        ivr = Ivr("888")
        fallback = Forward("0")
        for digits, name, handler in (("1", "wait", self._wait), ("2", "block", self._block)):
            ivr.add("DTMF", digits, handler, name=name, method="GET", auth=None, fallback=fallback)
        ivr.add("DTMF", "4", self._block, name="long", method="GET", auth=None, request_timeout=30)
        ivr.add("DTMF", "3", self._block, name="signed", auth="digest", fallback=fallback)
        self._app = Receiver(ivr, settings=settings)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        assert self._up.wait(60)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=self._new_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._end, self._loop = asyncio.Event(), asyncio.get_running_loop()
        async with running(self._app, http=self._http, watchdog=Watchdog()) as url:
            self.port = int(url.rpartition(":")[2])
            self._up.set()
            await self._end.wait()

    def close(self) -> None:
        self.go.set()
        self._loop.call_soon_threadsafe(self._end.set)
        self.thread.join(60)
        assert not self.thread.is_alive()

    async def _wait(self, call: Call) -> Reply:
        self.asked.release()
        await asyncio.Event().wait()
        raise AssertionError

    async def _block(self, call: Call) -> Reply:
        self.asked.release()
        assert self.go.wait(60)
        return Forward("222")

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def ask(self, name: str) -> socket.socket:
        line = self.connect()
        line.sendall(get(name))
        return line


def get(name: str) -> bytes:
    return b"GET /action/888/%b?input=1 HTTP/1.1\r\nHost: x\r\n\r\n" % name.encode()


def read(line: socket.socket) -> bytes:
    found = b""
    while data := line.recv(4096):
        found += data
    return found


FALLBACK = b'"action":"call","destination":"0"}'


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    service = Service(request.param)
    yield service
    service.close()


def test_callbacks_in_progress_on_a_blocked_loop_get_the_fallback_in_time(
    service: Service, stopwatch: Stopwatch
) -> None:
    begin = time.monotonic()
    lines = [service.ask("wait") for _ in range(5)]
    for _ in lines:
        assert service.asked.acquire(timeout=60)
    lines.append(service.ask("block"))
    assert service.asked.acquire(timeout=60)
    heads = [line.recv(4096) for line in lines]
    assert stopwatch.seconds(begin) < 1.9  # the PBX waits for 2
    assert not service.go.is_set()
    service.go.set()
    for line, head in zip(lines, heads, strict=True):
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert head.endswith(FALLBACK)
        assert read(line) == b""  # one answer, and the end
        line.close()


def test_requests_that_no_handler_has_begun_get_the_fallback_in_time(
    service: Service, stopwatch: Stopwatch
) -> None:
    """The requests are on connections of the loop, with half a head read, and on new ones."""
    lines = [service.connect(), service.connect()]
    lines[0].sendall(get("wait"))
    assert service.asked.acquire(timeout=60)
    lines[1].sendall(get("wait")[:20])
    blocked = service.ask("block")
    assert service.asked.acquire(timeout=60)
    begin = time.monotonic()
    lines[1].sendall(get("wait")[20:])
    lines += [service.ask("wait") for _ in range(5)]
    heads = [line.recv(4096) for line in lines]
    assert stopwatch.seconds(begin) < 1.9
    assert not service.go.is_set()
    service.go.set()
    for line, head in zip(lines, heads, strict=True):
        assert head.endswith(FALLBACK)
        assert read(line) == b""
        line.close()
    blocked.close()
    assert not service.asked.acquire(blocking=False)  # no handler was asked for them


def test_requests_that_are_not_due_are_served_by_the_loop_once_it_runs(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = service.ask("long")
    assert service.asked.acquire(timeout=60)
    line, idle = service.ask("long"), service.connect()
    while "the event loop is blocked" not in caplog.text:  # the line is accepted about now
        time.sleep(0.001)
    service.go.set()
    assert b'"222"' in line.recv(4096)
    idle.sendall(get("long"))
    assert b'"222"' in idle.recv(4096)
    for one in (blocked, line, idle):
        one.close()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_connections_that_were_accepted_and_have_no_protocol_yet(
    new_loop: NewLoop, stopwatch: Stopwatch
) -> None:
    """The loop is blocked between the two: their requests are answered, or kept for the loop."""
    go, blocked = threading.Event(), threading.Event()

    class Blocking(Http):
        """Blocks the event loop before the first connection is made."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            if not blocked.is_set():
                self.loop.call_soon(self._block)

        def _block(self) -> None:
            if not blocked.is_set():
                blocked.set()
                go.wait(60)

    service = Service(new_loop, http=Blocking)
    service.go.set()  # the handler is quick
    try:
        answered, begin = service.ask("block"), time.monotonic()
        assert blocked.wait(60)
        assert answered.recv(4096).endswith(FALLBACK)
        assert stopwatch.seconds(begin) < 1.9
        later = service.ask("long")
        time.sleep(0.2)  # until the thread has read the request
        assert not go.is_set()
        go.set()
        assert read(answered) == b""
        assert b'"222"' in later.recv(4096)
        later.sendall(get("long"))
        assert b'"222"' in later.recv(4096)
        for line in (answered, later):
            line.close()
    finally:
        go.set()
        service.close()


def post(authorization: str, line: socket.socket) -> None:
    lines = f"POST /action/888/signed HTTP/1.1\r\nHost: x\r\n{authorization}"
    body = '{"from": "1", "input": "3"}'
    line.sendall(f"{lines}Content-Length: {len(body)}\r\n\r\n{body}".encode())


def signed(challenge: bytes, password: str) -> str:
    request = httpx.Request("POST", "http://x/action/888/signed")
    username = credentials("888/signed").username
    flow = httpx.DigestAuth(username, password).auth_flow(request)
    next(flow)
    headers = {"WWW-Authenticate": challenge.decode()}
    sent = flow.send(httpx.Response(401, headers=headers, request=request))
    return f"Authorization: {sent.headers['Authorization']}\r\n"


def challenge_of(line: socket.socket) -> bytes:
    refused = line.recv(4096)
    assert refused.startswith(b"HTTP/1.1 401 ")
    found = re.search(rb"www-authenticate: (.*)\r\n", refused)
    assert found
    return found[1]


def test_requests_that_wait_for_the_shared_store_get_the_fallback_in_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stopwatch: Stopwatch
) -> None:
    """Their credentials are right, and the answer of the store cannot be waited for."""
    asked = threading.Event()

    async def confirm(*_: object) -> bool:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(AuthFallback, "confirm", confirm)
    settings = Settings(secret=SECRET, store=Secret(str(tmp_path / "store.db")))
    service = Service(asyncio.new_event_loop, settings)
    try:
        line, begin = service.connect(), time.monotonic()
        post("", line)
        password = credentials("888/signed").password.reveal()
        post(signed(challenge_of(line), password), line)
        assert asked.wait(60)
        blocked = service.ask("block")
        assert service.asked.acquire(timeout=60)
        assert line.recv(4096).endswith(FALLBACK)
        assert stopwatch.seconds(begin) < 1.95
        assert not service.go.is_set()
        for one in (line, blocked):
            one.close()
    finally:
        service.close()


def test_the_time_that_a_request_has_waited_counts_when_the_loop_runs_again(
    service: Service, stopwatch: Stopwatch
) -> None:
    blocked = service.ask("block")
    assert service.asked.acquire(timeout=60)
    line, begin = service.ask("wait"), time.monotonic()
    half = service.connect()
    half.sendall(get("wait")[:20])
    time.sleep(1.2)
    half.sendall(get("wait")[20:])
    service.go.set()
    assert line.recv(4096).endswith(FALLBACK)
    assert stopwatch.seconds(begin) < 1.9
    assert half.recv(4096).endswith(FALLBACK)
    for one in (blocked, line, half):
        one.close()


def test_the_first_time_the_log_advises_a_second_worker(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    for times in (1, 2):
        line = service.ask("long")
        assert service.asked.acquire(timeout=60)
        while caplog.text.count("the event loop is blocked") < times:
            time.sleep(0.001)
        service.go.set()
        assert b'"222"' in line.recv(4096)
        line.close()
        while caplog.text.count("the event loop runs again") < times:
            time.sleep(0.001)
        service.go.clear()
        assert caplog.text.count("with --workers 2 the other worker would give them") == 1


def test_before_the_worker_is_killed_all_get_the_fallback(pair: Pair) -> None:
    assert watchdogs.URGENT_TIME < HANG_TIMEOUT - 0.5
    stage = Stage(pair[0])
    stage.rescue.arm(1000.0, BODY)
    seen = list[bool]()

    def relieve(since: float, is_urgent: bool) -> tuple[int, int]:
        seen.append(is_urgent)
        return 0, 0

    stage.watchdog.relieve = relieve
    stage.watchdog._loop_thread = threading.get_ident()
    stage.pass_time(watchdogs.URGENT_TIME - 0.1)
    with pytest.raises(BlockingIOError):
        pair[1].recv(1)
    stage.pass_time(0.1)
    assert pair[1].recv(4096).endswith(BODY)
    assert seen == [False, True]


def test_digest_on_a_blocked_loop_is_challenged_and_checked(
    service: Service, stopwatch: Stopwatch
) -> None:
    """Both legs, of the same connection; a captured request, and a wrong password, get nothing."""
    known = credentials("888/signed")
    blocked = service.ask("block")
    assert service.asked.acquire(timeout=60)

    line, wrong, again = service.connect(), service.connect(), service.connect()
    begin = time.monotonic()
    post("", line)
    challenge = challenge_of(line)
    right = signed(challenge, known.password.reveal())
    post(right, line)
    post(signed(challenge, "wrong"), wrong)
    answer = line.recv(4096)
    assert answer.endswith(FALLBACK)
    assert stopwatch.seconds(begin) < 1.8  # the wait for the challenge counts
    post(right, again)
    stale = again.recv(4096)
    assert stale.startswith(b"HTTP/1.1 401 ")
    assert b"stale=true" in stale
    wrong.setblocking(False)
    with pytest.raises(BlockingIOError):
        wrong.recv(1)
    for one in (blocked, line, wrong, again):
        one.close()


def test_a_loop_that_waits_for_events_is_not_blocked() -> None:
    """The loop is late because the machine is busy: it is neither reported nor relieved."""
    loop = asyncio.SelectorEventLoop()  # whichever policy another test has set
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    assert thread.ident is not None
    while not is_idle(sys._current_frames()[thread.ident]):
        time.sleep(0.001)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    assert not is_idle(sys._getframe())
    assert not is_idle(None)


def test_a_loop_that_is_only_late_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, pair: Pair
) -> None:
    monkeypatch.setattr(watchdogs, "is_idle", lambda frame: True)
    stage = Stage(pair[0])
    stage.watchdog.relieve = lambda since, is_urgent: (1, 1)
    stage.pass_time(RELIEVE_TIME * 3)
    assert caplog.text == ""
