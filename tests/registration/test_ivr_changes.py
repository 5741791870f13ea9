"""Declared IVRs on a simulated PBX: created, updated, killed anywhere, never deleted."""

from __future__ import annotations

import asyncio
import io
import random
import wave
from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver import Call, DeclarationError, Forward, Hangup, Ivr, Receiver, Reply, Secret
from receiver.declarations.ivr import desired_ivrs
from receiver.errors import PbxError, RegistrationError
from receiver.registration.changes import Plan
from receiver.registration.registrar import Result, apply, make_plan
from receiver.simulator.api import make_api
from receiver.simulator.model import Behaviour
from tests.simulated_pbx import Killed, Stage, Transport, destroy

BASE = "https://ivr.example.com"
SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")
PIN, NEW_PIN = "135790", "739184"


async def handler(call: Call) -> Reply:
    return Forward("222")


def record(path: Path, tone: int = 1, rate: int = 16_000) -> Path:
    """A recording that the PBX can play."""
    octets = io.BytesIO()
    with wave.open(octets, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes([tone, 0]) * 160)
    path.write_bytes(octets.getvalue())
    return path


def app(prompt: Path, **options: Any) -> Receiver:
    """An IVR that is new, one that exists, and one that is only looked up."""
    said = {"pin": options.pop("new_pin")} if "new_pin" in options else {}
    new = Ivr(
        "8000", name="Sales", language="en-US", prompt=prompt, failure_reply=Forward("0"), **said
    )
    there = Ivr("9000", **{"name": "Support", "prompt": prompt, "timeout": 9, **options})
    mate = Ivr("9100")
    for ivr in (new, there, mate):
        ivr.add("DTMF", "1", handler, name="pick")
    return Receiver(new, there, mate)


async def plan(stage: Stage, app: Receiver, **options: Any) -> Plan:
    async with stage.client() as client:
        people = desired_ivrs(app.ivrs)
        return await make_plan(client, app, BASE, SECRET, ivrs=people, **options)


async def run(stage: Stage, app: Receiver, **options: Any) -> Result:
    made = await plan(stage, app, **options)
    async with stage.client() as client:
        return await apply(client, made, allow_deletes=True)


def stored(stage: Stage, number: str) -> dict[str, Any]:
    (found,) = [dict(item) for item in stage.pbx.ivrs if item["extension_number"] == number]
    return found


def files(stage: Stage) -> list[str]:
    return sorted(str(file["name"]) for file in stage.pbx.files)


@pytest.fixture
def prompt(tmp_path: Path) -> Path:
    return record(tmp_path / "welcome.wav")


async def test_what_is_declared_is_created_and_updated_and_a_second_plan_is_empty(
    prompt: Path,
) -> None:
    stage = Stage("9000", "9100")
    mate = stored(stage, "9100")
    first = await plan(stage, app(prompt))
    assert [str(one) for one in first.ivrs] == [
        "create IVR 8000",
        "update IVR 9000",
    ]
    result = await run(stage, app(prompt))
    assert result.done[:2] == first.ivrs
    assert [str(one) for one in result.done[2:]] == [
        "create 8000/pick",
        "create 9000/pick",
        "create 9100/pick",
    ]
    assert not result.after.pending
    made = stored(stage, "8000")
    assert (made["name"], made["language"], made["enable_pin"]) == ("Sales", "en-US", True)
    assert "pin" not in made
    assert made["failure_forward_rule"] == {"action": "FORWARD_TO_NUMBER", "number": "0"}
    assert stored(stage, "9000")["timeout_forward_rule"]["timeout"] == 9
    assert stored(stage, "9100") == mate
    assert len(files(stage)) == 1
    stage.transport.sent.clear()
    again = await run(stage, app(prompt))
    assert again.done == ()
    assert not [line for line in stage.transport.sent if line.startswith("POST")]


async def test_only_declared_fields_change_and_another_recording_is_uploaded(prompt: Path) -> None:
    stage = Stage("9000", "9100")
    await run(stage, app(prompt))
    async with stage.client() as client:
        theirs = {"language": "de-DE", "failure_forward_rule": {"action": "HANGUP"}}
        await client.ivrs.update(stage.ivr("9000").id, theirs)
    before = stored(stage, "9000")
    record(prompt, tone=2)
    result = await run(stage, app(prompt, name="Service", timeout_reply=Hangup()))
    fields = [item.field for item in result.done[1].differences]
    assert fields == ["name", "timeout_forward_rule.action", "prompt"]
    after = stored(stage, "9000")
    assert {key for key in after if after[key] != before.get(key)} == {
        "name",
        "timeout_forward_rule",
        "prompt_file_id",
    }
    assert after["timeout_forward_rule"]["timeout"] == 9
    assert len(files(stage)) == 2


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(update="replacing"),
        Behaviour(secrets="masked", blanks="empty"),
        Behaviour(version="22.0", digests="prefixed", blanks="omitted"),
    ],
    ids=["replacing", "masked", "old"],
)
async def test_every_pbx_converges(prompt: Path, behaviour: Behaviour) -> None:
    stage = Stage("9000", "9100", behaviour=behaviour)
    new: dict[str, Any] = {"new_pin": NEW_PIN} if behaviour.until("22.2") else {}
    await run(stage, app(prompt, **new))
    await run(stage, app(prompt, name="Service", pin=PIN, **new))
    assert stored(stage, "9000")["pin"] == PIN
    assert not (await plan(stage, app(prompt, name="Service", pin=PIN, **new))).pending
    assert len(files(stage)) == 1
    certain = await plan(stage, app(prompt, name="Service", pin="246802", **new), certain=True)
    assert [str(one) for one in certain.ivrs if one.op != "unchanged"] == ["update IVR 9000"]
    await run(stage, app(prompt, name="Service", pin="246802", **new), certain=True)
    assert stored(stage, "9000")["pin"] == "246802"


