"""receiver/upstream/http_client.py, against a real socket."""

import asyncio
import gzip
import logging
import traceback
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from receiver import Call, DeclarationError
from receiver.errors import CircuitOpen, UpstreamError, UpstreamLate, UpstreamRefused
from receiver.upstream import Answer, Client
from receiver.upstream.http_client import _CHUNKS
from tests.limits import LONG
from tests.upstream.stage import BROKEN, CUT, DROP, HANG, OK, Clock, Crm, Timed, answer

PHONE = "+4930555123987"


async def late(crm: Crm, clock: Clock, client: Client, call: Call | None, seconds: float) -> str:
    """Send a request to a CRM that hangs, advance the clock and return the error's text."""
    before = crm.count
    task = asyncio.create_task(client.get("/c", call=call))
    await crm.received(before + 1)
    clock.advance(seconds)
    with pytest.raises(UpstreamLate) as error:
        await task
    return str(error.value)


async def test_a_request_and_its_answer(crm: Crm) -> None:
    client = Client(crm.url + "/v3/", headers={"Authorization": "Bearer t", "accept": "a/b"})
    got = await client.get("/c", params={"phone": PHONE, "limit": 1}, headers={"X-One": "1"})
    assert (got.origin, got.status, got.json()) == (crm.url, 200, {"name": "Ada"})
    assert repr(got) == f"Answer('{crm.url}', 200, <14>)"
    head = crm.requests[0].lower()
    assert head.startswith("get /v3/c?phone=%2b4930555123987&limit=1 http/1.1")
    for line in (
        "authorization: bearer t",
        "accept: a/b",
        "x-one: 1",
        "user-agent: portsip-receiver",
    ):
        assert head.count(f"\r\n{line}\r\n") == 1
    assert head.count("\r\naccept: ") == 1
    await client.post("c", json={"limit": 1})
    assert crm.requests[1].startswith("POST /v3/c HTTP/1.1")
    assert crm.requests[1].endswith('{"limit":1}')
    await client.request("PUT", "c", content=b"x")
    assert crm.requests[2].endswith("\r\n\r\nx")
    assert crm.connections == 1  # pooled


async def test_unexpected_errors_of_the_pool_are_upstream_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(self: object, request: object) -> None:
        raise RuntimeError(PHONE)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", fail)
    client = Client("http://127.0.0.1:9", failures=1)
    with pytest.raises(UpstreamError, match=r"failed: RuntimeError$"):
        await client.get("/c")
    with pytest.raises(CircuitOpen):
        await client.get("/c")


async def test_credentials_are_sent_to_the_base_host_only(crm: Crm) -> None:
    client = Client("https://crm.example.com", headers={"Authorization": "Bearer t"})
    await client.get(crm.url + "/c")
    assert "authorization" not in crm.requests[0].lower()


async def test_cookies_are_not_kept(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    crm.script = [answer(head="Set-Cookie: session=1\r\n"), OK]
    client = Client(crm.url)
    await client.get("/c")
    await client.get("/c")
    assert "cookie" not in crm.requests[1].lower()


@pytest.mark.parametrize(
    ("own", "left", "seconds"), [(1.0, 9.0, "1.00"), (5.0, 1.25, "1.20"), (1.0, None, "1.00")]
)
async def test_the_timeout_is_limited_by_the_call(
    crm: Crm, clock: Clock, own: float, left: float | None, seconds: str
) -> None:
    crm.script = [HANG]
    client = Client(crm.url, timeout=own)
    call = None if left is None else Timed(left=left)
    text = await late(crm, clock, client, call, float(seconds))
    assert text == f"{crm.url} did not answer within {seconds} s"


async def test_an_endless_body_times_out(crm: Crm, clock: Clock) -> None:
    # The connection stays open: the CRM waits for the next request.
    crm.script = [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"]
    assert "did not answer" in await late(crm, clock, Client(crm.url, timeout=1.0), None, 1.0)


async def test_no_request_after_the_deadline(crm: Crm) -> None:
    with pytest.raises(UpstreamLate, match="the deadline of the call has passed"):
        await Client(crm.url).get("/c", call=Timed(left=0.05))
    assert crm.count == 0


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (DROP, "failed: RemoteProtocolError"),
        (CUT, "failed: RemoteProtocolError"),
        (
            b"220 mail ready\r\n\r\n",
            "failed: RemoteProtocolError",
        ),
        (BROKEN, "answered 503"),
    ],
)
async def test_failures_open_the_circuit(
    crm: Crm, clock: Clock, caplog: pytest.LogCaptureFixture, step: bytes, problem: str
) -> None:
    crm.script = [step, step, OK]
    client = Client(crm.url, failures=2, pause=5)
    for _ in range(2):
        with pytest.raises(UpstreamError, match=problem):
            await client.get("/c")
    with pytest.raises(CircuitOpen):
        await client.get("/c")
    assert crm.count == 2
    clock.advance(5)
    assert (await client.get("/c")).status == 200
    assert (await client.get("/c")).status == 200
    said = [r.getMessage() for r in caplog.records if r.name == "receiver.upstream"]
    assert said == [
        f"circuit open: {crm.url} failed repeatedly; no requests for a while",
        f"circuit closed: {crm.url} answers again",
    ]


