"""handlers/crm/lookup.py and routes.py: where a caller goes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from handlers.crm.contacts import Contact, Owner
from handlers.crm.lookup import CallerLookup
from receiver import Call, DeclarationError, Forward, Hangup, Repeat, Reply, Unavailable
from receiver.call_context import Detached
from tests.background.conftest import soon
from tests.handlers.crm.memory import MemoryCrm

ADA = Contact("1", "Ada", "7", {"lifecyclestage": "Customer", "deals": "2", "lang": "de;en"})
BOB = Contact("2", "Bob", "8", {"ext": 444})
OWNER = Owner("7", "Olga", "olga@example.com", {"extension": " 777 ", "team": "north"})
CALL = Call(caller="030 123456", ivr="8000", digits="1", session_id="s1")


@pytest.fixture
def crm() -> MemoryCrm:
    crm = MemoryCrm()
    crm.contacts = {"4930123456": (ADA,), "4930654321": (BOB,)}
    crm.owners = {"7": OWNER}
    return crm


def lookup(crm: MemoryCrm, **options: Any) -> CallerLookup:
    return CallerLookup(crm, **{"unknown": "0", "region": "DE", **options})


def by_function(contact: Contact, owner: Owner | None, call: Call) -> str | None:
    return "55" if owner and owner.fields["team"] == "north" and call.digits == "1" else None


async def later(contact: Contact, owner: Owner | None, call: Call) -> Forward:
    return Forward("56")


async def handler(call: Call) -> Reply:
    return Forward(call.ivr)


CUSTOMER = {"field": "lifecyclestage", "equals": "customer"}


@pytest.mark.parametrize(
    ("options", "reply"),
    [
        ({}, Forward("0")),
        ({"found": Forward("9")}, Forward("9")),
        ({"found": "hangup"}, Hangup()),
        ({"found": handler}, Forward("8000")),
        ({"found": by_function}, Forward("55")),
        ({"found": later}, Forward("56")),
        ({"found": lambda contact, owner, call: None}, Forward("0")),
        ({"found": "9", "owners": {"7": "201"}}, Forward("201")),
        ({"found": "9", "owners": {"Olga@Example.com": "202"}}, Forward("202")),
        ({"found": "9", "owners": {"8": "201"}}, Forward("9")),
        ({"owner_field": "extension"}, Forward("777")),
        ({"owner_field": "team", "found": "9"}, Forward("9")),
        ({"owner_field": "nothing", "found": "9"}, Forward("9")),
        ({"owners": {"7": "201"}, "rules": [{**CUSTOMER, "to": "222"}]}, Forward("222")),
        ({"owners": {"7": "201"}, "rules": [{**CUSTOMER, "to": "owner"}]}, Forward("201")),
        ({"found": "9", "rules": [{**CUSTOMER, "to": "owner"}]}, Forward("9")),
        ({"rules": [{"field": "owner.team", "equals": "north", "to": "33"}]}, Forward("33")),
        ({"rules": [{"field": "owner.team", "equals": "south", "to": "33"}]}, Forward("0")),
    ],
)
async def test_routes_of_a_contact(crm: MemoryCrm, options: Any, reply: Reply) -> None:
    assert await lookup(crm, **options)(CALL) == reply


async def test_a_field_of_the_contact_may_hold_the_extension(crm: MemoryCrm) -> None:
    assert await lookup(crm, owner_field="ext")(Call(caller="+4930654321")) == Forward("444")


async def test_the_owner_is_requested_only_if_a_route_needs_it(crm: MemoryCrm) -> None:
    await lookup(crm, owners={"7": "201"}, found="9")(CALL)
    assert crm.owner_requests == 0
    await lookup(crm, owners={"7": "201", "x@example.com": "1"})(CALL)
    assert crm.owner_requests == 0
    await lookup(crm, owners={"olga@example.com": "201"})(CALL)
    assert crm.owner_requests == 1


@pytest.mark.parametrize("caller", ["", "anonymous", "101", "+"])
async def test_extensions_and_the_anonymous_are_not_looked_up(crm: MemoryCrm, caller: str) -> None:
    one = lookup(crm, log="all")
    assert await one(Call(caller=caller)) == Forward("0")
    assert await one.ahead(Call(caller=caller)) == Repeat()
    assert crm.finds == 0


async def test_several_contacts(crm: MemoryCrm) -> None:
    twin = Contact("3", "Twin", "7")
    crm.contacts["4930123456"] = (ADA, twin)
    assert await lookup(crm, owners={"7": "201"}, several="5")(CALL) == Forward("201")
    crm.contacts["4930123456"] = (ADA, BOB)
    assert await lookup(crm, owners={"7": "201"}, several="5")(CALL) == Forward("5")
    assert await lookup(crm, owners={"7": "201"})(CALL) == Forward("0")
    crm.contacts["4930123456"] = (Contact("4"), Contact("5"))
    assert await lookup(crm, found="9", several="5")(CALL) == Forward("5")


async def test_concurrent_callers_share_one_request(crm: MemoryCrm) -> None:
    one = lookup(crm, owner_field="extension")
    replies = await asyncio.gather(*(one(CALL) for _ in range(20)))
    assert set(replies) == {Forward("777")}
    assert (crm.finds, crm.owner_requests) == (1, 1)


async def test_ahead_requests_contact_and_owner(crm: MemoryCrm) -> None:
    one = lookup(crm, owner_field="extension")
    assert await one.ahead(CALL) == Repeat()
    await soon(lambda: crm.owner_requests == 1)
    crm.error = Unavailable("the CRM is down")
    assert await one(CALL) == Forward("777")
    assert (crm.finds, crm.owner_requests) == (1, 1)


@pytest.mark.parametrize("error", [Unavailable("it is down"), KeyError("+4930123456")])
async def test_the_caller_is_unknown_while_the_crm_is_unavailable(
    crm: MemoryCrm, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    crm.error = error
    one = lookup(crm, found="9")
    assert [await one(CALL) for _ in range(5)] == [Forward("0")] * 5
    assert "123456" not in caplog.text
    assert caplog.text.count("CRM memory unavailable") == 1


async def test_a_missing_owner_leaves_the_contact_known(crm: MemoryCrm) -> None:
    crm.owners = {}
    assert await lookup(crm, owner_field="extension", found="9")(CALL) == Forward("9")


async def test_which_calls_are_logged(crm: MemoryCrm) -> None:
    cases: list[tuple[dict[str, Any], str, int]] = [
        ({"found": "9"}, "030 123456", 1),
        ({"found": "repeat"}, "030 123456", 0),
        ({"found": "9", "log": "never"}, "030 123456", 0),
        ({}, "030 999999", 0),
        ({"log": "all"}, "030 999999", 1),
    ]
    for options, caller, jobs in cases:
        behind = Detached()
        await lookup(crm, **options)(Call(caller=caller, ivr="8000", context=behind))
        assert len(behind.after) == jobs, options


async def test_the_job_contains_only_required_data(crm: MemoryCrm) -> None:
    behind = Detached()
    await lookup(crm, found="9")(CALL.backed(behind))
    (job,) = behind.after
    args: Any = job.args
    name, packed, searched = args
    assert (job.durably, name, searched) == (True, "memory", True)
    assert (packed["contact"], packed["outcome"], packed["destination"]) == ("1", "forwarded", "9")
    assert "lifecyclestage" not in packed


@pytest.mark.parametrize(
    "options",
    [
        {"log": "sometimes"},
        {"region": "XX"},
        {"found": 7},
        {"owners": {"7": "not a number"}},
        {"several": "?"},
        {"rules": [{"field": "a", "to": "1"}]},
        {"rules": [{"field": "a", "equals": "x", "to": "?"}]},
        {"fresh": 10.0, "stale": 1.0},
    ],
)
def test_invalid_options_are_refused_at_creation(crm: MemoryCrm, options: Any) -> None:
    with pytest.raises(DeclarationError):
        lookup(crm, **options)
