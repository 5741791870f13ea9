"""An action that was renamed: its action URL is moved in place, and answered all the time."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver import Call, Forward, Ivr, Receiver, Reply, Secret, Settings
from receiver.config.build import build
from receiver.declarations.actions import Action
from receiver.pbx.models import write
from receiver.registration.changes import Plan
from receiver.registration.desired import desired_action_urls
from receiver.registration.doctor import Case, examine
from receiver.registration.failover_drain import OFF, ON, switch
from receiver.registration.probe import make_callback_client
from receiver.registration.registrar import apply, make_plan
from receiver.registration.render import render
from receiver.registration.rotation import finish, plan_rotation, rotate
from receiver.simulator.model import Behaviour
from tests.simulated_pbx import Stage

BASE = "https://ivr.example.com"
SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")
LONG = ";".join(str(n) for n in range(40000, 40160, 2))
CALL = Call("101", "Jason", "8000", "Sales", "1", "s1")
HOWS = [
    Behaviour(secrets=secrets, update=update)
    for secrets in ("clear", "masked")
    for update in ("partial", "replacing")
]
by_behaviour = pytest.mark.parametrize("how", HOWS, ids=lambda how: f"{how.secrets}-{how.update}")


async def answer(call: Call) -> Reply:
    return Forward("222")


def declare(*actions: dict[str, Any]) -> Ivr:
    ivr = Ivr("8000")
    for options in actions:
        ivr.add("DTMF", options.pop("mask", "1;2"), answer, **options)
    return ivr


def settings(epoch: int = 1) -> Settings:
    return Settings(secret=SECRET, public_url=BASE, epoch=epoch)


OLD = {"name": "old", "secret_header": "X-Key"}
NEW = {"name": "new", "was": "old", "secret_header": "X-Key"}


def make_stage(ivr: Ivr, how: Behaviour | None = None, epoch: int = 1) -> Stage:
    stage = Stage("8000", behaviour=how)
    for want in desired_action_urls(ivr, BASE, SECRET, epoch):
        stage.pbx.action_urls(stage.ivr("8000").id).create(write(want.action))
    return stage


async def plan(stage: Stage, ivr: Ivr, epoch: int = 1, **options: Any) -> Plan:
    async with stage.client() as client:
        return await make_plan(client, ivr, BASE, SECRET, epoch, **options)


async def answers(stage: Stage, ivr: Ivr, epoch: int = 1) -> list[str]:
    """Send what the PBX would send to each enabled action URL; return the outcomes."""
    app = Receiver(ivr, settings=settings(epoch))
    callbacks = make_callback_client(httpx.ASGITransport(app))
    items = [item for item in stage.action_urls("8000") if item.enabled]
    delivered = [await callbacks.deliver(item, CALL) for item in items]
    return [f"{one.outcome.kind} {one.outcome.detail}" for one in delivered]


REFUSED = ["failed HTTP status 401"]
ANSWERED = ["forwarded 222"]


@by_behaviour
@pytest.mark.parametrize("auth", ["bearer", "basic", "digest", None])
async def test_the_action_url_is_moved_in_place(how: Behaviour, auth: str | None) -> None:
    stage = make_stage(declare(OLD | {"auth": auth}), how)
    (before,) = stage.action_urls("8000")
    renamed = declare(NEW | {"auth": auth})
    assert await answers(stage, renamed) == ANSWERED  # the old path, with the old credentials
    made = await plan(stage, renamed)
    assert [change.op for change in made.changes] == ["update"]
    assert "  ~ new  renamed from old\n      name: old → new" in render(made)
    stage.transport.sent.clear()
    async with stage.client() as client:
        await apply(client, made, allow_deletes=False)
    writes = [one for one in stage.transport.sent if one.startswith("POST")]
    assert writes == [f"POST /api/ivrs/{stage.ivr('8000').id}/action_urls/{before.id}"]
    (after,) = stage.action_urls("8000")
    assert (after.id, after.name) == (before.id, "new")
    assert after.url == f"{BASE}/action/8000/new"
    assert await answers(stage, renamed) == ANSWERED
    final = declare({**NEW, "auth": auth, "was": ""})
    assert await answers(stage, final) == ANSWERED
    assert not (await plan(stage, renamed)).pending
    assert not (await plan(stage, final)).pending


def test_a_configuration_file_renames_too() -> None:
    text = """
