"""Every request that the client can send, against the facts of the vendor's contract.

The tables below are written from the vendor's OpenAPI file for 22.2, and from its change log for
what is newer; a field's line is ``kind low..high choices``, with what it is for.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from receiver.credentials import Secret
from receiver.errors import PbxForbidden
from receiver.pbx.access_tokens import GivenToken, Login
from receiver.pbx.chunked_upload import CHUNK_SIZE
from receiver.pbx.fields import Model, Shape, shapes
from receiver.pbx.models import ActionUrl, IvrSummary, write
from receiver.pbx.models_ivr import (
    DAYS,
    CustomRule,
    Day,
    ForwardRule,
    Ivr,
    KeyRule,
    OfficeHours,
    TimeoutRule,
    TimeRange,
)
from receiver.pbx.models_shared import (
    Holiday,
    IvrServer,
    OutboundCallerId,
    PromptFile,
    ServerStatus,
)
from receiver.pbx.pbx_client import PbxClient
from tests.pbx.fake_pbx import TOKEN, no_sleep


@dataclass(frozen=True)
class Field:
    """``use``: c create, u update, r read (show), l list; ``*`` a create must give it."""

    kind: str
    use: str = "cur"
    low: int | None = None
    high: int | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    since: str = ""
    fields: dict[str, Field] | None = None


TEXT, FLAG, WHOLE = Field("text"), Field("flag"), Field("whole")
ACTIONS = ("FORWARD_TO_NUMBER", "FORWARD_TO_VOICEMAIL", "REPEAT", "HANGUP")
RULE = {"action": Field("text", choices=ACTIONS), "number": TEXT}
KEY_RULE = {"action": Field("text", choices=(*ACTIONS, "DISA")), "number": TEXT}
PROMPTS = {
    f"{which}_file_{name}": Field(kind, use)
    for which in ("prompt", "transfer_prompt")
    for name, kind, use in (
        ("id", "text", "cu"),
        ("name", "text", "r"),
        ("size", "whole", "r"),
        ("url", "text", "r"),
    )
}
DAY = {
    "enabled": FLAG,
    "ranges": Field("list", fields={"from": Field("text", "cur*"), "to": Field("text", "cur*")}),
}
HOURS = {
    "mode": Field("text", choices=("GLOBAL", "CUSTOM")),
    **{day: Field("object", fields=DAY) for day in DAYS},
}
ID = Field("text", "rl")
NAME = Field("text", "curl*", 1, 64)

HOLIDAY = {
    "id": ID,
    "name": NAME,
    "region": Field("text", "curl*"),
    "consecutive": Field("flag", "curl*"),
    "every_year": Field("flag", "curl*"),
    **{
        f"{unit}_{end}": Field("whole", "curl")
        for unit in ("year", "month", "day", "hour", "minute")
        for end in ("start", "end")
    },
}
IVR = {
    "id": ID,
    "name": NAME,
    "extension_number": Field("text", "crl*", 3, 64, pattern="[0-9]{3,64}"),
    "language": TEXT,
    "dtmf_interval": Field("whole", low=1),
    **PROMPTS,
    "enable_pin": FLAG,
    "pin": TEXT,  # 6 to 10 up to 22.2; then the tenant's policy
    "enable_night_mode": Field("flag", since="22.3"),
    "exclude_list": Field("text", since="22.3"),
    "enable_audio_recording": Field("flag", "curl", since="22.6"),
    "timeout_forward_rule": Field(
        "object", fields={"timeout": WHOLE, "repeat_times": Field("whole", low=0), **RULE}
    ),
    "failure_forward_rule": Field("object", fields=RULE),
    "night_mode_forward_rule": Field("object", since="22.2", fields=RULE),
    "custom_forward_rules": Field(
        "list",
        fields={
            "user_input": Field("text", "cur*"),
            "office_hours": Field("object", fields=HOURS),
            "office_hours_forward_rule": Field("object", fields=KEY_RULE),
            "non_office_hours_forward_rule": Field("object", fields=KEY_RULE),
            "holidays": Field("ids", fields=HOLIDAY),
            "holiday_forward_rule": Field("object", fields=KEY_RULE),
        },
    ),
    "outbound_caller_ids": Field(
        "list",
        fields={
            "provider_id": TEXT,
            "caller_id": Field("text", low=1, high=64),
            "description": Field("text", high=1024),
            "display_name": Field("text", since="22.6"),
        },
    ),
}
ACTION_URL = {
    "id": ID,
    "name": Field("text", "curl*", 1, 64),  # required by the guide, not by the contract
    "enabled": Field("flag", "curl"),
    "type": Field("text", "curl*", choices=("DTMF", "CALLER")),
    "method": Field("text", "curl*", choices=("GET", "POST")),
    "headers": Field("text", "curl"),
    "caller_mask": Field("text", "curl", high=255),
    "dtmf_mask": Field("text", "curl", high=255),
    "connection_timeout": Field("whole", "curl", low=0),
    "request_timeout": Field("whole", "curl", low=0),
    "url": Field("text", "curl*", 1, 128),  # less its pattern, which fits no URL
    "auth": Field("text", "curl", choices=("DISABLE", "BASIC", "DIGEST", "BEARER")),
    "username": Field("text", "curl", 6, 64, pattern="[a-z0-9]{6,64}"),
    "password": Field("text", "curl", 6, 64, pattern="[a-z0-9]{6,64}"),
    "token": Field("text", "curl"),
}
SERVER = {
    "id": ID,
    "name": Field("text", "crl*", 1, 64),
    "enabled": Field("flag", "curl"),
    "type": Field("text", "rl"),
    "ipv4": Field("text", "crl"),
    "ipv6": Field("text", "crl"),
}
FILE = {
    "id": ID,
    "name": Field("text", "rl"),
    "size": Field("whole", "rl"),
    "media_type": Field("text", "rl"),
    "created_at": Field("text", "rl"),
}
STATUS = {
    "status": Field("text", "r"),
    "cpu_usage": Field("whole", "r"),
    "memory_usage": Field("whole", "r"),
}
ACCOUNT = {
    "username": Field("text", "c*", 1, 64),
    "password": Field("text", "c*"),
    "domain": Field("text", "c", 1, 280),
}
LIST = {"filter": "", "search": "", "orderby": "", "skip": r"\d+", "top": r"[1-9]\d?|100"}
PROMPT_UPLOAD = {"digest": "(sha256:)?[0-9a-f]{64}"}


@dataclass(frozen=True)
class Endpoint:
    """``body``: fields of a JSON body, ``"octets"`` or nothing. ``purpose`` as in `Field.use`."""

    status: int
    query: dict[str, str] | None = None
    body: Any = None
    purpose: str = ""
    needs: tuple[str, ...] = ()
    open: bool = False


def crud(path: str, fields: dict[str, Field]) -> dict[str, Endpoint]:
    return {
        f"POST {path}": Endpoint(201, body=fields, purpose="c"),
        f"GET {path}": Endpoint(200, LIST),
        f"GET {path}/ID": Endpoint(200),
        f"POST {path}/ID": Endpoint(200, body=fields, purpose="u"),
        f"POST {path}/ID/destroy": Endpoint(204),
    }


UPLOAD = "/blobs/uploads/ID"
TOKENED = ("portsip-upload-token",)
ENDPOINTS = {
    **crud("/ivrs", IVR),
    "GET /ivrs/ID/status": Endpoint(200),
    **crud("/ivrs/ID/action_urls", ACTION_URL),
    "GET /ivrs/ID/action_urls": Endpoint(200),
    **crud("/ivr_servers", SERVER),
    "GET /ivr_servers/ID/status": Endpoint(200),
    **crud("/holidays", HOLIDAY),
    "GET /files": Endpoint(200, LIST),
    "GET /files/ID": Endpoint(200),
    "POST /files/ID/destroy": Endpoint(204),
    "POST /blobs/uploads": Endpoint(202, {"filename": ".+", "temporary": "true|false"}),
    f"POST {UPLOAD}/append": Endpoint(203, body="octets", needs=TOKENED),
    f"POST {UPLOAD}/complete": Endpoint(201, PROMPT_UPLOAD, body="octets", needs=TOKENED),
    f"GET {UPLOAD}/status": Endpoint(204),
    f"POST {UPLOAD}/destroy": Endpoint(204),
    "GET /blobs/ID": Endpoint(200, open=True),
    "POST /auth/sign_in": Endpoint(200, body=ACCOUNT, purpose="c", open=True),
    "POST /auth/refresh_token": Endpoint(
        200, body={"refresh_token": Field("text", "c*")}, purpose="c", open=True
    ),
    "POST /auth/sign_out": Endpoint(200),
    "POST /tenants/switch": Endpoint(200, {"id": ".+"}),
}
MODELS: dict[type[Model], dict[str, Field]] = {
    Ivr: IVR,
    IvrSummary: {name: field for name, field in IVR.items() if "l" in field.use},
    ActionUrl: ACTION_URL,
    IvrServer: SERVER,
    Holiday: HOLIDAY,
    PromptFile: FILE,
    ServerStatus: STATUS,
}

# the models have the contract's fields and limits ---------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_a_model_has_the_fields_of_the_contract(model: type[Model]) -> None:
    compare(model, MODELS[model], summary=model is IvrSummary)


def compare(model: type[Model], facts: dict[str, Field], summary: bool = False) -> None:
    ours = shapes(model)
    assert set(ours) == set(facts)
    for key, fact in facts.items():
        if not summary:
            compare_field(ours[key], fact)


def compare_field(shape: Shape, fact: Field) -> None:
    spec, kind = shape.spec, {"secret": "text"}.get(shape.kind, shape.kind)
    assert ("ids" if spec.refers and shape.kind == "list" else kind) == fact.kind, shape.key
    assert spec.since == fact.since, shape.key
    if fact.choices:
        assert spec.choices == fact.choices, shape.key
    if fact.low is not None:
        assert spec.low == fact.low, shape.key
    if fact.high is not None:
        assert spec.high == fact.high, shape.key
    if fact.pattern:
        assert spec.pattern == fact.pattern, shape.key
    if shape.key not in ("id", "type", *STATUS):
        uses = {"any": "cu", "create": "c", "read": "", "write": "cu"}
        sent = "".join(letter for letter in "cu" if letter in fact.use)
        assert uses[spec.use] == sent, shape.key
    assert spec.required == ("*" in fact.use), shape.key
    if fact.fields is not None:
        assert shape.model is not None
        compare(shape.model, fact.fields)


# what is sent fits the contract ----------------------------------------------------------------


class Contract:
    """Answers as the contract says, and looks at each request."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self.answers: dict[str, Any] = {}
        self.lost: set[str] = set()
        self.refused: set[str] = set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api")
        template = re.sub("id-[a-z]+|[0-9a-f]{64}", "ID", path)
        key = f"{request.method} {template}"
        assert key in ENDPOINTS, key
        self.used.add(key)
        endpoint = ENDPOINTS[key]
        assert ("authorization" in request.headers) != endpoint.open, key
        for name in endpoint.needs:
            assert request.headers.get(name), key
        query = parse_qs(request.url.query.decode(), strict_parsing=bool(request.url.query))
        for name, (value,) in query.items():
            assert name in (endpoint.query or {}), f"{key}?{name}"
            assert re.fullmatch((endpoint.query or {})[name] or ".+", value), f"{key}?{name}"
        self.look(key, endpoint, request)
        if key in self.lost:
            self.lost.discard(key)
            raise httpx.ReadError("lost")
        if key in self.refused:
            self.refused.discard(key)
            return httpx.Response(403)
        return self.answer(key, endpoint)

    def look(self, key: str, endpoint: Endpoint, request: httpx.Request) -> None:
        if isinstance(endpoint.body, dict):
            assert request.headers["content-type"] == "application/json"
            fits(json.loads(request.content), endpoint.body, endpoint.purpose, key)
        elif endpoint.body == "octets":
            assert request.headers["content-type"] == "application/octet-stream"
        else:
            assert request.content == b"", key

    def answer(self, key: str, endpoint: Endpoint) -> httpx.Response:
        headers = {"PortSIP-Upload-ID": "id-up", "PortSIP-Upload-Token": "t", "Range": "0-0"}
        data = self.answers.get(key)
        if data is None and endpoint.status == 201:
            data = {"id": "id-new"}
        return httpx.Response(endpoint.status, json=data, headers=headers)


