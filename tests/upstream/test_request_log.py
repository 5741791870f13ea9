"""receiver/upstream/request_log.py: bounded, and shared with the callbacks of one fetch."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from receiver.errors import CircuitOpen, UpstreamError, UpstreamLate, UpstreamRefused
from receiver.upstream import Client, Lookup
from receiver.upstream.request_log import MAX_OCTETS, MAX_REQUESTS, RequestLog
from receiver.upstream.request_observer import OBSERVER, RequestObserver, UpstreamRequest
from tests.upstream.stage import BROKEN, CUT, HANG, Crm


@pytest.fixture
def log() -> Iterator[RequestLog]:
    made = RequestLog()
    token = OBSERVER.set(made)
    yield made
    OBSERVER.reset(token)


def request(body: bytes | None = b"{}", source: str = "network") -> UpstreamRequest:
    return UpstreamRequest("GET", "crm", "/", 200, 0.1, source, body)  # type: ignore[arg-type]


def test_the_number_and_the_size_are_bounded() -> None:
    log = RequestLog()
    for _ in range(MAX_REQUESTS * 2):
        log.record(request())
    assert len(log.requests) == MAX_REQUESTS
    log = RequestLog()
    for size in (MAX_OCTETS - 2, 3, 2, 1):
        log.record(request(b"x" * size))
    assert [len(one.body or b"") for one in log.requests] == [MAX_OCTETS - 2, 0, 2, 0]
    log.record(request(source="cache"))
    assert len(log.requests) == 4


def test_a_shared_fetch_is_recorded_once() -> None:
    """Several searches of one call wait for the request of a token."""
    log, fetch = RequestLog(), RequestLog()
    fetch.record(request())
    log.share(fetch)
    log.share(fetch)
    log.record(request())
    assert len(log.requests) == 2


async def test_answers_and_failures_are_kept(crm: Crm, log: RequestLog) -> None:
    client = Client(crm.url, failures=3, timeout=30)
    crm.script = [BROKEN, CUT, HANG]
    with pytest.raises(UpstreamRefused):
        await client.get("/people")
    with pytest.raises(UpstreamError):
        await client.get("/people")
    hasty = Client(crm.url, timeout=0.01)
    with pytest.raises(UpstreamLate):
        await hasty.get("/people")
    crm.script = [BROKEN]
    crm.released.set()
    with pytest.raises(UpstreamRefused):
        await client.get("/people")
    with pytest.raises(CircuitOpen):
        await client.get("/people")
    assert [(one.status, one.body, one.source, one.is_late) for one in log.requests] == [
        (503, b"sorry", "network", False),
        (None, None, "network", False),
        (None, None, "network", True),
        (503, b"sorry", "network", False),
        (None, None, "circuit", False),
    ]
    await client.aclose()
    await hasty.aclose()


async def test_a_cached_result_has_the_requests_that_led_to_it(crm: Crm) -> None:
    client = Client(crm.url)

    async def find(key: str) -> bytes:
        return (await client.get(f"/people/{key}")).body

    people = Lookup(find, fresh=60, stale=60)

    async def nested(key: str) -> bytes:
        return await people(key)

    outer = Lookup(nested, fresh=60, stale=60)

    async def callback(lookup: Lookup[str, bytes], key: str) -> list[str]:
        log = RequestLog()
        token = OBSERVER.set(log)
        try:
            await lookup(key)
        finally:
            OBSERVER.reset(token)
        return [one.path for one in log.requests]

    # Two at once share one request; a third gets it from the cache, also through another cache.
    both = await asyncio.gather(callback(people, "a"), callback(people, "a"))
    assert list(both) == [["/people/a"], ["/people/a"]]
    assert await callback(people, "a") == await callback(outer, "a") == ["/people/a"]
    assert await callback(outer, "a") == ["/people/a"]
    assert crm.count == 1
    for one in (people, outer, client):
        await one.aclose()


async def test_a_result_fetched_ahead_belongs_to_the_callback_that_gets_it(crm: Crm) -> None:
    client = Client(crm.url)

    async def find(key: str) -> int:
        return (await client.get(f"/{key}")).status

    people = Lookup(find, fresh=60, stale=60)
    logs = RequestLog(), RequestLog()
    token = OBSERVER.set(logs[0])
    people.ahead("a")
    OBSERVER.set(logs[1])
    await people("a")
    OBSERVER.reset(token)
    assert [len(log.requests) for log in logs] == [0, 1]
    await people.aclose()
    await client.aclose()


async def test_an_observer_may_use_no_cache(crm: Crm) -> None:
    class Uncached(RequestObserver):
        uses_cache = False

    client = Client(crm.url)

    async def find(key: str) -> int:
        return (await client.get(f"/{key}")).status

    people = Lookup(find, fresh=60, stale=60)
    token = OBSERVER.set(Uncached())
    assert [await people("a"), await people("a")] == [200, 200]
    OBSERVER.reset(token)
    assert crm.count == 2
    await people.aclose()
    await client.aclose()
