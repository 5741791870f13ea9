"""The clock on slow senders, the bounds of a head, and trailers: none of them waited for."""

import asyncio
import gc
import socket
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from receiver import Call, Forward, Receiver, Reply
from receiver.callbacks.http_limits import APART, HEAD_LIMIT, TRAILERS
from receiver.callbacks.request import Request
from receiver.server.connection_limit import HEAD_TIME
from receiver.server.exchange import Callback, Exchange
from receiver.server.http import GRACE_TIME, PIPELINE_LIMIT, Http
from receiver.server.uvicorn_server import configure
from tests.bench.requests_sent import KINDS, Kind
from tests.support import Counted, make_app

GET = b"GET /here HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /here HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
CHUNKS = b"POST /here HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class Transport(asyncio.Transport):
    """A transport that records what was written, and whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = ""
        self.reads = True
        self.socket: socket.socket | None = None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.socket if name == "socket" else default

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = "aborted"

    def is_closing(self) -> bool:
        return bool(self.ended)

    def is_reading(self) -> bool:
        return self.reads

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


class Clock:
    """An event loop whose time is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.handles: list[asyncio.TimerHandle] = []

    def call_later(self, delay: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        handle = asyncio.TimerHandle(self.now + delay, callback, (), loop)
        self.handles.append(handle)
        return handle

    def time(self) -> float:
        return self.now

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio.get_running_loop(), name)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for handle in [handle for handle in self.handles if handle.when() <= self.now]:
            self.handles.remove(handle)
            if not handle.cancelled():
                handle._run()