async def test_a_pbx_up_to_22_2_wants_a_pin_and_the_plan_and_the_error_say_so(prompt: Path) -> None:
    stage = Stage("9000", "9100", behaviour=Behaviour(version="22.2"))
    (warning,) = (await plan(stage, app(prompt))).warnings
    assert warning.startswith("IVR 8000: it is created without a DISA PIN (pin), which a PBX up to")
    with pytest.raises(RegistrationError, match=r"pin is required.* needs a DISA PIN .* pin=\."):
        await run(stage, app(prompt))
    assert (await plan(stage, app(prompt, new_pin=NEW_PIN))).warnings == ()
    await run(stage, app(prompt, new_pin=NEW_PIN))
    made = stored(stage, "8000")
    assert (made["pin"], made["enable_pin"]) == (NEW_PIN, True)


async def test_an_ivr_that_the_pbx_refuses_stops_no_other(prompt: Path) -> None:
    stage = Stage("9000", "9100", behaviour=Behaviour(version="22.2"))
    await run(stage, app(prompt, new_pin=NEW_PIN))
    refused = Ivr("8100", name="Refused")
    refused.add("DTMF", "1", handler, name="pick")
    more = Ivr("8200", name="More", pin=NEW_PIN)
    for name in ("pick", "menu"):
        more.add("DTMF", "1" if name == "pick" else "2", handler, name=name)
    changed = Receiver(refused, more, Ivr("9000"), Ivr("9100"))
    with pytest.raises(RegistrationError) as caught:
        await run(stage, changed)
    text = str(caught.value)
    assert text.startswith("create IVR 8100 failed: ")
    assert "declare pin=. Its action URLs and all deletes are left; 3 of 8 changes" in text
    assert "(create IVR 8200, 8200/pick, menu). Correct it and run the same command again" in text
    left = await plan(stage, changed)
    assert [str(one) for one in left.pending] == [
        "create IVR 8100",
        "delete 8000/pick",
        "create 8100/pick",
        "delete 9000/pick",
        "delete 9100/pick",
    ]


async def test_a_pbx_that_is_lost_at_an_ivr_ends_it(prompt: Path) -> None:
    stage = Stage("9000", "9100")
    made = await plan(stage, app(prompt))
    stage.transport = Transport(make_api(stage.pbx, token=Secret("another-token-since")))
    async with stage.client() as client:
        with pytest.raises(RegistrationError, match="0 of 5 changes done before"):
            await apply(client, made, allow_deletes=True)


async def test_a_plan_warns_of_disa_without_a_pin_also_where_the_ivr_is_only_looked_up(
    prompt: Path,
) -> None:
    stage = Stage("9000", "9100")
    rule = {"user_input": "9", "office_hours_forward_rule": {"action": "DISA"}}
    for number in ("9000", "9100"):
        change = {"enable_pin": False, "custom_forward_rules": [rule]}
        stage.pbx.ivrs.update(stage.ivr(number).id, change)
    stage.version = "22.6"
    texts = (await plan(stage, app(prompt), look=True)).warnings
    assert sorted(text.partition(" and ")[0] for text in texts) == [
        f"IVR {number}: its menu key 9 leads to DISA" for number in ("9000", "9100")
    ]
    (text,) = (await plan(stage, app(prompt, pin=PIN), look=True)).warnings
    assert text.startswith("IVR 9100")


async def test_a_pin_is_checked_by_the_release_that_is_set_before_anything_is_sent(
    prompt: Path,
) -> None:
    stage = Stage("9000", "9100", behaviour=Behaviour(version="22.2"))
    short = app(prompt, new_pin="1357")
    stage.version = "22.2"
    problem = r"DISA PIN.* 4 digits.*RECEIVER_PBX_VERSION"
    with pytest.raises(DeclarationError, match=problem) as found:
        await plan(stage, short)
    assert found.value.where.startswith(f"{__file__}:")
    assert not [line for line in stage.transport.sent if line.startswith("POST")]
    stage.version = ""
    (warning,) = (await plan(stage, short)).warnings
    assert "has 4 digits" in warning
    stage.version, stage.pbx.behaviour = "22.6", Behaviour(pin_length=(4, 6))
    assert (await plan(stage, short)).warnings == ()
    await run(stage, short)
    assert stored(stage, "8000")["pin"] == "1357"


