"""The simulated PBX reports calls: the records, the tenant's event URL, attempts and faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from receiver.callbacks.event_parser import read_event
from receiver.calls import Call
from receiver.pbx.models import read
from receiver.pbx.models_events import TenantEvents
from receiver.simulator.api import make_api
from receiver.simulator.event_records import RING, CallEnd, EventRecords
from receiver.simulator.event_sender import RETRIES, EventFaults, EventSender, events_of
from receiver.simulator.line import Line
from receiver.simulator.model import Pbx

CALL = Call("101", "Jason", "8000", "Sales", session_id="7")
URL = {"enabled": True, "auth": "BEARER", "token": "secret", "url": "http://x/events"}


def types(records: list[dict[str, Any]]) -> list[str]:
    return [one["event_type"].removeprefix("cdr_target_") for one in records]


def test_a_call_that_is_answered() -> None:
    made = EventRecords(CALL, 1000.0)
    assert types(made.arrived()) == ["call_start", "add", "ringing", "answer"]
    moments = made.after_ivr(5.0, "222", CallEnd(12.0))
    assert [(seconds, types(records)) for seconds, records in moments] == [
        (0.0, ["end", "add", "ringing"]),
        (RING, ["answer"]),
        (12.0, ["end", "call_cdr"]),
    ]
    times = [{int(one["time"]) for one in records} for _, records in moments]
    assert times == [{1005}, {1005 + RING}, {1005 + RING + 12}]
    records = moments[-1][1]
    (ended,) = read_event(json.dumps(records[-1]), ivrs=("8000",))
    assert (ended.session_id, ended.caller, ended.callee) == ("7", "101", "8000")
    assert (ended.direction, ended.end_reason) == ("inbound", "caller_disconnected")
    assert ended.answered_by is not None
    assert (ended.answered_by.number, ended.answered_by.talk_duration) == ("222", 12.0)


def test_a_call_that_is_not_answered() -> None:
    end = CallEnd(None, by_caller=False, recording="https://pbx/1.wav")
    made = EventRecords(CALL, 0, old_directions=False)
    _, (seconds, records) = made.after_ivr(1, "222", end)
    assert (seconds, types(records)) == (RING, ["noanswer", "call_cdr"])
    ended, missed = read_event(json.dumps(records[-1]), ivrs=("8000",))
    assert (missed.kind, missed.direction) == ("call_missed", "inbound")
    assert (ended.recording, ended.end_reason) == ("https://pbx/1.wav", "callee_disconnected")


def test_a_call_that_ends_in_the_ivr() -> None:
    [(seconds, records)] = EventRecords(CALL, 0).after_ivr(1, "", CallEnd())
    assert (seconds, types(records)) == (0.0, ["end", "call_cdr"])
    (ended,) = read_event(json.dumps(records[-1]), ivrs=("8000",))
    assert ended.targets[0].end_reason == "caller_disconnected"


async def test_the_events_of_a_call_are_made_when_they_happen() -> None:
    pbx, sleeps = Pbx(), Sleeps()
    pbx.add_ivr("8000")
    call = await Line(pbx).dial("8000", caller="101")
    events = events_of(call, CallEnd(12.0), 1000.0, sleeps)
    assert types(await anext(events)) == ["call_start", "add", "ringing", "answer"]
    following = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    assert not following.done()
    await call.hang_up()
    assert types(await following) == ["end", "call_cdr"]
    assert sleeps.waits == [0.0]


# the sender -----------------------------------------------------------------------------------
class Service(httpx.AsyncBaseTransport):
    """Answers with statuses in turn, the last one repeatedly; 0 breaks the connection."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses)
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        if not status:
            raise httpx.ReadError("")
        headers = {"www-authenticate": 'Digest realm="r", nonce="n", qop="auth"'}
        return httpx.Response(status, headers=headers if status == 401 else {}, stream=Empty())


class Empty(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b""


class Sleeps:
    def __init__(self) -> None:
        self.waits: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)


def by_text(events: list[dict[str, Any]]) -> None:
    events.sort(key=str)


