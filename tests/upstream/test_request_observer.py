"""receiver/upstream/request_observer.py"""

from __future__ import annotations

import httpx
import pytest

from receiver.errors import UpstreamRefused
from receiver.upstream import Client
from receiver.upstream.interception import intercepted
from receiver.upstream.request_observer import OBSERVER, RequestObserver, UpstreamRequest
from tests.upstream.stage import BROKEN, Crm


class Seen(RequestObserver):
    def __init__(self) -> None:
        self.requests: list[UpstreamRequest] = []
        self.senders: list[str] = []

    def record(self, request: UpstreamRequest) -> None:
        self.requests.append(request)

    def intercept(self, request: httpx.Request, sender: str) -> float:
        self.senders.append(sender)
        return 0.0


async def test_recorded_requests_have_no_query(crm: Crm) -> None:
    seen, client = Seen(), Client(crm.url)
    token = OBSERVER.set(seen)
    try:
        with intercepted():
            await client.get("/people", params={"number": "+4930123"})
            crm.script = [BROKEN]
            with pytest.raises(UpstreamRefused):
                await client.post("/people", json={})
    finally:
        OBSERVER.reset(token)
    await client.aclose()
    host = crm.url.removeprefix("http://")
    assert [one[:4] for one in seen.requests] == [
        ("GET", host, "/people", 200),
        ("POST", host, "/people", 503),
    ]
    assert all(one.seconds >= 0 for one in seen.requests)
    assert seen.senders == ["client", "client"]


async def test_without_an_observer(crm: Crm) -> None:
    assert OBSERVER.get() is None
    client = Client(crm.url)
    assert (await client.get("/people")).status == 200
    await client.aclose()
