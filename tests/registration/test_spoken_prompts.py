"""Spoken prompts on a simulated PBX: uploaded once, and again only for another text or voice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from receiver import Ivr, Receiver, Secret, Speech
from receiver.declarations.ivr import desired_ivrs
from receiver.errors import RegistrationError, SettingsError
from receiver.registration import plan_file
from receiver.registration.changes import Plan
from receiver.registration.registrar import Result, apply, make_plan
from tests.recordings import Speaker
from tests.simulated_pbx import Killed, Stage

BASE = "https://ivr.example.com"
SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")
WELCOME = Speech("Welcome to Acme.")


def app(prompt: Speech = WELCOME, name: str = "Sales", **more: Any) -> Receiver:
    return Receiver(
        Ivr("8000", name=name, prompt=prompt, **more), Ivr("8001", name="Two", prompt=prompt)
    )


def missing(speech: Speech) -> bytes:
    """A machine without a synthesizer."""
    raise SettingsError("no synthesizer")


async def plan(stage: Stage, app: Receiver, speak: Any = missing) -> Plan:
    async with stage.client() as client:
        ivrs = desired_ivrs(app.ivrs)
        return await make_plan(client, app, BASE, SECRET, ivrs=ivrs, speak=speak)


async def run(stage: Stage, app: Receiver, speak: Any = missing) -> Result:
    made = await plan(stage, app, speak)
    async with stage.client() as client:
        return await apply(client, made, allow_deletes=True)


def files(stage: Stage) -> list[str]:
    return sorted(str(file["name"]) for file in stage.pbx.files)


async def test_it_is_made_and_uploaded_once_and_then_nothing_is_to_do() -> None:
    stage, speaker = Stage(), Speaker()
    made = await plan(stage, app(), speaker)
    assert [str(one) for one in made.ivrs[0].differences][-1].endswith(WELCOME.file_name)
    await run(stage, app(), speaker)
    assert files(stage) == [WELCOME.file_name]  # one for both IVRs
    assert not (await plan(stage, app(), speaker)).pending


async def test_a_machine_without_a_synthesizer_finds_nothing_to_do() -> None:
    stage = Stage()
    await run(stage, app(), Speaker())
    assert not (await plan(stage, app())).pending
    assert not (await plan(stage, app(Speech("Welcome \n to Acme.")))).pending
    # Not even to change something else.
    await run(stage, app(name="Service"))
    assert not (await plan(stage, app(name="Service"))).pending
    assert files(stage) == [WELCOME.file_name]


async def test_something_else_changes_though_the_file_is_no_longer_listed() -> None:
    stage = Stage()
    await run(stage, app(), Speaker())
    (file,) = stage.pbx.files
    name, stage.pbx.files.stored(file["id"])["name"] = file["name"], "hidden.wav"
    ivr = stage.pbx.ivrs.stored(stage.pbx.at("8000")["id"])
    shown = await plan(stage, app(), Speaker(2))
    assert [one.op for one in shown.ivrs] == ["update", "update"]  # the PBX shows another name
    await run(stage, app(), Speaker(2))
    assert files(stage) == sorted([name, "hidden.wav"])
    assert ivr["prompt_file_id"] != file["id"]


async def test_a_machine_with_another_synthesizer_finds_nothing_to_do() -> None:
    stage, other = Stage(), Speaker(machine=2)
    await run(stage, app(), Speaker(machine=1))
    assert not (await plan(stage, app(), other)).pending
    assert other.spoken == []


@pytest.mark.parametrize("changed", [Speech("Welcome back."), Speech("Welcome to Acme.", "de")])
async def test_another_text_or_voice_is_one_upload(changed: Speech) -> None:
    stage, speaker = Stage(), Speaker()
    await run(stage, app(), speaker)
    stage.transport.sent.clear()
    result = await run(stage, app(changed), speaker)
    assert [one.field for one in result.done[0].differences] == ["prompt"]
    assert stage.transport.sent.count("POST /api/blobs/uploads") == 1
    assert files(stage) == sorted([WELCOME.file_name, changed.file_name])
    assert not (await plan(stage, app(changed))).pending


async def test_without_a_synthesizer_nothing_is_sent() -> None:
    stage = Stage()
    problem = rf"the prompt of IVR 8000 cannot be made \({__file__}:\d+\): no synthesizer"
    with pytest.raises(SettingsError, match=problem):
        await plan(stage, app())
    assert not [one for one in stage.transport.sent if one.startswith("POST")]


async def test_a_plan_that_is_only_looked_at_uploads_nothing() -> None:
    stage = Stage("8000", "8001")
    shown = await plan(stage, app(), None)
    assert "prompt" in [one.field for one in shown.ivrs[0].differences]
    async with stage.client() as client:
        with pytest.raises(RegistrationError, match="did not take prompt"):
            await apply(client, shown, allow_deletes=True)
    assert files(stage) == []


@pytest.mark.parametrize("after", [False, True])
async def test_killed_at_every_request_it_goes_on(after: bool) -> None:
    whole = Stage()
    await run(whole, app(), Speaker())
    for number in range(1, len(whole.transport.sent) + 1):
        stage = Stage()
        stage.transport.kill, stage.transport.after = number, after
        with pytest.raises((Killed, ExceptionGroup, BaseExceptionGroup)):
            await run(stage, app(), Speaker(number))
        stage.transport.kill = 0
        await run(stage, app(), Speaker(99))
        assert files(stage) == [WELCOME.file_name]
        assert not (await plan(stage, app())).pending


async def test_a_saved_plan_counts_on_a_machine_with_another_synthesizer() -> None:
    stage = Stage()
    saved = plan_file.save(await plan(stage, app(), Speaker(1)), SECRET)
    plan_file.check(saved, await plan(stage, app(), Speaker(2)), SECRET)
    other = await plan(stage, app(Speech("Something else.")), Speaker(1))
    with pytest.raises(RegistrationError, match="have changed since"):
        plan_file.check(saved, replace(other), SECRET)