def fits(data: object, fields: dict[str, Field], purpose: str, at: str) -> None:
    assert isinstance(data, dict), at
    for key, value in data.items():
        assert key in fields, f"{at}.{key}"
        field = fields[key]
        assert purpose in field.use, f"{at}.{key}"
        value_fits(value, field, f"{at}.{key}")
    if purpose == "c":
        assert {key for key, field in fields.items() if "*" in field.use} <= data.keys(), at


def value_fits(value: object, field: Field, at: str) -> None:
    if field.kind == "object":
        fits(value, field.fields or {}, "c", at)
        return
    if field.kind in ("list", "ids"):
        assert isinstance(value, list), at
        for item in value:
            if field.kind == "ids":
                assert isinstance(item, str), at
            else:
                fits(item, field.fields or {}, "c", at)
        return
    kinds = {"text": str, "flag": bool, "whole": int}
    assert type(value) is kinds[field.kind], at
    measured = len(value) if isinstance(value, str) else value
    if measured != 0 or field.kind != "text":  # an empty text empties the field
        assert isinstance(measured, int)
        assert field.low is None or measured >= field.low, at
        assert field.high is None or measured <= field.high, at
        assert not field.choices or value in field.choices, at
        assert re.search(field.pattern, str(value)), at


FULL_RULE = CustomRule(
    user_input="1",
    office_hours=OfficeHours(
        mode="CUSTOM",
        **{day: Day(enabled=True, ranges=(TimeRange(start="09:00", end="17:00"),)) for day in DAYS},
    ),
    office_hours_forward_rule=KeyRule(action="DISA"),
    non_office_hours_forward_rule=KeyRule(action="FORWARD_TO_VOICEMAIL", number="101"),
    holidays=(Holiday(id="id-h"),),
    holiday_forward_rule=KeyRule(action="HANGUP"),
)
FULL_IVR = Ivr(
    name="Sales",
    extension_number="8000",
    language="en-US",
    dtmf_interval=2,
    prompt_file_id="id-f",
    transfer_prompt_file_id="id-f",
    enable_pin=True,
    pin=Secret("135792"),
    enable_night_mode=True,
    exclude_list="100-200;300",
    enable_audio_recording=True,
    timeout_forward_rule=TimeoutRule(timeout=30, repeat_times=3, action="REPEAT"),
    failure_forward_rule=ForwardRule(action="FORWARD_TO_NUMBER", number="0"),
    night_mode_forward_rule=ForwardRule(action="HANGUP"),
    custom_forward_rules=(FULL_RULE,),
    outbound_caller_ids=(
        OutboundCallerId(provider_id="p", caller_id="1", description="d", display_name="n"),
    ),
)
FULL_ACTION = ActionUrl(
    name="pick",
    enabled=True,
    type="DTMF",
    method="POST",
    headers="a:b",
    caller_mask="1",
    dtmf_mask="2",
    url="https://ivr.example/action",
    auth="BASIC",
    username="abcdef",
    password=Secret("abcdef"),
    token=Secret("t"),
)
FULL_HOLIDAY = Holiday(
    name="X",
    region="DEU",
    consecutive=True,
    every_year=False,
    year_start=2026,
    year_end=2026,
    month_start=12,
    month_end=12,
    day_start=24,
    day_end=26,
    hour_start=0,
    hour_end=23,
    minute_start=0,
    minute_end=59,
)
FULL_SERVER = IvrServer(name="a", enabled=True, ipv4="10.0.0.1", ipv6="fe80::1")
UNSENT: dict[Any, set[str]] = {Ivr: {"extension_number"}, IvrServer: {"name", "ipv4", "ipv6"}}


