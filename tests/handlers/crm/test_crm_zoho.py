"""Features of Zoho only: token refresh, 204 without a result, leads, unique fields."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from handlers.crm.contacts import Contact, Number, Outcome
from handlers.crm.credentials import REFRESH_INTERVAL, RETRY_AFTER, OAuth
from handlers.crm.outcomes import CallCompleter
from receiver import Secret, Unavailable
from tests.handlers.crm.connected import KEY, Stage, engagement_of
from tests.handlers.crm.fake_zoho import REFRESH
from tests.upstream.stage import Timed

pytestmark = pytest.mark.asyncio(loop_scope="module")

BERLIN = Number.parse("030 23125000", "DE")
GRANT: dict[str, Any] = {
    "token": "",
    **{name: Secret(text) for name, text in REFRESH.items() if name != "grant_type"},
}


@pytest.fixture
def zoho(staged: Callable[[str], Stage]) -> Stage:
    return staged("zoho")


async def test_the_header_of_zoho(zoho: Stage) -> None:
    await zoho.crm.find(BERLIN)
    sent = {request.headers["authorization"] for request in zoho.fake.requests}
    assert sent == {"Zoho-oauthtoken 1000.token-of-the-tests-0"}


async def test_all_modules_and_forms_are_searched_at_once(zoho: Stage) -> None:
    await zoho.crm.find(BERLIN)
    assert {(one.path, one.query["phone"]) for one in zoho.fake.requests} == {
        (f"/crm/v8/{module}/search", form)
        for module in ("Contacts", "Leads")
        for form in ("+493023125000", "03023125000")
    }


async def test_contacts_come_before_leads(zoho: Stage) -> None:
    lead = zoho.fake.add("03023125000", "Grace Hopper", module="Leads")
    contact = zoho.fake.add("+493023125000", "Grace Hopper")
    assert [one.id for one in await zoho.crm.find(BERLIN)] == [contact, lead]


async def test_records_that_only_contain_the_digits_do_not_match(zoho: Stage) -> None:
    """The search of Zoho may compare texts in part."""
    zoho.fake.contains = True
    zoho.fake.add("+49 30 231250001", "One digit more", Zip="030 2312")
    own = zoho.fake.add("+49 89 1", "Custom field", Second_Number="030/23125000")
    hidden = zoho.fake.add("", "Not readable")
    assert {one.id for one in await zoho.crm.find(BERLIN)} == {own, hidden}


async def test_a_number_in_a_field_that_is_not_read_is_found(zoho: Stage) -> None:
    contact = zoho.fake.add("+49 89 1234567", "Grace Hopper", Mobile="03023125000")
    (found,) = await zoho.make(fields=["Phone"]).find(BERLIN)
    assert (found.id, "Mobile" in found.fields) == (contact, False)


@pytest.mark.parametrize("phone", ["030 23125000 (Büro)", "Tel. 030 23125000", "switchboard"])
async def test_words_in_a_field_do_not_hide_a_contact(zoho: Stage, phone: str) -> None:
    zoho.fake.contains = True
    contact = zoho.fake.add(phone, "Grace Hopper")
    zoho.fake.add("089 1234567 (Büro)", "Other number")
    assert [one.id for one in await zoho.crm.find(BERLIN)] == [contact]


async def test_an_extension_is_compared_as_a_whole(zoho: Stage) -> None:
    zoho.fake.contains = True
    contact = zoho.fake.add("201 (Büro)", "Grace Hopper")
    zoho.fake.add("2012", "Longer extension")
    zoho.fake.add("201 555 0123", "Area code")
    assert [one.id for one in await zoho.crm.find(Number.parse("201"))] == [contact]


async def test_only_the_configured_fields_are_read(zoho: Stage) -> None:
    zoho.fake.add("03023125000", "Grace Hopper", Lead_Source="Fair", Secret_Note="x")
    (contact,) = await zoho.make(fields=["Lead_Source"]).find(BERLIN)
    assert contact.fields["Lead_Source"] == "Fair"
    assert "Secret_Note" not in contact.fields


async def test_an_owner_in_the_record_is_not_requested(zoho: Stage) -> None:
    zoho.fake.add("03023125000", "Grace Hopper")
    (contact,) = await zoho.crm.find(BERLIN)
    before = len(zoho.fake.requests)
    known = await zoho.crm.owner(contact)
    assert len(zoho.fake.requests) == before
    found = await zoho.crm.owner(Contact(contact.id, owner=contact.owner))
    assert known is not None
    assert found is not None
    assert (known.id, known.name, known.email) == (found.id, found.name, found.email)


@pytest.mark.parametrize(("module", "expected"), [
    ("Contacts", {"Who_Id": {"id": "48768760000"}}),
    ("Leads", {"What_Id": {"id": "48768760000"}, "$se_module": "Leads"}),
])  # fmt: skip
async def test_the_record_of_a_call(zoho: Stage, module: str, expected: dict[str, Any]) -> None:
    await zoho.crm.log(engagement_of(Contact(f"{module}/48768760000", owner="7")))
    (call,) = zoho.logged()
    assert {name: call.get(name) for name in expected} == expected
    assert call["Owner"] == {"id": "7"}


async def test_a_call_of_an_unknown_caller_has_no_contact(zoho: Stage) -> None:
    await zoho.crm.log(engagement_of())
    (call,) = zoho.logged()
    assert not {"Who_Id", "What_Id", "Owner"} & set(call)


async def test_a_unique_field_prevents_duplicates(zoho: Stage) -> None:
    zoho.fake.unique = "Receiver_Key"
    for _ in range(2):
        await zoho.make(key_field="Receiver_Key").log(engagement_of())
    assert [call["Receiver_Key"] for call in zoho.logged()] == [KEY]
    assert {request.method for request in zoho.fake.requests} == {"POST"}


async def test_a_call_that_zoho_refuses_is_not_logged(zoho: Stage) -> None:
    zoho.fake.unique = "Missing"
    zoho.fake._call = lambda row: zoho.fake._result(400, "INVALID_DATA")
    with pytest.raises(Unavailable, match="INVALID_DATA"):
        await zoho.crm.log(engagement_of())
    zoho.fake._call = lambda row: zoho.fake._result(202, "INVALID_DATA")
    with pytest.raises(Unavailable, match="did not accept"):
        await zoho.crm.log(engagement_of())


@pytest.mark.parametrize(("fixed", "kind"), [(True, "Inbound"), (False, "Missed")])
async def test_the_type_of_a_missed_call_is_changed_if_zoho_allows_it(
    zoho: Stage, fixed: bool, kind: str
) -> None:
    zoho.fake.fixed_type = fixed
    record = await zoho.crm.log(engagement_of())
    assert record is not None
    crm = zoho.crm
    assert isinstance(crm, CallCompleter)
    await crm.complete(record, engagement_of(end=Outcome(False)))
    (call,) = zoho.logged()
    assert call["Call_Type"] == kind
    assert "not answered" in call["Description"]


async def test_concurrent_callers_share_one_token(zoho: Stage) -> None:
    zoho.fake.add("03023125000", "Grace Hopper")
    crm = zoho.connect(zoho.url + "/", **GRANT)
    found = await asyncio.gather(*(crm.find(BERLIN) for _ in range(5)))
    assert all(len(contacts) == 1 for contacts in found)
    assert zoho.fake.made == 1


async def test_an_expired_token_is_refreshed_once(zoho: Stage) -> None:
    zoho.fake.add("03023125000", "Grace Hopper")
    crm = zoho.make(**GRANT)
    await crm.find(BERLIN)
    zoho.fake.tokens = {"1000.another-clients"}
    found = await asyncio.gather(*(crm.find(BERLIN) for _ in range(5)))
    assert all(len(contacts) == 1 for contacts in found)
    assert zoho.fake.made == 2


async def test_a_refused_fresh_token_is_not_refreshed_repeatedly(zoho: Stage) -> None:
    crm = zoho.make(**GRANT)
    zoho.fake.trouble = ""
    serve = zoho.fake.serve

    async def refuse(request: Any) -> Any:
        if request.url.path == "/oauth/v2/token":
            return await serve(request)
        return zoho.fake.refused(401, "INVALID_TOKEN")

    zoho.fake.serve = refuse
    for _ in range(5):
        with pytest.raises(Unavailable):
            await crm.find(BERLIN)
    assert zoho.fake.made == 2


async def test_a_refused_token_request_is_not_repeated_at_once(
    zoho: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    zoho.fake.denied = True
    crm = zoho.make(**GRANT)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await crm.find(BERLIN)
    assert len(zoho.fake.requests) == 1
    assert zoho.fake.requests[0].path == "/oauth/v2/token"
    assert not [secret for secret in REFRESH.values() if secret in caplog.text]


async def test_a_token_request_outlives_the_call(zoho: Stage) -> None:
    zoho.fake.trouble = "slow"
    crm = zoho.make(**GRANT)
    with pytest.raises(Unavailable):
        await crm.find(BERLIN, Timed(left=1.0))
    zoho.fake.trouble = ""
    zoho.fake.released.set()
    zoho.fake.add("03023125000", "Grace Hopper")
    assert len(await crm.find(BERLIN)) == 1
    assert zoho.fake.made == 1  # the request continued without the call


async def test_a_token_is_requested_again_after_a_pause(zoho: Stage) -> None:
    now = 1000.0
    url = f"{zoho.url}/oauth/v2/token"
    oauth = OAuth("Zoho", url, REFRESH, timeout=30.0, clock=lambda: now)
    zoho.fake.denied = True
    with pytest.raises(Unavailable, match="client_id"):
        await oauth.token(None)
    zoho.fake.denied = False
    now += RETRY_AFTER - 1
    with pytest.raises(Unavailable):
        await oauth.token(None)
    now += 1
    first = await oauth.token(None)
    assert oauth.refused(first)
    second = await oauth.token(None)
    assert second != first
    assert oauth.refused(first)  # another call had the old one: there is a new one already
    now += REFRESH_INTERVAL - 1
    assert not oauth.refused(second)
    now += 1
    assert oauth.refused(second)
    assert await oauth.token(None) not in (first, second)
