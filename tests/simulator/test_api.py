"""The simulated REST API answers as the vendor's does."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any

import httpx
import pytest

from receiver.credentials import Secret
from receiver.simulator.api import CLIENT_ID, Api, make_api
from receiver.simulator.logins import Account
from receiver.simulator.model import Behaviour, Pbx
from tests.clock import Clock

SALES = {"name": "Sales", "extension_number": "8000"}
PICK = {"name": "pick", "url": "http://127.0.0.1/action/8000/pick", "token": "hunter2"}
ACCOUNTS = (
    Account("admin1", Secret("right"), "acme.example"),
    Account("system", Secret("right")),
    Account("careful", Secret("right"), "acme.example", two_factor=True),
)


@pytest.fixture
def api(clock: Clock) -> Api:
    return make_api(Pbx(), token="fixed", accounts=ACCOUNTS, clock=clock)


def code(response: httpx.Response) -> tuple[int, str]:
    [error] = response.json()["errors"]
    assert error.keys() == {"code", "message"}
    return response.status_code, error["code"]


async def test_the_life_of_an_ivr(client: httpx.AsyncClient) -> None:
    created = await client.post("/ivrs", json=SALES)
    assert created.status_code == 201
    key = created.json()["id"]
    assert created.json() == {"id": key}
    summary = {"id": key, **SALES, "enable_audio_recording": False}
    assert (await client.get("/ivrs")).json() == {"count": 1, "items": [summary]}
    updated = await client.post(f"/ivrs/{key}", json={"name": "Desk"})
    assert (updated.status_code, updated.content) == (200, b"")
    assert (await client.get(f"/ivrs/{key}")).json()["name"] == "Desk"
    assert (await client.get(f"/ivrs/{key}/status")).json() == {"status": "ONLINE"}
    destroyed = await client.post(f"/ivrs/{key}/destroy")
    assert (destroyed.status_code, destroyed.content) == (204, b"")
    assert code(await client.get(f"/ivrs/{key}/status")) == (404, "NOT_FOUND")


async def test_the_life_of_an_action_url(client: httpx.AsyncClient) -> None:
    ivr = (await client.post("/ivrs", json=SALES)).json()["id"]
    urls = f"/ivrs/{ivr}/action_urls"
    created = await client.post(urls, json=PICK)
    assert created.status_code == 201
    key = created.json()["id"]
    shown = (await client.get(f"{urls}/{key}")).json()
    assert shown.items() >= {**PICK, "id": key, "enabled": False, "auth": "DISABLE"}.items()
    assert (await client.get(urls)).json() == {"items": [shown]}
    updated = await client.post(f"{urls}/{key}", json={"enabled": True})
    assert (updated.status_code, updated.content) == (200, b"")
    assert (await client.get(f"{urls}/{key}")).json() == shown | {"enabled": True}
    destroyed = await client.post(f"{urls}/{key}/destroy")
    assert (destroyed.status_code, destroyed.content) == (204, b"")
    assert code(await client.post(f"{urls}/{key}/destroy")) == (404, "NOT_FOUND")
    assert code(await client.get("/ivrs/none/action_urls")) == (404, "NOT_FOUND")


async def test_switches_apply_at_once(api: Api, client: httpx.AsyncClient) -> None:
    ivr = (await client.post("/ivrs", json=SALES)).json()["id"]
    key = (await client.post(f"/ivrs/{ivr}/action_urls", json=PICK)).json()["id"]
    api.pbx.behaviour = Behaviour(secrets="masked", blanks="empty")
    shown = (await client.get(f"/ivrs/{ivr}/action_urls/{key}")).json()
    assert (shown["token"], shown["password"]) == ("******", "")


async def test_no_body_is_an_empty_object(client: httpx.AsyncClient) -> None:
    key = (await client.post("/ivrs", json=SALES)).json()["id"]
    assert (await client.post(f"/ivrs/{key}")).status_code == 200
    assert code(await client.post("/ivrs")) == (400, "VALIDATE_FAILED")


@pytest.mark.parametrize("path", ["/nothing", "/ivrs/", "/ivrs/x/y", "/../etc"])
async def test_no_such_endpoint(client: httpx.AsyncClient, path: str) -> None:
    assert code(await client.get(path)) == (404, "NOT_FOUND")


async def test_no_such_method(client: httpx.AsyncClient) -> None:
    response = await client.delete("/ivrs")
    assert code(response) == (405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "POST, GET"


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Bearer ", "Basic fixed", "fixed"])
async def test_a_valid_token_is_needed(client: httpx.AsyncClient, header: str) -> None:
    response = await client.get("/ivrs", headers={"Authorization": header})
    assert code(response) == (401, "UNAUTHORIZED")


async def test_without_a_fixed_token_no_token_is_valid() -> None:
    transport = httpx.ASGITransport(make_api(Pbx()))
    async with httpx.AsyncClient(transport=transport, base_url="http://pbx") as client:
        for header in ("", "Bearer ", "Bearer x"):
            response = await client.get("/api/ivrs", headers={"Authorization": header})
            assert code(response) == (401, "UNAUTHORIZED")


async def test_requests_are_counted(api: Api, client: httpx.AsyncClient) -> None:
    await client.get("/ivrs", params={"search": "x"})
    await client.delete("/nothing")
    assert list(api.requests) == [("GET", "/api/ivrs"), ("DELETE", "/api/nothing")]


async def test_a_server_may_start_and_stop_it(api: Api) -> None:
    received = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        return next(received)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message["type"])

    await api({"type": "lifespan", "state": {}}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert not api.requests


# Tokens --------------------------------------------------------------------------------------


def sign_in(**fields: str) -> dict[str, str]:
    return {"username": "admin1", "password": "right", "domain": "acme.example", **fields}


def form(**fields: str) -> dict[str, str]:
    return {"grant_type": "password", "scope": "all", "client_id": CLIENT_ID, **fields}


async def good(client: httpx.AsyncClient, tokens: dict[str, Any]) -> bool:
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    return (await client.get("/ivrs", headers=headers)).status_code == 200


async def test_sign_in_refresh_sign_out(client: httpx.AsyncClient, clock: Clock) -> None:
    first = (await client.post("/auth/sign_in", json=sign_in())).json()
    assert first.keys() == {"token_type", "access_token", "refresh_token", "expires_in"}
    assert (first["token_type"], first["expires_in"]) == ("Bearer", 1800)
    clock.now += 1799
    assert await good(client, first)
    old = {"refresh_token": first["refresh_token"]}
    second = (await client.post("/auth/refresh_token", json=old)).json()
    assert await good(client, first)
    clock.now += 1
    assert not await good(client, first)
    assert await good(client, second)
    assert code(await client.post("/auth/refresh_token", json=old)) == (401, "UNAUTHORIZED")
    headers = {"Authorization": f"Bearer {second['access_token']}"}
    assert (await client.post("/auth/sign_out", headers=headers)).status_code == 200
    assert not await good(client, second)
    new = {"refresh_token": second["refresh_token"]}
    assert code(await client.post("/auth/refresh_token", json=new)) == (401, "UNAUTHORIZED")
    assert (await client.post("/auth/sign_in", json=sign_in())).status_code == 200


@pytest.mark.parametrize(
    "fields", [{"password": "wrong"}, {"username": "unknown"}, {"domain": "other.example"}]
)
async def test_a_refused_sign_in(client: httpx.AsyncClient, fields: dict[str, str]) -> None:
    response = await client.post("/auth/sign_in", json=sign_in(**fields))
    assert code(response) == (401, "UNAUTHORIZED")
    response = await client.post("/login/oauth/token", data=form(**sign_in(**fields)))
    assert code(response) == (400, "UNAUTHORIZED")


async def test_an_account_with_two_factors(client: httpx.AsyncClient) -> None:
    fields = sign_in(username="careful")
    answer = (await client.post("/auth/sign_in", json=fields)).json()
    assert answer["two_factor_enabled"] is True
    assert answer.keys() == {"two_factor_enabled", "token"}
    response = await client.post("/login/oauth/token", data=form(**fields))
    assert code(response) == (400, "UNAUTHORIZED")


async def test_the_form_login(api: Api, client: httpx.AsyncClient, clock: Clock) -> None:
    api.pbx.behaviour = replace(api.pbx.behaviour, token_life=10)
    first = (await client.post("/login/oauth/token", data=form(**sign_in()))).json()
    assert (first["token_type"], first["expires_in"]) == ("Bearer", 10)
    clock.now += 10
    assert not await good(client, first)
    again = form(grant_type="refresh_token", refresh_token=first["refresh_token"])
    second = (await client.post("/login/oauth/token", data=again)).json()
    assert await good(client, second)
    assert code(await client.post("/login/oauth/token", data=again)) == (400, "UNKNOWN")
    headers = {"Authorization": f"Bearer {second['access_token']}"}
    assert (await client.post("/login/oauth/revoke", headers=headers)).status_code == 200
    assert not await good(client, second)


async def test_a_refresh_token_is_good_only_where_it_was_given(client: httpx.AsyncClient) -> None:
    tokens = (await client.post("/auth/sign_in", json=sign_in())).json()
    sent = form(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert code(await client.post("/login/oauth/token", data=sent)) == (400, "UNKNOWN")


@pytest.mark.parametrize(
    "fields", [{"client_id": "x"}, {"grant_type": "magic"}, {"grant_type": "refresh_token"}]
)
async def test_forms_that_are_wrong(client: httpx.AsyncClient, fields: dict[str, str]) -> None:
    response = await client.post("/login/oauth/token", data=form(**fields))
    assert response.status_code == 400


async def test_a_form_that_cannot_be_read(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    response = await client.post("/login/oauth/token", content=b"nonsense", headers=headers)
    assert code(response) == (400, "VALIDATE_FAILED")


async def test_the_fixed_token_cannot_be_revoked(client: httpx.AsyncClient) -> None:
    assert (await client.post("/auth/sign_out")).status_code == 200
    assert (await client.get("/ivrs")).status_code == 200
