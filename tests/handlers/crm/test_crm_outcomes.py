"""Contract of all connectors: the record of a call is completed, a task is created once."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from handlers.crm.contacts import Contact, Number, Outcome
from handlers.crm.outcomes import CallCompleter, Task, TaskCreator, outcome_of
from receiver import CallEvent, CallTarget, Unavailable
from tests.handlers.crm.connected import CRMS, KEY, Stage, engagement_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

BERLIN = Number.parse("030 23125000", "DE")
LINK = "https://pbx.example.com/recordings/1.wav?a=1&b=2"
ANSWERED = Outcome(True, "222", 95.0, LINK)
DURATION = {
    "hubspot": "'hs_call_duration': '95000'",
    "zoho": "'Call_Duration': '00:01'",
    "odoo": "95 s",
    "pipedrive": "'duration': '00:02'",
    "salesforce": "'CallDurationInSeconds': 95",
}
MISSED = {
    "hubspot": "'hs_call_status': 'NO_ANSWER'",
    "zoho": "'Call_Type': 'Missed'",
    "odoo": "not answered",
    "pipedrive": "not answered",
    "salesforce": "'CallDisposition': 'not answered'",
}


def add(stage: Stage) -> None:
    further = {"sanitized": "+493023125000"} if stage.crm.name == "odoo" else {}
    stage.fake.add("+49 30 23125000", "Grace Hopper", **further)


async def one(stage: Stage) -> Contact:
    (contact,) = await stage.crm.find(BERLIN)
    return contact


def completer(stage: Stage) -> CallCompleter:
    crm = stage.crm
    assert isinstance(crm, CallCompleter)
    return crm


def task_of(contact: Contact | None) -> Task:
    due = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
    owner = contact.owner if contact else ""
    return Task("5" * 32, due, "Call back: Grace Hopper", BERLIN, contact, owner)


@pytest.mark.parametrize("known", [True, False], ids=["by id", "by key"])
async def test_a_logged_call_is_completed(stage: Stage, known: bool) -> None:
    add(stage)
    call = engagement_of(await one(stage))
    record = await stage.crm.log(call)
    assert record
    (before,) = copy.deepcopy(stage.logged())
    event = engagement_of(destination="", outcome="", end=ANSWERED)  # without contact and owner
    for _ in range(2):
        await completer(stage).complete(record if known else "", event)
    (logged,) = stage.logged()
    after = stage.shown()
    assert DURATION[stage.crm.name] in after
    assert "answered by 222" in after
    assert "recordings/1.wav" in after
    assert KEY in after
    whose = {"Who_Id", "Owner", "WhoId", "OwnerId", "res_id", "associated", "person_id"} & {*logged}
    assert whose
    assert {name: logged[name] for name in whose} == {name: before[name] for name in whose}


async def test_logging_again_returns_the_same_record(stage: Stage) -> None:
    add(stage)
    call = engagement_of(await one(stage))
    assert await stage.crm.log(call) == await stage.crm.log(call)


async def test_a_call_that_was_not_answered(stage: Stage) -> None:
    add(stage)
    record = await stage.crm.log(engagement_of(await one(stage)))
    assert record is not None
    await completer(stage).complete(record, engagement_of(end=Outcome(False)))
    assert MISSED[stage.crm.name] in stage.shown()


async def test_a_call_that_is_logged_when_it_is_over(stage: Stage) -> None:
    add(stage)
    await stage.crm.log(engagement_of(await one(stage), end=ANSWERED))
    assert "answered by 222" in str(stage.logged())


@pytest.mark.parametrize("name", sorted(CRMS.keys() - {"odoo"}))  # its search does not lag
async def test_a_record_that_is_not_found_yet_is_tried_again(
    staged: Callable[[str], Stage], name: str
) -> None:
    stage = staged(name)
    with pytest.raises(Unavailable):
        await completer(stage).complete("", engagement_of(end=ANSWERED))


async def test_a_record_that_was_deleted_is_no_error(stage: Stage) -> None:
    await completer(stage).complete("4711", engagement_of(end=ANSWERED))
    assert stage.logged() == []


@pytest.mark.parametrize("trouble", ["down", "garbage", "throttled"])
async def test_a_crm_that_is_down_is_unavailable(stage: Stage, trouble: Any) -> None:
    stage.fake.trouble = trouble
    crm = stage.crm  # another one: the first may be throttled
    assert isinstance(crm, TaskCreator)
    with pytest.raises(Unavailable):
        await completer(stage).complete("", engagement_of(end=ANSWERED))
    with pytest.raises(Unavailable):
        await crm.add_task(task_of(Contact("Contacts/1", owner="77")))


async def test_a_task_is_created_once(stage: Stage) -> None:
    add(stage)
    task = task_of(await one(stage))
    crm = stage.crm
    assert isinstance(crm, TaskCreator)
    await asyncio.gather(*(crm.add_task(task) for _ in range(3)))
    stage.fake.late = True  # as after a kill before the report, while the index lags
    again = stage.crm
    assert isinstance(again, TaskCreator)
    await again.add_task(task)
    (created,) = stage.tasks()
    assert task.key in str(created)
    assert "Grace Hopper" in str(created)
    assert "23125000" not in repr(task)


async def test_the_task_of_an_unknown_caller(stage: Stage) -> None:
    crm = stage.crm
    assert isinstance(crm, TaskCreator)
    await crm.add_task(task_of(None))
    assert len(stage.tasks()) == (0 if crm.name == "odoo" else 1)  # Odoo's belong to a partner


IVR = CallTarget("8000", status="answered", end_reason="referred", is_ivr=True, talk_duration=4)
PERSON = CallTarget("222", status="answered", talk_duration=95)
UNANSWERED = CallTarget("222", status="noanswer")


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        (CallEvent("call_ended", status="answered", targets=(IVR, PERSON)), (True, "222", 95)),
        (CallEvent("call_ended", status="answered", targets=(IVR,)), (False, "", 0)),
        (CallEvent("call_ended", status="noanswer", targets=(IVR, UNANSWERED)), (False, "", 0)),
        (CallEvent("call_ended", status="answered", talk_duration=7), (True, "", 7)),
        (CallEvent("call_ended", status="answered"), (True, "", 0)),
        (CallEvent("call_ended", status="fail"), (False, "", 0)),
        (CallEvent("call_ended"), (False, "", 0)),
    ],
)
async def test_the_outcome_of_an_event(event: CallEvent, outcome: tuple[bool, str, float]) -> None:
    assert outcome_of(event) == Outcome(*outcome)
