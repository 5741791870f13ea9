"""uvicorn as it is set up for callbacks."""

import asyncio
import logging
import socket
from typing import Any

import httpx
import pytest

from receiver.errors import ReceiverError, SettingsError
from receiver.serving import bind, running, serve
from tests.support import ANSWER, FIELDS, Counted, credentials, make_app


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


async def test_an_app_that_does_not_start_is_told() -> None:
    with pytest.raises(ReceiverError, match="did not start"):
        async with running(broken_start):
            pass


def test_serving_an_app_that_does_not_start() -> None:
    with pytest.raises(ReceiverError, match="did not start"):
        serve(broken_start, "127.0.0.1", 0)


async def raw(url: str, *lines: str, body: str = "") -> str:
    """Send a request as it stands, and read until the other side has nothing more to say."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.close()
    await writer.wait_closed()
    return answer.decode()


async def test_credentials_in_the_trailers_of_a_request_are_none() -> None:
    """With httptools they would stand among the headers."""
    handler = Counted()
    token = credentials("888/post-bearer").token.reveal()
    body = f"2\r\n{{}}\r\n0\r\nAuthorization: Bearer {token}\r\n\r\n"
    async with running(make_app(handler)) as url:
        answer = await raw(
            url,
            "POST /action/888/post-bearer HTTP/1.1",
            "Host: x",
            "Transfer-Encoding: chunked",
            body=body,
        )
    assert answer.startswith("HTTP/1.1 401 ")
    assert handler.calls == []


async def test_no_proxy_is_believed_and_no_query_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    logging.getLogger("uvicorn.access").setLevel("INFO")
    async with running(make_app(Counted())) as url:
        await raw(
            url,
            "GET /action/888/get-basic?input=41114111 HTTP/1.1",
            "Host: x",
            "X-Forwarded-For: 198.51.100.7",
        )
    assert "888/get-basic refused: no credentials, from 127.0.0.1" in caplog.text
    assert "198.51.100.7" not in caplog.text
    assert "41114111" not in caplog.text
