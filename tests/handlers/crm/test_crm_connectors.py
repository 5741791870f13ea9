"""Contract of all connectors: contacts are found, a call is logged once, also after faults."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from handlers.crm.contacts import Contact, Number
from receiver import Secret, Unavailable
from receiver.upstream import UpstreamRefused
from tests.handlers.crm.connected import KEY, Stage, engagement_of
from tests.handlers.crm.faking import RETRY_AFTER
from tests.upstream.stage import Timed

pytestmark = pytest.mark.asyncio(loop_scope="module")

E164 = "+493023125000"
BERLIN = Number.parse("030 23125000", "DE")
WRITTEN = ("+49 30 23125000", "030 / 231-25000", "(030) 23125000")


def add(stage: Stage, phone: str = WRITTEN[0], name: str = "Grace Hopper") -> str:
    further = {"sanitized": E164} if stage.crm.name == "odoo" else {}
    record: str = stage.fake.add(phone, name, **further)
    return record


async def one(stage: Stage) -> Contact:
    (contact,) = await stage.crm.find(BERLIN)
    return contact


@pytest.mark.parametrize("phone", WRITTEN)
async def test_a_contact_is_found_in_each_notation_of_its_number(stage: Stage, phone: str) -> None:
    stage.fake.add("+1 212 555 0100", "Another Person")
    record = add(stage, phone)
    contact = await one(stage)
    assert (contact.id, contact.name) == (record, "Grace Hopper")


@pytest.mark.parametrize("typed", ["+493023125000", "0049 30 23125000", "03023125000"])
async def test_the_pbx_may_send_the_number_in_any_form(stage: Stage, typed: str) -> None:
    record = add(stage)
    assert [c.id for c in await stage.crm.find(Number.parse(typed, "DE"))] == [record]


async def test_an_unknown_number_has_no_contact(stage: Stage) -> None:
    add(stage)
    assert await stage.crm.find(Number.parse("+493023125001", "DE")) == ()


async def test_an_anonymous_caller_is_not_searched_for(stage: Stage) -> None:
    assert await stage.crm.find(Number.parse("anonymous")) == ()
    assert not stage.fake.requests


async def test_two_contacts_of_one_number_are_each_returned_once(stage: Stage) -> None:
    records = {add(stage), add(stage, WRITTEN[1], "Her Brother")}
    found = await stage.crm.find(BERLIN)
    assert len(found) == 2
    assert {contact.id for contact in found} == records


async def test_the_owner_is_a_user_of_the_crm(stage: Stage) -> None:
    add(stage)
    owner = await stage.crm.owner(await one(stage))
    assert owner is not None
    assert (owner.name, owner.email) == ("Ada Lovelace", "ada@example.com")
    assert owner.id == (await one(stage)).owner


async def test_a_contact_without_an_owner(stage: Stage) -> None:
    assert await stage.crm.owner(Contact("1")) is None
    assert not stage.fake.requests


async def test_a_deleted_owner_is_none(stage: Stage) -> None:
    assert await stage.crm.owner(Contact("1", owner="99")) is None


@pytest.mark.parametrize("trouble", ["down", "garbage", "odd", "throttled"])
async def test_faults_raise_unavailable(stage: Stage, trouble: Any) -> None:
    add(stage)
    contact = await one(stage)
    stage.fake.trouble = trouble
    crm = stage.crm
    with pytest.raises(Unavailable) as caught:
        await crm.find(BERLIN)
    assert "23125000" not in str(caught.value)
    with pytest.raises(Unavailable):
        await stage.crm.owner(Contact("1", owner=contact.owner))
    with pytest.raises(Unavailable):
        await stage.crm.log(engagement_of(contact))


async def test_the_url_may_end_with_a_slash(stage: Stage) -> None:
    add(stage)
    assert await stage.connect(stage.url + "/").find(BERLIN)


async def test_a_slow_crm_is_abandoned_at_the_deadline(stage: Stage) -> None:
    stage.fake.trouble = "slow"
    with pytest.raises(Unavailable):
        await stage.crm.find(BERLIN, Timed(left=1.0))
    assert stage.fake.requests


async def test_no_request_is_sent_before_retry_after(stage: Stage) -> None:
    stage.fake.trouble = "throttled"
    crm = stage.crm
    with pytest.raises(UpstreamRefused) as caught:
        await crm.find(BERLIN)
    assert (caught.value.status, caught.value.retry_after) == (429, RETRY_AFTER)
    before, stage.fake.trouble = len(stage.fake.requests), ""
    with pytest.raises(Unavailable):
        await crm.find(BERLIN)
    assert len(stage.fake.requests) == before


async def test_the_error_names_wrong_credentials(stage: Stage) -> None:
    crm = stage.make(token=Secret("another-token-than-that"))
    with pytest.raises(UpstreamRefused, match="credentials") as caught:
        await crm.find(BERLIN)
    assert caught.value.status == 401


async def test_repeated_logging_creates_one_record(stage: Stage) -> None:
    add(stage)
    call = engagement_of(await one(stage))
    for _ in range(3):
        await stage.crm.log(call)
    (logged,) = stage.logged()
    assert KEY in str(logged)
    assert "222" in str(logged)


async def test_concurrent_logging_creates_one_record(stage: Stage) -> None:
    add(stage)
    call, crm = engagement_of(await one(stage)), stage.crm
    await asyncio.gather(*(crm.log(call) for _ in range(4)))
    assert len(stage.logged()) == 1


async def test_a_record_whose_answer_was_lost_is_not_created_again(stage: Stage) -> None:
    """Also if the index of the search lags. To the CRM a kill before the report is the same."""
    add(stage)
    call = engagement_of(await one(stage))
    serve, stage.fake.late = stage.fake.serve, True

    async def lose_what_is_written(request: Any) -> Any:
        before = len(stage.logged())
        response = await serve(request)
        return stage.fake.refused(502, "BAD_GATEWAY") if len(stage.logged()) > before else response

    stage.fake.serve = lose_what_is_written
    with pytest.raises(Unavailable):
        await stage.crm.log(call)
    assert len(stage.logged()) == 1
    await stage.crm.log(call)
    assert len(stage.logged()) == 1


async def test_two_calls_are_two_records(stage: Stage) -> None:
    add(stage)
    contact = await one(stage)
    await stage.crm.log(engagement_of(contact))
    await stage.crm.log(engagement_of(contact, key="f" * 32))
    assert len(stage.logged()) == 2


async def test_reprs_and_logs_contain_no_data_of_the_caller(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    add(stage)
    contact = await one(stage)
    await stage.crm.log(engagement_of(contact))
    owner = await stage.crm.owner(contact)
    shown = f"{contact!r} {owner!r} {caplog.text}"
    assert not [text for text in ("23125000", "Grace", "Lovelace", "ada@") if text in shown]


HOSTILE = (
    '101" OR "1',
    "101} IN ALL FIELDS RETURNING User(Id",
    "101) or (Email:starts_with:a",
    "%%%101",
    "*101*",
    "101' OR '1'='1",
    "101&per_page=200&fields=x",
    "101\\",
    "\u0661\u0660\u0661 101",
    "101\r\nX-Other: 1",
)


@pytest.mark.parametrize("typed", HOSTILE)
async def test_a_hostile_number_is_not_interpreted_as_a_query(stage: Stage, typed: str) -> None:
    """The same holds if the CRM is searched for the number as typed."""
    stage.fake.add("900", "Another Person")
    assert await stage.crm.find(Number.parse(typed)) == ()
    options: dict[str, dict[str, Any]] = {
        "hubspot": {},
        "pipedrive": {},
        "odoo": {"search": {"phone": ["typed"], "phone_mobile_search": ["typed"]}},
    }
    crm = stage.make(**options.get(stage.crm.name, {"forms": ["typed"]}))
    assert await crm.find(Number.parse(typed)) == ()
