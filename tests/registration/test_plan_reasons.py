"""Every reason that a plan prints, as a person reads it."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from receiver import Call, Forward, Ivr, Reply, Secret
from receiver.declarations.event_actions import EventEndpoint
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.pbx.models_events import EventUrl
from receiver.registration import plans
from receiver.registration.changes import Plan
from receiver.registration.desired import DesiredActionUrl, desired_action_urls
from receiver.registration.event_urls import desired_event_state
from receiver.registration.ownership import owner_mark
from receiver.registration.registrar import plan_destroy
from receiver.registration.render import render
from tests.simulated_pbx import Stage

BASE, OLD, CRM = "https://ivr.example.com", "https://old.example.com", "https://crm.example.com/h"
SECRET, OTHER = Secret("a service secret of the tests"), Secret("another secret of the tests")
IVR = IvrSummary(id="i1", name="Sales", extension_number="8000")


async def handler(call: Call) -> Reply:
    return Forward("222")


def want(
    *, base: str = BASE, secret: Secret = SECRET, ivr: str = "8000", was: str = ""
) -> DesiredActionUrl:
    sales = Ivr(ivr)
    sales.add("DTMF", "1", handler, name="pick", was=was)
    (found,) = desired_action_urls(sales, base, secret)
    return found


def on_pbx(item: DesiredActionUrl, id: str = "u1", **fields: str) -> ActionUrl:
    return msgspec.structs.replace(item.action, id=id, **fields)


def make(*found: ActionUrl, wants: DesiredActionUrl | None = None, **options: object) -> Plan:
    owner, desired = owner_mark(SECRET), [wants] if wants else []
    return plans.plan(desired, [(IVR, found)], BASE, owner=owner, **options)  # type: ignore[arg-type]


AT = f"{BASE}/action/8000"
RIVAL = ActionUrl(id="u1", name="pick", url=CRM)
MINE = on_pbx(want())
FORMER_NAME = on_pbx(want(), name="old", url=f"{AT}/old")
OTHER_MASK = on_pbx(want(), name="old", url=f"{AT}/old", dtmf_mask="2")
FOREIGN = on_pbx(want(secret=OTHER))
MOVED = on_pbx(want(base=OLD))
HERE = "the IVR has an action URL of this name that"
CURE = (
    f"is RECEIVER_PUBLIC_URL right? If this service was there before: receiver apply --moved-from "
    f"{OLD}"
)
BESIDE = "Beside another installation, use another name= and another RECEIVER_SECRET"

ROWS = [
    (make(MINE), f"  - pick  {AT}/pick (it is no longer declared)"),
    (
        make(FORMER_NAME, wants=want()),
        f"  - old  {AT}/old (it is no longer declared; if it was renamed to pick, declare that "
        'with was="old")',
    ),
    (
        make(OTHER_MASK, wants=want()),
        f"  - old  {AT}/old (it is no longer declared)",
    ),
    (
        make(MINE, on_pbx(want(), "u2"), wants=want()),
        f"  - pick  {AT}/pick (another action URL of the IVR has the same URL)",
    ),
    (
        make(MINE, on_pbx(want(base=OLD), "u2"), wants=want(), former=OLD),
        f"  - pick  {OLD}/action/8000/pick (it leads to the former public URL, and its action has "
        "one at the current public URL)",
    ),
    (make(RIVAL), "  ? pick  https://crm.example.com/… (it is unmanaged and not changed)"),
    (
        make(FOREIGN),
        f"  ? pick  {BASE}/… (it was registered at this public URL with another RECEIVER_SECRET "
        "and is not changed: correct RECEIVER_SECRET, or delete it with receiver action-urls "
        "delete IVR NAME)",
    ),
    (
        make(MOVED),
        f"  ? pick  {OLD}/… (it was registered with this RECEIVER_SECRET at {OLD} and is not "
        f"changed: {CURE}; if another installation runs there, give each its own RECEIVER_SECRET)",
    ),
    (
        make(RIVAL, wants=want()),
        f"  ! pick  {HERE} belongs to another service (https://crm.example.com/…): use another "
        "name=, remove it there, or have it point here with --take-over",
    ),
    (
        make(MOVED, wants=want()),
        f"  ! pick  {HERE} leads to this action at {OLD}, not at {BASE}: {CURE}. {BESIDE}",
    ),
    (
        make(on_pbx(want(base=OLD, secret=OTHER)), wants=want()),
        f"  ! pick  {HERE} was registered with another RECEIVER_SECRET at {OLD}, not at {BASE}: "
        f"are RECEIVER_PUBLIC_URL and RECEIVER_SECRET those of the service? {BESIDE}",
    ),
    (
        make(RIVAL, wants=want(), take_over=True),
        "  ~ pick  taken over from https://crm.example.com/…",
    ),
    (make(FORMER_NAME, wants=want(was="old")), "  ~ pick  renamed from old"),
    (
        make(wants=want(ivr="8001")),
        "  ! pick  there is no IVR 8001 on the PBX: the PBX has 8000 'Sales'; correct the number, "
        'create the IVR first, or declare it: Ivr("8001", name="…")',
    ),
]


@pytest.mark.parametrize(("made", "line"), ROWS, ids=[line.partition(" (")[0] for _, line in ROWS])
def test_the_reason_of_an_action_url(made: Plan, line: str) -> None:
    assert line in render(made).splitlines()


EVENTS = EventEndpoint()
FORWARDS = EventEndpoint(forward_to=CRM)
THEIRS = EventUrl(enabled=True, url=CRM)


@pytest.mark.parametrize(
    ("endpoint", "actual", "take_over", "line"),
    [
        (
            None,
            EventUrl(enabled=True, url=f"{BASE}/events"),
            False,
            f"- event URL  {BASE}/events (no handler of events is declared, so it is disabled)",
        ),
        (
            EVENTS,
            THEIRS,
            False,
            "! event URL  the tenant's only event URL leads to https://crm.example.com/…: to "
            'forward its events, declare Events(forward_to="https://crm.example.com/…") with its '
            "whole URL; then replace it with --take-over-events",
        ),
        (
            FORWARDS,
            THEIRS,
            False,
            "! event URL  the tenant's only event URL leads to https://crm.example.com/…: if "
            "forward_to= leads there, replace it with --take-over-events",
        ),
        (
            EVENTS,
            THEIRS,
            True,
            "~ event URL  taken over from https://crm.example.com/…, which no longer receives "
            "events",
        ),
        (FORWARDS, THEIRS, True, "~ event URL  taken over from https://crm.example.com/…"),
    ],
)
def test_the_reason_of_an_event_url(
    endpoint: EventEndpoint | None, actual: EventUrl, take_over: bool, line: str
) -> None:
    desired = desired_event_state(endpoint, BASE, SECRET)
    made = plans.with_event_url(make(), desired, actual, take_over_events=take_over)
    assert render(made).splitlines()[0] == line


async def test_the_reason_of_what_destroy_removes() -> None:
    stage = Stage("8000")
    stage.add("8000", name="pick", url=f"{AT}/pick", dtmf_mask="1")
    stage.pbx.update_tenant({"cdr_event": {"enabled": True, "url": f"{BASE}/events"}})
    event_url = replace(desired_event_state(EVENTS, BASE, SECRET), url=None)
    async with stage.client() as client:
        made = await plan_destroy(client, BASE, event_url=event_url)
    assert render(made).splitlines()[1:3] == [
        f"  - pick  {AT}/pick (it is managed by this service)",
        f"- event URL  {BASE}/events (it is managed by this service, so it is disabled)",
    ]
