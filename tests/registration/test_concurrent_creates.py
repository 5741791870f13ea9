"""Concurrent applies create once what has no unique name on the PBX: holidays and recordings."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from receiver import Forward, Hangup, Holiday, Ivr, MenuEntry, Secret
from receiver.declarations.ivr import desired_ivrs
from receiver.errors import RegistrationError
from receiver.pbx.models import write
from receiver.registration.changes import Plan
from receiver.registration.registrar import Result, apply, make_plan
from receiver.simulator.api import make_api
from receiver.simulator.model import Behaviour, Pbx
from tests.full_ivr import CHRISTMAS
from tests.recordings import wav
from tests.simulated_pbx import TOKEN, Killed, Stage, Transport

BASE = "https://ivr.example.com"
SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")


async def plan_ivr(stage: Stage, day: Holiday = CHRISTMAS, number: str = "8000") -> Plan:
    menu = [MenuEntry("1", Forward("222"), holidays=[day], on_holiday=Hangup())]
    ivr = Ivr(number, name="Sales", menu=menu)
    async with stage.client() as client:
        return await make_plan(client, (), BASE, SECRET, ivrs=desired_ivrs([ivr]))


async def apply_plan(stage: Stage, plan: Plan) -> Result:
    async with stage.client() as client:
        return await apply(client, plan, allow_deletes=True)


def make_stage(step: int = 1) -> Stage:
    """A PBX whose ids count up, or down."""
    stage = Stage()
    stage.pbx = Pbx(Behaviour(ids="decimal"), numbers=itertools.count(10**18, step))
    stage.transport = Transport(make_api(stage.pbx, token=Secret(TOKEN)))
    return stage


def holiday_of_menu(stage: Stage, number: str = "8000") -> str:
    """Return the id of the holiday that an IVR refers to."""
    ivr = stage.pbx.ivrs.stored(stage.ivr(number).id)
    ((holiday,),) = (rule["holidays"] for rule in ivr["custom_forward_rules"])
    return str(holiday)


def record_creates(
    stage: Stage, created: list[str], interfere: Callable[[httpx.Request], Awaitable[None]]
) -> None:
    """Record the id of the first holiday, and call ``interfere`` before each request."""
    send = stage.transport.handle_async_request

    async def handle(request: httpx.Request) -> httpx.Response:
        await interfere(request)
        response = await send(request)
        if (request.method, request.url.path) == ("POST", "/api/holidays") and not created:
            created.append(response.json()["id"])
        return response

    stage.transport.handle_async_request = handle  # type: ignore[method-assign]


@pytest.mark.parametrize(("step", "clients"), [(1, 2), (-1, 2), (1, 3)])
@pytest.mark.parametrize("seed", range(12))
async def test_concurrent_applies_create_a_holiday_once(seed: int, clients: int, step: int) -> None:
    stage = make_stage(step)
    stage.transport.shuffle = random.Random(seed)  # noqa: S311
    stage.transport.turns = (1, 3, 10, 40, 150) if seed % 3 else range(8)

    async def register() -> None:
        await apply_plan(stage, await plan_ivr(stage))

    await asyncio.gather(*(register() for _ in range(clients)))
    (holiday,) = stage.pbx.holidays
    assert holiday_of_menu(stage) == holiday["id"]
    assert not (await plan_ivr(stage)).pending


async def test_a_holiday_that_another_client_created_meanwhile_is_used_as_declared() -> None:
    stage = make_stage()
    plan = await plan_ivr(stage)
    longer = Holiday("Christmas", "12-24 to 12-27", region="DEU")
    await apply_plan(stage, await plan_ivr(stage, longer))
    (there,) = stage.pbx.holidays
    result = await apply_plan(stage, plan)
    assert str(result.done[0]) == "create holiday Christmas"
    (now,) = stage.pbx.holidays
    assert (now["id"], now["day_end"]) == (there["id"], 6)
    assert holiday_of_menu(stage) == there["id"]


@pytest.mark.parametrize("step", [1, -1])
async def test_of_two_holidays_created_at_once_a_client_deletes_only_its_own(
    step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other client has ended already, so no other deletes one, whichever is preferred."""
    stage, theirs = make_stage(step), list[str]()
    create = stage.pbx.holidays.create

    def create_both(data: object) -> str:
        made = create(data)
        theirs.append(create(data))
        return made

    monkeypatch.setattr(stage.pbx.holidays, "create", create_both)
    await apply_plan(stage, await plan_ivr(stage))
    assert [one["id"] for one in stage.pbx.holidays] == theirs
    assert holiday_of_menu(stage) == theirs[0]


