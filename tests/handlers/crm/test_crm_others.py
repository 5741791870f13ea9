"""Features of Odoo, Pipedrive and Salesforce only."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.crm.contacts import Contact, Number, Outcome
from handlers.crm.outcomes import CallCompleter
from handlers.crm.salesforce import _quoted, _term
from receiver import Unavailable
from receiver.upstream import UpstreamRefused
from tests.handlers.crm.connected import KEY, Stage, engagement_of
from tests.handlers.crm.fake_salesforce import _PHRASE, GRANT, VERSIONS

BERLIN = Number.parse("030 23125000", "DE")
module_loop = pytest.mark.asyncio(loop_scope="module")


@module_loop
async def test_requests_to_odoo_have_the_documented_form(staged: Callable[[str], Stage]) -> None:
    odoo = staged("odoo")
    odoo.fake.database = "acme"
    await odoo.make(database="acme").find(BERLIN)
    (request,) = odoo.fake.requests
    assert request.headers["authorization"] == "bearer odoo-key-of-the-tests"
    assert request.headers["x-odoo-database"] == "acme"
    assert request.path == "/json/2/res.partner/search_read"
    assert request.body["domain"] == [
        "|",
        "|",
        ["phone_sanitized", "=", "+493023125000"],
        ["phone_mobile_search", "=", "+493023125000"],
        ["phone_mobile_search", "=", "03023125000"],
    ]
    with pytest.raises(UpstreamRefused, match="NotFound"):
        await odoo.crm.find(BERLIN)


@module_loop
async def test_the_error_of_odoo_contains_its_name_only(staged: Callable[[str], Stage]) -> None:
    odoo = staged("odoo")
    with pytest.raises(UpstreamRefused, match=r"answered 500: builtins\.ValueError$"):
        await odoo.make(search={"no_such_field": ["e164"]}).find(BERLIN)


@module_loop
async def test_odoo_is_not_searched_for_two_digits(staged: Callable[[str], Stage]) -> None:
    odoo = staged("odoo")
    assert await odoo.crm.find(Number.parse("10")) == ()
    assert not odoo.fake.requests
    assert await odoo.crm.find(Number.parse("101")) == ()
    assert odoo.fake.requests


@module_loop
async def test_a_partner_may_have_no_salesperson(staged: Callable[[str], Stage]) -> None:
    odoo = staged("odoo")
    odoo.fake.add("030 23125000", "Grace Hopper", owner=False)
    (contact,) = await odoo.crm.find(BERLIN)
    assert contact.owner == ""


@module_loop
async def test_odoo_logs_no_calls_of_unknown_callers(staged: Callable[[str], Stage]) -> None:
    odoo = staged("odoo")
    assert await odoo.crm.log(engagement_of()) == ""
    assert not odoo.fake.requests
    crm = odoo.crm
    assert isinstance(crm, CallCompleter)
    await crm.complete("", engagement_of(end=Outcome(True)))  # would be tried ten times otherwise
    assert odoo.logged() == []


@module_loop
@pytest.mark.parametrize("term", ["1", "", "x"])
async def test_pipedrive_is_not_searched_for_one_character(
    staged: Callable[[str], Stage], term: str
) -> None:
    pipedrive = staged("pipedrive")
    assert await pipedrive.crm.find(Number.parse(term)) == ()
    assert not pipedrive.fake.requests


@module_loop
async def test_a_number_that_only_contains_the_digits_does_not_match(
    staged: Callable[[str], Stage],
) -> None:
    pipedrive = staged("pipedrive")
    pipedrive.fake.add("+43 3023125000", "In Austria")
    pipedrive.fake.add("030 231250001", "One digit more")
    pipedrive.fake.add("+49 30 23125000", "Grace Hopper")
    pipedrive.fake.add("101 555", "Has 101 in it")
    assert [one.name for one in await pipedrive.crm.find(BERLIN)] == ["Grace Hopper"]
    assert await pipedrive.crm.find(Number.parse("101")) == ()


@module_loop
async def test_an_oauth_token_is_sent_as_bearer(staged: Callable[[str], Stage]) -> None:
    pipedrive = staged("pipedrive")
    await pipedrive.make(bearer=True).find(BERLIN)
    await pipedrive.crm.find(BERLIN)
    bearer, own = (request.headers for request in pipedrive.fake.requests)
    assert bearer["authorization"] == "Bearer pipedrive-token-of-the-tests"
    assert "x-api-token" not in bearer
    assert own["x-api-token"] == "pipedrive-token-of-the-tests"


@module_loop
async def test_an_engagement_is_found_on_a_later_page(staged: Callable[[str], Stage]) -> None:
    pipedrive = staged("pipedrive")
    pipedrive.fake.page = 2
    for number in range(5):
        await pipedrive.crm.log(engagement_of(key=f"{number:032}"))
    await pipedrive.crm.log(engagement_of())
    await pipedrive.crm.log(engagement_of())
    assert sum(KEY in call["subject"] for call in pipedrive.logged()) == 1
    assert pipedrive.fake.requests[-1].query["cursor"] == "4"


@module_loop
async def test_pipedrive_logs_for_the_owner_by_option(staged: Callable[[str], Stage]) -> None:
    pipedrive = staged("pipedrive")
    grace = Contact("500", owner="11")
    await pipedrive.crm.log(engagement_of(grace, outcome="hung up", destination=""))
    await pipedrive.make(for_owner=True).log(engagement_of(grace, key="f" * 32))
    hung_up, forwarded = pipedrive.logged()
    assert "user_id" not in hung_up
    assert (hung_up["outcome"], hung_up["to_phone_number"]) == ("no_answer", "8000")
    assert (forwarded["user_id"], forwarded["person_id"]) == (11, 500)
    assert (forwarded["outcome"], forwarded["to_phone_number"]) == ("connected", "222")
    assert (forwarded["start_time"], forwarded["end_time"]) == ("2026-11-22 08:00:00",) * 2


@module_loop
@pytest.mark.parametrize("version", VERSIONS)
async def test_versions_of_salesforce(staged: Callable[[str], Stage], version: str) -> None:
    salesforce = staged("salesforce")
    record = salesforce.fake.add("(030) 23125000", "Grace Hopper")
    assert [one.id for one in await salesforce.make(version=version).find(BERLIN)] == [record]


@module_loop
async def test_an_unknown_version(staged: Callable[[str], Stage]) -> None:
    with pytest.raises(UpstreamRefused, match="404: NOT_FOUND: not found: check url="):
        await staged("salesforce").make(version="v20.0").find(BERLIN)


@module_loop
async def test_objects_are_sorted_by_the_option(staged: Callable[[str], Stage]) -> None:
    salesforce = staged("salesforce")
    contact = salesforce.fake.add("03023125000", "Grace Hopper")
    lead = salesforce.fake.add("+493023125000", "Grace Hopper", kind="Lead")
    found = await salesforce.make(objects=["Lead", "Contact"]).find(BERLIN)
    assert [one.id for one in found] == [lead, contact]
    assert len(salesforce.fake.requests) == 1


@module_loop
async def test_a_converted_lead_is_not_found(staged: Callable[[str], Stage]) -> None:
    salesforce = staged("salesforce")
    contact = salesforce.fake.add("03023125000", "Grace Hopper")
    salesforce.fake.add("03023125000", "Grace Hopper", kind="Lead", owner="0055g00000FormerAAA")
    salesforce.fake.tables["Lead"][0]["IsConverted"] = True
    assert [one.id for one in await salesforce.crm.find(BERLIN)] == [contact]


@module_loop
async def test_a_queue_is_no_owner_of_a_task(staged: Callable[[str], Stage]) -> None:
    salesforce = staged("salesforce")
    salesforce.fake.add("03023125000", "Grace Hopper", kind="Lead", owner="00G5g00000Queue1AAA")
    (lead,) = await salesforce.crm.find(BERLIN)
    assert await salesforce.crm.owner(lead) is None
    await salesforce.crm.log(engagement_of(lead))
    (task,) = salesforce.logged()
    assert task["WhoId"] == lead.id
    assert "OwnerId" not in task


@module_loop
async def test_client_credentials_of_salesforce(staged: Callable[[str], Stage]) -> None:
    salesforce = staged("salesforce")
    salesforce.fake.add("03023125000", "Grace Hopper")
    options = {name: GRANT[name] for name in ("client_id", "client_secret")}
    crm = salesforce.connect(salesforce.url + "/", token="", **options)
    assert len(await crm.find(BERLIN)) == 1
    salesforce.fake.tokens = {"00D5g!another-clients"}
    assert len(await crm.find(BERLIN)) == 1
    assert salesforce.fake.made == 2
    wrong = salesforce.make(token="", client_id="x", client_secret="y")
    text = "answered 400: invalid_client_id: check client_id=, client_secret=, and that they belong"
    with pytest.raises(Unavailable, match=text):
        await wrong.find(BERLIN)


@given(st.text(min_size=1))
def test_any_text_is_one_phrase_of_sosl(text: str) -> None:
    assert _PHRASE.fullmatch(_term(text))
    assert re.sub(r"\\(.)", r"\1", _term(text)[1:-1]) == text


@given(st.text())
def test_any_key_is_one_literal_of_soql(key: str) -> None:
    literal: Any = re.fullmatch(r"'(?:[^'\\]|\\.)*'", f"'{_quoted(key)}'", re.DOTALL)
    assert literal
    assert re.sub(r"\\(.)", r"\1", _quoted(key), flags=re.DOTALL) == key
