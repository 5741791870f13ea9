"""The client: typed answers and errors, retries, and failures of real sockets."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from receiver.credentials import Secret
from receiver.errors import (
    PbxError,
    PbxForbidden,
    PbxInvalid,
    PbxNotFound,
    PbxRefused,
    PbxThrottled,
    PbxUnauthorized,
    PbxUnreachable,
    SettingsError,
)
from receiver.pbx.access_tokens import GivenToken, Login
from receiver.pbx.address import normalise
from receiver.pbx.api_errors import ConnectFailed, ConnectionLost, may_have_happened
from receiver.pbx.connection import MAX_ANSWER, Connection
from receiver.pbx.models import ActionUrl
from receiver.pbx.pbx_client import PbxClient
from tests.pbx.fake_pbx import TOKEN, FakePbx, no_sleep

CERTIFICATE = Path(__file__).parent / "localhost.pem"
NAMELESS = Path(__file__).parent / "nameless.pem"  # self-signed, without a subjectAltName
SIGNED = Path(__file__).parent / "nameless-signed.pem"  # the same, signed by authority.pem
AUTHORITY = Path(__file__).parent / "authority.pem"
ACTION = ActionUrl(
    name="pick",
    enabled=True,
    type="DTMF",
    method="POST",
    dtmf_mask="1",
    headers="X-Key:header-sesame",
    url="https://ivr.example.com/action/8000/pick",
    auth="BASIC",
    username="abcdef",
    password=Secret("open-sesame"),
)

Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler, sleep: Callable[[float], Awaitable[None]] = no_sleep) -> PbxClient:
    transport = httpx.MockTransport(handler)
    given = GivenToken(Secret(TOKEN))
    return PbxClient("http://localhost", given, transport=transport, sleep=sleep)


def answering(status: int, data: object = None, **headers: str) -> Handler:
    def handler(request: httpx.Request) -> httpx.Response:
        names = {key.replace("_", "-"): value for key, value in headers.items()}
        if data is None:
            return httpx.Response(status, headers=names)
        return httpx.Response(status, json=data, headers=names)

    return handler


# settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://pbx:8887", "https://pbx:8887/api"),
        (" https://PBX.example.com/ ", "https://pbx.example.com/api"),
        ("https://pbx/portsip/api/", "https://pbx/portsip/api"),
        ("http://[::1]:8888", "http://[::1]:8888/api"),
    ],
)
def test_the_url_of_a_pbx(url: str, base: str) -> None:
    assert normalise(url) == base


@pytest.mark.parametrize(
    "url",
    [
        "",
        "pbx:8887",
        "//pbx",
        "https://",
        "ftp://pbx",
        "https://[::1",
        "https://pbx/?sesame",
        "https://pbx/#sesame",
        "https://ann:sesame@pbx",
    ],
)
def test_urls_that_cannot_be_of_a_pbx(url: str) -> None:
    with pytest.raises(SettingsError, match="RECEIVER_PBX_URL should look like") as caught:
        normalise(url)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("ca", [Path("no-such-file.pem"), Path(__file__), Path(__file__).parent])
def test_an_invalid_ca_file(ca: Path) -> None:
    with pytest.raises(SettingsError, match="RECEIVER_PBX_CA"):
        Connection("https://pbx", ca=ca)


async def test_insecure_connections_log_a_warning_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        await Connection("https://pbx", insecure=True).aclose()
    await Connection("http://pbx").aclose()
    await Connection("http://localhost").aclose()
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 3
    assert "NOT verified" in caplog.messages[1]
    assert "without TLS" in caplog.messages[2]


# IVRs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250, 300])
@pytest.mark.parametrize("origin", [0, 1])
@pytest.mark.parametrize("counted", [True, False])
async def test_all_pages_whatever_skip_counts_from(count: int, origin: int, counted: bool) -> None:
    numbers = [{"id": str(n), "extension_number": str(8000 + n)} for n in range(count)]

    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url.params["orderby"] == "extension_number asc"
        skip, top = (int(request.url.params[name]) for name in ("skip", "top"))
        start = max(skip - origin, 0)
        page: dict[str, Any] = {"items": numbers[start : start + top]}
        return httpx.Response(200, json=page | ({"count": count} if counted else {}))

    found = [ivr.id async for ivr in client(handler).ivrs.list()]
    assert found == [str(n) for n in range(count)]


async def test_missing_items_are_looked_for_one_item_earlier(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A PBX that skips one more than it was asked to, and puts 40 on a page."""
    numbers = [{"id": str(n)} for n in range(100)]

    def handler(request: httpx.Request) -> httpx.Response:
        skip = int(request.url.params["skip"])
        start = skip + 1 if skip else 0
        return httpx.Response(200, json={"count": 100, "items": numbers[start : start + 40]})

    found = [ivr.id async for ivr in client(handler).ivrs.list()]
    assert found == [str(n) for n in range(100)]
    assert "one item earlier" in caplog.text


