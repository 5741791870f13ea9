"""Calls into the simulated PBX, with callbacks over real sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver.auth import Accepted, AuthRequest, Digest, Refused
from receiver.credentials import Credentials, Secret
from receiver.pbx.callback_client import MAX_ANSWER
from receiver.pbx.callback_trace import Outcome, Step
from receiver.replies import Forward, Hangup, Repeat, encode
from receiver.simulator.line import Line, LineError
from receiver.simulator.model import Pbx

Script = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


class Far:
    """The far end: records each request, by connection, and plays back answers in their order."""

    def __init__(self, *answers: bytes | Script) -> None:
        self.answers = list(answers) or [http(encode(Repeat()))]
        self.connections: list[list[bytes]] = []
        self.port = 0
        self._talks: list[asyncio.Task[None] | None] = []

    @property
    def requests(self) -> list[bytes]:
        return [request for connection in self.connections for request in connection]

    @asynccontextmanager
    async def serve(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Far]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()
            await asyncio.gather(*(talk for talk in self._talks if talk))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests: list[bytes] = []
        self._talks.append(asyncio.current_task())
        self.connections.append(requests)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
                requests.append(head + await reader.readexactly(int(length or b"0")))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if isinstance(answer, bytes):
                    writer.write(answer)
                else:
                    await answer(requests[-1], writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()


def make_pbx(port: int, scheme: str = "http", **fields: Any) -> Pbx:
    pbx = Pbx()
    ivr = pbx.ivrs.create({"name": "Sales", "extension_number": "888"})
    row = {
        "name": "pick",
        "enabled": True,
        "type": "DTMF",
        "method": "POST",
        "dtmf_mask": "22",
        "url": f"{scheme}://127.0.0.1:{port}/action/888/pick",
        "username": "username",
        "password": "password",
        "token": "t0ken",
    }
    pbx.action_urls(ivr).create(row | fields)
    return pbx


def line_to(far: Far, *, scale: float = 1.0, **fields: Any) -> Line:
    return Line(make_pbx(far.port, **fields), scale=scale, session_id=lambda: "12345678")


async def press(line: Line, digits: str = "22") -> Step:
    call = await line.dial("888", caller="101", caller_name="Jason")
    return await call.press(digits)


BODY = (
    b'{"from":"101","to":"888","input":"22","from_name":"Jason","account_name":"Sales",'
    b'"session_id":"12345678"}'
)


# What is sent --------------------------------------------------------------------------------


async def test_post_as_documented() -> None:
    async with Far(http(encode(Forward("222")))).serve() as far:
        step = await press(line_to(far))
    assert step.outcome == Outcome("forwarded", "222")
    [request] = far.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.decode().split("\r\n") == [
        "POST /action/888/pick HTTP/1.1",
        f"Host: 127.0.0.1:{far.port}",
        "User-Agent: portsip-receiver-simulator",
        "Accept: */*",
        "Content-Type: application/json",
        f"Content-Length: {len(BODY)}",
    ]
    assert body == BODY


async def test_get_as_documented() -> None:
    async with Far().serve() as far:
        await press(line_to(far, method="GET"))
    assert far.requests[0].startswith(
        b"GET /action/888/pick?session_id=12345678&from=101&to=888&input=22&from_name=Jason"
        b"&account_name=Sales HTTP/1.1\r\n"
    )


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        ("BASIC", b"Authorization: Basic dXNlcm5hbWU6cGFzc3dvcmQ=\r\n"),
        ("BEARER", b"Authorization: Bearer t0ken\r\n"),
    ],
)
async def test_credentials_go_with_the_first_request(auth: str, header: bytes) -> None:
    async with Far().serve() as far:
        await press(line_to(far, auth=auth, headers="X-Url:http://a:1/&X-B:c"))
    [request] = far.requests
    assert header in request
    assert b"X-Url: http://a:1/\r\nX-B: c\r\n" in request


async def test_the_step_records_requests_and_answers() -> None:
    ticks = iter(range(100))
    async with Far(http(encode(Hangup()), "200 OK", "X-Trace: 1")).serve() as far:
        pbx = make_pbx(far.port)
        line = Line(pbx, clock=lambda: float(next(ticks)), session_id=lambda: "12345678")
        step = await press(line)
    [exchange] = step.exchanges
    assert (step.trigger, step.kind, step.digits, step.action) == ("press", "DTMF", "22", "pick")
    assert (step.seconds, exchange.seconds, step.deadline) == (3.0, 1.0, 2.0)
    assert exchange.request_body == BODY
    assert ("Content-Type", "application/json") in exchange.request_headers
    assert exchange.status == 200
    assert ("X-Trace", "1") in exchange.response_headers
    assert exchange.response_body == encode(Hangup())


async def test_each_callback_has_a_new_connection_without_cookies() -> None:
    async with Far(http(encode(Repeat()), "200 OK", "Set-Cookie: a=b")).serve() as far:
        call = await line_to(far).dial("888", caller="101")
        await call.press("22")
        await call.press("22")
    assert [len(connection) for connection in far.connections] == [1, 1]
    assert not any(b"ookie" in request for request in far.requests)


# Digest --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
async def test_digest_in_two_legs_on_one_connection(method: str, algorithm: str) -> None:
    scheme = Digest(
        [Credentials("username", Secret("password"), Secret(""))],
        nonce_key=b"k" * 32,
        entropy=bytes,
        algorithms=(algorithm,),  # type: ignore[arg-type]  # a literal, by parameter
    )

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        sent = tuple(line[15:] for line in lines if line.startswith("Authorization: "))
        result = scheme.check(AuthRequest(method, lines[0].split(" ")[1], sent), 1000.0)
        if isinstance(result, Refused):
            challenge = f"WWW-Authenticate: {result.challenges[0]}"
            writer.write(http(b"no", "401 Unauthorized", challenge))
        else:
            assert isinstance(result, Accepted)
            writer.write(http(encode(Forward("222"))))

    async with Far(answer).serve() as far:
        step = await press(line_to(far, auth="DIGEST", method=method))
    assert step.outcome == Outcome("forwarded", "222")
    assert [exchange.status for exchange in step.exchanges] == [401, 200]
    [[first, second]] = far.connections
    assert b"Authorization" not in first
    assert b"nc=00000001" in second
    if method == "POST":
        assert first.endswith(
            b"Content-Type: application/json\r\nContent-Length: 0\r\n\r\n",
        )
        assert second.endswith(b"\r\n\r\n" + BODY)


async def test_digest_takes_other_answers_to_the_first_leg_as_they_are() -> None:
    async with Far(http(encode(Hangup()))).serve() as far:
        step = await press(line_to(far, auth="DIGEST"))
    assert step.outcome == Outcome("hung up")
    assert len(far.requests) == 1


async def test_digest_with_a_challenge_that_cannot_be_answered() -> None:
    async with Far(http(b"", "401 Unauthorized", "WWW-Authenticate: Basic realm=x")).serve() as far:
        step = await press(line_to(far, auth="DIGEST"))
    assert step.outcome == Outcome("failed", "HTTP status 401")
    assert len(far.requests) == 1


async def test_a_second_refusal_is_final() -> None:
    challenge = 'WWW-Authenticate: Digest realm="r", nonce="n", stale=true'
    async with Far(http(b"", "401 Unauthorized", challenge)).serve() as far:
        step = await press(line_to(far, auth="DIGEST"))
    assert step.outcome == Outcome("failed", "HTTP status 401")
    assert len(far.requests) == 2


# Outcomes --------------------------------------------------------------------


async def test_a_call_goes_on_until_it_is_forwarded() -> None:
    answers = (http(encode(Repeat())), http(b"?"), http(encode(Forward("222"))))
    async with Far(*answers).serve() as far:
        call = await line_to(far).dial("888", caller="101")
        for digits in ("22", "22", "3"):
            await call.press(digits)
        assert (call.ended, call.forwarded_to) == (False, None)
        await call.press("22")
    assert (call.ended, call.forwarded_to) == (True, "222")
    assert [step.outcome.kind for step in call.steps] == [
        "menu",
        "repeated",
        "failed",
        "menu",
        "forwarded",
    ]
    with pytest.raises(LineError, match="the call was forwarded"):
        await call.press("22")


async def test_a_caller_action_fires_on_arrival() -> None:
    async with Far(http(encode(Hangup()))).serve() as far:
        line = line_to(far, type="CALLER", caller_mask="100-199")
        call = await line.dial("888", caller="101", caller_name="Jason")
        other = await line.dial("888", caller="201")
    assert (call.ended, call.forwarded_to) == (True, None)
    [step] = call.steps
    assert (step.trigger, step.kind, step.digits, step.action) == ("arrival", "CALLER", "", "pick")
    assert far.requests[0].endswith(BODY.replace(b'"22"', b'""'))
    assert [step.outcome for step in other.steps] == [Outcome("menu")]
    assert len(far.requests) == 1


async def test_misuse_of_the_line() -> None:
    line = Line(make_pbx(1))
    with pytest.raises(LineError, match="no IVR with the extension number '999'"):
        await line.dial("999", caller="101")
    call = await line.dial("888", caller="101")
    with pytest.raises(LineError, match="keys"):
        await call.press("A")


async def test_session_ids_are_new_for_each_call() -> None:
    async with Far().serve() as far:
        line = Line(make_pbx(far.port))
        await press(line)
        await press(line)
    first, second = (request.rpartition(b'"session_id":')[2] for request in far.requests)
    assert first != second


# Failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (http(b"", "500 Oops"), "HTTP status 500"),
        (http(b"", "302 Found", "Location: /action/888/other"), "HTTP status 302"),
        (http(b"", "401 Unauthorized"), "HTTP status 401"),
        (http(b"nonsense"), "the answer is not JSON"),
        (http(b'{"status_code":500}'), "the answer's status_code is not 200"),
        (http(b"x" * (MAX_ANSWER + 1)), "the answer is longer than 64 KiB"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "the answer is not HTTP or is incomplete"),
    ],
)
async def test_wrong_answers(answer: bytes, why: str) -> None:
    async with Far(answer).serve() as far:
        step = await press(line_to(far))
    assert step.outcome == Outcome("failed", why)
    assert len(far.requests) == 1


async def test_an_answer_that_breaks_off() -> None:
    async def hang_up(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        writer.close()

    async with Far(hang_up).serve() as far:
        step = await press(line_to(far))
    assert step.outcome == Outcome("failed", "the answer is not HTTP or is incomplete")
    assert step.exchanges[0].response_body == b"{"


async def test_a_connection_that_is_reset() -> None:
    async def reset(request: bytes, writer: asyncio.StreamWriter) -> None:
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.close()

    async with Far(reset).serve() as far:
        step = await press(line_to(far))
    assert step.outcome == Outcome("failed", "the connection broke off")
    assert [exchange.status for exchange in step.exchanges] == [None]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("gopher://localhost/action", "the URL is not valid for HTTP"),
        ("http://[::1/action", "the URL is not valid for HTTP"),
        ("nowhere", "the URL is not valid for HTTP"),
        ("http://action.invalid/", "the host name does not resolve"),
    ],
)
async def test_urls_that_lead_nowhere(url: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    step = await press(Line(make_pbx(1, url=url)))
    assert step.outcome == Outcome("failed", why)


async def test_a_refused_connection() -> None:
    async with Far().serve() as far:
        port = far.port
    step = await press(Line(make_pbx(port)))
    assert step.outcome == Outcome("failed", "the connection was refused")


async def test_headers_that_cannot_be_sent() -> None:
    async with Far().serve() as far:
        step = await press(line_to(far, headers="X-Key:a\nb"))
    assert step.outcome == Outcome(
        "failed", "the headers configured on the action URL cannot be sent"
    )


def two_refusals() -> ExceptionGroup[Exception]:
    return ExceptionGroup("two addresses", [OSError("no route"), ConnectionRefusedError()])


@pytest.mark.parametrize(
    ("cause", "why"),
    [
        (two_refusals(), "the connection was refused"),
        (OSError("no route"), "no connection could be made"),
        (ExceptionGroup("two", [OSError(), OSError()]), "no connection could be made"),
        (ssl.SSLError(), "TLS: handshake failed"),
    ],
)
async def test_why_there_was_no_connection(cause: Exception, why: str) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("see the cause") from cause

    step = await press(Line(make_pbx(1), transport=httpx.MockTransport(fail)))
    assert step.outcome == Outcome("failed", why)


# TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate and its key, in one file."""
    openssl = program("openssl")
    path = tmp_path_factory.mktemp("tls") / "own.pem"
    command = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    more = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(path), "-out", str(path.with_suffix(".crt"))]
    subprocess.run([*command.split(), *more, *files], check=True, capture_output=True)
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


