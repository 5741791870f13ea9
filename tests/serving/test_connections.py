"""The clock on slow senders, the bounds of a head, and trailers: none of them waited for."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from receiver.serving.connections import H11, PIPELINE_LIMIT, Fastest, HttpTools
from receiver.serving.framing import APART, HEAD_LIMIT, TRAILERS
from receiver.serving.server import configure
from receiver.serving.timed import HEAD_TIME

GET = b"GET /here HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /here HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
CHUNKS = b"POST /here HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class Transport(asyncio.Transport):
    """What a connection writes, and whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = ""

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = "aborted"

    def is_closing(self) -> bool:
        return bool(self.ended)

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


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

    def call_soon(self, callback: Callable[[], object]) -> asyncio.Handle:
        return asyncio.get_running_loop().call_soon(callback)

    def create_task(self, work: Any) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for handle in [handle for handle in self.handles if handle.when() <= self.now]:
            self.handles.remove(handle)
            if not handle.cancelled():
                handle._run()


class App:
    """An app that notes each request, and answers when it is let, or without waiting for a body."""

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

    def __init__(self, kind: type[Any]) -> None:
        self.app, self.clock, self.transport = App(), Clock(), Transport()
        config = configure(self.app, "off", kind)
        self.connection = kind(config, ServerState(), {}, self.clock)
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


@pytest.fixture(params=[H11, HttpTools], ids=["h11", "httptools"])
async def stage(request: pytest.FixtureRequest) -> Stage:
    return Stage(request.param)


async def test_who_says_nothing_is_let_go(stage: Stage) -> None:
    stage.clock.advance(HEAD_TIME - 0.1)
    assert stage.open
    stage.clock.advance(0.1)
    assert stage.transport.ended == "aborted"
    assert not stage.transport.written


async def test_who_sends_a_head_octet_by_octet_is_let_go(stage: Stage) -> None:
    for octet in GET[:8]:
        await stage.send(bytes([octet]))
        stage.clock.advance(HEAD_TIME / 8)
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
    assert stage.transport.ended == "aborted"
    assert stage.statuses == [204]


async def test_a_head_behind_a_request_in_one_segment(stage: Stage) -> None:
    await stage.send(GET + GET[:9])
    assert stage.statuses == [204]
    stage.clock.advance(HEAD_TIME)
    assert stage.transport.ended


async def test_empty_lines_do_not_keep_a_connection() -> None:
    """h11 answers them 400; httptools says nothing of them, and uvicorn stops its own clock."""
    stage = Stage(HttpTools)
    await stage.send(GET)
    for _ in range(5):
        await stage.send(b"\r\n")
        stage.clock.advance(HEAD_TIME / 5)
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


async def test_who_goes_on_after_the_answer_is_let_go(stage: Stage) -> None:
    """uvicorn stops its clock with each octet, and drops the rest of the body for ever."""
    stage.app.reads = False
    await stage.send(POST)
    assert stage.statuses == [204]
    await stage.send(b"b")
    stage.clock.advance(HEAD_TIME - 0.1)
    await stage.send(b"o")
    assert stage.open
    stage.clock.advance(0.1)
    assert stage.transport.ended


async def test_who_does_not_read_is_let_go(stage: Stage) -> None:
    await stage.send(GET)
    stage.connection.pause_writing()
    stage.clock.advance(HEAD_TIME - 0.1)
    stage.connection.resume_writing()
    await stage.send(GET)
    stage.connection.pause_writing()
    stage.clock.advance(HEAD_TIME - 0.1)
    assert stage.open
    stage.clock.advance(0.1)
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


async def test_a_trailer_without_end() -> None:
    """h11 bounds it too, but says so only when the app answered."""
    stage = Stage(HttpTools)
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


async def test_what_was_pipelined_is_answered_in_order(stage: Stage) -> None:
    await stage.send(POST + b"1111" + POST + b"2222" + GET)
    assert stage.statuses == [204, 204, 204]
    assert stage.app.bodies == [b"1111", b"2222", b""]
    assert stage.open


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
    """A second answer to one request would be taken for that of the next."""
    stage.app.reads = False
    await stage.send(CHUNKS)
    await stage.send(b"nonsense\r\n")
    assert stage.statuses == [204]
    assert stage.transport.ended == "closed"


async def test_a_crowd_of_requests_does_not_wait_in_memory() -> None:
    stage = Stage(HttpTools)
    stage.app.let.clear()
    await stage.send(GET * (PIPELINE_LIMIT * 2))
    assert len(stage.connection.pipeline) == PIPELINE_LIMIT + 1


async def test_the_fastest_is_taken() -> None:
    assert Fastest is HttpTools


def test_without_httptools_h11_is_taken() -> None:
    code = (
        "import sys; sys.modules['httptools'] = None\n"
        "from receiver.serving.connections import H11, Fastest; assert Fastest is H11"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
