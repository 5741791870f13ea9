"""The switches of the simulated PBX."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from receiver.credentials import Secret
from receiver.simulator.api import CLIENT_ID, Api, make_api
from receiver.simulator.behaviour import VERSIONS, Behaviour, Version
from receiver.simulator.line import Line
from receiver.simulator.logins import Account
from receiver.simulator.model import Pbx
from receiver.simulator.validation import ApiError
from tests.clock import Clock

SALES = {"name": "Sales", "extension_number": "8000"}
HOLIDAY = {"name": "Xmas", "region": "DEU", "consecutive": True, "every_year": True}
ACCOUNTS = (
    Account("ann", Secret("right"), "acme"),
    Account("bob", Secret("right"), "acme", role="StandardUser"),
    Account("root1", Secret("right")),
)


@pytest.fixture
def api(clock: Clock) -> Api:
    return make_api(Pbx(), token="fixed", accounts=ACCOUNTS, clock=clock)


def code(response: httpx.Response) -> tuple[int, str]:
    [error] = response.json()["errors"]
    return response.status_code, error["code"]


# Updates and statuses ------------------------------------------------------------------------


async def test_a_replacing_update_resets_fields_that_it_leaves_out(
    api: Api, client: httpx.AsyncClient
) -> None:
    data = SALES | {"language": "en-US", "dtmf_interval": 5}
    key = (await client.post("/ivrs", json=data)).json()["id"]
    api.pbx.behaviour = Behaviour(update="replacing")
    assert code(await client.post(f"/ivrs/{key}", json={})) == (400, "VALIDATE_FAILED")
    assert (await client.post(f"/ivrs/{key}", json={"name": "Desk"})).status_code == 200
    shown = (await client.get(f"/ivrs/{key}")).json()
    assert (shown["name"], shown["extension_number"]) == ("Desk", "8000")
    assert (shown.get("language"), shown["dtmf_interval"]) == (None, 2)


async def test_other_success_statuses(api: Api, client: httpx.AsyncClient) -> None:
    api.pbx.behaviour = Behaviour(created=200, appended=202, destroyed=200)
    created = await client.post("/ivrs", json=SALES)
    assert created.status_code == 200
    destroyed = await client.post(f"/ivrs/{created.json()['id']}/destroy")
    assert (destroyed.status_code, destroyed.content) == (200, b"")
    begun = await client.post("/blobs/uploads")
    headers = {"PortSIP-Upload-Token": begun.headers["portsip-upload-token"]}
    path = f"/blobs/uploads/{begun.headers['portsip-upload-id']}/append"
    assert (await client.post(path, headers=headers)).status_code == 202


# Limits of the tenant ------------------------------------------------------------------------


async def test_the_quota(api: Api, client: httpx.AsyncClient) -> None:
    api.pbx.behaviour = Behaviour(quota=1)
    assert (await client.post("/ivrs", json=SALES)).status_code == 201
    more = SALES | {"extension_number": "8001"}
    assert code(await client.post("/ivrs", json=more)) == (403, "QUOTA_EXCEEDED")


@pytest.mark.parametrize(
    ("version", "pin", "good"),
    [
        ("22.2", "1357", False),
        ("22.3", "1357", True),
        ("22.2", "135790", True),
        ("22.3", "1", False),
        ("22.2", "111345", False),
        ("22.3", "111345", True),
        ("22.2", "123987", False),
        ("22.6", "123987", True),
        ("22.6", "abcdef", False),
    ],
)
def test_the_tenant_policy_limits_a_pin_since_22_3(version: Version, pin: str, good: bool) -> None:
    pbx = Pbx(Behaviour(version=version, pin_length=(4, 8)))
    if good:
        assert pbx.ivrs.show(pbx.ivrs.create(SALES | {"pin": pin}))["pin"] == pin
        return
    with pytest.raises(ApiError, match=r"pin (does not have|\(the DISA PIN\) (has|holds|must be))"):
        pbx.ivrs.create(SALES | {"pin": pin})


@pytest.mark.parametrize(("version", "needed"), [("22.0", True), ("22.2", True), ("22.3", False)])
def test_a_create_needs_a_pin_up_to_22_2_and_an_update_never(
    version: Version, needed: bool
) -> None:
    pbx = Pbx(Behaviour(version=version, update="replacing"))
    key = pbx.add_ivr("9000")
    if needed:
        with pytest.raises(ApiError, match="pin is required"):
            pbx.ivrs.create(SALES)
    else:
        pbx.ivrs.create(SALES)
    pbx.ivrs.update(key, {"name": "Desk"})
    shown = pbx.ivrs.show(key)
    assert (shown["enable_pin"], "pin" in shown) == (True, False)


async def test_an_extension_number_is_given_once(api: Api, client: httpx.AsyncClient) -> None:
    api.pbx.add_extension("101", "Ann")
    key = api.pbx.add_extension("300", "Queue", "CALL_QUEUE")
    taken = await client.post("/ivrs", json={"name": "x", "extension_number": "101"})
    assert code(taken) == (400, "VALIDATE_FAILED")
    assert (await client.get("/extension_numbers/300")).json() == {
        "id": key,
        "extension_number": "300",
        "name": "Queue",
        "type": "CALL_QUEUE",
    }
    ivr = (await client.post("/ivrs", json=SALES)).json()["id"]
    found = (await client.get("/extension_numbers/8000")).json()
    assert found == {"id": ivr, **SALES, "type": "VIRTUAL_RECEPTIONIST"}
    assert code(await client.get("/extension_numbers/999")) == (404, "NOT_FOUND")
    assert (await client.post("/ivrs", json=[])).status_code == 400


async def test_throttling(api: Api, client: httpx.AsyncClient, clock: Clock) -> None:
    await client.get("/ivrs")
    clock.now += 10
    api.pbx.behaviour = Behaviour(rate=2)
    assert (await client.get("/ivrs")).status_code == 200
    clock.now += 0.5
    refused = await client.get("/ivrs")
    assert code(refused) == (429, "TOO_MANY_REQUESTS")
    assert refused.headers["retry-after"] == "50"
    clock.now += 49.5
    assert (await client.get("/ivrs")).status_code == 200
    assert (await client.get("/ivrs")).headers["retry-after"] == "10"


# Other things the PBX holds ------------------------------------------------------------------


async def test_servers(client: httpx.AsyncClient) -> None:
    [built_in] = (await client.get("/ivr_servers")).json()["items"]
    assert built_in["type"] == "INTERNAL"
    refused = await client.post(f"/ivr_servers/{built_in['id']}/destroy")
    assert code(refused) == (400, "VALIDATE_FAILED")
    assert code(await client.post("/ivr_servers", json={"name": "x"})) == (400, "VALIDATE_FAILED")
    data = {"name": "x", "ipv4": "10.0.0.1", "ipv6": "", "type": "INTERNAL"}
    key = (await client.post("/ivr_servers", json=data)).json()["id"]
    await client.post(f"/ivr_servers/{key}", json={"enabled": False, "name": "y"})
    shown = (await client.get(f"/ivr_servers/{key}")).json()
    assert (shown["name"], shown["enabled"], shown["type"]) == ("x", False, "EXTERNAL")
    status = (await client.get(f"/ivr_servers/{key}/status")).json()
    assert status == {"cpu_usage": 3, "memory_usage": 21, "status": "OFFLINE"}
    assert (await client.post(f"/ivr_servers/{key}/destroy")).status_code == 204


async def test_an_ivr_may_be_offline(api: Api, client: httpx.AsyncClient) -> None:
    key = (await client.post("/ivrs", json=SALES)).json()["id"]
    api.pbx.offline.add("8000")
    assert (await client.get(f"/ivrs/{key}/status")).json() == {"status": "OFFLINE"}


async def test_holidays_are_ids_when_written_and_objects_when_read(
    api: Api, client: httpx.AsyncClient
) -> None:
    api.pbx.behaviour = Behaviour(blanks="omitted")
    day = (await client.post("/holidays", json=HOLIDAY)).json()["id"]
    rules = [{"user_input": "1", "holidays": [day]}]
    key = (await client.post("/ivrs", json=SALES | {"custom_forward_rules": rules})).json()["id"]
    [shown] = (await client.get(f"/ivrs/{key}")).json()["custom_forward_rules"]
    assert shown["holidays"] == [{"id": day, **HOLIDAY}]
    await client.post(f"/holidays/{day}/destroy")
    [shown] = (await client.get(f"/ivrs/{key}")).json()["custom_forward_rules"]
    assert shown["holidays"] == []
    again = await client.post(f"/ivrs/{key}", json={"custom_forward_rules": rules})
    assert code(again) == (400, "VALIDATE_FAILED")


def test_a_range_of_hours_runs_forwards() -> None:
    hours = {"mode": "CUSTOM", "monday": {"ranges": [{"from": "17:00", "to": "09:00"}]}}
    with pytest.raises(ApiError, match=r"ranges\[0\] from must be before to"):
        Pbx().ivrs.create(SALES | {"custom_forward_rules": [{"office_hours": hours}]})


# Versions ------------------------------------------------------------------------------------


def test_forms_of_a_mask_fire_since_their_version() -> None:
    pbx = Pbx()
    ivr = pbx.ivrs.create(SALES)
    for name, mask in (("star", "9*"), ("all", "ALL"), ("plain", "1")):
        data = {"name": name, "type": "DTMF", "enabled": True, "dtmf_mask": mask}
        pbx.action_urls(ivr).create(data)
    found: dict[Version, list[str | None]] = {}
    for version in VERSIONS:
        pbx.behaviour = Behaviour(version=version)
        fired = [pbx.fires("8000", "DTMF", number) for number in ("95", "7", "1")]
        found[version] = [action.name if action else None for action in fired]
    assert found == {
        "22.0": [None, None, "plain"],
        "22.2": ["star", None, "plain"],
        "22.3": ["star", None, "plain"],
        "22.6": ["star", "all", "plain"],
    }


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("version", "there"), [("22.2", False), ("22.3", True)])
async def test_a_session_id_is_sent_since_22_3(method: str, version: Version, there: bool) -> None:
    asked: list[str] = []

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        asked.append(scope["query_string"].decode() + message["body"].decode())
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body"})

    pbx = Pbx(Behaviour(version=version))
    data = {"name": "a", "type": "DTMF", "enabled": True, "dtmf_mask": "1", "method": method}
    url = "http://127.0.0.1/action"
    pbx.action_urls(pbx.add_ivr("8000")).create(data | {"url": url})
    line = Line(pbx, transport=httpx.ASGITransport(answer))
    call = await line.dial("8000", caller="101")
    await call.press("1")
    assert ("session_id" in asked[0]) == there
    assert "from_name" in asked[0]


# Accounts ------------------------------------------------------------------------------------


async def sign_in(client: httpx.AsyncClient, name: str, domain: str = "") -> dict[str, Any]:
    data = {"username": name, "password": "right"} | ({"domain": domain} if domain else {})
    answer = await client.post("/auth/sign_in", json=data)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    client.headers["Authorization"] = f"Bearer {found['access_token']}"
    return found


async def renew(client: httpx.AsyncClient, tokens: dict[str, Any]) -> None:
    data = {"refresh_token": tokens["refresh_token"]}
    answer = (await client.post("/auth/refresh_token", json=data)).json()
    client.headers["Authorization"] = f"Bearer {answer['access_token']}"


@pytest.mark.parametrize(("lasts", "status"), [("session", 200), ("token", 403)])
async def test_a_system_administrator_chooses_a_tenant(
    api: Api, client: httpx.AsyncClient, lasts: Any, status: int
) -> None:
    api.pbx.behaviour = Behaviour(switch_lasts=lasts)
    tokens = await sign_in(client, "root1")
    assert code(await client.get("/ivrs")) == (403, "FORBIDDEN")
    assert (await client.get("/ivr_servers")).status_code == 200
    assert code(await client.post("/tenants/switch?id=other")) == (404, "NOT_FOUND")
    switched = await client.post("/tenants/switch", params={"id": api.pbx.tenant})
    assert (switched.status_code, switched.content) == (200, b"")
    assert (await client.get("/ivrs")).status_code == 200
    await renew(client, tokens)
    assert (await client.get("/ivrs")).status_code == status


async def test_only_system_administrators_choose_a_tenant(
    api: Api, client: httpx.AsyncClient
) -> None:
    path = f"/tenants/switch?id={api.pbx.tenant}"
    assert code(await client.post(path)) == (403, "FORBIDDEN")
    await sign_in(client, "ann", "acme")
    assert code(await client.post(path)) == (403, "FORBIDDEN")


async def test_a_role_may_lack_access(client: httpx.AsyncClient) -> None:
    await sign_in(client, "bob", "acme")
    assert code(await client.get("/ivrs")) == (403, "FORBIDDEN")
    assert (await client.get("/auth/user")).json()["role"] == "StandardUser"


async def test_the_user_of_a_token(client: httpx.AsyncClient) -> None:
    await sign_in(client, "root1")
    shown = (await client.get("/auth/user")).json()
    assert (shown["role"], shown.get("domain")) == ("SystemAdmin", None)
    await sign_in(client, "ann", "acme")
    shown = (await client.get("/auth/user")).json()
    assert (shown["role"], shown["domain"]) == ("Admin", "acme")


@pytest.mark.parametrize("behaviour", [Behaviour(version="22.0"), Behaviour(sign_in=False)])
async def test_before_22_2_there_is_the_form_login_only(
    api: Api, client: httpx.AsyncClient, behaviour: Behaviour
) -> None:
    api.pbx.behaviour = behaviour
    for method, path in (("POST", "sign_in"), ("POST", "sign_out"), ("GET", "user")):
        assert code(await client.request(method, f"/auth/{path}")) == (404, "NOT_FOUND")
    form = {"client_id": CLIENT_ID, "grant_type": "password", "username": "ann", "domain": "acme"}
    answer = await client.post("/login/oauth/token", data={**form, "password": "right"})
    assert answer.status_code == 200
