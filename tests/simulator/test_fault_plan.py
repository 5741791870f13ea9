"""Planned faults, in the same process and over a socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from receiver.errors import SettingsError
from receiver.server.uvicorn_server import running
from receiver.simulator.api import Api, make_api
from receiver.simulator.fault_plan import Cut, FaultPlan, PlannedFault
from receiver.simulator.model import Pbx

SALES = {"name": "Sales", "extension_number": "8000"}
HEADERS = {"Authorization": "Bearer fixed"}


# The plan ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "mishap"),
    [
        ("POST /ivrs 2 cut-after", PlannedFault("POST", "/ivrs", "cut-after", 2)),
        ("GET /ivrs cut-before", PlannedFault("GET", "/ivrs", "cut-before")),
        ("* /** every cut-within", PlannedFault("*", "/**", "cut-within", 0)),
        ("* /a 1 refuse", PlannedFault("*", "/a", "refuse", status=503, code="UNKNOWN")),
        (
            "* /a 1 refuse=429",
            PlannedFault("*", "/a", "refuse", status=429, code="TOO_MANY_REQUESTS"),
        ),
        ("* /a 1 refuse=400:DENIED", PlannedFault("*", "/a", "refuse", status=400, code="DENIED")),
        ("* /a 1 delay=2.5", PlannedFault("*", "/a", "delay", seconds=2.5)),
        ("* /a 1 delay-after=0", PlannedFault("*", "/a", "delay-after", seconds=0)),
        ("* /a 1 garbage", PlannedFault("*", "/a", "garbage", garbage="text")),
        ("* /a 1 garbage=huge", PlannedFault("*", "/a", "garbage", garbage="huge")),
    ],
)
def test_a_fault_is_one_line_of_text(text: str, mishap: PlannedFault) -> None:
    assert PlannedFault.parse(text) == mishap


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not of the form"),
        ("POST /ivrs", "is not of the form"),
        ("POST /ivrs 1 cut-after now", "is not of the form"),
        ("post /ivrs 1 cut-after", "has no method"),
        ("POST ivrs 1 cut-after", "has no path"),
        ("POST /ivrs 0 cut-after", "no valid number 0"),
        ("POST /ivrs soon cut-after", "no valid number soon"),
        ("POST /ivrs 1 explode", "has no known kind"),
        ("POST /ivrs 1 cut-after=3", "cut-after has no argument"),
        ("POST /ivrs 1 refuse=200", "write refuse=503"),
        ("POST /ivrs 1 garbage=nice", "garbage is one of"),
        ("POST /ivrs 1 delay", "write seconds"),
        ("POST /ivrs 1 delay=soon", "write seconds"),
        ("POST /ivrs 1 delay=-1", "write seconds"),
        ("POST /ivrs 1 delay-after=inf", "write seconds"),
    ],
)
def test_a_fault_that_cannot_be_read(text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        PlannedFault.parse(text)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/ivrs", "/api/ivrs", True),
        ("/api/ivrs", "/api/ivrs", True),
        ("/ivrs", "/api/ivrs/1", False),
        ("/ivrs/*", "/api/ivrs/1", True),
        ("/ivrs/*", "/api/ivrs/1/destroy", False),
        ("/ivrs/*/action_urls", "/api/ivrs/MQ==/action_urls", True),
        ("/ivrs/**", "/api/ivrs/1/destroy", True),
        ("**", "/api/anything/else", True),
        ("/i.rs", "/api/ivrs", False),
    ],
)
def test_paths(pattern: str, path: str, matches: bool) -> None:
    assert PlannedFault("*", pattern, "cut-after").matches("GET", path) == matches


def test_the_plan_counts_what_matches() -> None:
    second, every = PlannedFault("POST", "/a", "cut-after", 2), PlannedFault("*", "/*", "delay", 0)
    plan = FaultPlan(second)
    assert plan.due("POST", "/api/a") == []
    plan.add(every)
    assert plan.due("GET", "/api/a") == [every]
    assert plan.due("POST", "/api/a") == [second, every]
    assert plan.due("POST", "/api/a") == [every]
    plan.clear()
    assert plan.due("POST", "/api/a") == []


# What happens --------------------------------------------------------------------------------


@asynccontextmanager
async def connected(api: Api, over: str) -> AsyncIterator[httpx.AsyncClient]:
    if over == "process":
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(api), base_url="http://pbx/api", headers=HEADERS
        ) as client:
            yield client
        return
    async with (
        running(api) as url,
        httpx.AsyncClient(base_url=f"{url}/api", headers=HEADERS, trust_env=False) as client,
    ):
        yield client


@pytest.fixture(params=["process", "socket"])
def over(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def broken(*texts: str, **more: Any) -> Api:
    plan = FaultPlan(*map(PlannedFault.parse, texts))
    return make_api(Pbx(), token="fixed", faults=plan, **more)


@pytest.mark.parametrize(("kind", "ivrs"), [("cut-before", 0), ("cut-after", 1), ("cut-within", 1)])
async def test_cuts(kind: str, ivrs: int, over: str) -> None:
    api = broken(f"POST /ivrs 1 {kind}")
    async with connected(api, over) as client:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await client.post("/ivrs", json=SALES)
        assert len(api.pbx.ivrs) == ivrs
        assert (await client.get("/ivrs")).json()["count"] == ivrs


async def test_a_cut_within_an_answer_comes_after_its_beginning() -> None:
    api = broken("GET /ivrs 1 cut-within")
    async with connected(api, "socket") as client, client.stream("GET", "/ivrs") as answer:
        assert answer.status_code == 200
        parts = answer.aiter_raw()
        assert b'{"count":0,"items":[]}'.startswith(await anext(parts))
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await anext(parts)


async def test_an_empty_answer_has_no_middle(over: str) -> None:
    api = broken("POST /ivrs/*/destroy 1 cut-within")
    key = api.pbx.ivrs.create(SALES)
    async with connected(api, over) as client:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await client.post(f"/ivrs/{key}/destroy")
    assert len(api.pbx.ivrs) == 0


async def test_a_refusal_has_no_effect(over: str) -> None:
    api = broken("POST /ivrs 2 refuse=502")
    async with connected(api, over) as client:
        assert (await client.post("/ivrs", json=SALES)).status_code == 201
        more = SALES | {"extension_number": "8001"}
        refused = await client.post("/ivrs", json=more)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (502, "UNKNOWN")
        assert len(api.pbx.ivrs) == 1
        assert (await client.post("/ivrs", json=more)).status_code == 201


async def test_delays_come_before_and_after_the_effect() -> None:
    slept: list[tuple[float, int]] = []

    async def sleep(seconds: float) -> None:
        slept.append((seconds, len(api.pbx.ivrs)))

    api = broken("* /ivrs every delay=3", "POST /** 1 delay-after=4", sleep=sleep)
    async with connected(api, "process") as client:
        assert (await client.post("/ivrs", json=SALES)).status_code == 201
        assert (await client.get("/ivrs")).status_code == 200
    assert slept == [(3, 0), (4, 1), (3, 1)]


async def test_garbage(over: str) -> None:
    kinds = ("text", "empty", "truncated", "huge")
    api = broken(*(f"GET /ivrs {n} garbage={kind}" for n, kind in enumerate(kinds, 1)))
    api.pbx.ivrs.create(SALES)
    sizes = []
    async with connected(api, over) as client:
        for kind in kinds:
            answer = await client.get("/ivrs")
            assert answer.status_code == 200
            sizes.append(len(answer.content))
            if kind != "huge":
                with pytest.raises(json.JSONDecodeError):
                    answer.json()
        assert (await client.get("/ivrs")).json()["count"] == 1
    assert sizes[1] == 0
    assert sizes[3] > 9 * 1024 * 1024


async def test_garbage_may_replace_an_empty_answer(over: str) -> None:
    api = broken("POST /ivrs/*/destroy 1 garbage")
    key = api.pbx.ivrs.create(SALES)
    async with connected(api, over) as client:
        answer = await client.post(f"/ivrs/{key}/destroy")
        assert (answer.status_code, answer.content[:6]) == (200, b"<html>")


# The kill switch -----------------------------------------------------------------------------


class Killed(BaseException):
    """An exception that a test raises instead of the client."""


@pytest.mark.parametrize(("when", "ivrs"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize("error", [Killed, ValueError])
async def test_an_exception_of_the_kill_switch_reaches_the_client(
    when: str, ivrs: int, error: type[BaseException]
) -> None:
    def kill(method: str, path: str, at: str) -> None:
        if (method, path, at) == ("POST", "/api/ivrs", when):
            raise error

    api = broken(on_request=kill)
    async with connected(api, "process") as client:
        assert (await client.get("/ivrs")).status_code == 200
        with pytest.raises(error):
            await client.post("/ivrs", json=SALES)
    assert len(api.pbx.ivrs) == ivrs


@pytest.mark.parametrize(("when", "ivrs"), [("before", 0), ("after", 1)])
async def test_the_kill_switch_may_cut(when: str, ivrs: int, over: str) -> None:
    asked: list[tuple[str, str, str]] = []

    def cut(method: str, path: str, at: str) -> None:
        asked.append((method, path, at))
        if at == when:
            raise Cut

    api = broken(on_request=cut)
    async with connected(api, over) as client:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await client.post("/ivrs", json=SALES)
    assert len(api.pbx.ivrs) == ivrs
    wanted = [("POST", "/api/ivrs", "before"), ("POST", "/api/ivrs", "after")]
    assert asked == wanted[: 1 + ivrs]


async def test_faults_may_be_planned_later() -> None:
    api = broken()
    async with connected(api, "process") as client:
        assert (await client.get("/ivrs")).status_code == 200
        api.faults.add(PlannedFault("GET", "/ivrs", "refuse"))
        assert (await client.get("/ivrs")).status_code == 503
        assert (await client.get("/ivrs")).status_code == 200