@pytest.mark.parametrize("items", [0, 5, 100])
async def test_a_list_that_never_becomes_complete_ends(
    items: int, caplog: pytest.LogCaptureFixture
) -> None:
    page = {"count": 1000, "items": [{"id": str(n)} for n in range(items)]}
    found = [ivr async for ivr in client(answering(200, page)).ivrs.list()]
    assert len(found) == items
    assert f"counts 1000 IVRs but lists only {items}" in caplog.text


async def test_a_list_is_read_unordered_if_the_pbx_refuses_the_order() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if "orderby" in request.url.params:
            return httpx.Response(400, json={"errors": [{"code": "VALIDATE_FAILED"}]})
        return httpx.Response(200, json={"items": [{"id": "1"}]})

    assert [ivr.id async for ivr in client(handler).ivrs.list()] == ["1"]
    with pytest.raises(PbxForbidden):
        _ = [ivr async for ivr in client(answering(403)).ivrs.list()]


# action URLs ---------------------------------------------------------------------------------


async def list_action_urls(api: PbxClient, ivr: str = "i") -> list[ActionUrl]:
    return [item async for item in api.action_urls(ivr).list()]


async def test_the_life_of_an_action_url() -> None:
    pbx = FakePbx("8000")
    async with pbx.client() as api:
        assert api.url == "http://localhost/api"
        action_urls = api.action_urls("id8000")
        made = await action_urls.create_once(ACTION)
        assert await action_urls.show(made) == msgspec.structs.replace(ACTION, id=made)
        await action_urls.put(made, ActionUrl(name="b"), clear=["headers"])
        (updated,) = await list_action_urls(api, "id8000")
        assert (updated.name, updated.headers, updated.dtmf_mask) == ("b", "", "1")
        await action_urls.destroy(made)
        assert await list_action_urls(api, "id8000") == []
    assert pbx.log == [
        "POST /ivrs/id8000/action_urls",
        f"GET /ivrs/id8000/action_urls/{made}",
        f"POST /ivrs/id8000/action_urls/{made}",
        "GET /ivrs/id8000/action_urls",
        f"POST /ivrs/id8000/action_urls/{made}/destroy",
        "GET /ivrs/id8000/action_urls",
    ]


async def test_ids_are_opaque() -> None:
    asked = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode())
        return httpx.Response(200)

    await client(handler).action_urls("a/b?c#d=").destroy("..")
    assert asked == ["/api/ivrs/a%2Fb%3Fc%23d%3D/action_urls/%2E%2E/destroy"]
    with pytest.raises(PbxInvalid, match="an id is empty"):
        await client(handler).action_urls("i").destroy("")


@pytest.mark.parametrize("data", [None, {}, [], {"id": ""}, {"items": []}])
async def test_a_create_without_an_id_in_its_answer(data: object) -> None:
    with pytest.raises(PbxInvalid, match=r"^creating 'pick': ") as caught:
        await client(answering(201, data)).action_urls("i").create_once(ACTION)
    assert may_have_happened(caught.value)


async def test_an_action_url_without_an_id_is_nonsense() -> None:
    with pytest.raises(PbxInvalid, match="has no id"):
        await list_action_urls(client(answering(200, {"items": [{"name": "x"}]})))


# errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (400, PbxRefused, "does not accept"),
        (401, PbxUnauthorized, "RECEIVER_PBX_TOKEN"),
        (403, PbxForbidden, "role Admin"),
        (404, PbxNotFound, "RECEIVER_PBX_URL"),
        (418, PbxRefused, "log"),
        (429, PbxThrottled, "fewer requests"),
        (500, PbxRefused, "log"),
        (502, PbxRefused, "gateway"),
        (503, PbxThrottled, "overloaded"),
        (302, PbxInvalid, "RECEIVER_PBX_URL"),
    ],
)
async def test_each_status_is_one_clear_line(
    status: int, error: type[PbxError], words: str
) -> None:
    with pytest.raises(PbxError, match=words) as caught:
        await list_action_urls(client(answering(status, {})))
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "code", "detail"),
    [
        (b'{"errors":[{"code":"A","message":"m\\n\\u001b[2J"}]}', "A", "m  [2J"),
        (b'{"errors":[{"code":"","message":7}]}', "UNKNOWN", ""),
        (b'{"errors":[{"message":"m"},{"code":"B"}]}', "UNKNOWN", "m"),
        (b'{"errors":[]}', "UNKNOWN", ""),
        (b'{"errors":"no"}', "UNKNOWN", ""),
        (b'["errors"]', "UNKNOWN", ""),
        (b"<html>", "UNKNOWN", ""),
        (b"\xff", "UNKNOWN", ""),
        (b"[" * 100_000, "UNKNOWN", ""),
        (b"", "UNKNOWN", ""),
        (b'{"errors":[{"code":"A","message":"%b"}]}' % (b"x" * 999), "A", "x" * 200),
    ],
)
async def test_the_error_envelope_is_read_leniently(body: bytes, code: str, detail: str) -> None:
    with pytest.raises(PbxRefused) as caught:
        await list_action_urls(client(lambda request: httpx.Response(400, content=body)))
    assert (caught.value.status, caught.value.code, caught.value.detail) == (400, code, detail)


async def test_no_error_repeats_a_secret_that_the_pbx_echoes() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        said = f"{request.headers['authorization']} {request.content.decode()}" * 3
        return httpx.Response(400, json={"errors": [{"code": said, "message": said}]})

    with pytest.raises(PbxRefused) as caught:
        await client(handler).action_urls("i").create_once(ACTION)
    shown = f"{caught.value} {caught.value.code} {caught.value.detail}"
    assert "***" in shown
    assert "sesame" not in shown
    assert TOKEN not in shown


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://u:sesame@portal:9/login?t=sesame#sesame", "https://portal:9/login,"),
        ("/elsewhere", "http://localhost/elsewhere,"),
        ("", "nowhere,"),
    ],
)
async def test_redirects_are_not_followed(location: str, shown: str) -> None:
    asked = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(307, headers={"location": location} if location else {})

    with pytest.raises(PbxInvalid, match="not followed") as caught:
        await list_action_urls(client(handler))
    assert shown in str(caught.value)
    assert "sesame" not in str(caught.value)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"<html>", "not JSON"),
        (b'{"items":', "not JSON"),
        (b"\xff\xfe\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"id":' + b"1" * 10_000 + b"}", "not JSON"),
        (b"null", "items"),
    ],
)
async def test_answers_that_are_not_json(body: bytes, words: str) -> None:
    with pytest.raises(PbxInvalid, match=words):
        await list_action_urls(client(lambda request: httpx.Response(200, content=body)))


# repetition ----------------------------------------------------------------------------------


def failing(times: int, fault: httpx.Response | Exception) -> tuple[Handler, list[str]]:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        if len(asked) > times:
            return httpx.Response(200, json={"items": [], "id": "u1"})
        if isinstance(fault, Exception):
            raise fault
        return fault

    return handler, asked


REPEATED = [httpx.Response(429), httpx.ConnectError("x"), httpx.ConnectTimeout("x")]
REPEATED_READS = [
    httpx.Response(502),
    httpx.Response(503),
    httpx.ReadError("x"),
    httpx.RemoteProtocolError("x"),
]
FINAL = [httpx.Response(400), httpx.Response(500), httpx.ReadTimeout("x")]