async def exercise(client: PbxClient) -> None:
    """Every method once, with everything that can be sent."""
    pairs: list[tuple[Any, Any]] = [
        (client.ivrs, FULL_IVR),
        (client.servers, FULL_SERVER),
        (client.holidays, FULL_HOLIDAY),
        (client.action_urls("id-i"), FULL_ACTION),
    ]
    for group, full in pairs:
        await group.create(full)
        await group.put("id-x", full)
        change = without(full, UNSENT.get(type(full), set()))
        await group.update("id-x", change)
        await group.show("id-x")
        await group.destroy("id-x")
        options = {} if group.type.many.startswith("action") else {"filter": "f", "search": "s"}
        _ = [item async for item in group.list(**options)]
    await client.ivrs.status("id-i")
    await client.servers.status("id-s")
    _ = [item async for item in client.files.list(orderby="name desc", skip=5, top=7)]
    await client.files.upload("a.wav", b"x", checked=False, look_up=False)
    await client.files.upload("a.wav", bytes(CHUNK_SIZE + 1), checked=False, look_up=False)
    await client.files.destroy("id-f")
    async with client.files.download("0" * 64) as found:
        _ = [chunk async for chunk in found.chunks()]


def without(item: Any, names: set[str]) -> Any:
    kept = {name: getattr(item, name) for name in item.__struct_fields__ if name not in names}
    return type(item)(**kept)


