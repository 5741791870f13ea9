"""drain and undrain: only ours, nothing else changed, killed at every request, two at once."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import msgspec
import pytest

from receiver import Call, Forward, Ivr, Receiver, Reply, Secret, Settings
from receiver.errors import PbxError, RegistrationError
from receiver.pbx.access_tokens import GivenToken
from receiver.pbx.models import ActionUrl, write
from receiver.pbx.pbx_client import PbxClient
from receiver.registration.acceptance import check_enabling
from receiver.registration.desired import desired_action_urls
from receiver.registration.failover_drain import OFF, ON, SwitchResult, SwitchRule, switch
from receiver.registration.failover_switch import MARK, By, mark_of, switch_off, switch_on
from receiver.registration.probe import make_callback_client
from receiver.registration.registrar import apply, make_plan
from receiver.registration.rotation import plan_rotation, rotate
from receiver.simulator.model import Behaviour
from tests.simulated_pbx import TOKEN, Killed, Stage

BASE = "https://ivr.example.com/app"
SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")
NUMBERS = ("8000", "9000")
LONG = ";".join(str(n) for n in range(40000, 40160, 2))


async def handler(call: Call) -> Reply:
    return Forward("222")


sales, support = Ivr("8000"), Ivr("9000")
sales.add("DTMF", "1;2", handler, name="pick")
sales.add("DTMF", "3", handler, name="keyed", auth="digest", secret_header="X-Key")
sales.add("DTMF", "4", handler, name="site", auth="basic", headers={"X-Site": "north"})
sales.add("DTMF", "5", handler, name="open", auth=None)
sales.add("DTMF", LONG, handler, name="long")
support.add("CALLER", "100-199", handler, name="known", method="GET")
support.add("DTMF", "9", handler, name="rests", enabled=False)
ACTIONS = (*sales, *support)
WANTED = desired_action_urls(ACTIONS, BASE, SECRET)
ON_NAMES = {"pick", "keyed", "site", "open", "long", "long~2", "known"}

HOWS = [
    Behaviour(secrets=secrets, update=update)
    for secrets in ("clear", "masked")
    for update in ("partial", "replacing")
]


def make_stage(how: Behaviour | None = None) -> Stage:
    """All declared action URLs, one that is no longer declared, and two unmanaged ones."""
    stage = Stage(*NUMBERS, behaviour=how)
    for want in WANTED:
        stage.pbx.action_urls(stage.ivr(want.ivr).id).create(write(want.action))
    old = {"url": f"{BASE}/action/8000/old", "auth": "BEARER", "token": "abcdef234567"}
    stage.add("8000", name="old", dtmf_mask="77", **old)
    stage.add("8000", name="crm", url="https://crm.example.com/hook", dtmf_mask="99", headers="a:b")
    stage.add("9000", name="dev", url="https://ivr.example.com/action/9000/known", dtmf_mask="98")
    return stage


async def turn(stage: Stage, way: SwitchRule, by: By = "drain") -> SwitchResult:
    async with stage.client() as client:
        return await switch(client, WANTED, BASE, way, by)


def stored(stage: Stage) -> dict[str, dict[str, Any]]:
    """All that the PBX holds, secrets as they are, without what is empty."""
    return {
        str(item["id"]): {key: value for key, value in item.items() if value not in ("", None)}
        for number in NUMBERS
        for item in stage.pbx.action_urls(stage.ivr(number).id)
    }


def enabled(stage: Stage) -> set[str]:
    """The names of the enabled action URLs that are managed here."""
    return {
        item["name"]
        for item in stored(stage).values()
        if item["enabled"] and str(item["url"]).startswith(BASE)
    }


def marks(stage: Stage) -> set[str]:
    return {mark_of(item) for number in NUMBERS for item in stage.action_urls(number)}


def plain(stage: Stage) -> list[str]:
    """All that the PBX holds but for the ids."""
    items = ({**item, "id": ""} for item in stored(stage).values())
    return [json.dumps(item, sort_keys=True) for item in items]


def without(data: dict[str, dict[str, Any]], *fields: str) -> str:
    return json.dumps(
        {key: {k: v for k, v in item.items() if k not in fields} for key, item in data.items()},
        sort_keys=True,
        default=str,
    )


def test_what_the_pbx_does_not_show_is_not_sent_back_as_a_default() -> None:
    """A PBX that hides ``auth`` would otherwise get an update that removes it."""
    stage = make_stage()
    url, ivr = f"{BASE}/action/8000/pick", stage.ivr("8000")
    item = ActionUrl(id="u1", name="pick", type="DTMF", dtmf_mask="1;2", url=url, enabled=True)
    (off,) = switch_off(WANTED, [(ivr, [item])], BASE, "drain")
    sent = {"name": "pick", "type": "DTMF", "dtmf_mask": "1;2", "url": url}
    assert write(off.resource) == sent | {"enabled": False, "headers": f"{MARK}:drain"}
    (on,) = switch_on(WANTED, [(ivr, [off.resource])], BASE, "drain")
    assert write(on.resource) == sent | {"enabled": True}


@pytest.mark.parametrize("how", HOWS, ids=lambda how: f"{how.secrets}-{how.update}")
async def test_off_and_on_again_changes_nothing_else(how: Behaviour) -> None:
    stage = make_stage(how)
    before, foreign = stored(stage), stage.unmanaged(NUMBERS, BASE)
    off = await turn(stage, OFF)
    assert {change.name.partition("/")[2] for change in off.done} == ON_NAMES | {"old"}
    assert enabled(stage) == set()
    assert stage.pbx.fires("8000", "DTMF", "1") is None
    assert stage.unmanaged(NUMBERS, BASE) == foreign
    secret = ("username", "password", "token") if how.secrets == "masked" else ()
    assert without(stored(stage), "enabled", "headers", *secret) == without(
        before, "enabled", "headers", *secret
    )
    on = await turn(stage, ON)
    assert enabled(stage) == ON_NAMES  # neither what rests nor what is no longer declared
    assert on.missing == ()
    assert marks(stage) == {""}
    assert stage.unmanaged(NUMBERS, BASE) == foreign
    expected = {key: {**item, "enabled": None} for key, item in before.items()}
    after = {key: {**item, "enabled": None} for key, item in stored(stage).items()}
    assert without(after, *secret) == without(expected, *secret)


@pytest.mark.parametrize("update", ["partial", "replacing"])
async def test_no_mask_is_stored_for_a_secret(update: str) -> None:
    """A PBX that hides credentials gets those of the next epoch, which a service accepts too."""
    stage = make_stage(Behaviour(secrets="masked", update=update))  # type: ignore[arg-type]
    await turn(stage, OFF)
    await turn(stage, ON)
    there = {str(item["name"]): item for item in stored(stage).values()}
    for want in WANTED:
        for made in (want.action, want.coming or want.action):
            sent = write(made)
            fields = [f for f in ("username", "password", "token", "headers") if f in sent]
            if all(there[want.action.name].get(f) == sent[f] for f in fields):
                break
        else:
            pytest.fail(f"{want.action.name} has credentials that no service takes")
    async with stage.client() as client:
        left = (await make_plan(client, ACTIONS, BASE, SECRET)).pending
    assert [str(change) for change in left] == ["delete 8000/old"]


@pytest.mark.parametrize("secrets", ["clear", "masked"])
async def test_what_a_rotation_gave_is_kept(secrets: str) -> None:
    stage = make_stage(Behaviour(secrets=secrets))  # type: ignore[arg-type]
    async with stage.client() as client:
        await apply(client, await make_plan(client, ACTIONS, BASE, SECRET), allow_deletes=True)
        await rotate(client, await plan_rotation(client, ACTIONS, BASE, SECRET, 1))
    before = stored(stage)
    await turn(stage, OFF)
    await turn(stage, ON)
    assert stored(stage) == before


async def test_the_second_time_there_is_nothing_to_do() -> None:
    stage = make_stage()
    for way, first in ((OFF, 8), (OFF, 0), (ON, 8), (ON, 0)):
        stage.transport.sent.clear()
        assert len((await turn(stage, way)).done) == first
        writes = [line for line in stage.transport.sent if line.startswith("POST")]
        assert len(writes) == first


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("secrets", ["clear", "masked"])
@pytest.mark.parametrize("way", [OFF, ON], ids=["drain", "undrain"])
async def test_killed_at_every_request_it_goes_on(
    way: SwitchRule, secrets: str, after: bool
) -> None:
    async def make() -> Stage:
        stage = make_stage(Behaviour(secrets=secrets))  # type: ignore[arg-type]
        if way is ON:
            await turn(stage, OFF)
        stage.transport.sent.clear()
        return stage

    whole = await make()
    await turn(whole, way)
    total = len(whole.transport.sent)
    assert total == 3 + 8 + 3
    for number in range(1, total + 1):
        stage = await make()
        foreign = stage.unmanaged(NUMBERS, BASE)
        stage.transport.kill, stage.transport.after = number, after
        with pytest.raises(Killed):
            await turn(stage, way)
        await turn(stage, way)
        assert plain(stage) == plain(whole), f"request {number}"
        assert marks(stage) == marks(whole)
        assert stage.unmanaged(NUMBERS, BASE) == foreign


# the epoch of the command ----------------------------------------------------------------------


async def drain_and_undrain(
    secrets: str,
    service: httpx.AsyncBaseTransport,
    drain: int,
    undrain: int,
    secret: Secret = SECRET,
    edit: Callable[[Stage], None] = lambda stage: None,
) -> tuple[Stage, set[str]]:
    """Return the PBX, and the paths of the probes; the epochs are those of the two commands."""
    stage = Stage(*NUMBERS, behaviour=Behaviour(secrets=secrets))  # type: ignore[arg-type]
    for want in desired_action_urls(ACTIONS, BASE, SECRET, 4):
        stage.pbx.action_urls(stage.ivr(want.ivr).id).create(write(want.action))
    edit(stage)
    probed = set[str]()

    async def send(request: httpx.Request) -> httpx.Response:
        probed.add(request.url.path)
        return await service.handle_async_request(request)

    callbacks = make_callback_client(httpx.MockTransport(send))
    async with stage.client() as client:
        for epoch, way in ((drain, OFF), (undrain, ON)):
            wanted = desired_action_urls(ACTIONS, BASE, secret, epoch)
            check = partial(
                check_enabling, desired=wanted, secret=secret, epoch=epoch, callbacks=callbacks
            )
            await switch(client, wanted, BASE, way, "drain", check=check)
    return stage, probed


def make_service(secret: Secret = SECRET) -> httpx.ASGITransport:
    settings = Settings(secret=secret, public_url=BASE, epoch=4)
    return httpx.ASGITransport(Receiver(sales, support, settings=settings), root_path="/app")


@pytest.mark.parametrize("epoch", [1, 2, 5, 9])
async def test_undrain_with_a_wrong_epoch_changes_nothing_where_the_pbx_hides_credentials(
    epoch: int,
) -> None:
    """The service would refuse every callback with those that it would store."""
    with pytest.raises(RegistrationError, match="nothing was changed") as caught:
        await drain_and_undrain("masked", make_service(), epoch, epoch)
    text = f"the service has RECEIVER_EPOCH=4, this command has {epoch}; set RECEIVER_EPOCH=4"
    assert text in str(caught.value)


async def test_undrain_with_another_secret_changes_nothing_where_the_pbx_hides_credentials() -> (
    None
):
    """A PBX that replaces whole records would lose the credentials that are left out."""
    other = Secret("another secret of the tests")
    with pytest.raises(RegistrationError, match="nothing was changed") as caught:
        await drain_and_undrain("masked", make_service(), 4, 4, other)
    assert "RECEIVER_SECRET differs from this command's" in str(caught.value)
    stage, probed = await drain_and_undrain("clear", make_service(), 4, 4, other)
    assert (enabled(stage), len(probed)) == (ON_NAMES, 1)


@pytest.mark.parametrize("secrets", ["clear", "masked"])
async def test_undrain_after_a_change_of_the_secret_changes_nothing(secrets: str) -> None:
    """The PBX still has the credentials of before, which the service refuses now."""
    other = Secret("91c3e7d2f04b6a8589ab31c0d6e2f7a4")
    with pytest.raises(RegistrationError, match="nothing was changed") as caught:
        await drain_and_undrain(secrets, make_service(other), 4, 4, other)
    assert "the PBX has other credentials than the service; receiver apply" in str(caught.value)


async def test_undrain_of_credentials_that_were_edited_changes_nothing() -> None:
    def edit(stage: Stage) -> None:
        key = next(key for key, item in stored(stage).items() if item["name"] == "site")
        stage.pbx.action_urls(stage.ivr("8000").id).update(key, {"password": "edited1234"})

    with pytest.raises(RegistrationError, match="the callbacks of 8000/site: the PBX has other"):
        await drain_and_undrain("clear", make_service(), 4, 4, edit=edit)


@pytest.mark.parametrize(("secrets", "undrain"), [("masked", 4), ("masked", 3), ("clear", 1)])
async def test_after_a_drain_with_a_wrong_epoch_undrain_stores_what_the_service_accepts(
    secrets: str, undrain: int
) -> None:
    """A drain enables nothing, so no caller meets the credentials that it stored."""
    stage, probed = await drain_and_undrain(secrets, make_service(), 9, undrain)
    assert len(probed) == 1
    assert enabled(stage) == ON_NAMES
    accepted = {
        str(token.reveal())
        for epoch in (4, 5)
        for want in desired_action_urls(ACTIONS, BASE, SECRET, epoch)
        if isinstance(token := want.action.token, Secret)
    }
    assert {str(item["token"]) for item in stored(stage).values() if "token" in item} <= accepted


async def test_a_service_that_does_not_answer_is_no_obstacle() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    stage, probed = await drain_and_undrain("masked", httpx.MockTransport(refuse), 4, 4)
    assert (len(probed), enabled(stage)) == (1, ON_NAMES)


# who switched it off -------------------------------------------------------------------------


async def test_a_guard_switches_on_only_what_a_guard_switched_off() -> None:
    stage = make_stage()
    by_hand = next(key for key, item in stored(stage).items() if item["name"] == "open")
    stage.pbx.action_urls(stage.ivr("8000").id).update(by_hand, {"enabled": False})
    await turn(stage, OFF, "guard")
    assert marks(stage) == {"guard", ""}
    await turn(stage, ON, "guard")
    assert enabled(stage) == ON_NAMES - {"open"}
    await turn(stage, OFF)
    assert (await turn(stage, ON, "guard")).done == ()
    assert enabled(stage) == set()
    await turn(stage, ON)
    assert enabled(stage) == ON_NAMES  # by a person, no matter what disabled it


async def test_a_drain_takes_over_what_a_guard_switched_off() -> None:
    stage = make_stage()
    await turn(stage, OFF, "guard")
    assert len((await turn(stage, OFF)).done) == 8
    assert marks(stage) == {"drain", ""}
    assert (await turn(stage, OFF, "guard")).done == ()
    assert (await turn(stage, ON, "guard")).done == ()


async def test_what_is_off_is_a_difference_like_any_other_and_apply_switches_it_on() -> None:
    stage = make_stage()
    await turn(stage, OFF)
    async with stage.client() as client:
        plan = await make_plan(client, ACTIONS, BASE, SECRET)
        texts = {str(one) for change in plan.of("update") for one in change.differences}
        assert texts == {
            "enabled: no → yes",
            f"headers: {MARK}:*** → (none)",
            f"headers: X-Key:***&{MARK}:*** → X-Key:***",
            f"headers: X-Site:***&{MARK}:*** → X-Site:***",
        }
        await apply(client, plan, allow_deletes=True)
    assert enabled(stage) == ON_NAMES
    assert marks(stage) == {""}


# what goes wrong -----------------------------------------------------------------------------


async def test_a_missing_action_url_is_reported() -> None:
    stage = make_stage()
    urls = stage.pbx.action_urls(stage.ivr("8000").id)
    urls.destroy(next(str(item["id"]) for item in urls if item["name"] == "pick"))
    missing = (await turn(stage, ON)).missing
    assert [item.action.name for item in missing] == ["pick"]


@pytest.mark.parametrize("seed", range(10))
async def test_two_at_once_end_in_one_state(seed: int) -> None:
    stage = make_stage()
    stage.transport.shuffle = random.Random(seed)  # noqa: S311
    await asyncio.gather(turn(stage, OFF), turn(stage, OFF), turn(stage, OFF, "guard"))
    await turn(stage, OFF)
    assert enabled(stage) == set()
    assert marks(stage) == {"drain", ""}


async def test_a_pbx_that_does_not_take_it_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = make_stage()

    async def nothing(*args: object, **options: object) -> None: ...

    monkeypatch.setattr("receiver.pbx.ivr_collections.ActionUrls.put", nothing)
    with pytest.raises(RegistrationError, match="after 4 rounds changes are left"):
        await turn(stage, OFF)


async def test_a_failure_says_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = make_stage()

    async def refuse(self: object, item_id: str, item: ActionUrl, *, clear: object) -> None:
        raise PbxError("the PBX is on fire")

    monkeypatch.setattr("receiver.pbx.ivr_collections.ActionUrls.put", refuse)
    text = r"update 8000/pick failed; 0 action URLs switched before; run .* on fire"
    with pytest.raises(RegistrationError, match=text):
        await turn(stage, OFF)


def test_an_action_url_of_another_mode_gets_no_credentials() -> None:
    (want, *_), ivr = WANTED, Stage("8000").ivr("8000")
    changed = msgspec.structs.replace(
        want.action, id="1", auth="BASIC", username="abcdef", password=Secret("******")
    )
    (off,) = switch_off(WANTED, [(ivr, [changed])], BASE, "drain")
    assert off.resource.username == "abcdef"
    assert not off.resource.password
    assert mark_of(off.resource) == "drain"
    (on,) = switch_on(WANTED, [(ivr, [off.resource])], BASE, "drain")
    assert on.resource.headers == want.action.headers
    assert on.resource.enabled


def test_an_action_url_of_another_secret_gets_no_credentials() -> None:
    """A drain with a wrong secret must not store wrong credentials where the PBX hides them."""
    (want, *_), ivr = WANTED, Stage("8000").ivr("8000")
    (theirs, *_) = desired_action_urls(ACTIONS, BASE, Secret("another secret of the tests"))
    hidden = msgspec.structs.replace(theirs.action, id="1", token=Secret("******"))
    for turn, enabled in ((switch_off, True), (switch_on, False)):
        item = msgspec.structs.replace(hidden, enabled=enabled)
        (change,) = turn(WANTED, [(ivr, [item])], BASE, "drain")
        assert not change.resource.token
        assert change.resource.headers.startswith(theirs.action.headers)
    mine = msgspec.structs.replace(want.action, id="1", token=Secret("******"))
    (off,) = switch_off(WANTED, [(ivr, [mine])], BASE, "drain")
    assert off.resource.token


def test_where_only_one_epoch_will_do_its_credentials_are_sent() -> None:
    (want, *_), ivr = WANTED, Stage("8000").ivr("8000")
    strict = replace(want, coming=None)
    hidden = msgspec.structs.replace(want.action, id="1", token=Secret("******"))
    (off,) = switch_off((strict,), [(ivr, [hidden])], BASE, "drain")
    assert off.resource.token == want.action.token


async def test_a_pbx_that_writes_its_words_in_lower_case_is_drained_too() -> None:
    stage = make_stage(Behaviour(secrets="masked"))
    before = stored(stage)

    async def lower(request: httpx.Request) -> httpx.Response:
        response = await stage.transport.handle_async_request(request)
        text = re.sub(r'"(type|method|auth)":"[A-Z]+"', lambda m: m[0].lower(), response.text)
        return httpx.Response(response.status_code, text=text)

    async def no_sleep(seconds: float) -> None: ...

    client = PbxClient(
        "http://localhost",
        GivenToken(Secret(TOKEN)),
        transport=httpx.MockTransport(lower),
        sleep=no_sleep,
    )
    async with client:
        plan = await make_plan(client, ACTIONS, BASE, SECRET)
        assert {change.op for change in plan.changes} == {"unchanged", "delete", "unmanaged"}
        assert len((await switch(client, WANTED, BASE, OFF, "drain")).done) == 8
        assert enabled(stage) == set()
        await switch(client, WANTED, BASE, ON, "drain")
    assert enabled(stage) == ON_NAMES
    kept = ("token", "password", "username", "headers", "enabled")
    assert without(stored(stage), *kept) == without(before, *kept)
