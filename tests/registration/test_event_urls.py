"""The tenant's event URL: planned, applied, rotated and taken away like an action URL."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from receiver import DeclarationError, Ivr, RegistrationError, Secret
from receiver.declarations.event_actions import EventEndpoint
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.pbx.models_events import EventUrl
from receiver.registration.changes import UNREADABLE, Change
from receiver.registration.desired import DesiredEventUrl
from receiver.registration.event_urls import desired_event_state, plan_event_url
from receiver.registration.registrar import Result, apply, make_plan, plan_destroy
from receiver.registration.render import as_json, change_as_json, render, what
from receiver.registration.rotation import finish, plan_rotation, rotate
from receiver.simulator.model import Behaviour
from receiver.simulator.validation import ApiError
from tests.simulated_pbx import Killed, Stage

BASE = "https://ivr.example.com/app"
SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")
BEARER = EventEndpoint()
DIGEST = EventEndpoint(auth="digest", forward_to="https://crm.example.com/hook")
OTHER = "https://crm.example.com/hook/the-secret-path"


def wanted(endpoint: EventEndpoint | None = BEARER, **options: object) -> DesiredEventUrl:
    return desired_event_state(endpoint, BASE, SECRET, **options)  # type: ignore[arg-type]


def change(desired: DesiredEventUrl, actual: EventUrl, **options: bool) -> Change[EventUrl]:
    found = plan_event_url(desired, actual, **options)
    assert found is not None
    return found


def held(desired: DesiredEventUrl) -> EventUrl:
    assert desired.url is not None
    return desired.url


# values --------------------------------------------------------------------------------------


def test_one_is_created_where_the_tenant_has_none() -> None:
    made = change(wanted(), EventUrl())
    assert (made.op, str(made)) == ("create", "create event URL")
    assert made.resource.url == f"{BASE}/events"
    assert (made.resource.enabled, made.resource.auth) == (True, "BEARER")


@pytest.mark.parametrize("auth", ["bearer", "basic", "digest", None])
def test_what_was_set_is_unchanged(auth: str) -> None:
    desired = wanted(replace(BEARER, auth=auth))  # type: ignore[arg-type]
    assert change(desired, held(desired)).op == "unchanged"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"enabled": False}, "enabled: no → yes"),
        ({"auth": "DISABLE"}, "auth: DISABLE → BEARER"),
        ({"token": Secret("anotherone")}, "token: *** → ***"),
        ({"url": f"{BASE}/events/"}, f"url: {BASE}/events/ → {BASE}/events"),
    ],
)
def test_each_field_that_differs_is_an_update(changed: dict[str, object], field: str) -> None:
    desired = wanted()
    found = change(desired, msgspec.structs.replace(held(desired), **changed))
    assert (found.op, [*map(str, found.differences)]) == ("update", [field])
    assert found.resource == desired.url


def test_credentials_of_the_next_epoch_are_as_good() -> None:
    desired = wanted()
    assert desired.coming is not None
    assert change(desired, desired.coming).op == "unchanged"
    again = change(desired, msgspec.structs.replace(desired.coming, enabled=False))
    assert again.resource == desired.coming
    strict = wanted(lenient=False)
    assert change(strict, desired.coming).op == "update"


def test_hidden_credentials_are_no_difference_unless_that_is_asked_for() -> None:
    desired = wanted()
    hidden = msgspec.structs.replace(held(desired), token=Secret("********"))
    assert change(desired, hidden).op == "unchanged"
    found = change(desired, hidden, certain=True)
    assert [one.before for one in found.differences] == [UNREADABLE]


@pytest.mark.parametrize("enabled", [True, False])
def test_that_of_another_receiver_blocks_the_plan(enabled: bool) -> None:
    """A disabled one blocks it too: the PBX may have disabled it."""
    found = change(wanted(), EventUrl(url=OTHER, enabled=enabled))
    assert found.op == "blocked"
    assert 'Events(forward_to="https://crm.example.com/…")' in found.reason
    assert "--take-over-events" in found.reason
    assert "secret-path" not in found.reason


def test_one_that_is_forwarded_to_needs_consent_too() -> None:
    found = change(wanted(DIGEST), EventUrl(url=OTHER, enabled=True))
    assert (found.op, "if forward_to= leads there" in found.reason) == ("blocked", True)


@pytest.mark.parametrize(("endpoint", "lost"), [(BEARER, True), (DIGEST, False)])
def test_it_is_taken_over_with_consent(endpoint: EventEndpoint, lost: bool) -> None:
    found = change(wanted(endpoint), EventUrl(url=OTHER, enabled=True), take_over=True)
    assert found.op == "update"
    assert ("no longer receives events" in found.reason) == lost
    shown = " ".join([found.reason, *map(str, found.differences)])
    assert "url: https://crm.example.com/… →" in shown
    assert "secret-path" not in shown


def test_what_is_not_declared_is_disabled_if_it_is_managed() -> None:
    desired = wanted(None)
    found = change(desired, held(wanted()))
    assert (found.op, found.resource) == (
        "delete",
        EventUrl(enabled=False, auth="DISABLE", url=f"{BASE}/events"),
    )
    assert plan_event_url(desired, found.resource) is None
    assert plan_event_url(desired, EventUrl(url=OTHER, enabled=True)) is None
    assert plan_event_url(desired, EventUrl()) is None


def test_a_service_that_moved_knows_its_former_url() -> None:
    there = EventUrl(url="https://old.example.com/events/north", enabled=True)
    north = replace(BEARER, pbx="north")
    assert change(wanted(north), there).op == "blocked"
    moved = wanted(north, former="https://old.example.com/", pbx="north")
    assert change(moved, there).resource.url == f"{BASE}/events/north"


def test_a_url_that_is_too_long() -> None:
    with pytest.raises(DeclarationError, match="event URL has 13"):
        desired_event_state(BEARER, "https://ivr.example.com/" + "x" * 102, SECRET)


def test_what_changes_are_about() -> None:
    event_url = change(wanted(), EventUrl())
    assert what([event_url]) == "the event URL"
    assert what([]) == "0 action URLs"
    assert what([*make_action_url(), event_url]) == "1 action URL and the event URL"
    assert "secret-path" not in str(
        change_as_json(change(wanted(), EventUrl(url=OTHER, enabled=True)))
    )


HELD = held(wanted())
MOVED = "is RECEIVER_PUBLIC_URL right? If this service was there before: receiver apply"


@pytest.mark.parametrize(
    ("url", "token", "reason"),
    [
        (
            "https://old.example.com/app/events",
            HELD.token,
            "has the credentials of this service at https://old.example.com/app, not at "
            f"{BASE}/events: {MOVED} --moved-from https://old.example.com/app. Otherwise, to",
        ),
        (
            "https://old.example.com/app/events",
            held(wanted(epoch=2)).token,
            "has the credentials of this service at https://old.example.com/app, not",
        ),
        (
            "https://old.example.com:8443/events",
            Secret("********"),
            f"leads to /events at https://old.example.com:8443, not at {BASE}/events: {MOVED} "
            "--moved-from https://old.example.com:8443. Otherwise, to",
        ),
        (
            "https://crm.example.com/secret-path/events",
            Secret("********"),
            f"leads to /events at https://crm.example.com/…, not at {BASE}/events: {MOVED} "
            "--moved-from URL. Otherwise, to",
        ),
    ],
    ids=["readable", "rotated", "hidden", "hidden with a prefix"],
)
def test_after_a_move_the_plan_suggests_the_former_public_url(
    url: str, token: Secret, reason: str
) -> None:
    actual = msgspec.structs.replace(HELD, url=url, token=token)
    found = change(wanted(), actual)
    assert (found.op, found.reason.partition(reason)[1]) == ("blocked", reason)
    assert "secret-path" not in found.reason
    assert found.reason.endswith("; then replace it with --take-over-events")
    if url.startswith("https://old.example.com/app"):
        moved = change(wanted(former="https://old.example.com/app"), actual)
        assert [str(one) for one in moved.differences] == [f"url: {url} → {BASE}/events"]
        assert (moved.op, moved.reason) == ("update", "")


def test_one_from_before_a_move_without_handlers_is_shown_and_not_changed() -> None:
    moved = msgspec.structs.replace(HELD, url="https://old.example.com/events")
    found = change(wanted(None), moved)
    assert (found.op, found.name) == ("unmanaged", "event URL")
    assert found.reason.startswith(
        "it was registered with this RECEIVER_SECRET at https://old.example.com and is not changed"
    )
    assert change(wanted(None, former="https://old.example.com"), moved).op == "delete"
    for other in ({"enabled": False}, {"token": Secret("ofanotherone")}, {"url": OTHER}):
        assert not plan_event_url(wanted(None), msgspec.structs.replace(moved, **other))


def test_the_path_of_another_pbx_is_that_of_another_receiver() -> None:
    found = change(wanted(EventEndpoint("north"), pbx="north"), HELD)
    assert "--moved-from" not in found.reason
    found = change(wanted(), msgspec.structs.replace(HELD, url=f"{BASE}/events/north"))
    assert "--moved-from" not in found.reason


# a simulated PBX -----------------------------------------------------------------------------


def make_action_url() -> list[Change[ActionUrl]]:
    return [Change("delete", IvrSummary(id="1", extension_number="8000"), ActionUrl(name="pick"))]


def stage_of(secrets: str = "clear") -> Stage:
    stage = Stage("8000", behaviour=Behaviour(secrets=secrets))  # type: ignore[arg-type]
    other = {"enabled": True, "auth": "BASIC", "url": OTHER}
    credentials = {"username": "crmuser1", "password": "crmpassword1"}
    stage.pbx.update_tenant({"extension_event": {**other, **credentials}})
    return stage


async def run(stage: Stage, desired: DesiredEventUrl, **options: bool) -> Result:
    ivr = Ivr("8000")
    allowed = options.pop("allow_deletes", False)
    async with stage.client() as client:
        plan = await make_plan(client, ivr, BASE, SECRET, event_url=desired, **options)  # type: ignore[arg-type]
        return await apply(client, plan, allow_deletes=allowed)


def stored(stage: Stage) -> dict[str, object]:
    found: dict[str, object] = stage.pbx.tenant_settings["cdr_event"]
    return found


@pytest.mark.parametrize("secrets", ["clear", "masked"])
async def test_apply_sets_it_once_and_touches_nothing_else(secrets: str) -> None:
    stage = stage_of(secrets)
    other = dict(stage.pbx.tenant_settings["extension_event"])
    result = await run(stage, wanted())
    assert [str(one) for one in result.done] == ["create event URL"]
    assert stored(stage)["token"] == held(wanted()).token.reveal()
    assert not (await run(stage, wanted())).done
    assert stage.pbx.tenant_settings["extension_event"] == other


async def test_drift_is_seen_and_restored() -> None:
    stage = stage_of()
    await run(stage, wanted())
    before = dict(stored(stage))
    for change_ in ({"enabled": False}, {"auth": "DISABLE"}, {"token": "stolen"}):
        stage.pbx.tenant_settings["cdr_event"] = before | change_
        assert [one.op for one in (await run(stage, wanted())).done] == ["update"]
        assert stored(stage) == before


async def test_another_receiver_is_never_replaced_without_consent() -> None:
    stage = stage_of()
    stage.pbx.update_tenant({"cdr_event": {"enabled": True, "url": OTHER}})
    with pytest.raises(RegistrationError, match="forward_to="):
        await run(stage, wanted())
    assert stored(stage)["url"] == OTHER
    result = await run(stage, wanted(), take_over_events=True)
    assert [one.reason for one in result.done] == [
        "taken over from https://crm.example.com/…, which no longer receives events"
    ]
    assert stored(stage)["url"] == f"{BASE}/events"


@pytest.mark.parametrize("declared", [True, False])
async def test_one_that_another_client_set_since_the_plan_is_not_replaced(declared: bool) -> None:
    """Two services that register at the same time: each had found none, or its own."""
    stage = stage_of()
    if not declared:
        await run(stage, wanted())
    desired = wanted(BEARER if declared else None)
    async with stage.client() as client:
        plan = await make_plan(client, (), BASE, SECRET, event_url=desired)
        stage.pbx.update_tenant({"cdr_event": {"enabled": True, "url": OTHER}})
        with pytest.raises(RegistrationError, match="another client has set it") as caught:
            await apply(client, plan, allow_deletes=True)
    assert "secret-path" not in str(caught.value)
    assert "may have taken effect" not in str(caught.value)
    assert stored(stage)["url"] == OTHER


async def test_it_is_disabled_only_where_deletes_are_allowed() -> None:
    stage = stage_of()
    await run(stage, wanted())
    kept = await run(stage, wanted(None))
    assert ([*kept.done], what(kept.left)) == ([], "the event URL")
    assert stored(stage)["enabled"]
    await run(stage, wanted(None), allow_deletes=True)
    assert not stored(stage)["enabled"]
    assert "token" not in stored(stage)
    await run(stage, wanted())
    assert stored(stage)["enabled"]


async def test_destroy_takes_ours_away_and_no_other() -> None:
    for url, left in ((f"{BASE}/events", False), (OTHER, True)):
        stage = stage_of()
        stage.pbx.update_tenant({"cdr_event": {"enabled": True, "url": url}})
        async with stage.client() as client:
            plan = await plan_destroy(client, BASE, event_url=wanted(None))
            await apply(client, plan, allow_deletes=True)
        assert stored(stage)["enabled"] is left


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_apply_killed_at_every_request_goes_on(after: bool) -> None:
    whole = stage_of()
    await run(whole, wanted())
    for number in range(1, len(whole.transport.sent) + 1):
        stage = stage_of()
        stage.transport.kill, stage.transport.after = number, after
        with pytest.raises(Killed):
            await run(stage, wanted())
        await run(stage, wanted())
        assert stage.pbx.tenant_settings == whole.pbx.tenant_settings


@pytest.mark.parametrize("secrets", ["clear", "masked"])
async def test_a_rotation_moves_it_to_the_next_epoch(secrets: str) -> None:
    stage = stage_of(secrets)
    await run(stage, wanted())
    for work in (rotate, finish):
        async with stage.client() as client:
            plan = await plan_rotation(client, Ivr("8000"), BASE, SECRET, 1, events=BEARER)
            result = await work(client, plan)
        assert len(result.done) == (secrets == "masked" or work is rotate)
    assert stored(stage)["token"] == held(wanted(epoch=2)).token.reveal()
    assert not (await run(stage, wanted())).done  # accepted, so apply leaves it alone


async def test_a_rotation_needs_the_declared_state_first() -> None:
    async with stage_of().client() as client:
        with pytest.raises(RegistrationError, match="the event URL not as declared"):
            await plan_rotation(client, Ivr("8000"), BASE, SECRET, 1, events=BEARER)


async def test_the_printed_plan() -> None:
    async with stage_of().client() as client:
        plan = await make_plan(client, Ivr("8000"), BASE, SECRET, event_url=wanted())
    assert render(plan).splitlines() == [
        f"+ event URL  POST, bearer, {BASE}/events",
        "Plan: 1 to create.",
    ]
    (data,) = as_json(plan)["event_urls"]
    assert (data["op"], data["url"]) == ("create", f"{BASE}/events")


async def test_an_account_without_access_to_the_tenant() -> None:
    """Such an account can register action URLs; declared events are an error."""
    stage = stage_of()

    def refuse() -> object:
        raise ApiError(403, "FORBIDDEN", "no access to the tenant")

    stage.pbx.show_tenant = refuse  # type: ignore[method-assign,assignment]
    assert not (await run(stage, wanted(None))).done
    with pytest.raises(Exception, match="reading the tenant"):
        await run(stage, wanted())
