"""Any answer of a CRM gives contacts, an owner, or `Unavailable`; no other error."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.crm.contacts import MAX_CONTACTS, Contact, Number
from handlers.crm.hubspot import HubSpot
from handlers.crm.pipedrive import Pipedrive
from receiver import Unavailable
from receiver.upstream import Answer
from tests.handlers.crm.connected import CRMS, engagement_of

OURS = sorted(CRMS.keys() & {"zoho", "odoo", "pipedrive", "salesforce"})
BERLIN = Number.parse("030 23125000", "DE")
NAMES = st.sampled_from([
    "data", "items", "item", "id", "Id", "owner", "Owner", "phones", "users", "searchRecords",
    "attributes", "type", "records", "user_id", "name", "email", "subject", "status",
    "additional_data", "next_cursor", "Full_Name", "OwnerId",
])  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "7", "+49 30"])
ANSWERS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4)
)
LISTS: dict[str, tuple[str, ...]] = {
    "zoho": ("data",),
    "odoo": (),
    "pipedrive": ("data", "items"),
    "salesforce": ("searchRecords",),
}


def wrapped(answer: Any, keys: tuple[str, ...]) -> Any:
    return answer if not keys else {keys[0]: wrapped(answer, keys[1:])}


async def check(name: str, answer: Any, status: int) -> None:
    crm: Any = CRMS[name][1]("https://crm.example.com")

    async def given_answer(*_: object, **__: object) -> Answer:
        return Answer("https://crm.example.com", status, json.dumps(answer).encode())

    crm._api.request = given_answer
    grace = Contact("7", owner="7")
    for result in (crm.find(BERLIN), crm.owner(grace), crm.log(engagement_of(grace))):
        try:
            found = await result
        except Unavailable:
            continue
        if isinstance(found, tuple):
            assert all(isinstance(one.id, str) and one.id for one in found)
            assert all(isinstance(one.name + one.owner, str) for one in found)


@pytest.mark.parametrize("name", OURS)
@given(answer=ANSWERS, status=st.sampled_from([200, 201, 204]))
def test_any_answer(name: str, answer: Any, status: int) -> None:
    asyncio.run(check(name, answer, status))


@pytest.mark.parametrize("name", OURS)
@given(rows=st.lists(st.dictionaries(NAMES, ANSWERS, max_size=6), max_size=3))
def test_any_records_in_a_list(name: str, rows: Any) -> None:
    """The form is right down to the list, so that the records are read."""
    asyncio.run(check(name, wrapped(rows, LISTS[name]), 200))


async def test_surplus_contacts_are_ignored() -> None:
    """Each is compared with the caller's number, which with thousands holds up all other calls."""
    records: Any = [{"id": n, "properties": {"phone": BERLIN.e164}} for n in range(3000)]
    hubspot: Any = HubSpot("x")
    hubspot._search_client.request = _says({"results": records})
    assert [one.id for one in await hubspot.find(BERLIN)] == [str(n) for n in range(MAX_CONTACTS)]
    items = [{"item": {"id": n, "phones": [BERLIN.e164]}} for n in range(3000)]
    pipedrive: Any = Pipedrive("x")
    pipedrive._api.request = _says({"data": {"items": items}})
    assert [one.id for one in await pipedrive.find(BERLIN)] == [str(n) for n in range(100)]


def test_the_text_contains_no_keyed_input() -> None:
    caller = Number.parse("<img src=//example.com/1 onerror=x>23125000")
    assert (
        engagement_of(caller=caller).text == "Call from an unknown number to 8000: forwarded to 222"
    )
    assert "+493023125000" in engagement_of().text


def _says(answer: Any) -> Any:
    async def respond(*_: object, **__: object) -> Answer:
        return Answer("https://crm.example.com", 200, json.dumps(answer).encode())

    return respond
