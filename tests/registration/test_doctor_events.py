"""The doctor and the event URL: probed like an action, and compared with the tenant's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from receiver import CallEvent, Events, Ivr, Receiver, Secret, Settings
from receiver.auth.client_address import read_networks
from receiver.declarations.event_actions import EventEndpoint
from receiver.pbx.models import write
from receiver.registration.desired import DesiredEventUrl
from receiver.registration.doctor import Case, examine
from receiver.registration.event_urls import desired_event_state
from receiver.registration.findings import Finding
from receiver.registration.probe import make_callback_client
from receiver.simulator.model import Behaviour
from receiver.simulator.validation import ApiError
from tests.simulated_pbx import Stage

BASE = "https://ivr.example.com"
SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")
OTHER = Secret("e81b5c3f70a94d26b3f7091ac5d64e28")
handled: list[CallEvent] = []


def make_case(auth: Any = "bearer", **changes: Any) -> Case:
    case = replace(Case((), BASE, SECRET), **changes)
    event_url = desired_event_state(EventEndpoint(auth=auth), BASE, case.secret, case.epoch)
    return replace(case, event_url=event_url)


def make_app(auth: Any = "bearer", **settings: Any) -> Receiver:
    events = Events(auth=auth)
    events.add("call_ended", handled.append, name="keep")
    settings = {"secret": SECRET, "public_url": BASE, **settings}
    return Receiver(events, settings=Settings(**settings))


def make_stage(desired: DesiredEventUrl | None, secrets: str = "clear") -> Stage:
    stage = Stage("8000", behaviour=Behaviour(secrets=secrets))  # type: ignore[arg-type]
    if desired and desired.url:
        stage.pbx.update_tenant({"cdr_event": write(desired.url)})
    return stage


async def look(stage: Stage, app: Receiver, case: Case) -> list[Finding]:
    """Return the findings but for that of the PBX."""
    async with app.lifespan(), stage.client() as client:
        callbacks = make_callback_client(httpx.ASGITransport(app))
        return [*await examine(case, client, callbacks)][1:]


@pytest.mark.parametrize("auth", ["bearer", "basic", "digest", None])
async def test_a_healthy_event_url_is_one_finding_and_stores_nothing(
    auth: Any,
) -> None:
    handled.clear()
    case = make_case(auth)
    stage = make_stage(case.event_url)
    (found,) = await look(stage, make_app(auth), case)
    assert (found.level, found.subject) == ("ok", "event URL")
    assert found.text.startswith("answered in ")
    assert found.seconds is not None
    assert not [line for line in stage.transport.sent if line.startswith("POST")]
    assert handled == []


@pytest.mark.parametrize(
    ("app", "case", "setting", "text"),
    [
        (make_app(secret=OTHER), make_case(), "RECEIVER_SECRET", "differs from this command's"),
        (
            make_app(None, secret=OTHER),
            make_case(None),
            "RECEIVER_SECRET",
            "the service has another RECEIVER_SECRET than this command",
        ),
        (
            make_app(epoch=4),
            make_case(),
            "RECEIVER_EPOCH",
            "the service has RECEIVER_EPOCH=4, this command has 1",
        ),
        (
            make_app(allowed_sources=read_networks("203.0.113.7")),
            make_case(),
            "RECEIVER_ALLOWED_SOURCES",
            "does not take callbacks from 127.0.0.1",
        ),
        (
            Receiver(Ivr("8000"), settings=Settings(secret=SECRET, public_url=BASE)),
            make_case(),
            "RECEIVER_PUBLIC_URL",
            f"there is no such path, at {BASE}/events",
        ),
    ],
)
async def test_a_service_that_refuses_events(
    app: Receiver, case: Case, setting: str, text: str
) -> None:
    (found,) = await look(make_stage(case.event_url), app, case)
    assert (found.level, found.subject, found.setting) == ("fault", "event URL", setting)
    assert text in found.text
    assert found.cure


async def test_a_service_that_is_one_epoch_behind() -> None:
    case = make_case(epoch=2)
    probed, epoch, drift = await look(make_stage(make_case().event_url), make_app(), case)
    assert (probed.level, epoch.setting) == ("ok", "RECEIVER_EPOCH")
    assert (drift.subject, drift.text) == ("event URL", "is not as declared: token: *** → ***")
    assert drift.cure == "first fix the service as described above, then run doctor again"


@pytest.mark.parametrize("secrets", ["clear", "masked"])
async def test_in_the_middle_of_a_rotation_what_the_tenant_has_is_sent(secrets: str) -> None:
    """The service has the next epoch already, so it no longer takes the credentials of this one."""
    moved = make_stage(make_case(epoch=2).event_url, secrets)
    (found,) = await look(moved, make_app(), make_case())
    assert found.level == "ok"
    rest = await look(moved, make_app(epoch=2), make_case())
    assert [one.level for one in rest] == ["ok" if secrets == "clear" else "fault"]


@pytest.mark.parametrize(
    ("stored", "text", "cure"),
    [
        ({}, "is not on the PBX", "receiver apply"),
        (
            {"enabled": False, "url": f"{BASE}/events"},
            "is not as declared: enabled: no → yes, auth: DISABLE → BEARER",
            "receiver apply",
        ),
        ({"url": "https://crm.example.com/hook"}, "cannot be registered", "--take-over-events"),
    ],
)
async def test_a_tenant_that_does_not_report_here(
    stored: dict[str, Any], text: str, cure: str
) -> None:
    case = make_case()
    stage = make_stage(None)
    stage.pbx.tenant_settings["cdr_event"] |= stored
    _, found = await look(stage, make_app(), case)
    assert (found.level, found.subject, found.text) == ("fault", "event URL", text)
    assert cure in found.cure


async def test_an_event_url_without_handlers_is_a_warning() -> None:
    case = replace(make_case(), event_url=desired_event_state(None, BASE, SECRET))
    app = Receiver(Ivr("8000"), settings=Settings(secret=SECRET, public_url=BASE))
    (found,) = await look(make_stage(make_case().event_url), app, case)
    assert (found.level, found.text) == (
        "warning",
        "is on the PBX, but no handler of events is declared",
    )
    assert not await look(make_stage(None), app, case)


async def test_an_account_without_access_to_the_tenant_hides_nothing_else() -> None:
    case = make_case()
    stage = make_stage(case.event_url)

    def refuse() -> object:
        raise ApiError(403, "FORBIDDEN", "no access to the tenant")

    stage.pbx.show_tenant = refuse  # type: ignore[method-assign,assignment]
    unread, probed = await look(stage, make_app(), case)
    assert (unread.level, unread.text) == ("fault", "cannot be read from the PBX")
    assert "reading the tenant" in unread.cure
    assert probed.level == "ok"
