"""The fake HubSpot judged by HubSpot's own client; what only HubSpot has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from handlers.crm.contacts import Contact, Number
from handlers.crm.hubspot import HubSpot
from receiver import DeclarationError
from receiver.upstream import UpstreamRefused
from tests.handlers.crm.connected import KEY, Stage, engagement_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

NUMBER = Number.parse("(877) 929-0687", "US")


@pytest.fixture
def stage(staged: Callable[[str], Stage]) -> Stage:
    return staged("hubspot")


def client_of(stage: Stage, token: str = "") -> Any:
    client: Any = import_module("hubspot")

    return client.HubSpot(access_token=token or stage.fake.token, host=stage.url)


async def test_hubspots_own_client_finds_a_contact_and_its_owner(stage: Stage) -> None:
    contacts: Any = import_module("hubspot.crm.contacts")

    stage.fake.add("(877) 929-0687", "Grace Hopper", lifecyclestage="customer")
    client = client_of(stage)
    one = {"propertyName": "phone", "operator": "EQ", "value": "(877) 929-0687"}
    wanted = contacts.PublicObjectSearchRequest(
        filter_groups=[{"filters": [one]}],
        properties=["lifecyclestage", "hubspot_owner_id"],
        sorts=[],
        limit=10,
        after="0",
    )
    found = await asyncio.to_thread(client.crm.contacts.search_api.do_search, wanted)
    assert (found.total, found.results[0].properties["lifecyclestage"]) == (1, "customer")
    owner_id = int(found.results[0].properties["hubspot_owner_id"])
    owner = await asyncio.to_thread(client.crm.owners.owners_api.get_by_id, owner_id)
    assert (owner.id, owner.email, owner.first_name) == ("77", "ada@example.com", "Ada")


async def test_hubspots_own_client_logs_a_call_and_is_refused(stage: Stage) -> None:
    calls: Any = import_module("hubspot.crm.objects.calls")

    contact = stage.fake.add("(877) 929-0687", "Grace Hopper")
    kind = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194}
    body = calls.SimplePublicObjectInputForCreate(
        properties={"hs_timestamp": "2026-11-22T08:00:00Z"},
        associations=[{"to": {"id": contact}, "types": [kind]}],
    )
    basic = client_of(stage).crm.objects.calls.basic_api
    made = await asyncio.to_thread(basic.create, body)
    assert made.id == stage.fake.calls[0]["id"]
    read = {"inputs": [{"id": made.id}], "properties": ["hs_timestamp"]}
    batch = calls.BatchReadInputSimplePublicObjectId(**read, properties_with_history=[])
    found = await asyncio.to_thread(client_of(stage).crm.objects.calls.batch_api.read, batch)
    assert [one.properties["hs_timestamp"] for one in found.results] == ["2026-11-22T08:00:00Z"]
    body.properties = {}
    for api, status in (
        (basic, 400),
        (client_of(stage, "another-token-of-tests").crm.objects.calls.basic_api, 401),
    ):
        with pytest.raises(calls.ApiException) as caught:
            await asyncio.to_thread(api.create, body)
        assert caught.value.status == status


async def test_a_search_sends_all_required_keys_and_returns_fields(stage: Stage) -> None:
    stage.fake.add("(877) 929-0687", "Grace Hopper", lifecyclestage="lead", segment="gold")
    (contact,) = await stage.make(fields=["segment"]).find(NUMBER)
    assert (contact.name, contact.owner, contact.fields["segment"]) == (
        "Grace Hopper",
        "77",
        "gold",
    )
    body = stage.fake.requests[0].body
    assert set(body) == {"after", "filterGroups", "limit", "properties", "sorts"}
    assert len(body["filterGroups"]) == 5


async def test_equal_digits_in_another_country_do_not_match(stage: Stage) -> None:
    stage.fake.add("+49 877 9290687", "Another Person")
    assert await stage.crm.find(NUMBER) == ()


async def test_a_call_is_associated_with_contact_and_owner(stage: Stage) -> None:
    whose = stage.fake.add("(877) 929-0687", "Grace Hopper")
    (contact,) = await stage.crm.find(NUMBER)
    await stage.crm.log(engagement_of(contact))
    (call,) = stage.fake.calls
    assert call["associated"] == [whose]
    assert call["properties"]["hubspot_owner_id"] == "77"
    assert call["properties"]["hs_call_direction"] == "INBOUND"
    assert call["properties"]["hs_call_external_id"] == KEY


async def test_a_unique_key_prevents_duplicates_while_the_index_lags(stage: Stage) -> None:
    stage.fake.unique, stage.fake.late = "our_key", True
    crm = stage.make(key_field="our_key")
    await crm.log(engagement_of())
    await crm.log(engagement_of())
    assert len(stage.fake.calls) == 1


async def test_one_of_many_calls_of_a_contact_is_found_while_the_index_lags(stage: Stage) -> None:
    """Also if its contact was deleted since, then by the search only."""
    stage.fake.add("(877) 929-0687", "Grace Hopper")
    (contact,) = await stage.crm.find(NUMBER)
    crm, keys = stage.crm, [f"{number:032x}" for number in range(5)]
    for key in keys:
        await crm.log(engagement_of(contact, key=key))
    stage.fake.late, stage.fake.page = True, 2
    records = [await crm.log(engagement_of(contact, key=key)) for key in reversed(keys)]
    assert records == [call["id"] for call in reversed(stage.fake.calls)]
    stage.fake.late = False
    stage.fake.contacts.clear()
    assert await crm.log(engagement_of(contact, key=keys[0])) == records[-1]


async def test_a_call_of_a_deleted_contact_is_not_searched_for_in_vain(stage: Stage) -> None:
    with pytest.raises(UpstreamRefused):
        await stage.crm.log(engagement_of(Contact("4711")))
    assert stage.fake.requests[-1].path == "/crm/v3/objects/calls"


async def test_the_call_of_an_unknown_caller_is_found_by_the_search(stage: Stage) -> None:
    stage.fake.late = True
    await stage.crm.log(engagement_of())
    stage.fake.late = False
    await stage.crm.log(engagement_of())
    assert len(stage.fake.calls) == 1


@pytest.mark.parametrize("option", ["per_second", "others_per_second"])
async def test_both_rate_limits_are_above_0(option: str) -> None:
    options: Any = {option: 0.0}
    with pytest.raises(DeclarationError, match="per_second and burst must be above 0"):
        HubSpot("pat-token-of-the-tests", **options)


async def test_the_token_may_be_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBSPOT_TOKEN", "pat-token-of-the-tests")
    assert HubSpot("$HUBSPOT_TOKEN").name == "hubspot"