class App:
    """An app that notes each request, and answers when it may, or without waiting for a body."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.bodies: list[bytes] = []
        self.reads = True
        self.let = asyncio.Event()
        self.let.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        body, more = b"", self.reads
        while more:
            message = await receive()
            more = message.get("more_body", False)
            body += message.get("body", b"")
        self.bodies.append(body)
        await self.let.wait()
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


class Stage:
    """A connection, its clock, its transport and the app behind it."""

    def __init__(
        self,
        app: Receiver | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        keep_alive: int = 5,
    ) -> None:
        self.app, self.clock, self.transport = App(), Clock(), Transport()
        config = configure(app or self.app, "off", keep_alive=keep_alive)
        config.load()
        self.state = ServerState()
        clock: Any = self.clock
        self.connection = Http(config, self.state, {}, loop or clock)
        self.connection.connection_made(self.transport)

    async def send(self, data: bytes) -> None:
        """Let the data arrive, and everything happen that then happens."""
        if not self.transport.ended:
            self.connection.data_received(data)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    @property
    def open(self) -> bool:
        return not self.transport.ended

    @property
    def statuses(self) -> list[int]:
        return [int(part[:3]) for part in self.transport.written.split(b"HTTP/1.1 ")[1:]]


@pytest.fixture
async def stage() -> Stage:
    return Stage()


async def test_a_silent_client_is_closed(stage: Stage) -> None:
    stage.clock.advance(HEAD_TIME - 0.1)
    assert stage.open
    stage.clock.advance(0.1)
    stage.clock.advance(GRACE_TIME)
    assert stage.transport.ended == "aborted"
    assert not stage.transport.written


@pytest.mark.parametrize("keep_alive", [1, 3, 5, 30])
async def test_an_idle_connection_is_closed_after_the_keep_alive_time(keep_alive: int) -> None:
    stage = Stage(keep_alive=keep_alive)
    stage.clock.advance(0.9)
    await stage.send(GET)
    assert stage.statuses == [204]
    for _ in range(keep_alive * 10 - 1):
        stage.clock.advance(0.1)
        assert stage.open
    for _ in range(5):
        stage.clock.advance(0.05)
    assert not stage.open


@pytest.mark.parametrize("has_sent", [False, True])
async def test_a_request_that_arrived_while_the_loop_was_blocked_is_not_cut_off(
    has_sent: bool,
) -> None:
    """The connection was idle before, and its time ended meanwhile."""
    stage = Stage()
    stage.clock.advance(HEAD_TIME + 3)
    assert stage.open
    if has_sent:
        await stage.send(GET)
        assert stage.statuses == [204]
    stage.clock.advance(0.2)
    assert stage.open == has_sent


@pytest.mark.parametrize("is_read", [True, False])
async def test_a_request_that_arrived_just_before_the_keep_alive_time_is_read(
    is_read: bool,
) -> None:
    """A timer runs before what arrived is read; octets that are never read keep it open once."""
    stage = Stage(keep_alive=1)
    await stage.send(GET)
    stage.transport.socket, client = socket.socketpair()
    with client, stage.transport.socket as connected:
        client.sendall(GET)
        for _ in range(20):
            stage.clock.advance(0.05)
        assert stage.open
        if is_read:
            await stage.send(connected.recv(999))
            assert stage.statuses == [204, 204]
        for _ in range(3):
            stage.clock.advance(0.05)
        assert stage.open == is_read


async def test_a_client_that_sends_a_head_octet_by_octet_is_closed(stage: Stage) -> None:
    for octet in GET[:8]:
        await stage.send(bytes([octet]))
        stage.clock.advance(HEAD_TIME / 8)
    stage.clock.advance(GRACE_TIME)
    assert stage.transport.ended == "aborted"
    assert not stage.app.scopes


async def test_the_time_of_a_later_head_runs_from_its_first_octet(stage: Stage) -> None:
    await stage.send(GET)
    stage.clock.advance(4)  # uvicorn itself allows five seconds without a request
    await stage.send(GET[:3])
    stage.clock.advance(HEAD_TIME - 0.1)
    assert stage.open
    await stage.send(GET[3:6])
    stage.clock.advance(0.1)
    stage.clock.advance(GRACE_TIME)
    assert stage.transport.ended == "aborted"
    assert stage.statuses == [204]


async def test_a_head_behind_a_request_in_one_segment(stage: Stage) -> None:
    await stage.send(GET + GET[:9])
    assert stage.statuses == [204]
    stage.clock.advance(HEAD_TIME)
    stage.clock.advance(GRACE_TIME)
    assert stage.transport.ended


async def test_empty_lines_do_not_keep_a_connection(stage: Stage) -> None:
    """httptools says nothing of them."""
    await stage.send(GET)
    for _ in range(5):
        await stage.send(b"\r\n")
        stage.clock.advance(HEAD_TIME / 5)
    stage.clock.advance(GRACE_TIME)
    assert stage.transport.ended == "aborted"


async def test_a_handler_has_the_time_that_the_app_gives_it(stage: Stage) -> None:
    stage.app.let.clear()
    await stage.send(POST)
    stage.clock.advance(HEAD_TIME * 2)
    await stage.send(b"body")
    stage.clock.advance(HEAD_TIME * 2)
    stage.app.let.set()
    await stage.settle()
    assert stage.statuses == [204]
    assert stage.app.bodies == [b"body"]
    assert stage.open


async def test_a_client_that_sends_on_after_the_answer_is_closed(stage: Stage) -> None:
    """uvicorn stops its clock with each octet, and drops the rest of a body without end."""
    stage.app.reads = False
    await stage.send(POST)
    assert stage.statuses == [204]
    await stage.send(b"b")
    stage.clock.advance(HEAD_TIME - 0.1)
    await stage.send(b"o")
    assert stage.open
    stage.clock.advance(0.1)
    stage.clock.advance(GRACE_TIME)
    assert stage.transport.ended


async def test_a_client_that_does_not_read_is_closed(stage: Stage) -> None:
    await stage.send(GET)
    stage.connection.pause_writing()
    stage.clock.advance(HEAD_TIME - 0.1)
    stage.connection.resume_writing()
    await stage.send(GET)
    stage.connection.pause_writing()
    stage.clock.advance(HEAD_TIME - 0.1)
    assert stage.open
    stage.clock.advance(0.1)
    stage.clock.advance(GRACE_TIME)
    assert stage.transport.ended == "aborted"


async def test_a_lost_connection_stops_the_clock(stage: Stage) -> None:
    stage.connection.connection_lost(None)
    assert all(handle.cancelled() for handle in stage.clock.handles)


async def test_a_head_without_end(stage: Stage) -> None:
    await stage.send(GET[:-2] + b"X: ")
    for _ in range(HEAD_LIMIT // 1000 + 1):
        await stage.send(b"x" * 1000)
    assert stage.statuses == [400]
    assert stage.transport.ended == "closed"


async def test_a_trailer_without_end(stage: Stage) -> None:
    await stage.send(CHUNKS + b"0\r\nX: ")
    for _ in range(HEAD_LIMIT // 1000 + 1):
        await stage.send(b"x" * 1000)
    assert stage.statuses == [400]
    assert stage.transport.ended == "closed"


async def test_a_body_is_no_head(stage: Stage) -> None:
    size = HEAD_LIMIT * 2
    await stage.send(b"POST /here HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
    for _ in range(4):
        await stage.send(b"x" * (size // 4))
    await stage.send(GET)
    assert stage.statuses == [204, 204]
    assert [len(body) for body in stage.app.bodies] == [size, 0]


async def test_heads_of_one_connection_do_not_add_up(stage: Stage) -> None:
    large = GET[:-2] + b"X: " + b"x" * 2000 + b"\r\n\r\n"
    count = HEAD_LIMIT // 2000 + 1
    for _ in range(count):
        await stage.send(large)
    assert stage.statuses == [204] * count


async def test_trailers_are_no_headers(stage: Stage) -> None:
    await stage.send(CHUNKS + b"1\r\na\r\n0\r\nAuthorization: Bearer x\r\n\r\n" + GET)
    for scope in stage.app.scopes:
        assert scope[TRAILERS] == APART
        assert b"authorization" not in dict(scope["headers"])
        assert dict(scope["headers"])[b"host"] == b"x"
    assert stage.app.bodies == [b"a", b""]


async def test_pipelined_requests_are_answered_in_order(stage: Stage) -> None:
    await stage.send(POST + b"1111" + POST + b"2222" + GET)
    assert stage.statuses == [204, 204, 204]
    assert stage.app.bodies == [b"1111", b"2222", b""]
    assert stage.open


async def test_pipelined_callbacks_delay_other_connections_by_one_callback() -> None:
    stage, request = Stage(app=make_app(Counted())), KINDS[0].request(0).octets()
    stage.connection.data_received(request * 5)
    for answered in range(1, 6):
        assert len(stage.statuses) == answered  # one in each iteration of the event loop
        assert stage.transport.is_reading() == (answered == 5)
        await asyncio.sleep(0)
    assert stage.statuses == [200] * 5
    await stage.send(request)
    assert stage.statuses == [200] * 6


async def test_a_connection_that_is_closed_between_pipelined_callbacks() -> None:
    handler = Counted()
    stage, request = Stage(app=make_app(handler)), KINDS[0].request(0).octets()
    stage.connection.data_received(request * 5)
    stage.transport.close()
    stage.connection.connection_lost(None)
    await stage.settle()
    assert len(handler.calls) == 1


@pytest.mark.parametrize("is_paused", [False, True])
async def test_a_client_that_reads_no_last_answer_is_closed(is_paused: bool) -> None:
    """The request after the one that ends the connection does not keep it open."""
    stage = Stage(app=make_app(Counted()))
    if is_paused:
        stage.connection.pause_writing()
    large = b"POST /action/888/post-bearer HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n"
    await stage.send(large + b"x" * 70_000 + GET)
    assert stage.transport.ended == "closed"  # once all is sent, for which the client must read
    stage.clock.advance(HEAD_TIME + 0.1)
    stage.clock.advance(GRACE_TIME)
    assert stage.transport.ended == "aborted"


async def test_a_broken_request_does_not_take_the_answer_of_one_before_it(stage: Stage) -> None:
    stage.app.let.clear()
    await stage.send(GET + b"\x16\x03\x01\r\n\r\n")
    assert stage.statuses == []
    stage.app.let.set()
    await stage.settle()
    assert stage.statuses[0] == 204
    assert stage.transport.ended == "closed"


async def test_a_body_that_breaks_before_its_answer(stage: Stage) -> None:
    await stage.send(CHUNKS + b"nonsense\r\n")
    assert stage.statuses == [400]
    assert stage.transport.ended == "closed"


async def test_a_body_that_breaks_after_its_answer(stage: Stage) -> None:
    """A second answer to one request would look like that of the next."""
    stage.app.reads = False
    await stage.send(CHUNKS)
    await stage.send(b"nonsense\r\n")
    assert stage.statuses == [204]
    assert stage.transport.ended == "closed"


async def test_the_pipeline_is_bounded(stage: Stage) -> None:
    stage.app.let.clear()
    await stage.send(GET)
    await stage.send(GET * (PIPELINE_LIMIT * 2))
    assert len(stage.connection._queue) == PIPELINE_LIMIT + 2  # the last of them is refused
    stage.app.let.set()
    for _ in range(PIPELINE_LIMIT):
        await stage.settle()
    assert stage.statuses == [204] * (PIPELINE_LIMIT + 2) + [400]
    assert not stage.open


def alive() -> int:
    gc.collect()
    return sum(isinstance(one, Exchange) for one in gc.get_objects())


@pytest.mark.parametrize("name", ["post-open", "post-digest", "post-bearer", "unknown"])
async def test_nothing_is_left_of_a_callback(name: str) -> None:
    """No object of a callback or its connection stays in memory."""
    before = alive()
    line = b"POST /action/888/%b?input=1 HTTP/1.1\r\nHost: x\r\n" % name.encode()
    stage = Stage(app=make_app(Counted()))
    for _ in range(40):
        await stage.send(line + b"Content-Length: 0\r\n\r\n")
    assert len(stage.statuses) == 40
    assert alive() <= before + 1  # the one that was answered last
    stage.connection.connection_lost(None)
    del stage
    assert alive() <= before


def spelt(line: bytes) -> bytes:
    return line + b"\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize(
    ("line", "path", "query"),
    [
        (b"GET /a?n=J\xc3\xbc HTTP/1.1", "/a", b"n=J%C3%BC"),
        (b"GET /a?n=J\xfc HTTP/1.1", "/a", b"n=J%FC"),
        (b"GET /a b?n=Ada E HTTP/1.1", "/a b", b"n=Ada%20E"),
        (b"GET /a?n=x HTTP/1.0 HTTP/1.1", "/a", b"n=x%20HTTP/1.0"),
        (b"GET http://x.example:8/a?n=1 HTTP/1.1", "/a", b"n=1"),
        (b"GET HTTPS://x.example HTTP/1.1", "/", b""),
        (b"GET http://x.example?n=1 HTTP/1.1", "/", b"n=1"),
        (b"GET /a?n=1#&m=2 HTTP/1.1", "/a", b"n=1#&m=2"),
        (b"GET /a?n=1?m HTTP/1.1", "/a", b"n=1?m"),
    ],
)
async def test_targets_as_a_pbx_may_write_them(
    line: bytes, path: str, query: bytes, step: int, stage: Stage
) -> None:
    """The target may arrive in pieces; the end of the line is where it was."""
    whole = spelt(line) + GET
    for start in range(0, len(whole), step):
        await stage.send(whole[start : start + step])
    assert [scope["path"] for scope in stage.app.scopes] == [path, "/here"]
    assert stage.app.scopes[0]["query_string"] == query
    assert stage.statuses == [204, 204]


@pytest.mark.parametrize(
    "line",
    [b"GET /a\x01 HTTP/1.1", b"GET /a\tb HTTP/1.1", b"PUT /a b HTTP/1.1", b"GET a b HTTP/1.1"],
)
async def test_targets_that_nothing_should_write(line: bytes, stage: Stage) -> None:
    await stage.send(spelt(line))
    assert stage.statuses == [400]
    assert not stage.open


async def test_a_line_without_end_is_not_kept(stage: Stage) -> None:
    for _ in range(HEAD_LIMIT // 1000 + 2):
        await stage.send(b"GET /" + b"x" * 1000 if not stage.clock.now else b"x" * 1000)
        stage.clock.now += 0.01
    assert stage.statuses in ([400], [414])
    assert len(stage.connection.line) == 0


# what an answered callback leaves ------------------------------------------------------------


async def _wait(call: Call) -> Reply:
    await asyncio.sleep(0)
    return Forward("222")


@pytest.mark.parametrize("kind", KINDS[:3], ids=lambda kind: str(kind.scheme))
@pytest.mark.parametrize("handler", [Counted(), _wait])
async def test_answered_callbacks_leave_nothing_for_the_garbage_collector(
    handler: Any, kind: Kind
) -> None:
    app, loop = make_app(handler), asyncio.get_running_loop()
    gc.collect()
    before = {id(one) for one in made()}
    gc.disable()
    try:
        for number in range(1, 4):
            stage = Stage(app, loop)
            await stage.send(kind.request(0, proof=False).octets())
            nonce = stage.transport.written.partition(b'nonce="')[2].partition(b'"')[0]
            await stage.send(kind.request(number, nonce).octets())
            assert stage.statuses == [401, 200]
            stage.connection.connection_lost(None)
        left = [type(one) for one in made() if id(one) not in before]
        assert left == [Http]  # that of the last stage
    finally:
        gc.enable()


def made() -> list[object]:
    """Return the connections, exchanges and requests that exist."""
    return [one for one in gc.get_objects() if isinstance(one, Callback | Http | Request)]


async def test_a_handler_that_waits_takes_one_task() -> None:
    go = asyncio.Event()

    async def wait(call: Call) -> Reply:
        await go.wait()
        return Forward("222")

    stage = Stage(make_app(wait), asyncio.get_running_loop())
    go.set()
    await stage.send(KINDS[0].request(0).octets())  # the first request starts the app's other tasks
    before = asyncio.all_tasks()
    go.clear()
    await stage.send(KINDS[0].request(1).octets())
    assert len(asyncio.all_tasks() - before) == 1
    assert stage.statuses == [200]
    go.set()
    await stage.settle()
    assert stage.statuses == [200, 200]
    assert asyncio.all_tasks() == before