[[ivr]]
number = "8000"
[[ivr.dtmf]]
mask = "1;2"
name = "new"
was = "old"
then = "222"
"""
    (action,) = build(text, "receiver.toml", {}, Path())
    assert action.former is not None
    assert (action.name, action.former.identity) == ("new", "8000/old")


async def test_without_the_former_name_callers_get_the_fallback() -> None:
    """This is what the tests above prevent: the handler no longer answers what the PBX has."""
    stage = make_stage(declare(OLD))
    assert await answers(stage, declare({**NEW, "was": ""})) == ["repeated "]


async def test_the_credentials_of_the_new_name_do_not_open_the_old_path() -> None:
    stage = make_stage(declare(NEW))
    items = stage.pbx.action_urls(stage.ivr("8000").id)
    (item,) = items
    items.update(item["id"], {"url": f"{BASE}/action/8000/old"})
    assert await answers(stage, declare(NEW)) == REFUSED


async def test_every_part_of_a_long_mask_is_moved() -> None:
    stage = make_stage(declare({**OLD, "mask": LONG}))
    ids = {item.name: item.id for item in stage.action_urls("8000")}
    renamed = declare({**NEW, "mask": LONG})
    assert await answers(stage, renamed) == ANSWERED * 2
    async with stage.client() as client:
        await apply(client, await plan(stage, renamed), allow_deletes=False)
    assert {item.name: item.id for item in stage.action_urls("8000")} == {
        "new": ids["old"],
        "new~2": ids["old~2"],
    }
    assert await answers(stage, renamed) == ANSWERED * 2


async def test_renamed_and_moved_to_another_public_url_at_once() -> None:
    stage = make_stage(declare(OLD))
    items = stage.pbx.action_urls(stage.ivr("8000").id)
    (item,) = items
    items.update(item["id"], {"url": "https://before.example.com/action/8000/old"})
    made = await plan(stage, declare(NEW), former="https://before.example.com")
    assert [(change.op, change.reason) for change in made.changes] == [
        ("update", "renamed from old")
    ]


async def test_what_has_the_new_name_already_is_the_action_url() -> None:
    """A command was interrupted between a create and a delete, or a PBX was restored."""
    stage = make_stage(declare(OLD, {"name": "new", "mask": "3"}))
    made = await plan(stage, declare(NEW))
    assert [(change.op, change.resource.name) for change in made.changes] == [
        ("update", "new"),
        ("delete", "old"),
    ]


@by_behaviour
async def test_a_rotation_waits_for_the_rename(how: Behaviour) -> None:
    stage, renamed = make_stage(declare(OLD), how), declare(NEW)
    async with stage.client() as client:
        with pytest.raises(Exception, match=r"update 8000/new.*run receiver apply first"):
            await plan_rotation(client, renamed, BASE, SECRET, 1)


@by_behaviour
async def test_a_rename_between_a_rotation_and_the_next_epoch(how: Behaviour) -> None:
    """The epoch that is to be retired must not come back with the new name."""
    stage, renamed = make_stage(declare(OLD), how), declare(NEW)
    async with stage.client() as client:
        rotation = await plan_rotation(client, declare(OLD), BASE, SECRET, 1)
        await rotate(client, rotation)
        await finish(client, await plan_rotation(client, declare(OLD), BASE, SECRET, 1))
        assert await answers(stage, renamed) == ANSWERED
        await apply(client, await plan(stage, renamed), allow_deletes=False)
    assert await answers(stage, renamed, epoch=1) == ANSWERED
    assert await answers(stage, renamed, epoch=2) == ANSWERED
    assert not (await plan(stage, renamed, epoch=2)).pending


@by_behaviour
@pytest.mark.parametrize("by", ["guard", "drain"])
async def test_failover_switches_the_former_action_url(how: Behaviour, by: Any) -> None:
    stage, renamed = make_stage(declare(OLD), how), declare(NEW)
    wanted = desired_action_urls(renamed, BASE, SECRET)
    async with stage.client() as client:
        off = await switch(client, wanted, BASE, OFF, by)
        assert (off.missing, await answers(stage, renamed)) == ((), [])
        on = await switch(client, wanted, BASE, ON, by)
    assert (on.missing, await answers(stage, renamed)) == ((), ANSWERED)


async def test_the_doctor_checks_both_paths_until_the_rename_is_applied() -> None:
    stage, renamed = make_stage(declare(OLD)), declare(NEW)
    app = Receiver(renamed, settings=settings())
    callbacks = make_callback_client(httpx.ASGITransport(app))
    case = Case(tuple(renamed), BASE, SECRET)
    async with stage.client() as client:
        found = await examine(case, client, callbacks)
        assert {one.subject for one in found if one.text.startswith("answered")} == {
            "8000/new",
            "8000/old",
        }
        (fault,) = [one for one in found if one.level == "fault"]
        assert (fault.subject, fault.cure) == ("8000/new", "receiver apply")
        assert "name: old → new" in fault.text
        await apply(client, await plan(stage, renamed), allow_deletes=False)
        after = await examine(case, client, callbacks)
    assert not [one for one in after if one.level == "fault"]
    assert "8000/old" not in {one.subject for one in after}


async def test_the_log_has_the_new_name(caplog: pytest.LogCaptureFixture) -> None:
    stage = make_stage(declare(OLD))
    with caplog.at_level(logging.INFO, "receiver"):
        assert await answers(stage, declare(NEW)) == ANSWERED
    assert "8000/new" in caplog.text
    assert "8000/old" not in caplog.text


def test_the_former_name_has_the_state_of_today() -> None:
    """A guard that switches the former action URL on needs its credentials, not a former mask."""
    (want,) = desired_action_urls(declare(NEW), BASE, SECRET)
    (old,) = desired_action_urls(declare(OLD), BASE, SECRET)
    assert want.was == replace(old, where=want.where)
    assert len(list(want.states)) == 4
    former = next(iter(declare(NEW))).former
    assert isinstance(former, Action)
    assert (former.identity, former.former) == ("8000/old", None)
