"""Every answer of the simulated PBX, and every field that it takes, against the vendor's contract.

`tests/simulator/contract.py` holds the facts. Both directions, for each version: what is at its
limit is taken and shown again, what is beyond it is refused; a field or an operation of a later
version is not there.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, get_args

import httpx
import pytest
from jsonschema import Draft202012Validator

from receiver.credentials import Secret
from receiver.simulator.api import CLIENT_ID, ENDPOINTS, make_api
from receiver.simulator.behaviour import VERSIONS, Behaviour, Blanks, Version
from receiver.simulator.logins import Account
from receiver.simulator.model import Pbx
from tests.simulator.conformity import bad, conforms, good, holds, of, schema, there
from tests.simulator.contract import (
    ACTION_URL,
    ACTION_URL_SENT,
    HOLIDAY,
    IVR,
    IVR_CREATE,
    OPERATIONS,
    SERVER,
    SERVER_SENT,
    Fact,
    Operation,
    Spec,
)

Json = dict[str, Any]

PIN = "135790"
SALES = {"name": "Sales", "extension_number": "8000", "pin": PIN}
HOLIDAY_SENT: Json = {"name": "Xmas", "region": "DEU", "consecutive": True, "every_year": True}
DIGEST = hashlib.sha256(b"RIFF").hexdigest()


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> Version:
    found: Version = request.param
    return found


@pytest.fixture
def pbx(version: Version) -> Pbx:
    """A PBX that shows each field of its version, null if it has no value."""
    return Pbx(Behaviour(version=version, blanks="null"))


@pytest.fixture
async def client(pbx: Pbx) -> AsyncIterator[httpx.AsyncClient]:
    accounts = [Account("ann", Secret("right"), "acme"), Account("root1", Secret("right"))]
    transport = httpx.ASGITransport(make_api(pbx, token="fixed", accounts=accounts))
    headers = {"Authorization": "Bearer fixed"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://pbx/api", headers=headers
    ) as client:
        yield client


# Operations ----------------------------------------------------------------------------------


def test_the_operations_are_those_of_the_contract() -> None:
    wanted = {(o.method, "/api" + o.path, o.open, o.since) for o in OPERATIONS}
    assert wanted == {(e.method, e.path, e.access == "open", e.since) for e in ENDPOINTS}


class Stage:
    """A PBX with one of everything, and the ids that paths need."""

    def __init__(self, client: httpx.AsyncClient, pbx: Pbx) -> None:
        self.client = client
        self.pbx = pbx

    async def post(self, path: str, data: Json | None = None) -> str:
        response = await self.client.post(path, json=data)
        assert response.status_code == 201
        key: str = response.json()["id"]
        return key

    async def upload(self, complete: bool = True) -> tuple[str, str]:
        """The id of the upload, or of the file made of it; and the token."""
        begun = await self.client.post("/blobs/uploads", params={"filename": "a.wav"})
        key, token = begun.headers["portsip-upload-id"], begun.headers["portsip-upload-token"]
        if not complete:
            return key, token
        response = await self.client.post(
            f"/blobs/uploads/{key}/complete",
            content=b"RIFF",
            params={"digest": DIGEST},
            headers={"PortSIP-Upload-Token": token},
        )
        return response.json()["id"], ""

    async def prepare(self, path: str) -> tuple[str, dict[str, str]]:
        """``path`` with ids of things made for it, and headers that it needs."""
        headers = {}
        values = {"number": "8000", "digest": DIGEST}
        if path.startswith("/ivrs/"):
            prompt, _ = await self.upload()
            data = {**SALES, "prompt_file_id": prompt}
            holiday = await self.post("/holidays", HOLIDAY_SENT)
            data["custom_forward_rules"] = [{"holidays": [holiday]}]  # type: ignore[assignment]
            values["id"] = await self.post("/ivrs", data)
            values["url_id"] = await self.post(f"/ivrs/{values['id']}/action_urls", {"name": "a"})
        elif path.startswith("/ivr_servers/"):
            values["id"] = await self.post("/ivr_servers", {"name": "x", "ipv4": "10.0.0.1"})
        elif path.startswith("/holidays/"):
            values["id"] = await self.post("/holidays", HOLIDAY_SENT)
        elif path.startswith("/blobs/uploads/"):
            values["id"], token = await self.upload(complete=False)
            headers = {"PortSIP-Upload-Token": token}
        elif path.startswith("/extension"):
            await self.post("/ivrs", SALES)
        else:
            values["id"], _ = await self.upload()
        return path.format_map(values), headers


LOGIN = {"username": "ann", "password": "right", "domain": "acme"}
FORM = {"client_id": CLIENT_ID, "grant_type": "password", **LOGIN}
BODIES: dict[str, Json] = {
    "/ivrs": {"name": "Desk", "extension_number": "9000", "pin": PIN},
    "/ivr_servers/{id}": {"enabled": False},
    "/ivrs/{id}/action_urls": {"name": "pick"},
    "/ivr_servers": {"name": "two", "ipv6": "fd00::1"},
    "/holidays": HOLIDAY_SENT,
    "/auth/sign_in": LOGIN,
}


async def carry_out(stage: Stage, operation: Operation) -> httpx.Response:
    client = stage.client
    path, headers = await stage.prepare(operation.path)
    body: Json = {"json": BODIES.get(operation.path)}
    if operation.path == "/auth/refresh_token":
        tokens = (await client.post("/auth/sign_in", json=LOGIN)).json()
        body = {"json": {"refresh_token": tokens["refresh_token"]}}
    elif operation.path.startswith("/login"):
        body = {"data": FORM}
    elif operation.path == "/tenants/switch":
        form = {"client_id": CLIENT_ID, "grant_type": "password", "username": "root1"}
        answer = await client.post("/login/oauth/token", data={**form, "password": "right"})
        headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        path += f"?id={stage.pbx.tenant}"
    return await client.request(operation.method, path, headers=headers, **body)


def name_of(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
async def test_each_answer_is_the_contracts(
    client: httpx.AsyncClient, pbx: Pbx, version: Version, operation: Operation
) -> None:
    stage = Stage(client, pbx)
    if not there(operation.since, version):
        response = await client.request(operation.method, operation.path, json={})
        assert response.status_code == 404
        return
    response = await carry_out(stage, operation)
    assert response.status_code == operation.status
    assert all(header in response.headers for header in operation.headers)
    if operation.path == "/blobs/{digest}":
        assert response.content == b"RIFF"
        assert response.headers["content-type"] == "application/octet-stream"
    elif operation.gives is None:
        assert response.content == b""
    else:
        conforms(response.json(), operation.gives, version, name_of(operation))


WITH_BLANKS = {
    "/ivrs/{id}",
    "/ivrs/{id}/action_urls",
    "/ivrs/{id}/action_urls/{url_id}",
    "/ivr_servers",
    "/ivr_servers/{id}",
    "/holidays/{id}",
    "/tenant",
}
"""The fields without a value in the answers of this test."""


@pytest.mark.parametrize(
    ("behaviour", "valid"), [(Behaviour(), True), (Behaviour(blanks="null"), False)]
)
@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.gives], ids=name_of)
async def test_each_answer_fits_its_schema_unless_it_is_to_hold_nulls(
    client: httpx.AsyncClient,
    pbx: Pbx,
    version: Version,
    operation: Operation,
    behaviour: Behaviour,
    valid: bool,
) -> None:
    """No schema of the vendor allows null."""
    if not there(operation.since, version):
        return
    pbx.behaviour = replace(behaviour, version=version)
    answer = (await carry_out(Stage(client, pbx), operation)).json()
    fits = Draft202012Validator(schema(operation.gives or {}, version)).is_valid(answer)
    holds_null = operation.method == "GET" and operation.path in WITH_BLANKS
    assert fits == (valid or not holds_null), answer


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
async def test_only_the_open_ones_need_no_token(
    client: httpx.AsyncClient, version: Version, operation: Operation
) -> None:
    del client.headers["Authorization"]
    response = await client.request(operation.method, operation.path, json={})
    if not there(operation.since, version):
        assert response.status_code == 404
    else:
        assert (response.status_code == 401) == (not operation.open)
    [error] = response.json()["errors"]
    assert {key: type(value) for key, value in error.items()} == {"code": str, "message": str}


@pytest.mark.parametrize(
    "operation", [o for o in OPERATIONS if "{id}" in o.path or "{digest}" in o.path], ids=name_of
)
async def test_unknown_ids(client: httpx.AsyncClient, operation: Operation) -> None:
    path = operation.path.format(id="x", url_id="x", digest="x")
    headers = {"PortSIP-Upload-Token": "x"}
    body: Json | None = {} if operation.body else None
    response = await client.request(operation.method, path, headers=headers, json=body)
    assert response.status_code in operation.missing
    [error] = response.json()["errors"]
    assert error.keys() == {"code", "message"}


@pytest.mark.parametrize("path", ["/ivrs", "/ivr_servers", "/holidays", "/files"])
async def test_pages(client: httpx.AsyncClient, path: str) -> None:
    for query, status in [
        ({"skip": 0, "top": 1}, 200),
        ({"skip": 2**31 - 1, "top": 100}, 200),
        ({"filter": "name eq 'x'", "search": "x", "orderby": "name desc"}, 200),
        ({"top": 0}, 400),
        ({"top": 101}, 400),
        ({"skip": -1}, 400),
        ({"skip": 2**31}, 400),
    ]:
        assert (await client.get(path, params=query)).status_code == status  # type: ignore[arg-type]


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.required], ids=name_of)
async def test_what_is_required_must_be_there(
    client: httpx.AsyncClient, pbx: Pbx, version: Version, operation: Operation
) -> None:
    if not there(operation.since, version):
        return
    path, _ = await Stage(client, pbx).prepare(operation.path)
    whole = BODIES.get(operation.path, {"refresh_token": "x"})
    old = () if there("22.3", version) else operation.required_until_22_2
    for name in (*operation.required, *old):
        less = {key: value for key, value in whole.items() if key != name}
        pbx.behaviour = replace(pbx.behaviour, nulls="ignored")
        for data in (less, {**less, name: None}):
            response = await client.post(path, json=data)
            assert response.json()["errors"][0]["message"] == f"{name} is required"
            assert response.status_code == 400


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.body], ids=name_of)
async def test_a_body_must_be_there_where_the_contract_says_so(
    client: httpx.AsyncClient, pbx: Pbx, version: Version, operation: Operation
) -> None:
    if there(operation.since, version):
        path, _ = await Stage(client, pbx).prepare(operation.path)
        response = await client.post(path)
        assert response.status_code == 400
        assert response.json()["errors"][0]["message"] == "the body is required"


# Fields --------------------------------------------------------------------------------------

SETS: dict[str, tuple[str, Json, Spec, Spec]] = {
    "ivrs": ("/ivrs", {"name": "Sales", "pin": PIN}, IVR_CREATE, IVR),
    "action_urls": ("/ivrs/{id}/action_urls", {"name": "a"}, ACTION_URL_SENT, ACTION_URL),
    "ivr_servers": ("/ivr_servers", {"name": "x", "ipv4": "10.0.0.9"}, SERVER_SENT, SERVER),
    "holidays": ("/holidays", HOLIDAY_SENT, HOLIDAY, HOLIDAY),
}
FIELDS = [(kind, name) for kind, (_, _, sent, _) in SETS.items() for name in sent]
NOT_UPDATED = {"extension_number", "ipv4", "ipv6", ("ivr_servers", "name")}


@pytest.mark.parametrize(("kind", "name"), FIELDS)
async def test_each_field_up_to_its_limits(
    client: httpx.AsyncClient, pbx: Pbx, version: Version, kind: str, name: str
) -> None:
    path, base, sent, given = SETS[kind]
    pbx.behaviour = Behaviour(version=version, blanks="omitted", quota=10_000)
    stage = Stage(client, pbx)
    path, _ = await stage.prepare(path)
    known = {"holiday": await stage.post("/holidays", HOLIDAY_SENT)}
    known["file"], _ = await stage.upload()
    fact = sent[name]
    numbers = iter(range(100_000, 200_000))

    def whole(**value: Any) -> Json:
        number = {"extension_number": str(next(numbers))} if kind == "ivrs" else {}
        return {**number, **base, **value}

    old = await stage.post(path, whole())
    updated = name not in NOT_UPDATED and (kind, name) not in NOT_UPDATED
    if not there(fact.since, version):
        key = await stage.post(path, whole(**{name: {"of": "any type"}}))
        assert name not in (await client.get(f"{path}/{key}")).json()
        assert (await client.post(f"{path}/{key}", json={name: 5})).status_code == 200
        return
    for value in good(fact, version, known):
        key = await stage.post(path, whole(**{name: value}))
        shown = (await client.get(f"{path}/{key}")).json()
        conforms(shown, {**given, "id": Fact("text")}, version, name, whole=False)
        if fact.kind != "file":
            assert holds(shown.get(name), value, fact, version), (value, shown)
        else:
            assert shown[name.replace("_id", "_name")] == "a.wav"
        if updated:
            assert (await client.post(f"{path}/{old}", json={name: value})).status_code == 200
            assert (await client.get(f"{path}/{old}")).json().get(name) == shown.get(name)
        if name == "extension_number":
            await client.post(f"{path}/{key}/destroy")
    before = (await client.get(f"{path}/{old}")).json()
    for value in bad(fact, version):
        assert (await client.post(path, json=whole(**{name: value}))).status_code == 400, value
        if updated:
            response = await client.post(f"{path}/{old}", json={name: value})
            assert response.status_code == 400, value
    assert (await client.get(f"{path}/{old}")).json() == before


@pytest.mark.parametrize("kind", SETS)
async def test_defaults(client: httpx.AsyncClient, pbx: Pbx, version: Version, kind: str) -> None:
    path, base, sent, _ = SETS[kind]
    pbx.behaviour = Behaviour(version=version, blanks="omitted")
    stage = Stage(client, pbx)
    path, _ = await stage.prepare(path)
    number = {"extension_number": "9999"} if kind == "ivrs" else {}
    key = await stage.post(path, {**base, **number})
    shown = (await client.get(f"{path}/{key}")).json()
    for name, fact in of(sent, version).items():
        assert name in base or name in number or shown.get(name) == fact.default, name


PARAMETERS = [
    ("GET", "/ivrs", {"skip": ""}),
    ("GET", "/ivrs", {"top": "1.0"}),
    ("POST", "/blobs/uploads", {"temporary": ""}),
    ("POST", "/blobs/uploads", {"temporary": "1"}),
    ("POST", "/auth/sign_in", {"qr": "yes"}),
]


@pytest.mark.parametrize(("method", "path", "query"), PARAMETERS)
async def test_a_parameter_that_is_not_of_its_type(
    client: httpx.AsyncClient, pbx: Pbx, method: str, path: str, query: dict[str, str]
) -> None:
    pbx.behaviour = Behaviour()
    body = LOGIN if path.startswith("/auth") else None
    response = await client.request(method, path, params=query, json=body)
    assert response.status_code == 400
    assert response.json()["errors"][0]["message"].startswith(f"{min(query)} is ")


@pytest.mark.parametrize(
    "text", ["NaN", '{"x": Infinity}', "{", b"\xff", '"' + "[" * 100_000, "[" * 100_000]
)
async def test_what_is_not_json(client: httpx.AsyncClient, text: str | bytes) -> None:
    response = await client.post("/ivrs", content=text)
    assert response.json()["errors"][0]["message"] == "the body is not JSON"


@pytest.mark.parametrize("blanks", get_args(Blanks))
async def test_blanks(
    client: httpx.AsyncClient, pbx: Pbx, version: Version, blanks: Blanks
) -> None:
    pbx.behaviour = Behaviour(version=version, blanks=blanks)
    path, _ = await Stage(client, pbx).prepare("/ivrs/{id}")
    shown = (await client.get(path)).json()
    conforms(shown, IVR, version, blanks, whole=blanks != "omitted")
    assert ("language" in shown, shown.get("language")) == {
        "null": (True, None),
        "empty": (True, ""),
        "omitted": (False, None),
    }[blanks]