async def test_destroy_leaves_every_ivr(prompt: Path) -> None:
    stage = Stage("9000", "9100")
    await run(stage, app(prompt))
    async with stage.client() as client:
        assert len((await destroy(client, BASE)).done) == 3
    assert [ivr["extension_number"] for ivr in stage.pbx.ivrs] == ["9000", "9100", "8000"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_every_request_it_goes_on(prompt: Path, after: bool) -> None:
    whole = Stage("9000", "9100")
    await run(whole, app(prompt))
    for number in range(1, len(whole.transport.sent) + 1):
        stage = Stage("9000", "9100")
        stage.add("9000", name="crm", url="https://crm.example.com/hook", dtmf_mask="99")
        foreign = stage.unmanaged(("9000", "9100"), BASE)
        stage.transport.kill, stage.transport.after = number, after
        with pytest.raises(Killed):
            await run(stage, app(prompt))
        await run(stage, app(prompt))
        numbers = [ivr["extension_number"] for ivr in stage.pbx.ivrs]
        assert numbers == ["9000", "9100", "8000"], stage.transport.sent[number - 1]
        assert files(stage) == files(whole)
        assert stage.names("8000") == stage.names("9100") == ["pick"]
        assert stage.unmanaged(("9000", "9100"), BASE) == foreign
        assert not (await plan(stage, app(prompt))).pending


@pytest.mark.parametrize("path", ["/api/ivrs", "/complete"], ids=["create", "upload"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_lost_answer_is_looked_up(
    prompt: Path, path: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage("9000", "9100")
    inner, lost = stage.transport.handle_async_request, list[str]()

    async def lose(request: httpx.Request) -> httpx.Response:
        once = not lost and request.method == "POST" and request.url.path.endswith(path)
        if once:
            lost.append(request.url.path)
        response = await inner(request) if after or not once else None
        if once or response is None:
            raise httpx.ReadError("cut off", request=request)
        return response

    monkeypatch.setattr(stage.transport, "handle_async_request", lose)
    if path == "/complete" and not after:  # it was not to be found: nothing is sent twice blindly
        with pytest.raises(RegistrationError, match="create IVR 8000 failed"):
            await run(stage, app(prompt))
    await run(stage, app(prompt))
    assert lost
    assert len(files(stage)) == 1
    assert len(stage.pbx.ivrs) == 3
    assert not (await plan(stage, app(prompt))).pending


@pytest.mark.parametrize("seed", range(5))
async def test_two_concurrent_applies_end_in_one_state(prompt: Path, seed: int) -> None:
    stage = Stage("9000", "9100")
    stage.transport.shuffle = random.Random(seed)  # noqa: S311
    await asyncio.gather(*(run(stage, app(prompt)) for _ in range(2)))
    assert [ivr["extension_number"] for ivr in stage.pbx.ivrs] == ["9000", "9100", "8000"]
    assert stage.names("8000") == stage.names("9000") == ["pick"]
    assert not (await plan(stage, app(prompt))).pending


async def test_an_ivr_created_concurrently_is_adopted_and_an_extension_is_not(prompt: Path) -> None:
    stage = Stage("9000", "9100")
    made = await plan(stage, app(prompt))
    stage.pbx.add_ivr("8000", "Quick")
    async with stage.client() as client:
        await apply(client, made, allow_deletes=False)
    assert stored(stage, "8000")["name"] == "Sales"

    other = Stage("9000", "9100")
    other.pbx.add_extension("8000")
    with pytest.raises(RegistrationError, match="create IVR 8000 failed") as caught:
        await run(other, app(prompt))
    assert isinstance(caught.value.__cause__, PbxError)
    assert "extension_number" in str(caught.value)
    assert other.names("9000") == ["pick"]  # the other IVRs are changed


async def test_a_recording_is_looked_at_before_anything_is_sent(prompt: Path) -> None:
    stage = Stage("9000", "9100")
    for spoil, problem in (
        (lambda: record(prompt, rate=8_000), "rate of 8 kHz"),
        (prompt.unlink, "cannot be read: No such file"),
    ):
        spoil()
        with pytest.raises(DeclarationError, match=problem) as caught:
            await plan(stage, app(prompt))
        assert caught.value.where.startswith(f"{__file__}:")
    assert stage.transport.sent == []


async def test_an_ivr_that_is_not_declared_must_be_there(prompt: Path) -> None:
    stage = Stage("9000")
    made = await plan(stage, app(prompt))
    assert list(map(str, made.of("missing"))) == ["missing 9100/pick"]
    result = await run(stage, app(prompt))
    assert [str(one) for one in result.done[:2]] == ["create IVR 8000", "update IVR 9000"]
    assert stage.names("8000") == stage.names("9000") == ["pick"]
