"""The tenant's event URL is set, and everything else is sent back as it was."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from receiver.credentials import Secret
from receiver.errors import PbxInvalid
from receiver.pbx.access_tokens import GivenToken
from receiver.pbx.models_events import EventUrl
from receiver.pbx.pbx_client import PbxClient

TENANT: dict[str, Any] = {
    "id": "1",
    "name": "Acme",
    "domain": "acme.example.com",
    "website": "",
    "timezone": None,
    "enable_billing": True,
    "recording_retention": 180,
    "office_hours": {"mode": "GLOBAL", "monday": [{"from": "09:00"}]},
    "cdr_event": {"enabled": False, "auth": "DISABLE", "url": ""},
    "extension_event": {
        "enabled": True,
        "auth": "BASIC",
        "username": "abcdef",
        "password": "x" * 9,
    },
    "stir_shaken_key": "****",
    "max_extensions": 100,
    "new_in_23": 7,
}
OURS = EventUrl(enabled=True, auth="BEARER", token=Secret("token1"), url="https://a.example/events")


class Pbx(httpx.AsyncBaseTransport):
    """A tenant whose update replaces, merges, or does something else."""

    def __init__(self, update: str) -> None:
        self.tenant, self.update = dict(TENANT), update
        self.sent: dict[str, Any] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=self.tenant)
        self.sent = json.loads(await request.aread())
        if self.update == "replaces":
            fixed = {"id", "enable_billing", "max_extensions", "new_in_23", "extension_event"}
            kept = fixed | {"stir_shaken_key"}
            self.tenant = {key: TENANT[key] for key in kept} | self.sent
        elif self.update == "forgets":
            self.tenant = {"id": "1"} | self.sent | {"recording_retention": 30}
        else:
            self.tenant |= self.sent
        return httpx.Response(200)


def client(pbx: Pbx) -> PbxClient:
    return PbxClient("http://localhost", GivenToken(Secret("t" * 20)), transport=pbx)


@pytest.mark.parametrize("update", ["replaces", "merges"])
async def test_all_documented_fields_are_sent_back(update: str) -> None:
    pbx = Pbx(update)
    async with client(pbx) as one:
        assert not (await one.tenant.event_url()).url
        await one.tenant.set_event_url(OURS)
        assert await one.tenant.event_url() == OURS
    assert pbx.sent == {
        "name": "Acme",
        "domain": "acme.example.com",
        "recording_retention": 180,
        "office_hours": TENANT["office_hours"],
        "cdr_event": {
            "enabled": True,
            "auth": "BEARER",
            "token": "token1",
            "url": "https://a.example/events",
        },
    }  # without what cannot be set, what is blank, and what has a masked secret


async def test_a_readable_secret_is_sent_back() -> None:
    pbx = Pbx("merges")
    pbx.tenant["extension_event"] = {**TENANT["extension_event"], "password": "abc123"}
    async with client(pbx) as one:
        await one.tenant.set_event_url(OURS)
    assert pbx.sent["extension_event"]["password"] == "abc123"


async def test_a_field_that_the_pbx_changes_is_an_error_with_its_name() -> None:
    async with client(Pbx("forgets")) as one:
        with pytest.raises(PbxInvalid) as caught:
            await one.tenant.set_event_url(OURS)
    assert "recording_retention, extension_event, stir_shaken_key; set them" in str(caught.value)


async def test_an_answer_that_is_no_tenant() -> None:
    pbx = Pbx("merges")
    pbx.tenant = [1]  # type: ignore[assignment]
    async with client(pbx) as one:
        with pytest.raises(PbxInvalid, match="not a JSON object"):
            await one.tenant.event_url()