@pytest.mark.parametrize("step", [1, -1])
async def test_a_holiday_that_a_third_client_has_found_is_kept(step: int) -> None:
    """The second client created one too, and was killed before it could delete it."""
    stage, created = make_stage(step), list[str]()
    plan = await plan_ivr(stage)

    async def interfere(request: httpx.Request) -> None:
        if (request.method, request.url.path) == ("GET", "/api/holidays") and len(created) == 1:
            created.append("")  # so this is once
            await apply_plan(stage, await plan_ivr(stage, number="8001"))
            created[1] = stage.pbx.holidays.create(write(plan.holidays[0].resource))

    record_creates(stage, created, interfere)
    await apply_plan(stage, plan)
    ids = [one["id"] for one in stage.pbx.holidays]
    assert (set(ids), len(ids)) == (set(created), 2)
    assert {holiday_of_menu(stage, number) for number in ("8000", "8001")} == {created[0]}
    assert {one["name"] for one in stage.pbx.holidays} == {"Christmas"}
    assert not (await plan_ivr(stage)).pending


async def test_a_third_client_that_is_later_reports_that_the_holiday_is_being_deleted() -> None:
    stage, created, reports = make_stage(), list[str](), list[str]()
    plan, late = await plan_ivr(stage), list[Plan]()

    async def interfere(request: httpx.Request) -> None:
        if request.method == "GET" and request.url.path == "/api/holidays" and len(created) == 1:
            created.append("")  # so this is once
            late.append(await plan_ivr(stage, number="8001"))
            created[1] = stage.pbx.holidays.create(write(plan.holidays[0].resource))
        if request.url.path == f"/api/holidays/{''.join(created[:1])}/destroy":
            with pytest.raises(RegistrationError) as caught:
                await apply_plan(stage, late[0])
            reports.append(str(caught.value))

    record_creates(stage, created, interfere)
    await apply_plan(stage, plan)
    (report,) = reports
    assert f"did not take custom_forward_rules.1.holidays: to be deleted: {created[0]}" in report
    assert [one["id"] for one in stage.pbx.holidays] == created[1:]
    await apply_plan(stage, await plan_ivr(stage, number="8001"))
    assert {holiday_of_menu(stage, number) for number in ("8000", "8001")} == {created[1]}