async def send(service: Service, url: dict[str, Any] | None, **faults: Any) -> Any:
    sleeps = Sleeps()
    sender = EventSender(lambda: url, service, sleep=sleeps, shuffle=by_text)
    sender.faults = EventFaults(**faults)
    sent = await sender.send([{"b": 1}, {"a": 2}])
    return [one.statuses for one in sent], sleeps.waits, sent


async def test_an_acknowledged_event_is_sent_once() -> None:
    service = Service(200)
    statuses, waits, sent = await send(service, URL)
    assert (statuses, waits) == ([(200,), (200,)], [])
    assert all(one.acknowledged for one in sent)
    assert service.requests[0].headers["authorization"] == "Bearer secret"
    assert service.requests[0].content == b'{"b": 1}'


async def test_an_event_is_repeated_until_it_is_acknowledged_or_unknown() -> None:
    statuses, waits, sent = await send(Service(503, 0, 201, 200, 404), URL)
    assert statuses == [(503, 0, 201, 200), (404,)]
    assert waits == list(RETRIES[:3])
    assert not sent[1].acknowledged


async def test_an_event_is_given_up() -> None:
    statuses, waits, _ = await send(Service(500), URL)
    assert statuses == [(500,) * 6] * 2
    assert waits == list(RETRIES) * 2


async def test_digest() -> None:
    service = Service(401, 200)
    url = {**URL, "auth": "DIGEST", "username": "username", "password": "password"}
    statuses, _, _ = await send(service, url)
    assert statuses == [(200,), (200,)]
    assert service.requests[0].content == b""
    assert service.requests[1].headers["authorization"].startswith("Digest username=")
    basic = Service(200)
    await send(basic, {**url, "auth": "BASIC"})
    assert basic.requests[0].headers["authorization"].startswith("Basic ")
    none = Service(200)
    await send(none, {"enabled": True, "url": "http://x"})
    assert "authorization" not in none.requests[0].headers


@pytest.mark.parametrize("url", [None, {}, {**URL, "enabled": False}, {"enabled": True}])
async def test_without_an_event_url_nothing_is_sent(url: dict[str, Any] | None) -> None:
    assert (await send(Service(200), url))[0] == []


async def test_faults() -> None:
    service = Service(200)
    statuses, _, _ = await send(service, URL, copies=2, shuffled=True, lost=1)
    assert statuses == [(0, 200)] * 4
    bodies = [request.content for request in service.requests[::2]]
    assert bodies == [b'{"a": 2}', b'{"a": 2}', b'{"b": 1}', b'{"b": 1}']


# the tenant's settings ------------------------------------------------------------------------
def test_no_event_url_prints_what_may_be_secret() -> None:
    found = read(TenantEvents, {"cdr_event": URL}).cdr_event
    assert repr(found) == "EventUrl(enabled=True, auth='BEARER')"


async def test_the_tenants_event_urls() -> None:
    pbx = Pbx()
    headers = {"Authorization": "Bearer fixed"}
    transport = httpx.ASGITransport(make_api(pbx, token="fixed"))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://pbx/api", headers=headers
    ) as client:
        off = {"enabled": False, "auth": "DISABLE"}
        shown = (await client.get("/tenant")).json()
        assert shown == {"id": pbx.tenant, "cdr_event": off, "extension_event": off}
        changed = await client.post("/tenant", json={"cdr_event": URL, "unknown": 1})
        assert (changed.status_code, changed.content) == (200, b"")
        shown = (await client.get("/tenant")).json()
        assert (shown["cdr_event"], shown["extension_event"]) == (URL, off)
        for wrong in (
            {"auth": "NTLM"},
            {"url": "x" * 129},
            {"username": "short"},
            {"password": "UPPER-CASE"},
            {"enabled": "yes"},
            5,
        ):
            refused = await client.post("/tenant", json={"cdr_event": wrong})
            assert refused.status_code == 400
            assert refused.json()["errors"][0]["message"].startswith("cdr_event")
        assert (await client.get("/tenant", headers={"Authorization": ""})).status_code == 401