@pytest.mark.parametrize("fault", REPEATED + REPEATED_READS, ids=repr)
async def test_reads_are_retried(fault: httpx.Response | Exception) -> None:
    handler, asked = failing(3, fault)
    assert await list_action_urls(client(handler)) == []
    assert asked == ["GET"] * 4
    handler, asked = failing(99, fault)
    with pytest.raises(PbxError):
        await list_action_urls(client(handler))
    assert asked == ["GET"] * 4


@pytest.mark.parametrize("fault", FINAL, ids=repr)
async def test_permanent_errors_are_not_retried(fault: httpx.Response | Exception) -> None:
    handler, asked = failing(99, fault)
    with pytest.raises(PbxError):
        await list_action_urls(client(handler))
    assert len(asked) == 1


@pytest.mark.parametrize("fault", REPEATED, ids=repr)
async def test_a_write_without_effect_is_retried(fault: Any) -> None:
    handler, asked = failing(2, fault)
    assert await client(handler).action_urls("i").create_once(ACTION) == "u1"
    assert len(asked) == 3
    handler, asked = failing(99, fault)
    with pytest.raises(PbxError) as caught:
        await client(handler).action_urls("i").create_once(ACTION)
    assert not may_have_happened(caught.value)


@pytest.mark.parametrize("fault", REPEATED_READS + FINAL[1:], ids=repr)
async def test_a_write_that_may_have_had_an_effect_is_not_retried(fault: Any) -> None:
    handler, asked = failing(99, fault)
    with pytest.raises(PbxError) as caught:
        await client(handler).action_urls("i").create_once(ACTION)
    assert len(asked) == 1
    assert may_have_happened(caught.value)


async def test_backoff_grows_and_honours_retry_after() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    handler, _ = failing(3, httpx.Response(429, headers={"retry-after": "7"}))
    await list_action_urls(client(handler, sleep))
    assert [7 <= seconds <= 11 for seconds in slept] == [True] * 3
    handler, _ = failing(3, httpx.Response(503, headers={"retry-after": "Wed, 21 Oct 2026"}))
    await list_action_urls(client(handler, sleep))
    assert [0 <= seconds <= 4 for seconds in slept[3:]] == [True] * 3


@pytest.mark.parametrize(
    ("until", "seconds"),
    [
        ("Sun, 22 Nov 2026 10:00:07 GMT", 7),
        ("Sun, 22 Nov 2026 11:00:00 +0100", 0),
        ("Sun, 22 Nov 2026 09:59:00 GMT", 0),
        ("Sunday, 22-Nov-26 10:00:09 -0000", 9),
        ("Sun, 99 Nov 2026 10:00:00 GMT", None),
        ("soon", None),
        ("", None),
        ("²", None),
    ],
)
async def test_retry_after_as_a_date(until: str, seconds: float | None) -> None:
    now = b"Sun, 22 Nov 2026 10:00:00 GMT"
    coded = [(b"retry-after", until.encode()), (b"date", now)]
    with pytest.raises(PbxThrottled) as caught:
        await list_action_urls(client(lambda request: httpx.Response(429, headers=coded)))
    assert caught.value.retry_after == seconds


async def test_retry_after_as_a_date_from_a_pbx_that_has_none() -> None:
    past = {"retry-after": "Sun, 22 Nov 2020 10:00:00 GMT"}
    with pytest.raises(PbxThrottled) as caught:
        await list_action_urls(client(failing(99, httpx.Response(429, headers=past))[0]))
    assert caught.value.retry_after == 0


async def test_a_long_retry_after_is_an_error() -> None:
    handler, asked = failing(99, httpx.Response(429, headers={"retry-after": "31"}))
    with pytest.raises(PbxThrottled) as caught:
        await list_action_urls(client(handler))
    assert caught.value.retry_after == 31
    assert len(asked) == 1


