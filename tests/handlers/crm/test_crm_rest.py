"""handlers/crm/rest.py, against a CRM made for it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from handlers.crm.contacts import Contact, Number, Outcome
from handlers.crm.outcomes import Task
from handlers.crm.rest import Rest
from receiver import DeclarationError, Unavailable
from tests.handlers.crm.connected import KEY, engagement_of
from tests.upstream.stage import Crm, answer

NUMBER = Number.parse("030 23125000", "DE")
FIND = {
    "url": "/people",
    "params": {"phone": "{e164}"},
    "at": "data.items",
    "id": "id",
    "name": "full.name",
    "owner": "owner.0.id",
}
PEOPLE = b'{"data":{"items":[{"id":5,"full":{"name":"Grace"},"owner":[{"id":"7"}],"vip":true}]}}'
SEEK = {"url": "/calls", "params": {"ref": "{key}"}, "at": "data"}
LOG = {"url": "/calls", "json": {"ref": "{key}", "who": ["{contact}"], "said": "{text}", "n": 1}}


async def test_a_contact_and_its_owner(other: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_KEY", "key-of-the-tests-1")
    other.script = [answer(PEOPLE), answer(b'{"mail":"ada@example.com"}')]
    owner = {"url": "/users/{owner}", "email": "mail"}
    crm = Rest(other.url, find=FIND, owner=owner, headers={"Authorization": "Token $CRM_KEY"})
    (contact,) = await crm.find(NUMBER)
    assert (contact.id, contact.name, contact.owner) == ("5", "Grace", "7")
    assert contact.fields["vip"] is True
    found = await crm.owner(Contact("5", owner="../7?x"))
    assert found is not None
    assert found.email == "ada@example.com"
    assert other.requests[0].startswith("GET /people?phone=%2B493023125000 ")
    assert "authorization: token key-of-the-tests-1" in other.requests[0].lower()
    assert other.requests[1].startswith("GET /users/..%2F7%3Fx ")


@pytest.mark.parametrize(
    ("body", "status"), [(b"", "204 No Content"), (b'{"data":{"items":null}}', "200 OK")]
)
async def test_an_unknown_number_has_no_contact(other: Crm, body: bytes, status: str) -> None:
    other.script = [answer(body, status)]
    assert await Rest(other.url, find=FIND).find(NUMBER) == ()


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"<html>", b'{"data":{"items":[7]}}', b'{"data":{"items":[{"x":1}]}}']
)
async def test_garbage_raises_unavailable(other: Crm, body: bytes) -> None:
    other.script = [answer(body)]
    with pytest.raises(Unavailable):
        await Rest(other.url, find=FIND).find(NUMBER)


async def test_requests_are_sent_in_order_and_none_without_a_value(other: Crm) -> None:
    other.script = [answer(b'{"data":{"items":[]}}'), answer(PEOPLE)]
    crm = Rest(other.url, find=[FIND, {**FIND, "params": {"mobile": "{national}"}}])
    assert len(await crm.find(NUMBER)) == 1
    assert "mobile=03023125000" in other.requests[1]
    assert await crm.find(Number.parse("101")) == ()
    assert other.count == 2


async def test_a_call_is_logged_once(other: Crm) -> None:
    crm = Rest(other.url, find=FIND, seek=SEEK, log=LOG)
    other.script = [answer(b'{"data":[]}'), answer(b"", "201 Created")]
    await crm.log(engagement_of(Contact("5")))
    assert other.requests[1].startswith("POST /calls ")
    assert f'"ref":"{KEY}","who":["5"]' in other.requests[1]
    assert '"n":1' in other.requests[1]
    other.script = [answer(b'{"data":[{"id":1}]}')]
    await crm.log(engagement_of(Contact("5")))
    assert other.count == 3
    await Rest(other.url, find=FIND).log(engagement_of())
    assert other.count == 3


async def test_concurrent_logging_creates_one_record(other: Crm) -> None:
    crm = Rest(other.url, find=FIND, seek={**SEEK, "id": "id"}, log={**LOG, "id": "id"})
    created = answer(b'{"id":1}', "201 Created")
    other.script = [answer(b'{"data":[]}'), created, answer(b'{"data":[{"id":1}]}')]
    call = engagement_of(Contact("5"))
    assert {*await asyncio.gather(crm.log(call), crm.log(call))} == {"1"}
    assert [request.split()[0] for request in other.requests] == ["GET", "POST", "GET"]


async def test_a_name_that_is_not_ascii_is_quoted_in_a_header(other: Crm) -> None:
    log = {"url": "/calls/{key}", "json": {}, "headers": {"X-Name": "{name}, 100 %"}}
    await Rest(other.url, find=FIND, log=log).log(engagement_of(Contact("5", "J\u00fcrgen Weiss")))
    assert "\r\nx-name: j%c3%bcrgen weiss, 100 %\r\n" in other.requests[0].lower()


@pytest.mark.parametrize(("url", "warned"), [("/peple", 1), ("/people/{e164}", 0)])
async def test_404_is_not_found_and_may_be_a_wrong_url(
    other: Crm, caplog: pytest.LogCaptureFixture, url: str, warned: int
) -> None:
    crm = Rest(other.url, find={"url": url, "id": "id"}, name="acme")
    other.script = [answer(b"<html>", "404 Not Found")] * 2
    assert await crm.find(NUMBER) == await crm.find(NUMBER) == ()
    text = "acme: 404 is taken as not found; if no caller is found, check the url /peple"
    assert [one.getMessage() for one in caplog.records] == [text] * warned


END = Outcome(True, "222", 95.4, "https://pbx.example.com/r/1")
COMPLETE = {
    "url": "/calls/{record}",
    "method": "PATCH",
    "json": ["{status}", "{answered}", "{duration}", "{recording}", "{contact}"],
}
TASK = {"url": "/tasks", "headers": {"Idempotency-Key": "{key}"}, "json": ["{text}", "{due}"]}


async def test_a_call_is_completed_by_the_id_of_its_record(other: Crm) -> None:
    log = {"url": "/calls/{key}", "json": {}, "id": "data.id"}
    crm = Rest(other.url, find=FIND, log=log, complete=COMPLETE)
    other.script = [answer(b'{"data":{"id":4711}}'), answer(b"")]
    assert await crm.log(engagement_of(Contact("5"))) == "4711"
    await crm.complete("4711", engagement_of(end=END))
    assert other.requests[1].startswith("PATCH /calls/4711 ")
    assert '["answered","222","95","https://pbx.example.com/r/1",""]' in other.requests[1]
    with pytest.raises(Unavailable, match="does not find the call"):
        await crm.complete("", engagement_of(end=END))


async def test_a_call_is_completed_by_its_key(other: Crm) -> None:
    crm = Rest(other.url, find=FIND, seek={**SEEK, "id": "id"}, log=LOG, complete=COMPLETE)
    other.script = [answer(b'{"data":[{"id":7}]}'), answer(b'{"data":[{"id":7}]}'), answer(b"")]
    assert await crm.log(engagement_of(Contact("5"))) == "7"
    await crm.complete("", engagement_of(end=Outcome(False)))
    assert other.requests[2].startswith("PATCH /calls/7 ")
    assert '["missed","","0","",""]' in other.requests[2]
    await Rest(other.url, find=FIND).complete("7", engagement_of(end=END))
    assert other.count == 3


async def test_a_task_is_created_with_the_key_of_the_call(other: Crm) -> None:
    due = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
    task = Task(KEY, due, "call back", NUMBER, Contact("5"), "7")
    other.script = [answer(b"", "409 Conflict")]
    await Rest(other.url, find=FIND, task=TASK).add_task(task)
    assert f"idempotency-key: {KEY}" in other.requests[0].lower()
    assert '["call back","2026-11-30T09:00:00+00:00"]' in other.requests[0]
    await Rest(other.url, find=FIND).add_task(task)
    assert other.count == 1


@pytest.mark.parametrize(
    "options",
    [
        {"find": FIND, "task": {"url": "/tasks", "json": {"key": "{key}"}}},
        {"find": FIND, "complete": {"url": "/calls/{due}"}},
        {"find": FIND, "seek": SEEK, "log": LOG, "complete": COMPLETE},  # no id in an answer
        {"find": {"url": "/x"}},
        {"find": []},
        {"find": {**FIND, "ids": "id"}},
        {"find": {**FIND, "params": {"a": "{key}"}}},
        {"find": {**FIND, "at": 7}},
        {"find": {**FIND, "method": "GTE"}},
        {"find": {**FIND, "headers": {"X": "two\nlines"}}},
        {"find": FIND, "log": LOG},
        {"find": FIND, "seek": {"url": "/calls"}, "log": LOG},
        {"find": FIND, "headers": {"X": "$NO_SUCH_VARIABLE"}},
    ],
)
def test_invalid_options_are_refused_at_creation(options: Any) -> None:
    with pytest.raises(DeclarationError):
        Rest("https://crm.example.com", **options)


def test_the_crm_may_treat_the_key_as_unique() -> None:
    for log in (
        {"url": "/calls/{key}", "method": "PUT", "json": {}},
        {"url": "/calls", "json": {}, "headers": {"Idempotency-Key": "{key}"}},
    ):
        Rest("https://crm.example.com", find=FIND, log=log)
