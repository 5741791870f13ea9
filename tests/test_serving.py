"""uvicorn as it is set up for callbacks."""

import asyncio
import socket
from typing import Any

import httpx
import pytest

from receiver import Ivr, Receiver
from receiver.errors import ReceiverError, SettingsError
from receiver.serving import bind, configure, running, serve
from tests.support import ANSWER, FIELDS, Counted, make_app


async def broken_start(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no"})


async def test_a_running_app_answers_on_its_url() -> None:
    async with running(make_app(Counted())) as url, httpx.AsyncClient() as client:
        assert url.startswith("http://127.0.0.1:")
        answer = await client.post(f"{url}/action/888/post-open", json=FIELDS)
    assert answer.content == ANSWER


async def test_connections_do_not_wait_for_acknowledgements() -> None:
    """Nagle's algorithm would cost the second leg of digest 40 ms."""
    switched: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def look(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted = writer.get_extra_info("socket")
        switched.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listener = bind("127.0.0.1", 0)
    async with await asyncio.start_server(look, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        assert await switched == 1
        writer.close()
        await writer.wait_closed()


def test_listens_on_ipv6_too() -> None:
    with bind("::1", 0) as listener:
        assert listener.getsockname()[0] == "::1"


@pytest.mark.parametrize(
    ("host", "port"), [("203.0.113.9", 0), ("no such host", 0), ("127.0.0.1", 70000)]
)
def test_an_address_that_cannot_be_had(host: str, port: int) -> None:
    with pytest.raises(SettingsError, match=f"cannot listen on {host} port {port}: "):
        bind(host, port)


async def test_an_app_that_does_not_start_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ReceiverError, match="did not start"):
        async with running(broken_start):
            pass


def test_serving_an_app_that_does_not_start() -> None:
    with pytest.raises(ReceiverError, match="did not start"):
        serve(broken_start, "127.0.0.1", 0)


def test_nothing_of_a_proxy_is_believed_and_no_query_logged() -> None:
    config = configure(Receiver(Ivr("8000")))
    assert (config.access_log, config.proxy_headers, config.http) == (False, False, "h11")