async def test_a_401_renews_the_token_once() -> None:
    good = ["first"]

    def handler(request: httpx.Request) -> httpx.Response:
        if "/auth/" in request.url.path:
            tokens = {"access_token": good[-1], "refresh_token": "refresh", "expires_in": 100}
            return httpx.Response(200, json=tokens)
        if request.headers["authorization"] != f"Bearer {good[-1]}" or good[-1] == "never":
            return httpx.Response(401)
        return httpx.Response(200, json={"items": []})

    pbx = FakePbx()
    pbx.before = handler
    async with pbx.client(Login("ann", Secret("open-sesame"))) as api:
        await list_action_urls(api)
        good.append("second")
        await asyncio.gather(*(list_action_urls(api) for _ in range(8)))
        good.append("never")
        with pytest.raises(PbxUnauthorized, match="did not accept the token"):
            await list_action_urls(api)
    counts = {line: pbx.log.count(line) for line in pbx.log if "/auth/" in line}
    assert counts == {
        "POST /auth/sign_in": 1,
        "POST /auth/refresh_token": 2,
        "POST /auth/sign_out": 1,
    }


async def test_a_sign_in_is_not_retried_if_the_pbx_may_have_seen_the_password() -> None:
    pbx = FakePbx()
    pbx.before = answering(503)
    with pytest.raises(PbxThrottled):
        await list_action_urls(pbx.client(Login("ann", Secret("open-sesame"))))
    assert pbx.log == ["POST /auth/sign_in"]


async def test_no_sign_out_from_an_unreachable_pbx() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if "sign_in" in request.url.path:
            return httpx.Response(200, json={"access_token": "t"})
        raise httpx.ReadTimeout("x")

    asked: list[str] = []
    login, transport = Login("ann", Secret("open-sesame")), httpx.MockTransport(handler)
    with pytest.raises(PbxUnreachable, match="within 10 s"):
        async with PbxClient("http://localhost", login, transport=transport) as api:
            await list_action_urls(api)
    assert asked == ["/api/auth/sign_in", "/api/ivrs/i/action_urls"]


@pytest.mark.parametrize("fault", [httpx.DecodingError("x"), httpx.UnsupportedProtocol("x")])
async def test_what_is_not_http_is_nonsense(fault: Exception) -> None:
    with pytest.raises(PbxInvalid, match="cannot be read as HTTP"):
        await list_action_urls(client(failing(99, fault)[0]))


# real sockets --------------------------------------------------------------------------------


@asynccontextmanager
async def server(
    *parts: bytes,
    first: bool = False,
    hang: bool = False,
    tls: bool = False,
    certificate: Path = CERTIFICATE,
) -> AsyncIterator[int]:
    """Answers each request with ``parts``, or speaks first; closes or hangs; gives the port."""
    done = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if not first:
                await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
                await writer.drain()
            if hang:
                await done.wait()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    listening = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    async with listening:
        yield listening.sockets[0].getsockname()[1]
        done.set()


async def ask(url: str, timeout: float = 5, **options: Any) -> None:  # noqa: ASYNC109
    given = GivenToken(Secret(TOKEN))
    async with PbxClient(url, given, timeout=timeout, sleep=no_sleep, **options) as api:
        await list_action_urls(api)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
EMPTY = HEAD % 2 + b"{}"


@pytest.mark.parametrize(
    ("parts", "error", "words"),
    [
        ((HEAD % 99, b'{"items":'), ConnectionLost, "closed the connection early"),
        ((b"HTTP/1.1 200 OK\r\ncont",), ConnectionLost, "closed the connection early"),
        ((), ConnectionLost, "closed the connection early"),
        ((b"SSH-2.0-OpenSSH_9.6\r\n",), ConnectionLost, "does not speak HTTP"),
        ((HEAD % 8, b"not json"), PbxInvalid, "not JSON"),
        ((HEAD % 0,), PbxInvalid, "empty"),
        ((HEAD % (MAX_ANSWER + 1), b" " * (MAX_ANSWER + 1)), PbxInvalid, "larger than 8 MiB"),
    ],
)
async def test_wrong_answers(parts: tuple[bytes, ...], error: type[PbxError], words: str) -> None:
    async with server(*parts) as port:
        with pytest.raises(error, match=words):
            await ask(f"http://localhost:{port}")


