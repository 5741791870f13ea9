"""uvicorn as it is set up for callbacks."""

import asyncio
import contextlib
import gc
import logging
import signal
import ssl
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from receiver import Call, Forward, Reply, Settings
from receiver.auth.client_address import read_networks
from receiver.cli.certificate import secured
from receiver.cli.simulate import serve
from receiver.errors import ReceiverError, SettingsError
from receiver.server import Http
from receiver.server.accept import Acceptor
from receiver.server.connection_limit import Limits
from receiver.server.sockets import bind, has_unread
from receiver.server.uvicorn_server import Server, configure, running, serve_on
from tests.support import ANSWER, FIELDS, SECRET, Counted, credentials, make_app


async def broken_start(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no"})


async def test_a_running_app_answers_on_its_url() -> None:
    async with running(make_app(Counted())) as url, httpx.AsyncClient() as client:
        assert url.startswith("http://127.0.0.1:")
        answer = await client.post(f"{url}/action/888/post-open", json=FIELDS)
    assert answer.content == ANSWER


def test_listens_on_ipv6_too() -> None:
    with bind("::1", 0) as listener:
        assert listener.getsockname()[0] == "::1"


@pytest.mark.parametrize(
    ("host", "port"), [("203.0.113.9", 0), ("no such host", 0), ("127.0.0.1", 70000)]
)
def test_an_address_that_cannot_be_bound(host: str, port: int) -> None:
    with pytest.raises(SettingsError, match=f"cannot listen on {host} port {port}: "):
        bind(host, port)


async def test_an_app_that_does_not_start_is_an_error() -> None:
    with pytest.raises(ReceiverError, match="did not start"):
        async with running(broken_start):
            pass


def test_serving_an_app_that_does_not_start() -> None:
    with pytest.raises(ReceiverError, match="did not start"):
        serve(broken_start, "127.0.0.1", 0)


async def raw(url: str, *lines: str, body: str = "") -> str:
    """Send a request unchanged, and read until the server closes the connection."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
    try:
        return (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)).decode()
    finally:
        writer.close()
        with contextlib.suppress(ConnectionResetError):
            await writer.wait_closed()


async def test_credentials_in_the_trailers_of_a_request_are_none() -> None:
    """httptools reports trailers among the headers."""
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


async def test_a_client_that_pipelines_and_sends_no_more_gets_all_answers() -> None:
    request = b"GET /action/888/get-open?from=101&input=1&session_id=7 HTTP/1.1\r\nHost: x\r\n\r\n"
    async with running(make_app(Counted())) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request * 16)
        writer.write_eof()
        answers = await asyncio.wait_for(reader.read(), 60)
        writer.close()
    assert answers.count(ANSWER) == 16


async def test_framing_is_checked_where_the_receiver_is_mounted() -> None:
    handler = Counted()
    lines = ("POST /calls/action/888/post-open HTTP/1.1", "Host: x", "Transfer-Encoding: chunked")
    body = "2\r\n{}\r\n0\r\n\r\n"
    async with running(Starlette(routes=[Mount("/calls", make_app(handler))])) as url:
        assert (await raw(url, *lines, body=body)).startswith("HTTP/1.1 200 ")
        large = await raw(url, *lines, "X: " + "x" * 17_000, body=body)
    assert large.startswith("HTTP/1.1 431 ")
    assert "connection: close" in large


async def test_no_proxy_is_trusted_and_no_query_logged(caplog: pytest.LogCaptureFixture) -> None:
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


# TLS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pem(
    program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Files with a certificate, its key, both, another key, an encrypted one, and none."""
    folder, openssl = tmp_path_factory.mktemp("pem"), program("openssl")

    def run(command: str) -> None:
        subprocess.run([openssl, *command.split()], cwd=folder, check=True, capture_output=True)

    run("req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key -out certificate")
    run("genrsa -out other 2048")
    run("rsa -in key -aes128 -passout pass:secret -out encrypted")
    both = (folder / "certificate").read_bytes() + (folder / "key").read_bytes()
    (folder / "both").write_bytes(both)
    (folder / "text").write_text("hello")
    (folder / "broken").write_bytes(both.replace(b"M", b"!"))
    return folder.joinpath


@pytest.mark.parametrize(
    ("certfile", "keyfile", "problem"),
    [
        ("nowhere", None, "cannot read .*nowhere: No such file"),
        ("certificate", "nowhere", "cannot read .*nowhere: No such file"),
        (".", None, "cannot read .*: Is a directory"),
        ("text", None, "text has no certificate in PEM"),
        ("certificate", None, "certificate has no private key in PEM"),
        ("certificate", "text", "text has no private key in PEM"),
        ("certificate", "other", "the key in .*other does not match .*certificate"),
        ("certificate", "encrypted", "the key in .*encrypted is encrypted, which is not supported"),
        ("broken", None, "broken cannot be used: "),
    ],
)
def test_certificates_that_cannot_be_used(
    certfile: str, keyfile: str | None, problem: str, pem: Callable[[str], Path]
) -> None:
    with pytest.raises(SettingsError, match=problem):
        secured(pem(certfile), pem(keyfile) if keyfile else None)


async def test_https(pem: Callable[[str], Path]) -> None:
    """A plain request on the port, or an old version of TLS, is refused and breaks nothing."""
    tls, trusting = secured(pem("both")), ssl.create_default_context(cafile=pem("certificate"))
    async with running(make_app(Counted()), tls=tls) as url:
        assert url.startswith("https://127.0.0.1:")
        port = int(url.rpartition(":")[2])
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await raw(url.replace("https", "http"), "GET / HTTP/1.1", "Host: x")
        async with httpx.AsyncClient(verify=trusting) as client:
            path = f"https://localhost:{port}/action/888/post-open"
            answer = await client.post(path, json=FIELDS)
        assert answer.content == ANSWER


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
async def test_versions_of_tls(version: ssl.TLSVersion, pem: Callable[[str], Path]) -> None:
    client = ssl.create_default_context(cafile=pem("certificate"))
    client.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        client.minimum_version = client.maximum_version = version
    async with running(make_app(Counted()), tls=secured(pem("both"))) as url:
        port = int(url.rpartition(":")[2])
        if version is ssl.TLSVersion.TLSv1_1:
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                await asyncio.open_connection("localhost", port, ssl=client)
        else:
            _, writer = await asyncio.open_connection("localhost", port, ssl=client)
            writer.close()
            await writer.wait_closed()


@pytest.mark.parametrize("idle", [0, 1])
async def test_silent_tls_connections_do_not_block_others(
    idle: int, pem: Callable[[str], Path]
) -> None:
    """An idle connection that could be evicted makes no difference: a handshake comes first."""
    limits = Limits(max_connections=5, handshake_timeout=3600.0)
    tls, trusting = secured(pem("both")), ssl.create_default_context(cafile=pem("certificate"))
    async with running(make_app(Counted()), tls=tls, limits=limits) as url:
        port = int(url.rpartition(":")[2])
        lines = [
            await asyncio.open_connection("localhost", port, ssl=trusting) for _ in range(idle)
        ]
        lines += [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
        async with httpx.AsyncClient(verify=trusting, timeout=60) as client:
            path = f"https://localhost:{port}/action/888/post-open"
            answer = await client.post(path, json=FIELDS)
        assert answer.content == ANSWER
        silent = [reader for reader, _ in lines[idle:]]
        done, rest = await asyncio.wait(
            [asyncio.create_task(reader.read()) for reader in silent[:8]], timeout=60
        )
        assert not rest
        for task in done:
            task.exception()
        for _, writer in lines:
            writer.transport.abort()


def test_tls_neither_renegotiates_nor_compresses(pem: Callable[[str], Path]) -> None:
    tls = secured(pem("certificate"), pem("key"))
    assert tls.minimum_version == ssl.TLSVersion.TLSv1_2
    assert tls.options & ssl.OP_NO_RENEGOTIATION
    assert tls.options & ssl.OP_NO_COMPRESSION


async def test_idle_connections_are_evicted_the_oldest_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(make_app(Counted()), limits=Limits(max_connections=5)) as url:
        host, port = url.removeprefix("http://").split(":")
        idle = [await asyncio.open_connection(host, int(port)) for _ in range(8)]
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{url}/action/888/post-open", json=FIELDS)
        assert answer.content == ANSWER
        for reader, _ in idle[:3]:
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 60) == b""
        assert not idle[-1][0].at_eof()
        for _, writer in idle:
            writer.close()
    assert caplog.text.count("idle connections are evicted") == 1


async def test_a_connection_with_unread_octets_is_not_evicted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = Limits(max_connections=1, idle_time=0.0)
    made = list[Any]()

    class Deaf(Http):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            if not made:
                cast(
                    "asyncio.Transport", transport
                ).pause_reading()  # as while the loop has something else to do
            made.append(transport)
            super().connection_made(transport)

    app = make_app(Counted())
    async with running(app, http=Deaf, limits=limits) as url, httpx.AsyncClient() as client:
        asking = asyncio.create_task(client.post(f"{url}/action/888/post-open", json=FIELDS))
        while not made or not has_unread(made[0].get_extra_info("socket").fileno()):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        answering = asyncio.create_task(client.post(f"{url}/action/888/post-open", json=FIELDS))
        while "new connections wait in the accept queue: too many at once" not in caplog.text:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        made[0].resume_reading()
        assert [(await one).content for one in (asking, answering)] == [ANSWER, ANSWER]


async def test_new_connections_wait_while_all_are_busy(caplog: pytest.LogCaptureFixture) -> None:
    limits = Limits(max_connections=2)
    go, asked = asyncio.Event(), 0

    async def handler(call: Call) -> Reply:
        nonlocal asked
        asked += 1
        await go.wait()
        return Forward("222")

    app = make_app(handler)
    async with running(app, limits=limits) as url, httpx.AsyncClient() as client:
        calls = [
            asyncio.create_task(client.post(f"{url}/action/888/post-open", json=FIELDS))
            for _ in range(4)
        ]
        wait = "new connections wait in the accept queue: too many at once"
        while asked < 2 or wait not in caplog.text:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert asked == 2
        go.set()
        assert [(await one).content for one in calls] == [ANSWER] * 4


async def test_what_runs_beside_begins_before_connections_are_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker whose first handler blocks the event loop has said before that it serves."""
    seen, accepting = list[str](), asyncio.Event()

    async def begin(self: Acceptor, limit: int) -> None:
        seen.append("accept")
        accepting.set()

    async def beside(server: Server) -> None:
        seen.append("beside")

    monkeypatch.setattr(Acceptor, "begin", begin)
    with bind("127.0.0.1", 0) as listener:
        server = Server(configure(make_app(Counted())), beside=beside)
        task = asyncio.create_task(server.serve([listener]))
        await accepting.wait()
        server.should_exit = True
        await task
    assert seen == ["beside", "accept"]


def test_a_signal_after_the_parents_message_counts_as_the_first() -> None:
    """A worker that retires, or lost its parent, still has calls in progress."""
    server = Server(configure(make_app(Counted())))
    server.should_exit = True
    server.handle_exit(signal.SIGTERM, None)
    assert not server.force_exit
    server.handle_exit(signal.SIGTERM, None)
    assert server.force_exit


async def test_uvicorns_proxy_middleware_is_left_out() -> None:
    settings = Settings(secret=SECRET, allowed_sources=read_networks("203.0.113.7"))
    forged = {"X-Forwarded-For": "203.0.113.7"}
    app: Any = make_app(Counted(), settings)
    believing: Any = ProxyHeadersMiddleware(app, "*")
    path = "/action/888/post-open"
    async with running(believing) as url, httpx.AsyncClient(headers=forged) as client:
        assert (await client.post(url + path, json=FIELDS)).status_code == 403
    elsewhere = httpx.ASGITransport(believing)  # a server that has it somewhere else
    async with httpx.AsyncClient(transport=elsewhere, headers=forged) as client:
        assert (await client.post("http://x" + path, json=FIELDS)).status_code == 403


async def test_bad_requests_do_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with running(make_app(Counted())) as url:
        host, port = url.removeprefix("http://").split(":")
        for _ in range(30):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"\xff\xff\r\n\r\n")
            await asyncio.wait_for(reader.read(), 60)
            writer.close()
    assert caplog.text.count("Invalid HTTP request") <= 1


def test_a_service_leaves_what_it_imported_out_of_the_garbage_collection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frozen: list[int] = []
    server = Server(configure(make_app(Counted())))
    monkeypatch.setattr(server, "run", lambda sockets: frozen.append(gc.get_freeze_count()))
    monkeypatch.setattr(server, "started", True)
    monkeypatch.setattr("receiver.server.uvicorn_server.take_descriptors", lambda: None)
    monkeypatch.setattr("receiver.server.uvicorn_server.close_in_children", lambda _: None)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with bind("127.0.0.1", 0) as listener:
            serve_on(listener, server)
        assert frozen[0] > 10_000
    finally:
        gc.unfreeze()
        signal.signal(signal.SIGTERM, before)