async def test_connection_refused() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    client = Client(f"http://127.0.0.1:{port}", failures=1)
    with pytest.raises(UpstreamError, match="ConnectError"):
        await client.get("/c")
    with pytest.raises(CircuitOpen):
        await client.get("/c")


async def test_a_timeout_counts_after_half_of_the_timeout(crm: Crm, clock: Clock) -> None:
    crm.script = [HANG]
    client = Client(crm.url, timeout=1.0, failures=1)
    await late(crm, clock, client, Timed(left=0.54), 0.5)
    await late(crm, clock, client, Timed(left=0.56), 0.51)
    with pytest.raises(CircuitOpen):
        await client.get("/c")


async def test_refusals_show_that_the_host_is_alive(crm: Crm) -> None:
    refused = answer(b"slow down", "429 Too Many Requests")
    crm.script = [BROKEN, refused, BROKEN, refused]
    client = Client(crm.url, failures=2)
    for status in (503, 429, 503, 429):
        with pytest.raises(UpstreamRefused) as error:
            await client.get("/c")
        assert error.value.status == status
        assert error.value.body == (b"sorry" if status == 503 else b"slow down")
        assert "slow" not in str(error.value)


async def test_redirects_are_not_followed(crm: Crm) -> None:
    crm.script = [answer(b"", "302 Found", f"Location: {crm.url}/other\r\n")]
    with pytest.raises(UpstreamRefused, match=r"answered 302$"):
        await Client(crm.url).get("/c")
    assert crm.count == 1


async def test_the_size_of_an_answer_is_limited(crm: Crm) -> None:
    crm.script = [answer(b"x" * 100), answer(b"x" * 101), OK]
    client = Client(crm.url, max_size=100)
    assert len((await client.get("/c")).body) == 100
    with pytest.raises(UpstreamError, match=r"is larger than 100 octets$"):
        await client.get("/c")
    assert (await client.get("/c")).json() == {"name": "Ada"}


GZIPPED = "Content-Encoding: GZip\r\n"


async def test_unrequested_compression_is_decoded(crm: Crm) -> None:
    crm.script = [answer(gzip.compress(b'{"name":"Ada"}'), head=GZIPPED)]
    assert (await Client(crm.url).get("/c")).json() == {"name": "Ada"}
    assert "accept-encoding: identity\r\n" in crm.requests[0].lower()


async def test_many_small_chunks_do_not_block_the_event_loop() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def drip() -> AsyncIterator[bytes]:
        for _ in range(5 * _CHUNKS):
            yield b"1"

    beside = asyncio.create_task(others())
    response = httpx.Response(200, content=drip())
    assert await Client("http://x")._read(response, "http://x") == b"1" * 5 * _CHUNKS
    assert turns >= 5
    beside.cancel()


async def test_an_answer_that_cannot_be_decoded(crm: Crm) -> None:
    crm.script = [answer(b"no gzip", head=GZIPPED)]
    with pytest.raises(UpstreamError, match="cannot be decoded"):
        await Client(crm.url).get("/c")


@pytest.mark.parametrize("coding", ["br", "gzip"])
async def test_a_status_is_reported_with_any_coding(crm: Crm, coding: str) -> None:
    head = f"Content-Encoding: {coding}\r\nRetry-After: 3\r\n"
    crm.script = [answer(b"?", "429 Too Many", head)]
    with pytest.raises(UpstreamRefused) as error:
        await Client(crm.url).get("/c")
    assert (error.value.status, error.value.retry_after) == (429, 3)


