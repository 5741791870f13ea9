"""The doctor: what is in order, and for each fault one line with its cure."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from receiver import Call, Forward, Ivr, Receiver, Reply, Secret, Settings
from receiver.auth.sources import read_networks
from receiver.callbacks.marks import HEADER, LIFE, judge, make_mark
from receiver.pbx.client import PbxClient
from receiver.pbx.models import write
from receiver.pbx.tokens import GivenToken
from receiver.registration.doctor import Case, examine
from receiver.registration.probing import Finding, make_courier
from receiver.registration.rotation import ask_service, plan_rotation
from receiver.registration.wanting import wanted
from tests.pbx_stage import Stage

BASE = "https://ivr.example.com"
SECRET = Secret("a service secret of the tests")
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
    for want in wanted(case.actions, case.base, case.secret, case.epoch):
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
        return await examine(case, client, make_courier(transport), now=now)


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
    assert found[0].text == "reachable, token good, 1 IVRs"
    assert all(item.seconds is not None and item.text.endswith("ms of 2000") for item in found[2:])
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
    found = faults(await look(make_stage(), make_app(Secret("another secret of the tests"))))
    assert list(found) == [f"8000/{n}" for n in ("post", "get", "caller", "open", "long", "long~2")]
    assert found.pop("8000/open").startswith("the service has another RECEIVER_SECRET")
    for text in found.values():
        assert text.startswith("the service does not accept the credentials -> give the same")


async def test_a_service_that_does_not_take_callbacks_from_here() -> None:
    settings = Settings(
        secret=SECRET, public_url=BASE, allowed_sources=read_networks("203.0.113.7")
    )
    found = faults(await look(make_stage(), Receiver(sales, settings=settings)))
    assert len(found) == len(wanted(sales, BASE, SECRET))
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
    await look(make_stage(), make_app(Secret("another secret of the tests")))
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
    assert "there is no such path -> the proxy must pass the path on" in found["8000/get"]


def answering(status: int, body: bytes = b"", **headers: str) -> Http:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: httpx.Response(status, content=body, headers=named)


GOOD = b'{"status_code":200,"action":"repeat"}'


def breaking(error: Exception) -> Http:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    return answer


@pytest.mark.parametrize(
    ("http", "text"),
    [
        (answering(301, location="https://x"), "a redirect (301) -> set RECEIVER_PUBLIC_URL"),
        (answering(400), "cannot read the credentials -> the proxy rewrites the path"),
        (answering(401), "asks for credentials of its own -> have the proxy"),
        (answering(401, www_authenticate='Basic realm="callbacks"'), "RECEIVER_EPOCH"),
        (answering(404), "there is no such path"),
        (answering(405), "it runs with an older declaration"),
        (answering(413), "raise its limit"),
        (answering(502), "the proxy answers 502 -> the proxy does not reach the service"),
        (answering(500), "HTTP status 500 -> look at the logs"),
        (answering(200, b"<html>"), "the answer is not JSON -> something else"),
        (answering(200, GOOD), "an answer without the sign of this service -> something else"),
        (answering(200, GOOD, receiver_check="incomplete"), "the proxy drops or changes the body"),
        (answering(200, GOOD, receiver_check="ok?"), "an answer without the sign"),
        (breaking(httpx.ConnectError("x")), "no connection could be made -> let the port"),
        (breaking(httpx.ReadError("x")), "the connection broke off -> something else"),
    ],
)
async def test_what_stands_before_the_service(http: Http, text: str) -> None:
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
        found = faults(await examine(CASE, client, make_courier(transport)))
    assert list(found) == [f"8000/{n}" for n in ("post", "get", "caller", "open", "long", "long~2")]
    assert found["8000/post"].startswith("the fields of the callback did not arrive as they were")


# the PBX -------------------------------------------------------------------------------------


async def test_a_pbx_that_does_not_let_us_in_hides_nothing_else() -> None:
    stage = make_stage()
    wrong = PbxClient("http://localhost", GivenToken(Secret("wrong")), transport=stage.transport)
    async with wrong as client:
        courier = make_courier(httpx.ASGITransport(make_app()))
        found = await examine(CASE, client, courier)
    assert [item.level for item in found] == ["fault"] + ["ok"] * 6
    assert found[0].text == "does not let us in"
    assert "RECEIVER_PBX_TOKEN" in found[0].cure


async def test_a_pbx_that_is_not_reached() -> None:
    transport = httpx.MockTransport(breaking(httpx.ConnectError("x")))

    async def no_sleep(seconds: float) -> None: ...

    given = GivenToken(Secret("t"))
    client = PbxClient("http://localhost", given, transport=transport, sleep=no_sleep)
    found = await examine(CASE, client, make_courier(httpx.ASGITransport(make_app())))
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
    told = {item.subject: item.text for item in found if item.level != "ok"}
    assert told == {
        "IVR 9000": "is not on the PBX",
        "8000/post": "is not as declared: request_timeout: 9 → 2",
        "8000/get": "is not on the PBX",
        "8000/open": "cannot be registered",
        "8000/old": "is on the PBX, but no longer declared",
    }


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
        found = await examine(CASE, client, make_courier(httpx.ASGITransport(make_app())))
    assert (found[1].level, found[1].text) == (level, text)


async def test_in_the_middle_of_a_rotation_what_the_pbx_has_is_sent() -> None:
    stage = make_stage(replace(CASE, epoch=2))
    assert faults(await look(stage, make_app())) == {}
    assert len(faults(await look(stage, make_app(epoch=3), replace(CASE, epoch=1)))) == 5


# marks, and the question before a rotation ---------------------------------------------------


def test_a_mark_is_good_for_one_action_and_two_minutes() -> None:
    mark = make_mark(SECRET, "8000/post", 1000.7)
    assert judge(SECRET, "8000/post", mark, 1000 + LIFE) == "ok"
    assert judge(SECRET, "8000/post", f" {mark} ", 1000 - LIFE) == "ok"
    assert judge(SECRET, "8000/post", mark, 1001 + LIFE) == "expired"
    assert judge(SECRET, "8000/post", mark, 999 - LIFE) == "expired"
    assert judge(SECRET, "8000/get", mark, 1000) == "wrong"
    assert judge(Secret("another one"), "8000/post", mark, 1000) == "wrong"
    for text in ("", "x", mark[1:], f"1{mark}", mark + "0", "1000-" + "0" * 64):
        assert judge(SECRET, "8000/post", text, 1000) == "wrong"


@pytest.mark.parametrize(("epoch", "level"), [(1, "ok"), (2, "ok"), (3, "fault")])
async def test_before_a_rotation_the_service_is_asked(epoch: int, level: str) -> None:
    async with make_stage().client() as client:
        plan = await plan_rotation(client, sales, BASE, SECRET, 1)
    courier = make_courier(httpx.ASGITransport(make_app(epoch=epoch)))
    finding = await ask_service(plan, SECRET, courier)
    assert finding is not None
    assert finding.level == level


async def test_where_nothing_is_to_be_rotated_nobody_is_asked() -> None:
    async with make_stage(replace(CASE, epoch=2)).client() as client:
        plan = await plan_rotation(client, sales, BASE, SECRET, 1)
    assert await ask_service(plan, SECRET) is None
