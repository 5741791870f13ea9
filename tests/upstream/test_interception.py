"""receiver/upstream/interception.py: any httpx client, once, and only in the block."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from receiver.upstream import Client
from receiver.upstream.interception import intercepted
from receiver.upstream.request_observer import OBSERVER, RequestObserver, Sender, UpstreamRequest
from tests.upstream.stage import Crm

METHODS = [
    (httpx.AsyncHTTPTransport, "handle_async_request"),
    (httpx.HTTPTransport, "handle_request"),
    (httpx.ASGITransport, "handle_async_request"),
    (httpx.WSGITransport, "handle_request"),
    (httpx.MockTransport, "handle_async_request"),
    (httpx.MockTransport, "handle_request"),
]


class Observer(RequestObserver):
    def __init__(self) -> None:
        self.requests: list[UpstreamRequest] = []
        self.is_down = False
        self.answer: httpx.Response | float = 0.0

    def record(self, request: UpstreamRequest) -> None:
        self.requests.append(request)

    def intercept(self, request: httpx.Request, sender: Sender) -> httpx.Response | float:
        if self.is_down:
            raise httpx.ConnectError("simulated", request=request)
        return self.answer


@pytest.fixture
def observer() -> Iterator[Observer]:
    with observing() as made:
        yield made


@contextmanager
def observing() -> Iterator[Observer]:
    made = Observer()
    token = OBSERVER.set(made)
    try:
        with intercepted():
            yield made
    finally:
        OBSERVER.reset(token)


def ask(url: str) -> int:
    with httpx.Client() as client:
        return client.get(url).status_code


async def ask_async(url: str) -> int:
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).status_code


async def test_sync_clients_async_clients_and_functions_are_intercepted(
    crm: Crm, observer: Observer
) -> None:
    url = f"{crm.url}/people?number=101"
    assert await ask_async(url) == 200
    assert await asyncio.to_thread(ask, url) == 200
    assert (await asyncio.to_thread(httpx.get, url)).status_code == 200
    host = crm.url.removeprefix("http://")
    assert [one[:4] for one in observer.requests] == [("GET", host, "/people", 200)] * 3

    observer.is_down = True
    with pytest.raises(httpx.ConnectError, match="simulated"):
        await ask_async(url)
    for function in (ask, httpx.get):
        with pytest.raises(httpx.ConnectError, match="simulated"):
            await asyncio.to_thread(function, url)
    assert crm.count == 3
    assert [one.status for one in observer.requests[3:]] == [None] * 3


async def test_requests_of_the_client_are_recorded_once(crm: Crm, observer: Observer) -> None:
    client = Client(crm.url)
    await client.get("/people")
    assert len(observer.requests) == 1
    await client.aclose()


async def test_a_transport_within_a_transport_is_recorded_once(
    crm: Crm, observer: Observer
) -> None:
    async def relay(request: httpx.Request) -> httpx.Response:
        async with httpx.AsyncClient() as inner:
            return httpx.Response((await inner.get(f"{crm.url}/people")).status_code)

    async with httpx.AsyncClient(transport=httpx.MockTransport(relay)) as client:
        assert (await client.get("http://fake/relay")).status_code == 200
    assert [one.host for one in observer.requests] == ["fake"]


def test_an_answer_is_played_back_without_a_request(observer: Observer) -> None:
    observer.answer = httpx.Response(200, json={"owner": "201"})
    assert httpx.get("http://127.0.0.1:1/owner").json() == {"owner": "201"}


async def test_without_a_callback_the_observer_of_the_process_counts(crm: Crm) -> None:
    process = Observer()
    process.is_down = True
    loop = asyncio.get_running_loop()
    with intercepted(process), pytest.raises(httpx.ConnectError, match="simulated"):
        await loop.run_in_executor(None, ask, f"{crm.url}/people")
    assert crm.count == 0
    assert await loop.run_in_executor(None, ask, f"{crm.url}/people") == 200


async def test_a_simulated_delay_ends_with_the_timeout_of_the_client(
    crm: Crm, observer: Observer
) -> None:
    observer.answer = 3600.0
    async with httpx.AsyncClient(timeout=0.01) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get(crm.url)
    with pytest.raises(httpx.ReadTimeout):
        await asyncio.to_thread(httpx.get, crm.url, timeout=0.01)
    observer.answer = 0.001
    async with httpx.AsyncClient(timeout=httpx.Timeout(None)) as client:
        assert (await client.get(crm.url)).status_code == 200
    assert [one.status for one in observer.requests] == [None, None, 200]


def test_httpx_is_as_before_after_blocks_that_overlap() -> None:
    before = [getattr(kind, name) for kind, name in METHODS]
    first, second = ExitStack(), ExitStack()
    first.enter_context(intercepted())
    second.enter_context(intercepted())
    first.close()
    assert all(
        getattr(kind, name) is not old for (kind, name), old in zip(METHODS, before, strict=True)
    )
    second.close()
    assert [getattr(kind, name) for kind, name in METHODS] == before


def test_the_replacement_of_another_library_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        return httpx.Response(418)

    with intercepted():
        monkeypatch.setattr(httpx.HTTPTransport, "handle_request", other)
    assert httpx.get("http://127.0.0.1:1/").status_code == 418
