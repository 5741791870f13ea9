"""Clients that send slowly or nothing, on our connections: uvicorn waits without limit."""

import asyncio
import itertools
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from receiver.cli.certificate import secured
from receiver.server import Http
from receiver.server.connection_limit import Limits
from tests.attacks.wire import Target, Wire, post, request, served
from tests.support import ANSWER


class Hasty(Http):
    head_time = 0.2


@pytest.fixture(scope="module", params=[asyncio.new_event_loop, uvloop.new_event_loop])
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    with served(Hasty, new_loop=request.param) as found:
        yield found


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the seconds for the heads of new connections: a busy client, too, sends slowly."""
    return lambda seconds: monkeypatch.setattr(Hasty, "head_time", seconds)


def drip(wire: Wire, data: bytes) -> bool:
    """Send an octet at a time until the server closes; whether it did."""
    wire.socket.settimeout(0.02)
    for octet in itertools.islice(itertools.cycle(data), 1000):
        if not wire.send(bytes([octet])):
            return True
        try:
            return not wire.socket.recv(1)
        except TimeoutError:
            continue
        except ConnectionResetError:
            return True
    return False


def test_a_silent_client(target: Target, give: Callable[[float], None]) -> None:
    with target.connect() as wire:
        assert wire.closed()
    give(60.0)
    assert target.still_answers()


@pytest.mark.parametrize("start", [b"P", b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost: x\r\n"])
def test_an_incomplete_head(start: bytes, target: Target) -> None:
    with target.connect() as wire:
        wire.send(start)
        assert wire.closed()


def test_a_head_octet_by_octet(target: Target, give: Callable[[float], None]) -> None:
    with target.connect() as wire:
        assert drip(wire, b"POST / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 2000)
    give(60.0)
    assert target.still_answers()


def test_an_incomplete_second_head(target: Target, give: Callable[[float], None]) -> None:
    give(3.0)
    with target.connect() as wire:
        wire.send(post() + b"POST ")
        assert wire.answer().body == ANSWER
        assert wire.closed()


def test_a_body_continues_after_its_answer(target: Target, give: Callable[[float], None]) -> None:
    give(3.0)
    with target.connect() as wire:
        first = b"POST /nowhere HTTP/1.1"
        wire.send(request(b"Host: x", b"Content-Length: 1000000", first=first))
        assert wire.answer().status == 404
        assert drip(wire, b"x")


@pytest.fixture
def tls(program: Callable[[str], str], tmp_path: Path) -> ssl.SSLContext:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = f"req -x509 -newkey rsa:2048 -nodes -subj /CN=x -keyout {key} -out {certificate}"
    subprocess.run([program("openssl"), *command.split()], check=True, capture_output=True)
    return secured(certificate, key)


def test_a_missing_tls_handshake(tls: ssl.SSLContext) -> None:
    limits = Limits(handshake_timeout=0.2)
    for loop in (None, uvloop.new_event_loop):
        with (
            served(Http, tls=tls, new_loop=loop, limits=limits) as target,
            target.connect() as wire,
        ):
            wire.send(b"\x16\x03\x01")
            assert wire.closed()
