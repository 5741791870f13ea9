"""Raw sockets, and the servers that they attack: each in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from receiver import Settings
from receiver.server.connection_limit import Limits
from receiver.server.uvicorn_server import running
from tests.support import ANSWER, FIELDS, SECRET, Counted, credentials, make_app

SETTINGS = Settings(secret=SECRET, margin=0.99)
"""Bodies have little more than a second."""

PATIENCE = 60.0
"""Seconds after which a test gives up."""


@dataclass(frozen=True)
class Answer:
    """An answer; status 0 if the connection was closed without one."""

    status: int
    head: bytes = b""
    body: bytes = b""

    @property
    def closes(self) -> bool:
        return b"connection: close" in self.head.lower()


class Wire:
    """A connection to a server, octet by octet."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket = tls.wrap_socket(plain) if tls else plain
        self._read = self.socket.makefile("rb")

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._read.close()
        self.socket.close()

    def send(self, data: bytes) -> bool:
        """Whether the server still takes it."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def answer(self) -> Answer:
        """The next answer; one without a length ends with the connection."""
        try:
            line = self._read.readline()
            if not line:
                return Answer(0)
            head = line
            while line not in (b"\r\n", b""):
                line = self._read.readline()
                head += line
            status = int(head.split()[1])
            if status < 200:
                return Answer(status, head)
            lengths = [h[15:] for h in head.lower().split(b"\r\n") if h[:15] == b"content-length:"]
            body = self._read.read(int(lengths[0])) if lengths else b"".join(self._rest())
            return Answer(status, head, body)
        except ConnectionResetError:
            return Answer(0)

    def _rest(self) -> Iterator[bytes]:
        """All that comes; who closes with something unread ends with a reset."""
        with contextlib.suppress(ConnectionResetError):
            while octets := self._read.read1(65536):
                yield octets

    def closed(self) -> bool:
        """Whether the server closes without a further word; waits for it."""
        try:
            return not self._read.read(1)
        except ConnectionResetError:
            return True


@dataclass(frozen=True)
class Target:
    """A running server: where it listens, and the handler behind it."""

    port: int
    handler: Counted

    def connect(self, tls: ssl.SSLContext | None = None) -> Wire:
        return Wire(self.port, tls)

    def still_answers(self) -> bool:
        """Return whether a valid callback on a new connection is answered by the handler."""
        before = len(self.handler.calls)
        with self.connect() as wire:
            wire.send(post())
            return wire.answer().body == ANSWER and len(self.handler.calls) == before + 1


def token(action: str = "post-bearer") -> bytes:
    return b"Authorization: Bearer " + credentials(f"888/{action}").token.reveal().encode()


BODY = b"&".join(f"{name}={value}".encode() for name, value in FIELDS.items())
FORM = b"Content-Type: application/x-www-form-urlencoded"


def request(
    *lines: bytes, body: bytes = b"", first: bytes = b"POST /action/888/post-bearer HTTP/1.1"
) -> bytes:
    """A request of these lines."""
    return b"\r\n".join((first, *lines, b"", body))


def post(*lines: bytes, body: bytes = BODY) -> bytes:
    """A true callback, with further lines in its head."""
    length = b"Content-Length: %d" % len(body)
    return request(b"Host: x", token(), FORM, length, *lines, body=body)


def chunked(*lines: bytes, body: bytes = BODY, trailers: bytes = b"") -> bytes:
    """A callback in one chunk, with these lines in its head and these trailers."""
    chunk = b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailers)
    return request(b"Host: x", FORM, b"Transfer-Encoding: chunked", *lines, body=chunk)


@contextlib.contextmanager
def served(
    http: type[asyncio.Protocol],
    *,
    tls: ssl.SSLContext | None = None,
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
    limits: Limits = Limits(),  # noqa: B008 - immutable
) -> Iterator[Target]:
    """An app behind this parser."""
    handler, ready = Counted(), queue.SimpleQueue[Any]()

    async def main() -> None:
        stop = asyncio.Event()
        app = make_app(handler, SETTINGS)
        async with running(app, http=http, tls=tls, limits=limits) as url:
            ready.put((url, asyncio.get_running_loop(), stop))
            await stop.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    url, loop, stop = ready.get(timeout=PATIENCE)
    try:
        yield Target(int(url.rpartition(":")[2]), handler)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