def create_twice(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have another client, which has ended already, create the same holidays."""
    create = stage.pbx.holidays.create

    def create_both(data: object) -> str:
        create(data)
        return create(data)

    monkeypatch.setattr(stage.pbx.holidays, "create", create_both)


async def test_a_client_that_may_not_read_the_ivrs_renames_no_holiday(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = make_stage()
    plan, send = await plan_ivr(stage), stage.transport.handle_async_request
    create_twice(stage, monkeypatch)

    async def forbid(request: httpx.Request) -> httpx.Response:
        if (request.method, request.url.path) != ("GET", "/api/ivrs"):
            return await send(request)
        return httpx.Response(403, json={"error": {"code": "Forbidden", "message": "no"}})

    monkeypatch.setattr(stage.transport, "handle_async_request", forbid)
    with pytest.raises(RegistrationError, match="create holiday Christmas failed"):
        await apply_plan(stage, plan)
    assert [one["name"] for one in stage.pbx.holidays] == ["Christmas", "Christmas"]


async def test_a_plan_warns_of_a_holiday_that_was_renamed_and_not_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its creator was killed between the two requests."""
    stage, created, killed = make_stage(), list[str](), list[str]()
    create_twice(stage, monkeypatch)

    async def kill(request: httpx.Request) -> None:
        if request.url.path.endswith("/destroy") and not killed:
            killed.append(request.url.path)
            raise Killed

    record_creates(stage, created, kill)
    with pytest.raises(Killed):
        await apply_plan(stage, await plan_ivr(stage))
    renamed = f"to be deleted: {created[0]}"
    for pending in (1, 0):  # the holiday is used as it is, the IVR is created
        plan = await plan_ivr(stage)
        assert plan.warnings[0] == (
            f'holiday Christmas: an interrupted apply left the copy "{renamed}": if no IVR refers '
            f"to it, delete it with: receiver holidays delete {created[0]}"
        )
        assert len(plan.pending) == pending
        await apply_plan(stage, plan)
        assert sorted(one["name"] for one in stage.pbx.holidays) == ["Christmas", renamed]
    assert holiday_of_menu(stage) != created[0]
    stage.pbx.holidays.destroy(created[0])
    assert not (await plan_ivr(stage)).warnings


async def test_a_holiday_that_another_client_creates_and_deletes_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = make_stage(-1)
    holidays = stage.pbx.holidays
    create, destroy = holidays.create, holidays.destroy

    def create_both(data: object) -> str:
        made = create(data)
        create(data)
        return made

    def destroy_both(_: str) -> None:
        for one in tuple(holidays):
            destroy(one["id"])

    monkeypatch.setattr(holidays, "create", create_both)
    monkeypatch.setattr(holidays, "destroy", destroy_both)
    with pytest.raises(RegistrationError, match="create holiday Christmas failed") as caught:
        await apply_plan(stage, await plan_ivr(stage))
    assert "may have taken effect" not in str(caught.value)
    assert "in 5 attempts another client created a holiday of this name" in str(caught.value)
    assert not [*stage.pbx.holidays]


@pytest.mark.parametrize("effect", [True, False], ids=["created", "not created"])
async def test_a_holiday_whose_create_had_no_answer_is_looked_up_and_not_deleted(
    effect: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another client creates one at the same time: which is whose cannot be known."""
    stage = make_stage()
    plan = await plan_ivr(stage)
    send, lost = stage.transport.handle_async_request, list[str]()

    async def lose(request: httpx.Request) -> httpx.Response:
        if lost or (request.method, request.url.path) != ("POST", "/api/holidays"):
            return await send(request)
        lost.append(request.url.path)
        if effect:
            await send(request)
            stage.pbx.holidays.create(write(plan.holidays[0].resource))
        raise httpx.ReadError("connection reset")

    monkeypatch.setattr(stage.transport, "handle_async_request", lose)
    await apply_plan(stage, plan)
    ids = [one["id"] for one in stage.pbx.holidays]
    assert len(ids) == 1 + effect
    assert holiday_of_menu(stage) == ids[0]
    assert not (await plan_ivr(stage)).pending


async def test_a_recording_that_another_client_uploaded_meanwhile_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other client uploads the one of the second IVR before the first IVR is created."""
    stage = make_stage()
    for name in ("a", "b"):
        (tmp_path / f"{name}.wav").write_bytes(wav([ord(name)] * 160))
    numbers = {"8000": tmp_path / "a.wav", "8001": tmp_path / "b.wav"}
    ivrs = desired_ivrs([Ivr(number, name="S", prompt=at) for number, at in numbers.items()])
    async with stage.client() as client, stage.client() as other:
        plan = await make_plan(client, (), BASE, SECRET, ivrs=ivrs)
        send, theirs = stage.transport.handle_async_request, list[str]()

        async def upload_between(request: httpx.Request) -> httpx.Response:
            if (request.method, request.url.path) == ("POST", "/api/ivrs") and not theirs:
                recording = plan.ivrs[1].resource.recordings["prompt"]
                theirs.append("")
                theirs[0] = await other.files.upload(recording.name, recording.data)
            return await send(request)

        monkeypatch.setattr(stage.transport, "handle_async_request", upload_between)
        await apply(client, plan, allow_deletes=True)
    assert len(stage.pbx.files) == 2
    ivr = stage.pbx.ivrs.stored(stage.ivr("8001").id)
    assert ivr["prompt_file_id"] == theirs[0]