async def test_tls_trusts_only_the_given_authorities_or_those_of_the_machine(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)
    client = ssl.create_default_context(cafile=str(certificate.with_suffix(".crt")))
    async with Far().serve(server) as far:
        pbx = make_pbx(far.port, "https")
        trusting = await press(Line(pbx, verify=client))
        wary = await press(Line(pbx))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
        installed = await press(Line(pbx))
    assert trusting.outcome == installed.outcome == Outcome("repeated")
    assert wary.outcome.detail.startswith("TLS: the certificate is not trusted (self")


async def test_tls_to_a_server_without_it() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    step = await press(Line(make_pbx(port, "https")))
    server.close()
    await server.wait_closed()
    assert step.outcome == Outcome("failed", "TLS: wrong version number")


# Time ----------------------------------------------------------------------------------------


async def trickle(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.002)


async def test_a_trickling_answer_ends_in_time() -> None:
    async with Far(trickle).serve() as far:
        step = await asyncio.wait_for(press(line_to(far, scale=0.5)), 60)
    assert step.outcome == Outcome("failed", "no complete answer within the request timeout")
    [exchange] = step.exchanges
    assert exchange.status == 200
    assert set(exchange.response_body) == {ord(" ")}
    assert step.deadline == 1.0
    assert step.seconds >= 1.0


