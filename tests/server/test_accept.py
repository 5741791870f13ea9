"""Accepting connections, with either event loop."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
import uvloop

from receiver.cli.certificate import secured
from receiver.server.accept import Acceptor
from receiver.server.sockets import BACKLOG, bind

LOOPS = (asyncio.new_event_loop, uvloop.new_event_loop)
Runner = asyncio.Runner


@pytest.fixture(params=LOOPS, ids=("asyncio", "uvloop"))
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner


class Echo(asyncio.Protocol):
    """Sends received octets back."""

    made: asyncio.Transport
    over: ClassVar[list[asyncio.Event]] = []

    def __init__(self) -> None:
        self.lost = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made = cast("asyncio.Transport", transport)
        self.over.append(self.lost)

    def data_received(self, data: bytes) -> None:
        self.made.write(data)


class ShortListener:
    """A listener that lacks descriptors, the first ``times`` times."""

    def __init__(self, listener: socket.socket, times: int) -> None:
        self._listener, self.times = listener, times
        self.asked = asyncio.Event()

    def fileno(self) -> int:
        return self._listener.fileno()

    def setblocking(self, flag: bool) -> None:
        self._listener.setblocking(flag)

    def accept(self) -> tuple[socket.socket, Any]:
        if self.times:
            self.times -= 1
            self.asked.set()
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return self._listener.accept()


async def echoed(listener: socket.socket) -> bytes:
    reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
    writer.write(b"hello")
    try:
        return await asyncio.wait_for(reader.readexactly(5), 60)
    finally:
        writer.close()


async def closed(acceptor: Acceptor) -> None:
    acceptor.close()
    await acceptor.wait_closed()
    while Echo.over:
        await Echo.over.pop().wait()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_accepted_connections_do_not_wait_for_acknowledgements(host: str, runner: Runner) -> None:
    """Nagle's algorithm would cost the second leg of digest 40 ms."""
    made = list[Echo]()

    def echo() -> Echo:
        made.append(Echo())
        return made[-1]

    async def main(listener: socket.socket) -> None:
        acceptor = Acceptor(listener, echo, {})
        acceptor._listen()
        assert await echoed(listener) == b"hello"
        accepted = made[0].made.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        await closed(acceptor)

    with bind(host, 0) as listener:
        runner.run(main(listener))


def test_a_connection_without_a_descriptor_waits_in_the_accept_queue(
    runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(listener: Any) -> None:
        short = ShortListener(listener, 5)
        acceptor = Acceptor(short, Echo, {})  # type: ignore[arg-type]
        acceptor._listen()
        assert await echoed(listener) == b"hello"
        assert short.times == 0
        await closed(acceptor)

    with bind("127.0.0.1", 0) as listener:
        runner.run(main(listener))
    assert caplog.text.count("new connections wait in the accept queue: Too many open files") == 1


PEM = Path(__file__).parent.parent / "pbx" / "localhost.pem"
TLS = {"ssl": secured(PEM)}


async def ended(line: socket.socket) -> None:
    """Wait until the other end has gone."""
    reader, writer = await asyncio.open_connection(sock=line)
    with suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 60) == b""
    writer.close()


async def echoed_over_tls(listener: socket.socket) -> bytes:
    address = listener.getsockname()[:2]
    trusting = ssl.create_default_context(cafile=PEM)
    reader, writer = await asyncio.open_connection(
        *address, ssl=trusting, server_hostname="localhost"
    )
    writer.write(b"hello")
    answer = await asyncio.wait_for(reader.readexactly(5), 60)
    writer.transport.abort()
    return answer