@pytest.mark.parametrize("parts", [(), (HEAD % 99,), (HEAD % 99, b'{"items":')])
async def test_slow_answers(parts: tuple[bytes, ...]) -> None:
    async with server(*parts, hang=True) as port:
        with pytest.raises(PbxUnreachable, match=r"within 0\.5 s"):
            await ask(f"http://localhost:{port}", timeout=0.5)


async def test_a_trickling_answer_times_out() -> None:
    async def trickle() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield b" "

    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=trickle()))
    with pytest.raises(PbxUnreachable, match="did not answer within"):
        await ask("http://localhost", timeout=0.02, transport=transport)


async def test_a_port_without_a_listener() -> None:
    async with server() as port:
        pass
    with pytest.raises(ConnectFailed, match=f"no connection to the PBX at localhost:{port}"):
        await ask(f"http://localhost:{port}")


async def test_a_host_name_that_does_not_resolve() -> None:
    with pytest.raises(ConnectFailed, match=r"the host name in pbx\.invalid:8887 does not resolve"):
        await ask("https://pbx.invalid:8887")


async def test_the_pbxs_own_certificate_as_the_ca_file() -> None:
    async with server(EMPTY, tls=True) as port:
        await ask(f"https://localhost:{port}", ca=CERTIFICATE)


async def test_an_unknown_certificate() -> None:
    async with server(EMPTY, tls=True) as port:
        with pytest.raises(PbxUnreachable, match=r"not trusted .* RECEIVER_PBX_CA") as caught:
            await ask(f"https://localhost:{port}")
        assert type(caught.value) is PbxUnreachable
        await ask(f"https://localhost:{port}", insecure=True)


async def test_a_certificate_for_another_name() -> None:
    async with server(EMPTY, tls=True) as port:
        with pytest.raises(PbxUnreachable, match="made for another name"):
            await ask(f"https://127.0.0.1:{port}", ca=CERTIFICATE)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("certificate", [NAMELESS, SIGNED])
async def test_a_certificate_without_a_name_that_is_the_configured_one(
    host: str, certificate: Path
) -> None:
    async with server(EMPTY, tls=True, certificate=certificate) as port:
        given = GivenToken(Secret(TOKEN))
        url = f"https://{host}:{port}"
        async with PbxClient(url, given, ca=certificate, sleep=no_sleep) as api:
            for _ in range(2):
                await list_action_urls(api)


async def test_a_certificate_without_a_name_that_is_not_the_configured_one() -> None:
    async with server(EMPTY, tls=True, certificate=SIGNED) as port:
        for host in ("localhost", "127.0.0.1"):
            with pytest.raises(PbxUnreachable, match=r"has no subjectAltName.* this certif"):
                await ask(f"https://{host}:{port}", ca=AUTHORITY)
        with pytest.raises(PbxUnreachable, match="is not trusted"):
            await ask(f"https://localhost:{port}", ca=NAMELESS)
    async with server(EMPTY, tls=True, certificate=NAMELESS) as port:
        with pytest.raises(PbxUnreachable, match="is not trusted"):
            await ask(f"https://localhost:{port}", ca=AUTHORITY)


async def test_https_to_a_port_for_http() -> None:
    async with server(EMPTY, first=True) as port:
        with pytest.raises(PbxUnreachable, match=r"is the port .* the one for https"):
            await ask(f"https://localhost:{port}")


async def test_http_to_a_port_for_https() -> None:
    async with server(EMPTY, tls=True) as port:
        with pytest.raises(ConnectionLost, match="https or http"):
            await ask(f"http://localhost:{port}")


async def test_an_exceeded_quota_is_not_reported_as_a_role() -> None:
    error = {"errors": [{"code": "QUOTA_EXCEEDED", "message": "no more receptionists"}]}
    with pytest.raises(PbxForbidden) as caught:
        await client(answering(403, error)).action_urls("i1").create_once(ActionUrl(name="a"))
    text = str(caught.value)
    assert "raise the quota" in text
    assert "403 QUOTA_EXCEEDED: no more receptionists" in text
    assert "role" not in text
