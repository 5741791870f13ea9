"""The doctor: healthy parts, and one line with a cure for each fault."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import httpx
import pytest

from receiver import Call, Forward, Ivr, NumberFormat, Receiver, Reply, Secret, Settings
from receiver.auth.client_address import read_networks
from receiver.auth.probe_token import HEADER, LIFE, check_token, make_token
from receiver.errors import RegistrationError
from receiver.pbx.access_tokens import GivenToken
from receiver.pbx.models import write
from receiver.pbx.pbx_client import PbxClient
from receiver.registration import acceptance
from receiver.registration.desired import desired_action_urls
from receiver.registration.doctor import Case, examine
from receiver.registration.findings import Finding
from receiver.registration.probe import make_callback_client
from receiver.registration.reachability import Address
from receiver.registration.rotation import plan_rotation
from tests.simulated_pbx import Stage

BASE = "https://ivr.example.com"
SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")
asked: list[Call] = []


async def handler(call: Call) -> Reply:
    asked.append(call)
    return Forward("222")


sales = Ivr("8000")
sales.add("DTMF", "1;2", handler, name="post")
sales.add("DTMF", "3", handler, name="get", method="GET", auth="basic", headers={"X-Site": "n"})
sales.add("CALLER", "100-199", handler, name="caller", auth="digest")
sales.add("DTMF", "4", handler, name="open", auth=None)
long = sales.add("DTMF", ";".join(str(n) for n in range(40000, 40160, 2)), handler, name="long")
CASE = Case(tuple(sales), BASE, SECRET)
Http = Callable[[httpx.Request], httpx.Response]


def make_app(secret: Secret = SECRET, epoch: int = 1, ivr: Ivr = sales) -> Receiver:
    return Receiver(ivr, settings=Settings(secret=secret, public_url=BASE, epoch=epoch))


def make_stage(case: Case = CASE) -> Stage:
    stage = Stage("8000")
    for want in desired_action_urls(case.actions, case.base, case.secret, case.epoch):
        stage.pbx.action_urls(stage.ivr("8000").id).create(write(want.action))
    return stage


async def look(
    stage: Stage,
    app: Receiver | Http,
    case: Case = CASE,
    now: Callable[[], float] = time.time,
) -> tuple[Finding, ...]:
    transport: httpx.AsyncBaseTransport = (
        httpx.ASGITransport(app) if isinstance(app, Receiver) else httpx.MockTransport(app)
    )
    async with stage.client() as client:
        return await examine(case, client, make_callback_client(transport), now=now)


def faults(findings: tuple[Finding, ...]) -> dict[str, str]:
    return {f.subject: f"{f.text} -> {f.cure}" for f in findings if f.level == "fault"}


async def test_all_is_well_and_no_handler_ran() -> None:
    asked.clear()
    stage = make_stage()
    stage.transport.sent.clear()
    found = await look(stage, make_app())
    assert [(item.level, item.subject) for item in found] == [
        ("ok", "PBX http://localhost/api"),
        ("ok", "IVR 8000 IVR 8000"),
        *[("ok", f"8000/{name}") for name in ("post", "get", "caller", "open", "long", "long~2")],
    ]
    assert found[0].text == "reachable, token good, 1 IVR"
    assert all(
        item.seconds is not None and item.text.endswith("ms of 2000 ms") for item in found[2:]
    )
    assert asked == []
    assert not [line for line in stage.transport.sent if line.startswith("POST")]


async def test_a_call_without_the_mark_is_a_call() -> None:
    asked.clear()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(make_app())) as http:
        answer = await http.post(f"{BASE}/action/8000/open", json={"input": "4"})
    assert HEADER not in answer.headers
    assert len(asked) == 1


# the service ---------------------------------------------------------------------------------


async def test_a_service_with_another_secret() -> None:
    found = faults(await look(make_stage(), make_app(Secret("e81b5c3f70a94d26b3f7091ac5d64e28"))))
    assert list(found) == [f"8000/{n}" for n in ("post", "get", "caller", "open", "long", "long~2")]
    assert found.pop("8000/open").startswith("the service has another RECEIVER_SECRET")
    for text in found.values():
        assert text.startswith("the service refuses the credentials: its RECEIVER_SECRET differs")
        assert "-> give this command the RECEIVER_SECRET of the service" in text


async def test_a_service_that_is_one_epoch_behind() -> None:
    """The service accepts the credentials, so `receiver apply` would rotate by mistake."""
    stage = make_stage()
    found = faults(await look(stage, make_app(), replace(CASE, epoch=2)))
    assert found.pop("RECEIVER_EPOCH").startswith(
        "the service has RECEIVER_EPOCH=1, this command has 2 -> set RECEIVER_EPOCH=1"
    )
    assert found
    assert all(
        text.endswith("-> first fix the service as described above, then run doctor again")
        for text in found.values()
    )


async def test_a_service_that_does_not_take_callbacks_from_here() -> None:
    settings = Settings(
        secret=SECRET, public_url=BASE, allowed_sources=read_networks("203.0.113.7")
    )
    found = faults(await look(make_stage(), Receiver(sales, settings=settings)))
    assert len(found) == len(desired_action_urls(sales, BASE, SECRET))
    text = found["8000/post"]
    assert text.startswith("it does not take callbacks from 127.0.0.1, as it sees this machine")
    assert "RECEIVER_ALLOWED_SOURCES" in text


async def test_actions_with_a_secret_header() -> None:
    keyed = Ivr("8000")
    for number, auth in enumerate(("bearer", "basic", "digest", None)):
        keyed.add("DTMF", str(number), handler, name=f"a{number}", auth=auth, secret_header="X-K")  # type: ignore[arg-type]
    case = Case(tuple(keyed), BASE, SECRET)
    assert not faults(await look(make_stage(case), make_app(ivr=keyed), case))
    other = Case(tuple(keyed), BASE, Secret("another service secret"))
    assert len(faults(await look(make_stage(other), make_app(ivr=keyed), other))) == 4


async def test_a_wrong_mark_runs_no_handler_either() -> None:
    asked.clear()
    await look(make_stage(), make_app(Secret("e81b5c3f70a94d26b3f7091ac5d64e28")))
    assert asked == []


async def test_clocks_that_differ() -> None:
    found = faults(await look(make_stage(), make_app(), now=lambda: time.time() - LIFE - 5))
    assert len(found) == 6
    assert all(text.startswith("the clocks") and "NTP" in text for text in found.values())


async def test_a_service_without_a_declaration() -> None:
    older = Ivr("8000")
    older.add("DTMF", "1;2", handler, name="post", method="GET")
    found = faults(await look(make_stage(), make_app(ivr=older)))
    assert "the other of GET and POST -> it runs with an older" in found["8000/post"]
    text = "the service runs without this declaration -> restart the service with this code"
    assert found["8000/get"] == text


def answering(status: int, body: bytes = b"", **headers: str) -> Http:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: httpx.Response(status, content=body, headers=named)


AT = f", at {BASE}/action/8000/post"
GOOD = b'{"status_code":200,"action":"repeat"}'


def breaking(error: Exception) -> Http:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    return answer


@pytest.mark.parametrize(
    ("http", "text"),
    [
        (answering(301, location="https://x"), f"a redirect (301){AT} -> set RECEIVER_PUBLIC_URL"),
        (answering(400), "cannot read the credentials -> the proxy rewrites the path"),
        (answering(401), f"demands other credentials{AT} -> have the proxy"),
        (answering(401, www_authenticate='Basic realm="callbacks"'), "RECEIVER_SECRET"),
        (answering(404), "there is no such path"),
        (answering(405), "it runs with an older declaration"),
        (answering(413), "raise its limit"),
        (answering(502), "the proxy answers 502 -> the proxy does not reach the service"),
        (answering(500), "HTTP status 500 -> look at the logs"),
        (answering(200, b"<html>"), f"the answer is not JSON{AT} -> something else"),
        (answering(200, GOOD), f"an answer without the sign of this service{AT} -> something else"),
        (answering(200, GOOD, receiver_check="incomplete"), "the proxy drops or changes the body"),
        (answering(200, GOOD, receiver_check="ok?"), "an answer without the sign"),
        (
            breaking(httpx.ConnectError("x")),
            f"no connection could be made{AT} -> start the service, let the port",
        ),
        (breaking(httpx.ReadError("x")), f"the connection broke off{AT} -> something else"),
    ],
)
async def test_answers_of_a_proxy_before_the_service(http: Http, text: str) -> None:
    found = faults(await look(make_stage(), http))
    assert len(found) == 6
    assert text in found["8000/post"]


async def test_a_way_that_is_too_long() -> None:
    found = await look(make_stage(), make_app(), replace(CASE, margin=0.0))
    slow = [item for item in found if item.level == "warning"]
    assert len(slow) == 6
    assert "set RECEIVER_MARGIN higher" in slow[0].cure


async def test_a_proxy_that_drops_the_body_is_found() -> None:
    app = make_app()

    async def proxy(scope: Any, receive: Any, send: Any) -> None:
        async def empty() -> Any:
            return {"type": "http.request", "body": b""}

        await app({**scope, "query_string": b""}, empty, send)

    transport = httpx.ASGITransport(proxy)
    async with make_stage().client() as client:
        found = faults(await examine(CASE, client, make_callback_client(transport)))
    assert list(found) == [f"8000/{n}" for n in ("post", "get", "caller", "open", "long", "long~2")]
    assert found["8000/post"].startswith("the fields of the callback did not arrive as they were")


# settings that differ: named first, and never a cure that changes the PBX ---------------------

HARMFUL = ("--take-over", "receiver apply", "--allow-deletes")


async def test_a_wrong_secret_of_the_command_is_named_before_the_registration() -> None:
    """The PBX and the service agree; what this command would register takes all calls down."""
    stage = make_stage()
    other = replace(CASE, secret=Secret("another secret of the tests"))
    stage.add("8000", name="old", url=f"{BASE}/action/8000/old", dtmf_mask="7")
    found = [item for item in await look(stage, make_app(), other) if item.level != "ok"]
    assert found[0].setting == "RECEIVER_SECRET"
    assert "is not as declared: owner: another RECEIVER_SECRET → this one" in found[-2].text
    assert not any(word in item.cure for word in HARMFUL for item in found)


async def test_a_wrong_epoch_is_named_with_both_values() -> None:
    stage = make_stage(replace(CASE, epoch=4))
    found = [item for item in await look(stage, make_app(epoch=4)) if item.level != "ok"]
    assert (found[0].setting, found[0].text) == (
        "RECEIVER_EPOCH",
        "the service has RECEIVER_EPOCH=4, this command has 1",
    )
    assert not any(word in item.cure for word in HARMFUL for item in found)


@pytest.mark.parametrize("marked", [True, False])
async def test_a_wrong_public_url_is_named_with_port_and_path(marked: bool) -> None:
    stage = make_stage()
    if not marked:  # the PBX drops headers
        urls = stage.pbx.action_urls(stage.ivr("8000").id)
        for item in list(urls):
            urls.update(item["id"], {"headers": ""})
    wrong = replace(CASE, base="https://ivr.example.com:8443/app")
    found = await look(stage, breaking(httpx.ConnectError("x")), wrong)
    wrongs = [item for item in found if item.level != "ok"]
    assert wrongs[0].setting == "RECEIVER_PUBLIC_URL"
    assert ", at https://ivr.example.com:8443/app/action/8000/post" in wrongs[0].text
    blocked = [item for item in wrongs if item.text == "cannot be registered"]
    assert [item.level for item in wrongs] == ["fault"] * 12
    assert len(blocked) == 6
    for one in blocked:
        where = "leads to this action at https://ivr.example.com, not at https://ivr.example.com:"
        assert where + "8443/app: is RECEIVER_PUBLIC_URL right?" in one.cure
        assert "--take-over" not in one.cure


async def test_a_managed_action_url_at_another_public_url_is_reported() -> None:
    stage = make_stage()
    for want in desired_action_urls(CASE.actions, "https://old.example.com", SECRET)[:1]:
        renamed = {**write(want.action), "name": "renamed"}
        stage.pbx.action_urls(stage.ivr("8000").id).create(renamed)
    found = [item for item in await look(stage, make_app()) if item.level != "ok"]
    assert [(item.level, item.subject, item.text) for item in found] == [
        ("warning", "8000/renamed", "is not managed")
    ]
    assert "at https://old.example.com" in found[0].cure


async def test_a_loopback_public_url_is_reported_first() -> None:
    case = replace(CASE, base="http://127.0.0.1:8000")
    stage = make_stage(case)
    given = GivenToken(Secret("the-token-of-the-stage"))
    async with PbxClient("http://pbx.example.com", given, transport=stage.transport) as client:
        callbacks = make_callback_client(httpx.ASGITransport(make_app()))
        found = await examine(case, client, callbacks)
    assert (found[0].level, found[0].subject) == ("fault", "RECEIVER_PUBLIC_URL")
    assert "to the PBX at pbx.example.com it is the PBX itself" in found[0].text
    assert [item.level for item in found[1:]] == ["ok"] * 8


async def test_a_private_public_url_beside_a_public_pbx_is_doubted() -> None:
    case = replace(CASE, base="http://ivr.internal")

    async def addresses(host: str) -> list[Address]:
        return [ip_address({"ivr.internal": "10.0.0.5"}.get(host, "8.8.8.8"))]

    async with make_stage(case).client() as client:
        callbacks = make_callback_client(httpx.ASGITransport(make_app()))
        assert (await examine(case, client, callbacks))[0].level == "ok"
    given = GivenToken(Secret("the-token-of-the-stage"))
    async with PbxClient("http://8.8.8.8", given, transport=make_stage(case).transport) as client:
        found = await examine(case, client, callbacks, addresses=addresses)
    assert (found[0].level, found[0].setting) == ("warning", "RECEIVER_PUBLIC_URL")


# the PBX -------------------------------------------------------------------------------------


async def test_a_pbx_that_refuses_the_token_hides_nothing_else() -> None:
    stage = make_stage()
    wrong = PbxClient("http://localhost", GivenToken(Secret("wrong")), transport=stage.transport)
    async with wrong as client:
        callbacks = make_callback_client(httpx.ASGITransport(make_app()))
        found = await examine(CASE, client, callbacks)
    assert [item.level for item in found] == ["fault"] + ["ok"] * 6
    assert found[0].text == "refuses the account or token"
    assert "RECEIVER_PBX_TOKEN" in found[0].cure


async def test_a_pbx_that_is_not_reached() -> None:
    transport = httpx.MockTransport(breaking(httpx.ConnectError("x")))

    async def no_sleep(seconds: float) -> None: ...

    given = GivenToken(Secret("t"))
    client = PbxClient("http://localhost", given, transport=transport, sleep=no_sleep)
    found = await examine(CASE, client, make_callback_client(httpx.ASGITransport(make_app())))
    assert (found[0].text, found[1].level) == ("cannot be read", "ok")


async def test_what_is_not_as_declared() -> None:
    stage = make_stage()
    urls = stage.pbx.action_urls(stage.ivr("8000").id)
    ids = {item["name"]: item["id"] for item in urls}
    urls.destroy(ids["get"])
    urls.update(ids["post"], {"request_timeout": 9})
    stage.add("8000", name="old", url=f"{BASE}/action/8000/old", dtmf_mask="7")
    urls.update(ids["open"], {"url": "https://other.example.com/hook"})
    extra = Ivr("9000")
    extra.add("DTMF", "1", handler, name="nowhere")
    both = Receiver(sales, extra, settings=Settings(secret=SECRET, public_url=BASE))
    found = await look(stage, both, replace(CASE, actions=tuple(both)))
    problems = {item.subject: item.text for item in found if item.level != "ok"}
    assert problems == {
        "IVR 9000": "is not on the PBX",
        "8000/post": "is not as declared: request_timeout: 9 → 2",
        "8000/get": "is not on the PBX",
        "8000/open": "cannot be registered",
        "8000/old": "is on the PBX, but it is no longer declared",
    }


@pytest.mark.parametrize(
    ("number_format", "mask", "texts"),
    [
        ("automatic", "100-199", []),
        ("automatic", "+49*****;101", ["ok: masks have a +, and whether the trunk sends one is"]),
        ("e164", "+49******", ["ok: the trunk writes them as e164"]),
        (
            "national",
            "+49*****",
            [
                'warning: 8000/vip matches "+4900000", which no caller has',
                "ok: the trunk writes them as national",
            ],
        ),
    ],
)
async def test_how_the_trunk_writes_numbers(
    number_format: NumberFormat, mask: str, texts: list[str]
) -> None:
    ivr = Ivr("8000")
    ivr.add("CALLER", mask, handler, name="vip")
    case = Case(tuple(ivr), BASE, SECRET, number_format=number_format)
    found = await look(make_stage(case), make_app(ivr=ivr), case)
    said = [f"{item.level}: {item.text}" for item in found if item.subject == "callers' numbers"]
    assert len(said) == len(texts)
    assert all(one.startswith(text) for one, text in zip(said, texts, strict=True))


@pytest.mark.parametrize(
    ("answer", "level", "text"),
    [
        (httpx.Response(200, json={"status": "OFFLINE"}), "fault", "is offline"),
        (httpx.Response(200, json={}), "fault", "is in no known state"),
        (httpx.Response(404), "warning", "its status cannot be read"),
    ],
)
async def test_the_status_of_an_ivr(answer: httpx.Response, level: str, text: str) -> None:
    stage = make_stage()

    class Transport(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/status"):
                return answer
            return await stage.transport.handle_async_request(request)

    given = GivenToken(Secret("the-token-of-the-stage"))
    async with PbxClient("http://localhost", given, transport=Transport()) as client:
        found = await examine(CASE, client, make_callback_client(httpx.ASGITransport(make_app())))
    assert (found[1].level, found[1].text) == (level, text)


async def test_in_the_middle_of_a_rotation_what_the_pbx_has_is_sent() -> None:
    stage = make_stage(replace(CASE, epoch=2))
    assert faults(await look(stage, make_app())) == {}
    assert len(faults(await look(stage, make_app(epoch=3), replace(CASE, epoch=1)))) == 5


# probe tokens, and the question before a rotation --------------------------------------------


def test_a_probe_token_is_valid_for_one_action_and_two_minutes() -> None:
    token = make_token(SECRET, "8000/post", 1000.7)
    assert check_token(SECRET, "8000/post", token, 1000 + LIFE) == "ok"
    assert check_token(SECRET, "8000/post", f" {token} ", 1000 - LIFE) == "ok"
    assert check_token(SECRET, "8000/post", token, 1001 + LIFE) == "expired"
    assert check_token(SECRET, "8000/post", token, 999 - LIFE) == "expired"
    assert check_token(SECRET, "8000/get", token, 1000) == "wrong"
    assert check_token(Secret("another one"), "8000/post", token, 1000) == "wrong"
    for text in ("", "x", token[1:], f"1{token}", token + "0", "1000-" + "0" * 64):
        assert check_token(SECRET, "8000/post", text, 1000) == "wrong"


@pytest.mark.parametrize(("epoch", "accepted"), [(1, True), (2, True), (3, False)])
async def test_a_rotation_probes_the_service_first(epoch: int, accepted: bool) -> None:
    async with make_stage().client() as client:
        plan = await plan_rotation(client, sales, BASE, SECRET, 1)
    callbacks = make_callback_client(httpx.ASGITransport(make_app(epoch=epoch)))
    if accepted:
        await acceptance.check(plan, SECRET, 1, callbacks)
        return
    with pytest.raises(RegistrationError, match="has RECEIVER_EPOCH=3, this command has 1"):
        await acceptance.check(plan, SECRET, 1, callbacks)


async def test_an_empty_rotation_sends_no_probe() -> None:
    async with make_stage(replace(CASE, epoch=2)).client() as client:
        plan = await plan_rotation(client, sales, BASE, SECRET, 1)
    await acceptance.check(
        plan, SECRET, 1, make_callback_client(httpx.MockTransport(breaking(OSError())))
    )