def test_handshakes_are_evicted_the_oldest_first(
    runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:

    async def main(listener: socket.socket) -> None:
        acceptor = Acceptor(listener, Echo, TLS, lambda making: making >= 3)
        acceptor._listen()
        lines = list[socket.socket]()
        for _ in range(5):
            lines.append(socket.create_connection(listener.getsockname()))
            acceptor._accept()
            await asyncio.sleep(0)
        for line in lines[:2]:
            await ended(line)
        assert await echoed_over_tls(listener) == b"hello"
        await ended(lines[2])
        assert len(acceptor._making) == 2
        for line in lines[3:]:
            line.close()
        await closed(acceptor)

    with bind("127.0.0.1", 0) as listener:
        runner.run(main(listener))
    assert caplog.text.count("TLS handshakes are evicted") == 1


@pytest.mark.parametrize("why", ["young", "unread"])
def test_handshakes_that_are_not_evicted(
    why: str, runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    age = 3600.0 if why == "young" else 0.0

    async def main(listener: socket.socket) -> None:
        acceptor = Acceptor(listener, Echo, TLS, lambda making: making >= 1, handshake_time=age)
        acceptor._listen()
        address = listener.getsockname()
        with socket.create_connection(address) as first, socket.create_connection(address):
            if why == "unread":
                first.sendall(b"\x16")  # the handshake begins too late to read it
            acceptor._accept()
            await asyncio.sleep(0)
            acceptor._accept()
            assert len(acceptor._making) == 1
            assert acceptor._pause is not None
        await closed(acceptor)

    with bind("127.0.0.1", 0) as listener:
        runner.run(main(listener))
    assert "new connections wait in the accept queue: too many at once" in caplog.text
    assert "evicted" not in caplog.text


def test_without_tls_there_are_no_handshakes(runner: Runner) -> None:
    async def main(listener: socket.socket) -> None:
        acceptor = Acceptor(listener, Echo, {})
        acceptor._listen()
        asked = asyncio.create_task(echoed(listener))
        while not acceptor.expects:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert not acceptor._evict()
        assert await asked == b"hello"
        await closed(acceptor)

    with bind("127.0.0.1", 0) as listener:
        runner.run(main(listener))


def test_a_waiting_connection_is_left_to_other_acceptors(runner: Runner) -> None:
    async def main(listener: Any) -> None:
        short = ShortListener(listener, 1_000_000)
        acceptor = Acceptor(short, Echo, {})  # type: ignore[arg-type]
        acceptor._listen()
        asked = asyncio.create_task(echoed(listener))
        await short.asked.wait()
        await closed(acceptor)
        other = Acceptor(listener, Echo, {})
        other._listen()
        assert await asked == b"hello"
        await closed(other)

    with bind("127.0.0.1", 0) as listener:
        runner.run(main(listener))


def test_a_protocol_that_cannot_be_made_costs_one_connection(
    runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    broken = [True, False]

    def make() -> Echo:
        if broken.pop(0):
            raise ValueError
        return Echo()

    async def main(listener: socket.socket) -> None:
        acceptor = Acceptor(listener, make, {})
        acceptor._listen()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await echoed(listener)
        assert await echoed(listener) == b"hello"
        await closed(acceptor)

    with bind("127.0.0.1", 0) as listener:
        runner.run(main(listener))
    assert "a connection failed during its setup: ValueError" in caplog.text


def test_the_loops_own_server_accepts_until_descriptors_are_short(runner: Runner) -> None:
    async def main(listener: socket.socket) -> None:
        acceptor = Acceptor(listener, Echo, {})
        await acceptor.begin(BACKLOG)
        assert acceptor._server is not None
        assert await echoed(listener) == b"hello"
        acceptor.save()
        assert acceptor._server is None
        assert await echoed(listener) == b"hello"
        acceptor.save()  # once more changes nothing
        assert await echoed(listener) == b"hello"
        await closed(acceptor)
        few = Acceptor(listener, Echo, {})
        await few.begin(BACKLOG - 1)
        assert few._server is None
        assert await echoed(listener) == b"hello"
        await closed(few)

    with bind("127.0.0.1", 0) as listener:
        runner.run(main(listener))