async def test_a_decompression_bomb_is_not_decoded(crm: Crm) -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024))  # about 64 KiB
    crm.script = [answer(bomb, head=GZIPPED), OK]
    client = Client(crm.url)
    tracemalloc.start()
    try:
        with pytest.raises(UpstreamError, match=r"is larger than 1048576 octets$"):
            await client.get("/c")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1024 * 1024
    assert (await client.get("/c")).json() == {"name": "Ada"}


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 100_000])
def test_invalid_json(body: bytes) -> None:
    with pytest.raises(UpstreamError, match=r"^the answer of http://x is not JSON$"):
        Answer("http://x", 200, body).json()


@pytest.mark.parametrize(("sent", "named"), [
    ("text/html; charset=utf-8", " but text/html"), ("application/json", ""), ("a b/c", ""),
])  # fmt: skip
def test_invalid_json_names_its_media_type(sent: str, named: str) -> None:
    with pytest.raises(UpstreamError, match=f"^the answer of http://x is not JSON{named}$"):
        Answer("http://x", 200, b"<html>", {"Content-Type": sent}).json()


async def test_a_cancelled_handler_leaves_the_pool_usable(crm: Crm) -> None:
    crm.script = [HANG, OK]
    client = Client(crm.url, max_connections=1, failures=1)
    task = asyncio.create_task(client.get("/c"))
    await crm.received(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await client.get("/c")).status == 200


@pytest.mark.parametrize("url", ["ftp://x/", "http://x:y/", "/\n", "/c", "//x/c"])
async def test_invalid_urls(url: str) -> None:
    with pytest.raises(UpstreamError, match=r"^the URL"):
        await Client().get(url)


async def test_invalid_headers(crm: Crm) -> None:
    client = Client(crm.url, failures=1)
    for value in (PHONE + "\n", PHONE + "ä€"):
        with pytest.raises(UpstreamError, match=r"is not valid in HTTP$") as error:
            await client.get("/c", headers={"X-Phone": value})
        assert PHONE not in str(error.value)
    assert (await client.get("/c")).status == 200  # the circuit is closed


async def test_an_untrusted_certificate_is_refused() -> None:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pem = Path(__file__).parent.parent / "pbx" / "localhost.pem"
    context.load_cert_chain(pem)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(UpstreamError, match="ConnectError"):
        await Client(url).get("/c")
    server.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda _: Client("crm.example.com"),
        lambda _: Client("ftp://crm.example.com"),
        lambda _: Client("https://user:pass@crm.example.com"),
        lambda _: Client("https://crm.example.com/?key=1"),
        lambda _: Client("http://x:y"),
        lambda _: Client(headers={"Authorization": "x"}),
        lambda _: Client("https://crm.example.com", headers={"X-Key": "two\nlines"}),
        lambda _: Client("https://crm.example.com", headers={"X-Key": "gr\u00fcn"}),
        lambda _: Client("https://crm.example.com", headers={"X Key": "x"}),
        lambda folder: Client(ca=folder / "missing.pem"),
    ],
)
def test_invalid_options(make: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"^Client: "):
        make(tmp_path)


async def test_logs_and_errors_contain_nothing_of_the_request(
    crm: Crm, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body = answer(PHONE.encode(), "404 Not Found")
    crm.script = [OK, BROKEN, CUT, body, answer(PHONE.encode()), HANG]
    client = Client(crm.url, headers={"Authorization": f"Bearer {PHONE}"})
    said = []
    for _ in range(5):
        try:
            found = await client.post("/c/" + PHONE, params={"q": PHONE}, json={"q": PHONE})
            said.append(str(found.json()))
        except UpstreamError as error:
            said.append("".join(traceback.format_exception(error)))
    said.append(await late(crm, clock, client, None, LONG))
    assert len(said) == 6
    assert all(PHONE[1:] not in text for text in [*said[1:4], said[5], caplog.text])


def test_the_pool_ends_with_its_loop() -> None:
    client = Client()

    async def use() -> None:
        crm = Crm()
        await crm.start()
        crms.append(crm)
        await client.get(crm.url)
        assert len(crm.open) == 1
        crm.listen_no_more()

    crms: list[Crm] = []
    for _ in range(2):
        asyncio.run(use())  # what stays open would be a ResourceWarning
    assert [crm.connections for crm in crms] == [1, 1]
    assert client._pools._lives == {}


async def test_aclose(crm: Crm) -> None:
    client = Client(crm.url)
    await client.aclose()
    await client.get("/c")
    await client.aclose()
    await crm.until(lambda: not crm.open)
    await client.get("/c")
    assert crm.connections == 2
