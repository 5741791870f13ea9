"""A proxy on a Unix socket, over a real one."""

import asyncio
import socket
from pathlib import Path

import httpx
import pytest
import uvicorn

from receiver import Settings
from tests.support import FIELDS, SECRET, Counted, make_app


class Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@pytest.mark.parametrize("protocol", ["h11", "httptools"])
@pytest.mark.parametrize(("trusted", "status"), [("unix", 200), ("127.0.0.1", 403)])
async def test_a_proxy_on_a_unix_socket_is_believed_if_it_is_trusted(
    protocol: str, trusted: str, status: int, tmp_path: Path
) -> None:
    variables = {"SECRET": SECRET.reveal(), "TRUSTED_PROXIES": trusted}
    variables |= {"ALLOWED_SOURCES": "203.0.113.7"}
    settings = Settings.read({f"RECEIVER_{key}": text for key, text in variables.items()}, None)
    path = tmp_path / "receiver.sock"
    server = Server(
        uvicorn.Config(
            make_app(Counted(), settings),
            uds=str(path),
            http=protocol,
            proxy_headers=False,
            log_config=None,
            access_log=False,
        )
    )
    serving = asyncio.create_task(server.serve())
    await server.listens.wait()
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    async with httpx.AsyncClient(transport=transport, base_url="http://ivr") as http:
        url = "/action/888/post-open"
        sent = {"X-Forwarded-For": "203.0.113.7"}
        assert (await http.post(url, json=FIELDS, headers=sent)).status_code == status
        sent = {"X-Forwarded-For": "198.51.100.1"}
        assert (await http.post(url, json=FIELDS, headers=sent)).status_code == 403
    server.should_exit = True
    await serving