async def test_both_legs_of_digest_share_the_time() -> None:
    async def late(request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1.2)
        challenge = 'WWW-Authenticate: Digest realm="r", nonce="n"'
        writer.write(http(b"", "401 Unauthorized", challenge))

    async with Far(late).serve() as far:
        step = await press(line_to(far, auth="DIGEST"))
    assert step.outcome == Outcome("failed", "no complete answer within the request timeout")
    assert [exchange.status for exchange in step.exchanges] == [401, None]


async def test_a_handshake_that_hangs_ends_in_the_connection_timeout() -> None:
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pbx = make_pbx(port, "https", connection_timeout=1, request_timeout=30)
    step = await asyncio.wait_for(press(Line(pbx, scale=0.02)), 60)
    server.close()
    await server.wait_closed()
    assert step.outcome == Outcome("failed", "no connection within the connection timeout")
    assert step.deadline == 0.6


async def test_connecting_does_not_use_up_the_time_of_the_request() -> None:
    async def late(request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1.2)
        writer.write(http(encode(Hangup())))

    async with Far(late).serve() as far:
        fields = {"connection_timeout": 10, "request_timeout": 1000}
        step = await press(line_to(far, scale=0.1, **fields))
    assert step.outcome == Outcome("hung up")


async def test_a_timeout_of_zero_is_the_default() -> None:
    async with Far(http(encode(Hangup()))).serve() as far:
        step = await press(line_to(far, connection_timeout=0, request_timeout=0))
    assert (step.outcome, step.deadline) == (Outcome("hung up"), 2.0)


# In one process ------------------------------------------------------------------------------


async def test_a_custom_transport() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=encode(Forward("222")))

    line = Line(make_pbx(1), transport=httpx.MockTransport(answer))
    assert (await press(line)).outcome == Outcome("forwarded", "222")


async def test_a_custom_transport_has_the_same_timeouts() -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError

    pbx = make_pbx(1, connection_timeout=1000)
    step = await press(Line(pbx, transport=httpx.MockTransport(answer), scale=0.01))
    assert step.outcome == Outcome("failed", "no complete answer within the request timeout")


async def test_nothing_is_logged_about_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with Far().serve() as far:
        await press(line_to(far, method="GET"))
    assert not caplog.records
