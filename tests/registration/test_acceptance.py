"""Credentials and URLs change only if a probe of the running service is accepted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import msgspec
import pytest

from receiver import Call, Events, Forward, Ivr, Receiver, Reply, Secret, Settings
from receiver.auth.client_address import read_networks
from receiver.declarations.event_actions import EventEndpoint
from receiver.errors import RegistrationError
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.pbx.models_events import EventUrl
from receiver.registration import acceptance
from receiver.registration.changes import Plan
from receiver.registration.desired import desired_action_urls
from receiver.registration.event_urls import desired_event_state
from receiver.registration.ownership import owner_mark
from receiver.registration.plans import plan, with_event_url
from receiver.registration.probe import make_callback_client

BASE = "https://ivr.example.com"
SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")
OTHER = Secret("e81b5c3f70a94d26b3f7091ac5d64e28")
IVR = IvrSummary(id="i1", name="Sales", extension_number="8000")
asked: list[Call] = []


async def handler(call: Call) -> Reply:
    asked.append(call)
    return Forward("222")


def declare(*names: str, **options: Any) -> Ivr:
    ivr = Ivr("8000")
    for number, name in enumerate(names):
        ivr.add("DTMF", str(number), handler, name=name, **options)
    return ivr


sales = declare("bearer")
sales.add("DTMF", "7", handler, name="basic", auth="basic", method="GET")
sales.add("DTMF", "8", handler, name="digest", auth="digest")
sales.add("CALLER", "100", handler, name="keyed", auth=None, secret_header="X-Key")


def make_app(ivr: Ivr = sales, **settings: Any) -> Receiver:
    settings = {"secret": SECRET, "public_url": BASE, **settings}
    return Receiver(ivr, settings=Settings(**settings))


def make_plan(
    found: list[ActionUrl], ivr: Ivr = sales, secret: Secret = SECRET, epoch: int = 1
) -> Plan:
    want = desired_action_urls(ivr, BASE, secret, epoch)
    return plan(want, [(IVR, found)], BASE, owner=owner_mark(secret))


def there(ivr: Ivr = sales, secret: Secret = SECRET, epoch: int = 1) -> list[ActionUrl]:
    items = desired_action_urls(ivr, BASE, secret, epoch)
    return [msgspec.structs.replace(item.action, id=f"u{n}") for n, item in enumerate(items)]


class Wire(httpx.AsyncBaseTransport):
    """Counts what is sent."""

    def __init__(self, app: Receiver) -> None:
        self._inner = httpx.ASGITransport(app)
        self.sent: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request.url.path)
        return await self._inner.handle_async_request(request)


async def check(made: Plan, app: Receiver, secret: Secret = SECRET, epoch: int = 1) -> list[str]:
    wire = Wire(app)
    await acceptance.check(made, secret, epoch, make_callback_client(wire))
    return wire.sent


async def refusal(made: Plan, app: Receiver, secret: Secret = SECRET, epoch: int = 1) -> str:
    wire = Wire(app)
    with pytest.raises(RegistrationError, match="nothing was changed") as caught:
        await acceptance.check(made, secret, epoch, make_callback_client(wire))
    assert len(set(wire.sent)) == 1  # wrong credentials are sent once
    return str(caught.value)


async def test_a_create_is_probed_and_no_handler_runs() -> None:
    asked.clear()
    sent = await check(make_plan([]), make_app())
    names = ("bearer", "basic", "digest", "keyed")
    assert set(sent) == {f"/action/8000/{name}" for name in names}
    assert asked == []


@pytest.mark.parametrize(
    ("fields", "is_asked"),
    [
        ({}, False),
        ({"request_timeout": 9}, False),
        ({"name": "old"}, False),
        ({"enabled": False}, False),
        ({"dtmf_mask": "5"}, False),
        ({"token": Secret("changedintheportal")}, True),
        ({"auth": "DISABLE"}, True),
        ({"method": "GET"}, True),
        ({"url": f"{BASE}/action/8000/bearer/"}, True),
        ({"headers": "X-Old:1"}, True),
        ({"headers": f"Receiver-Owner:{owner_mark(OTHER)}"}, True),
    ],
)
async def test_only_changes_of_credentials_and_urls_are_probed(
    fields: dict[str, Any], is_asked: bool
) -> None:
    ivr = declare("bearer")
    found = [msgspec.structs.replace(item, **fields) for item in there(ivr)]
    sent = await check(make_plan(found, ivr), make_app(ivr))
    assert set(sent) == ({"/action/8000/bearer"} if is_asked else set())


async def test_a_wrong_secret_is_named() -> None:
    text = await refusal(make_plan([], secret=OTHER), make_app(), OTHER)
    assert "give this command the RECEIVER_SECRET of the service" in text
    assert "RECEIVER_EPOCH" not in text
    assert "--unchecked" not in text


async def test_a_wrong_secret_is_named_where_there_are_no_credentials() -> None:
    ivr = declare("open", auth=None)
    text = await refusal(make_plan([], ivr, OTHER), make_app(ivr), OTHER)
    assert "the service has another RECEIVER_SECRET" in text


@pytest.mark.parametrize("ivr", [sales, declare("basic", auth="basic")])
async def test_a_wrong_epoch_is_named(ivr: Ivr) -> None:
    text = await refusal(make_plan([], ivr, epoch=5), make_app(ivr, epoch=2), epoch=5)
    assert "the service has RECEIVER_EPOCH=2, this command has 5" in text
    assert "set RECEIVER_EPOCH=2 for this command" in text
    assert "RECEIVER_SECRET" not in text


@pytest.mark.parametrize("ivr", [sales, declare("basic", auth="basic")])
async def test_a_service_that_is_one_epoch_behind_accepts_and_is_named(ivr: Ivr) -> None:
    text = await refusal(make_plan([], ivr, epoch=3), make_app(ivr, epoch=2), epoch=3)
    assert "the service has RECEIVER_EPOCH=2, this command has 3" in text


async def test_an_app_without_credentials_has_no_epoch() -> None:
    ivr = declare("open", auth=None)
    assert await check(make_plan([], ivr, epoch=3), make_app(ivr, epoch=2), epoch=3)


async def test_the_epoch_of_one_that_is_ahead_is_named_too() -> None:
    text = await refusal(make_plan([]), make_app(epoch=2))
    assert "the service has RECEIVER_EPOCH=2, this command has 1" in text


@pytest.mark.parametrize(("service", "accepted"), [(1, True), (2, True), (3, False)])
async def test_of_a_service_that_does_not_take_callbacks_from_here_the_settings_are_known(
    service: int, accepted: bool
) -> None:
    app = make_app(epoch=service, allowed_sources=read_networks("203.0.113.7"))
    if service == 2:  # the PBX is ahead, and so is this command
        assert await check(make_plan([], epoch=2), app, epoch=2)
    elif accepted:
        assert await check(make_plan([]), app)
    else:
        assert "RECEIVER_EPOCH=3" in await refusal(make_plan([]), app)
    text = await refusal(make_plan([], secret=OTHER), app, OTHER)
    assert "give this command the RECEIVER_SECRET of the service" in text


async def test_a_service_without_the_declaration_is_restarted_first() -> None:
    app = make_app(declare("older"))
    text = await refusal(make_plan([]), app)
    assert "the service runs without this declaration; restart the service" in text
    closed = make_app(declare("older"), allowed_sources=read_networks("203.0.113.7"))
    assert "RECEIVER_ALLOWED_SOURCES" in await refusal(make_plan([]), closed)


async def test_all_are_probed_after_the_first() -> None:
    ivr = declare(*(f"a{n}" for n in range(11)))
    sent = await check(make_plan([], ivr), make_app(ivr))
    assert sent[:2] == ["/action/8000/a0"] * 2  # with the credentials of the next epoch, too
    assert sorted(sent[1:]) == sorted(f"/action/8000/a{n}" for n in range(11))
    part = declare(*(f"a{n}" for n in range(3)))
    wire = Wire(make_app(part))
    with pytest.raises(RegistrationError, match="8000/a3: the service runs without"):
        await acceptance.check(make_plan([], ivr), SECRET, 1, make_callback_client(wire))


async def test_the_progress_ends_with_all_probes() -> None:
    ivr = declare(*(f"a{n}" for n in range(6)))
    wire, seen = Wire(make_app(ivr)), list[tuple[int, int]]()
    callbacks = make_callback_client(wire)
    await acceptance.check(
        make_plan([], ivr), SECRET, 1, callbacks, progress=lambda *counts: seen.append(counts)
    )
    assert seen == [(number, 7) for number in range(1, 8)]


async def test_what_the_pbx_is_about_to_get_is_sent() -> None:
    """During a rotation an update keeps the next epoch, so the probe uses it."""
    found = [msgspec.structs.replace(item, method="GET") for item in there(declare("a"), epoch=2)]
    made = make_plan(found, declare("a"))
    app = make_app(declare("a"), epoch=2)
    assert await check(made, app) == ["/action/8000/a"]


Answer = Callable[[httpx.Request], httpx.Response]


def breaking(error: Exception) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "texts", "unchecked"),
    [
        (
            breaking(httpx.ConnectError("x")),
            ["did not answer a callback of 8000/a: no connection could", "start"],
            True,
        ),
        (breaking(httpx.ReadError("x")), ["the connection broke off"], True),
        (lambda request: httpx.Response(404), ["there is no such path"], False),
        (lambda request: httpx.Response(200, content=b"<html>"), ["is not JSON"], False),
        (lambda request: httpx.Response(401), ["demands other credentials"], False),
        (lambda request: httpx.Response(301), ["a redirect (301)"], False),
    ],
)
async def test_a_wrong_public_url_is_named(
    answer: Answer, texts: list[str], unchecked: bool
) -> None:
    callbacks = make_callback_client(httpx.MockTransport(answer))
    with pytest.raises(RegistrationError) as caught:
        await acceptance.check(make_plan([], declare("a")), SECRET, 1, callbacks, now=0.0)
    text = str(caught.value)
    for part in [*texts, "RECEIVER_PUBLIC_URL", f"at {BASE}/action/8000/a"]:
        assert part in text
    assert ("--unchecked" in text) is unchecked
    if unchecked:
        assert text.index("RECEIVER_PUBLIC_URL") < text.index("--unchecked")
    assert "--take-over" not in text


@pytest.mark.parametrize(
    ("base", "spoken", "text"),
    [
        ("http://ivr.example.com:8443", "tls", "port 8443 speaks TLS, and RECEIVER_PUBLIC_URL"),
        ("https://ivr.example.com", "http", "port 443 speaks plain HTTP, and RECEIVER_PUBLIC_URL"),
        ("https://ivr.example.com", "tls", "the connection broke off"),
        ("http://ivr.example.com", "", "the connection broke off"),
    ],
)
async def test_tls_that_meets_plain_http_is_named(base: str, spoken: str, text: str) -> None:
    looked: list[tuple[str, int]] = []

    async def protocol(host: str, port: int) -> str:
        looked.append((host, port))
        return spoken

    made = plan(desired_action_urls(declare("a"), base, SECRET), [(IVR, [])], base)
    callbacks = make_callback_client(httpx.MockTransport(breaking(httpx.ReadError("x"))))
    with pytest.raises(RegistrationError) as caught:
        await acceptance.check(made, SECRET, 1, callbacks, protocol=protocol)
    assert text in str(caught.value)
    assert looked[0][0] == "ivr.example.com"


async def test_a_plan_with_nothing_to_do_asks_nothing() -> None:
    made = replace(make_plan(there()), owner="")
    callbacks = make_callback_client(httpx.MockTransport(breaking(AssertionError())))
    await acceptance.check(made, SECRET, 1, callbacks)


# the event URL -------------------------------------------------------------------------------


def make_event_plan(secret: Secret = SECRET, auth: Any = "bearer") -> Plan:
    desired = desired_event_state(EventEndpoint(auth=auth), BASE, secret)
    return with_event_url(make_plan([], Ivr("8000")), desired, EventUrl())


async def check_events(app: Receiver, made: Plan, secret: Secret = SECRET) -> None:
    callbacks = make_callback_client(httpx.ASGITransport(app))
    await acceptance.check(made, secret, 1, callbacks)


@pytest.mark.parametrize("auth", ["bearer", "basic", "digest", None])
async def test_a_new_event_url_is_probed(auth: Any) -> None:
    events = Events(auth=auth)
    events.add("call_ended", print, name="print")
    app = Receiver(events, settings=Settings(secret=SECRET, public_url=BASE))
    async with app.lifespan():
        await check_events(app, make_event_plan(auth=auth))
        if auth is not None:
            with pytest.raises(RegistrationError, match=r"callbacks of the event URL.*SECRET"):
                await check_events(app, make_event_plan(OTHER, auth), OTHER)


async def test_a_service_without_handlers_of_events_does_not_take_one() -> None:
    app = make_app()
    with pytest.raises(RegistrationError, match="the event URL"):
        await check_events(app, make_event_plan())
    assert not asked
