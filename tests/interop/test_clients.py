"""Real HTTP clients against the app on a real socket, in all four modes, by GET and POST."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import aiohttp
import httpx
import pytest
import pytest_asyncio
import requests
from requests.auth import HTTPBasicAuth, HTTPDigestAuth

from receiver.calls import Call
from receiver.secrets import Credentials
from receiver.serving import running
from tests.support import ANSWER, FIELDS, QUERY, Counted, credentials, make_app

pytestmark = pytest.mark.asyncio(loop_scope="module")

JASON = Call("101", "Jason", "888", "Sales", "22", "12345678")
MODES = ("bearer", "basic", "digest", "open")
BODY = json.dumps(FIELDS)


class Service(NamedTuple):
    url: str
    handler: Counted

    def action(self, method: str, mode: str) -> str:
        query = f"?{QUERY}" if method == "GET" else ""
        return f"{self.url}/action/888/{method.lower()}-{mode}{query}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_service() -> AsyncIterator[Service]:
    handler = Counted()
    async with running(make_app(handler)) as url:
        yield Service(url, handler)


@pytest.fixture
def service(one_service: Service) -> Service:
    one_service.handler.calls.clear()
    return one_service


class Sent(NamedTuple):
    """What a client is to send."""

    method: str
    url: str
    mode: str
    known: Credentials
    program: Callable[[str], str]


async def run(*command: str) -> bytes:
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=20)
    return done.stdout


async def curl(sent: Sent) -> bytes:
    user = f"{sent.known.username}:{sent.known.password.reveal()}"
    how = {
        "bearer": ("-H", f"Authorization: Bearer {sent.known.token.reveal()}"),
        "basic": ("--basic", "-u", user),
        "digest": ("--digest", "-u", user),
        "open": (),
    }[sent.mode]
    post = ("-H", "Content-Type: application/json", "-d", BODY) if sent.method == "POST" else ()
    return await run(sent.program("curl"), "-s", *how, *post, sent.url)


async def curl_anyauth(sent: Sent) -> bytes:
    if sent.mode not in ("basic", "digest"):
        return await curl(sent)
    user = f"{sent.known.username}:{sent.known.password.reveal()}"
    post = ("-d", BODY) if sent.method == "POST" else ()
    return await run(sent.program("curl"), "-s", "--anyauth", "-u", user, *post, sent.url)


async def curl_http_1_0_chunked(sent: Sent) -> bytes:
    """HTTP/1.0 for GET; chunked with Expect for POST."""
    user = f"{sent.known.username}:{sent.known.password.reveal()}"
    how = ["-H", f"Authorization: Bearer {sent.known.token.reveal()}"]
    if sent.mode in ("basic", "digest"):
        how = [f"--{sent.mode}", "-u", user]
    odd = ["-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue", "-d", BODY]
    form = odd if sent.method == "POST" else ["--http1.0"]
    return await run(sent.program("curl"), "-s", *how, *form, sent.url)


async def wget(sent: Sent) -> bytes:
    how = [f"--user={sent.known.username}", f"--password={sent.known.password.reveal()}"]
    if sent.mode == "bearer":
        how = [f"--header=Authorization: Bearer {sent.known.token.reveal()}"]
    post = ["--header=Content-Type: application/json", f"--post-data={BODY}"]
    return await run(
        sent.program("wget"), "-qO-", *how, *(post if sent.method == "POST" else ()), sent.url
    )


async def with_httpx(sent: Sent) -> bytes:
    name, word = sent.known.username, sent.known.password.reveal()
    login: httpx.Auth | None = None
    if sent.mode in ("basic", "digest"):
        login = (httpx.BasicAuth if sent.mode == "basic" else httpx.DigestAuth)(name, word)
    headers = {"Authorization": f"Bearer {sent.known.token.reveal()}"}
    async with httpx.AsyncClient(auth=login) as client:
        answer = await client.request(
            sent.method,
            sent.url,
            json=FIELDS if sent.method == "POST" else None,
            headers=headers if sent.mode == "bearer" else None,
        )
    return answer.content


async def with_requests(sent: Sent) -> bytes:
    name, word = sent.known.username, sent.known.password.reveal()
    schemes = {"basic": HTTPBasicAuth(name, word), "digest": HTTPDigestAuth(name, word)}
    headers = {"Authorization": f"Bearer {sent.known.token.reveal()}"}
    answer = await asyncio.to_thread(
        requests.request,
        sent.method,
        sent.url,
        json=FIELDS if sent.method == "POST" else None,
        auth=schemes.get(sent.mode),
        headers=headers if sent.mode == "bearer" else None,
        timeout=20,
    )
    return answer.content


async def with_aiohttp(sent: Sent) -> bytes:
    name, word = sent.known.username, sent.known.password.reveal()
    headers = {}
    if sent.mode == "bearer":
        headers["Authorization"] = f"Bearer {sent.known.token.reveal()}"
    if sent.mode == "basic":
        headers["Authorization"] = aiohttp.encode_basic_auth(name, word)
    middlewares = [aiohttp.DigestAuthMiddleware(name, word)] if sent.mode == "digest" else []
    async with (
        aiohttp.ClientSession(headers=headers, middlewares=middlewares) as session,
        session.request(
            sent.method, sent.url, json=FIELDS if sent.method == "POST" else None
        ) as answer,
    ):
        return await answer.read()


CLIENTS = (
    curl,
    curl_anyauth,
    curl_http_1_0_chunked,
    wget,
    with_httpx,
    with_requests,
    with_aiohttp,
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("client", CLIENTS)
async def test_three_callbacks_in_a_row_run_the_handler_once_each(
    client: Callable[[Sent], Awaitable[bytes]],
    method: str,
    mode: str,
    service: Service,
    program: Callable[[str], str],
) -> None:
    known = credentials(f"888/{method.lower()}-{mode}")
    sent = Sent(method, service.action(method, mode), mode, known, program)
    assert [await client(sent) for _ in range(3)] == [ANSWER] * 3
    assert service.handler.calls == [JASON] * 3


@pytest.mark.parametrize("mode", [m for m in MODES if m != "open"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("identity", ["888/another", "888/get-open"])
async def test_credentials_of_another_action_never_run_the_handler(
    client: Callable[[Sent], Awaitable[bytes]],
    method: str,
    mode: str,
    identity: str,
    service: Service,
    program: Callable[[str], str],
) -> None:
    sent = Sent(method, service.action(method, mode), mode, credentials(identity), program)
    assert await client(sent) == b""
    assert service.handler.calls == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_curl_sees_on_the_wire(
    method: str, mode: str, service: Service, program: Callable[[str], str]
) -> None:
    """No redirect, no compression, no chunks, no cookie; and the right challenge on a 401."""
    post = ("-d", BODY) if method == "POST" else ()
    url = service.action(method, mode)
    command = (program("curl"), "-si", "--compressed", "-L", *post, url)
    head, _, body = (await run(*command)).decode().partition("\r\n\r\n")
    status, *lines = head.lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    names = {"date", "content-length"}
    if mode == "open":
        assert status == "http/1.1 200 ok"
        assert body.encode() == ANSWER
        assert headers.keys() == names | {"content-type"}
    else:
        assert status == "http/1.1 401 unauthorized"
        assert headers.keys() == names | {"www-authenticate"}
        scheme = {"bearer": "bearer", "basic": "basic", "digest": "digest"}[mode]
        assert headers["www-authenticate"].startswith(f'{scheme} realm="callbacks"')
