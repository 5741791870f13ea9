"""The kernel's round-trip time of a connection adjusts the margin."""

from __future__ import annotations

import asyncio
import socket
import sys

import httpx
import pytest

from receiver import Call, Forward, Ivr, Receiver, Reply
from receiver.auth import Auth
from receiver.callbacks.tcp_rtt import round_trip
from receiver.server.uvicorn_server import running
from tests.support import FIELDS, SETTINGS, credentials


class Transport(asyncio.BaseTransport):
    """A transport with that socket."""

    def __init__(self, end: socket.socket | None) -> None:
        super().__init__({"socket": end})


def seconds(end: socket.socket | None) -> float:
    return round_trip(Transport(end))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_a_connection_over_the_loopback() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        there, _ = listener.accept()
        with there:
            assert 0 < seconds(there) < 1
            assert 0 < seconds(client) < 1
        assert seconds(there) == 0  # it is closed


def test_what_is_not_known_is_nought() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert seconds(one) == 0
    assert seconds(None) == round_trip(None) == 0


@pytest.mark.parametrize(("name", "most"), [("post-bearer", 15.0), ("post-open", 30.0)])
async def test_a_slow_way_leaves_a_handler_less_time(
    name: str, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without authentication nothing is measured: a client could be slow on purpose."""
    left = []

    async def handler(call: Call) -> Reply:
        left.append(call.remaining())
        return Forward("222")

    def slow(connection: asyncio.BaseTransport | None) -> float:
        assert connection is not None
        return 10.0

    monkeypatch.setattr("receiver.callbacks.endpoint.round_trip", slow)
    ivr = Ivr("888")
    auth: Auth | None = "bearer" if name == "post-bearer" else None
    ivr.add("DTMF", "22", handler, name=name, auth=auth, request_timeout=30)
    header = {"Authorization": f"Bearer {credentials(f'888/{name}').token.reveal()}"}
    async with running(Receiver(ivr, settings=SETTINGS)) as url, httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/action/888/{name}", json=FIELDS, headers=header)
    assert answer.status_code == 200
    assert most - 15 < left[0] <= most
