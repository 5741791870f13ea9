"""Whatever a CRM answers: contacts, an owner, or `Unavailable`; no other error."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.crm.contacts import Contact, Number
from receiver import Unavailable
from receiver.upstream import Answer
from tests.handlers.crm.connected import CRMS, entry

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


async def ask(name: str, answer: Any, status: int) -> None:
    crm: Any = CRMS[name][1]("https://crm.example.com")

    async def given_answer(*_: object, **__: object) -> Answer:
        return Answer("https://crm.example.com", status, json.dumps(answer).encode())

    crm._api.ask = given_answer
    grace = Contact("7", owner="7")
    for asked in (crm.find(BERLIN), crm.owner(grace), crm.log(entry(grace))):
        try:
            found = await asked
        except Unavailable:
            continue
        if isinstance(found, tuple):
            assert all(isinstance(one.id, str) and one.id for one in found)
            assert all(isinstance(one.name + one.owner, str) for one in found)


@pytest.mark.parametrize("name", OURS)
@given(answer=ANSWERS, status=st.sampled_from([200, 201, 204]))
def test_any_answer(name: str, answer: Any, status: int) -> None:
    asyncio.run(ask(name, answer, status))


@pytest.mark.parametrize("name", OURS)
@given(rows=st.lists(st.dictionaries(NAMES, ANSWERS, max_size=6), max_size=3))
def test_any_records(name: str, rows: Any) -> None:
    """Of the right form as far as the list, so that the records are looked at."""
    asyncio.run(ask(name, wrapped(rows, LISTS[name]), 200))