def shown(item: Model, **more: Any) -> dict[str, Any]:
    return {"id": "id-x", **write(item), **more}


async def test_every_request_fits_the_contract() -> None:
    pbx = Contract()
    prompts = {"prompt_file_name": "a.wav", "transfer_prompt_file_name": "a.wav"}
    pbx.answers = {
        "GET /ivrs/ID": shown(FULL_IVR, **prompts),
        "GET /files/ID": {"id": "id-f", "name": "a.wav"},
        "GET /ivr_servers/ID": shown(FULL_SERVER),
        "GET /holidays/ID": shown(FULL_HOLIDAY),
        "GET /ivrs/ID/action_urls/ID": shown(FULL_ACTION),
        "GET /ivrs/ID/status": {"status": "ONLINE"},
        "GET /ivr_servers/ID/status": {"status": "ONLINE"},
        "POST /auth/sign_in": {"access_token": "a", "refresh_token": "r", "expires_in": 1},
        "POST /auth/refresh_token": {"access_token": "b", "expires_in": 9},
        **{f"GET {path}": {"count": 0, "items": []} for path in ("/ivrs", "/ivr_servers")},
        **{f"GET {path}": {"count": 0, "items": []} for path in ("/holidays", "/files")},
        "GET /ivrs/ID/action_urls": {"items": []},
    }
    pbx.lost = {f"POST {UPLOAD}/append"}
    transport = httpx.MockTransport(pbx)
    now = iter(range(10**6))
    login = Login("admin", Secret("open-sesame"), tenant="7", clock=lambda: float(next(now)))
    for tokens in (GivenToken(Secret(TOKEN)), login):
        async with PbxClient("http://x", tokens, transport=transport, sleep=no_sleep) as client:
            await exercise(client)
            pbx.refused = {f"POST {UPLOAD}/complete"}
            with pytest.raises(PbxForbidden):
                await client.files.upload("a.wav", b"x", checked=False, look_up=False)
    assert pbx.used == set(ENDPOINTS)


@pytest.mark.parametrize(
    ("key", "body", "good"),
    [
        ("POST /ivrs", {"name": "a", "extension_number": "8000"}, True),
        ("POST /ivrs", {"name": "a"}, False),
        ("POST /ivrs", {"name": "a", "extension_number": "8000", "id": "1"}, False),
        ("POST /ivrs/ID", {"extension_number": "8000"}, False),
        ("POST /ivrs/ID", {"dtmf_interval": True}, False),
        ("POST /ivrs/ID", {"failure_forward_rule": {"action": "DISA"}}, False),
        ("POST /ivr_servers/ID", {"name": "a"}, False),
    ],
)
def test_the_contract_finds_what_does_not_fit(key: str, body: Any, good: bool) -> None:
    endpoint = ENDPOINTS[key]
    if good:
        fits(body, endpoint.body, endpoint.purpose, key)
    else:
        with pytest.raises(AssertionError):
            fits(body, endpoint.body, endpoint.purpose, key)
