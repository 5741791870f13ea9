"""Two operators at once, two services on one IVR, and very many action URLs."""

from __future__ import annotations

import asyncio
import random

import msgspec
import pytest

from receiver import Call, Forward, Ivr, Reply, Secret
from receiver.declarations.actions import Action
from receiver.errors import RegistrationError
from receiver.pbx.models import ActionUrl, write
from receiver.registration.desired import desired_action_urls
from receiver.registration.registrar import Result, apply, make_plan
from receiver.simulator.model import Behaviour
from tests.simulated_pbx import Stage

BASE = "https://ivr.example.com"
OTHER = "https://dev.example.com"
SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")
LONG = ";".join(str(n) for n in range(40000, 40160, 2))


async def handler(call: Call) -> Reply:
    return Forward("222")


def declare(number: str, **masks: str) -> list[Action]:
    ivr = Ivr(number)
    return [ivr.add("DTMF", mask, handler, name=name) for name, mask in masks.items()]


async def register(
    stage: Stage, actions: list[Action], base: str = BASE, *, take_over: bool = False
) -> Result:
    async with stage.client() as client:
        plan = await make_plan(client, actions, base, SECRET, take_over=take_over)
        return await apply(client, plan, allow_deletes=True)


# two operators -------------------------------------------------------------------------------

NEW = declare("8000", a="1", b="2", c=LONG, d="4")


@pytest.mark.parametrize("seed", range(20))
async def test_two_concurrent_applies_of_one_app_end_in_one_state(seed: int) -> None:
    stage = Stage("8000")
    stage.add("8000", name="crm", url="https://crm.example.com/hook", dtmf_mask="99")
    for want in desired_action_urls(declare("8000", a="2", b="1", gone="7", c="3"), BASE, SECRET):
        stage.pbx.action_urls(stage.ivr("8000").id).create(write(want.action))
    stage.transport.shuffle = random.Random(seed)  # noqa: S311
    await asyncio.gather(*(register(stage, NEW) for _ in range(2 + seed % 2)))
    assert stage.names("8000") == ["a", "b", "c", "crm", "c~2", "d"]
    assert (await register(stage, NEW)).done == ()


@pytest.mark.parametrize("seed", range(20, 50))
async def test_three_concurrent_applies_succeed_at_any_speed_of_requests(
    seed: int,
) -> None:
    stage = Stage("8000")
    for want in desired_action_urls(declare("8000", a="2", b="1", gone="7", c="3"), BASE, SECRET):
        stage.pbx.action_urls(stage.ivr("8000").id).create(write(want.action))
    shuffle = random.Random(seed)  # noqa: S311
    stage.transport.shuffle, stage.transport.turns = shuffle, (1, 3, 10, 40, 150)

    async def late() -> Result:
        for _ in range(shuffle.randrange(200)):
            await asyncio.sleep(0)
        return await register(stage, NEW)

    done = await asyncio.gather(*(late() for _ in range(3)))
    assert [result.after.pending for result in done] == [()] * 3
    assert stage.names("8000") == ["a", "b", "c", "c~2", "d"]


async def test_of_two_created_at_once_everybody_keeps_the_one_of_the_smaller_id() -> None:
    """Each has created its own before it reads back: the worst moment."""
    stage = Stage("8000", behaviour=Behaviour(ids="decimal"))
    async with stage.client() as one, stage.client() as other:
        plan = await make_plan(one, NEW, BASE, SECRET)
        ivr = stage.ivr("8000").id
        for change in plan.of("create"):
            await other.action_urls(ivr).create_once(change.resource)
        result = await apply(one, plan, allow_deletes=False)
    assert [change.op for change in result.done] == ["create"] * 5 + ["delete"] * 5
    assert stage.names("8000") == ["a", "b", "c", "c~2", "d"]
    kept = [item.id for item in stage.action_urls("8000")]
    deleted = [one.resource for one in result.done if one.op == "delete"]
    gone = [one.id for one in deleted if isinstance(one, ActionUrl)]
    assert max(kept) < min(gone)
    assert not (await register(stage, NEW)).done


async def test_an_update_of_an_action_url_deleted_meanwhile_becomes_a_create() -> None:
    stage = Stage("8000")
    await register(stage, declare("8000", a="1"))
    async with stage.client() as client:
        plan = await make_plan(client, declare("8000", a="2"), BASE, SECRET)
        urls = stage.pbx.action_urls(stage.ivr("8000").id)
        urls.destroy(plan.of("update")[0].resource.id)
        result = await apply(client, plan, allow_deletes=False)
    assert [str(change) for change in result.done] == ["create 8000/a"]
    assert [item.mask for item in stage.action_urls("8000")] == ["2"]


async def test_what_was_not_shown_is_not_deleted() -> None:
    stage = Stage("8000")
    await register(stage, declare("8000", a="1", b="2"))
    async with stage.client() as client:
        plan = await make_plan(client, declare("8000", a="1"), BASE, SECRET)
        stage.add("8000", name="late", url=f"{BASE}/action/8000/late", dtmf_mask="3")
        result = await apply(client, plan, allow_deletes=True)
    assert [str(change) for change in result.left] == ["delete 8000/late"]
    assert stage.names("8000") == ["a", "late"]


# two services --------------------------------------------------------------------------------


async def test_two_services_live_on_one_ivr_in_peace() -> None:
    stage = Stage("8000")
    production, development = declare("8000", a="1"), declare("8000", b="2")
    await register(stage, production)
    await register(stage, development, OTHER)
    assert stage.names("8000") == ["a", "b"]
    for actions, base in ((production, BASE), (development, OTHER)):
        assert (await register(stage, actions, base)).done == ()


async def test_an_identity_that_points_elsewhere_is_taken_over_only_on_request() -> None:
    stage = Stage("8000")
    await register(stage, declare("8000", a="1"))
    before = stage.action_urls("8000")
    with pytest.raises(RegistrationError, match=r"--moved-from") as caught:
        await register(stage, declare("8000", a="1"), OTHER)
    assert "nothing was changed" in str(caught.value)
    assert stage.action_urls("8000") == before
    result = await register(stage, declare("8000", a="1"), OTHER, take_over=True)
    (now,) = stage.action_urls("8000")
    assert (now.id, now.url) == (before[0].id, f"{OTHER}/action/8000/a")
    assert result.done[0].reason == "taken over from https://ivr.example.com/…"
    assert msgspec.structs.replace(now, url=before[0].url) == before[0]
    assert (await register(stage, declare("8000", a="1"), OTHER)).done == ()


# very many -----------------------------------------------------------------------------------


async def requests(ivrs: int, each: int) -> tuple[int, int]:
    """Return the number of requests of a first and a second run."""
    numbers = [str(1000 + i) for i in range(ivrs)]
    stage = Stage(*numbers)
    actions = [
        action
        for number in numbers
        for action in declare(number, **{f"a{i}": str(i) for i in range(each)})
    ]
    await register(stage, actions)
    first = len(stage.transport.sent)
    stage.transport.sent.clear()
    assert (await register(stage, actions)).done == ()
    assert {line.split()[0] for line in stage.transport.sent} == {"GET"}
    assert all(len(stage.action_urls(number)) == each for number in numbers)
    return first, len(stage.transport.sent)


async def test_five_hundred_on_a_hundred_ivrs_in_a_number_of_requests_that_grows_linearly() -> None:
    pages = 1
    assert await requests(10, 5) == (pages + 10 + 50 + 10, pages + 10)
    assert await requests(100, 5) == (pages + 100 + 500 + 100, pages + 100)
