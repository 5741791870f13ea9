"""Plans: wanted against found, on values alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.calls import Call
from receiver.credentials import Secret, derive
from receiver.declarations.actions import Action
from receiver.declarations.desired_ivr import DesiredIvr
from receiver.declarations.ivr import Ivr
from receiver.errors import DeclarationError, SettingsError
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.pbx.models_ivr import Ivr as IvrFields
from receiver.registration.changes import Difference, Plan
from receiver.registration.compare import differences
from receiver.registration.desired import DesiredActionUrl, desired_action_urls
from receiver.registration.ownership import OWNER, owner_mark
from receiver.registration.plans import DUPLICATE, plan, plan_ivr
from receiver.registration.render import as_json, complaints, listed, reasons, render
from receiver.replies import Forward, Reply

BASE = "https://ivr.example.com/app"
SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")
IVR = IvrSummary(id="i1", name="Sales", extension_number="8000")
OTHER = IvrSummary(id="i2", name="Support", extension_number="9000")


async def handler(call: Call) -> Reply:
    return Forward("222")


def declare(**options: Any) -> Action:
    options = {"mask": "1;2", "kind": "DTMF", "name": "pick", **options}
    return Ivr(options.pop("ivr", "8000")).add(
        options.pop("kind"), options.pop("mask"), handler, **options
    )


def want(**options: Any) -> DesiredActionUrl:
    return desired_action_urls([declare(**options)], BASE, SECRET)[0]


def change(item: ActionUrl, **fields: Any) -> ActionUrl:
    return msgspec.structs.replace(item, **fields)


def on_pbx(item: DesiredActionUrl, id: str = "u1", **fields: Any) -> ActionUrl:
    return change(item.action, id=id, **fields)


def plan_one(wants: Sequence[DesiredActionUrl], *found: ActionUrl) -> Plan:
    return plan(wants, [(IVR, found)], BASE)


def ops(made: Plan) -> list[tuple[str, str]]:
    return [(item.op, item.resource.name) for item in made.changes]


def drift(item: DesiredActionUrl, **fields: Any) -> tuple[Difference, ...]:
    return tuple(differences(item.action, on_pbx(item, **fields)))


# what is wanted ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("auth", "mode"), [("basic", "BASIC"), ("digest", "DIGEST"), ("bearer", "BEARER")]
)
def test_an_action_becomes_an_action_url_with_derived_credentials(auth: str, mode: str) -> None:
    action = declare(
        auth=auth, headers={"X-Site": "north"}, request_timeout=5, connection_timeout=3
    )
    credentials = derive(SECRET, "8000/pick", 2)
    named = auth != "bearer"
    (made,) = desired_action_urls([action], BASE + "/", SECRET, epoch=2)
    assert made.ivr == "8000"
    assert made.where.startswith(__file__)
    assert made.action == ActionUrl(
        name="pick",
        enabled=True,
        type="DTMF",
        method="POST",
        headers=f"X-Site:north&{OWNER}:{owner_mark(SECRET)}",
        dtmf_mask="1;2",
        connection_timeout=3,
        request_timeout=5,
        url=f"{BASE}/action/8000/pick",
        auth=mode,
        username=credentials.username if named else "",
        password=credentials.password if named else Secret(""),
        token=Secret("") if named else credentials.token,
    )


def test_a_caller_action_without_authentication() -> None:
    made = want(kind="CALLER", mask="+49*****", auth=None, method="GET", enabled=False).action
    assert (made.type, made.caller_mask, made.dtmf_mask) == ("CALLER", "+49*****", "")
    assert (made.auth, made.username, made.method, made.enabled) == ("DISABLE", "", "GET", False)
    assert not made.password
    assert not made.token


# one against one -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"type": "dtmf", "auth": "bearer", "method": "post"},
        {"dtmf_mask": "2; 1"},
        {"url": "HTTPS://IVR.EXAMPLE.COM:443/app/action/8000/%70ick"},
        {"token": Secret("")},
        {"token": Secret("********")},
        {"token": Secret("xxxxxxxx")},
        {"token": Secret("0" * 8)},
        {"token": Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")},
        {"token": Secret("abcdef2345" * 4)},
        {"username": "someone", "password": Secret("otherpassword")},  # not used with BEARER
        {"caller_mask": "101"},  # not used with DTMF
        {"connection_timeout": None, "request_timeout": None},  # not shown: the PBX's default, 2
    ],
)
def test_no_drift(fields: dict[str, Any]) -> None:
    assert drift(want(), **fields) == ()


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"name": "old\x1b[2J"}, "name: old\\x1b[2J → pick"),
        ({"enabled": False}, "enabled: no → yes"),
        ({"enabled": None}, "enabled: no → yes"),
        ({"auth": ""}, "auth: DISABLE → BEARER"),
        ({"request_timeout": 5}, "request_timeout: 5 → 2"),
        ({"connection_timeout": 0}, "connection_timeout: 0 → 2"),
        ({"type": ""}, "type: (none) → DTMF"),
        ({"method": "GET"}, "method: GET → POST"),
        ({"auth": "DISABLE"}, "auth: DISABLE → BEARER"),
        ({"dtmf_mask": "1;2;3"}, "dtmf_mask: 1;2;3 → 1;2"),
        ({"dtmf_mask": "one"}, "dtmf_mask: one → 1;2"),
        ({"headers": "x-key:sesame&b"}, "headers: x-key:***&b:*** → (none)"),
        ({"url": f"{BASE}/action/8000/pick?x"}, None),
        ({"token": Secret("sesame")}, "token: *** → ***"),
        ({"token": Secret("abcdef" * 5 + "ab")}, "token: *** → ***"),  # 32, but no hash for sure
    ],
)
def test_drift(fields: dict[str, Any], text: str | None) -> None:
    (found,) = drift(want(), **fields)
    url = f"{BASE}/action/8000/pick"
    assert str(found) == (text or f"url: {url}?*** → {url}")


def test_masks_of_different_dashes_are_one() -> None:
    assert drift(want(mask="1000-1999;2"), dtmf_mask=" 2;1000\N{EN DASH}1999") == ()
    assert str(drift(want(kind="CALLER"), caller_mask="")[0]) == "caller_mask: (none) → 1;2"


def test_headers_are_pairs_in_any_order() -> None:
    item = want(headers={"X-A": "1", "X-B": "2:3"})
    assert drift(item, headers="x-b: 2:3&X-A:1&") == ()
    assert str(drift(item, headers="X-B:2:3")[0]) == "headers: X-B:*** → X-A:***&X-B:***"


@pytest.mark.parametrize("auth", ["basic", "digest"])
def test_user_names_and_passwords_count_where_they_are_used(auth: str) -> None:
    item = want(auth=auth)
    assert drift(item, username="", password=Secret("••••"), token=Secret("sesame")) == ()
    fields = {"username": "someone", "password": Secret("sesame")}
    assert [str(found) for found in drift(item, **fields)] == [
        "username: *** → ***",
        "password: *** → ***",
    ]


# a plan --------------------------------------------------------------------------------------


def test_create_update_keep_delete_and_foreign() -> None:
    new, changed, kept = want(name="new"), want(name="changed"), want(name="kept")
    old = on_pbx(want(name="old"), "u3")
    foreign = ActionUrl(id="u4", name="theirs", url="https://crm.example.com/hook")
    made = plan_one(
        [new, changed, kept],
        on_pbx(kept, "u1"),
        on_pbx(changed, "u2", request_timeout=9, headers="X:1"),
        old,
        foreign,
    )
    assert ops(made) == [
        ("create", "new"),
        ("update", "changed"),
        ("unchanged", "kept"),
        ("delete", "old"),
        ("unmanaged", "theirs"),
    ]
    update = made.of("update")[0]
    assert update.resource == on_pbx(changed, "u2")
    assert update.where == changed.where
    assert made.of("delete")[0].resource == old
    assert [item.op for item in made.pending] == ["create", "update", "delete"]


def test_a_new_name_for_a_url_is_an_update_of_the_name() -> None:
    made = plan_one([want()], on_pbx(want(), name="before"))
    assert [str(item) for item in made.changes[0].differences] == ["name: before → pick"]


def test_a_new_url_for_a_name_is_an_update_of_the_url() -> None:
    made = plan_one([want()], on_pbx(want(), url=f"{BASE}/action/8000/before"))
    assert [item.field for item in made.changes[0].differences] == ["url"]
    assert made.changes[0].resource.id == "u1"


def test_a_name_is_not_taken_from_a_neighbour_that_is_wanted_too() -> None:
    pick, next_door = want(), want(name="next")
    made = plan_one([pick, next_door], on_pbx(next_door, "u1", name="pick"))
    assert ops(made) == [("create", "pick"), ("update", "next")]


def test_the_first_of_two_is_kept_and_the_rest_deleted() -> None:
    made = plan_one([want()], *(on_pbx(want(), f"u{i}") for i in range(3)))
    assert [(item.op, item.resource.id, item.reason) for item in made.changes] == [
        ("unchanged", "u0", ""),
        ("delete", "u1", DUPLICATE),
        ("delete", "u2", DUPLICATE),
    ]


def test_moving_to_another_ivr_creates_there_and_deletes_here() -> None:
    here, there = want(), want(ivr="9000")
    made = plan([there], [(OTHER, []), (IVR, [on_pbx(here)])], BASE)
    assert [str(item) for item in made.changes] == ["delete 8000/pick", "create 9000/pick"]


@pytest.mark.parametrize("found", [[], [on_pbx(want(), name="before")]])
def test_a_name_of_another_service_is_not_taken_over(found: list[ActionUrl]) -> None:
    foreign = ActionUrl(id="u9", name="Pick", url="https://crm.example.com/sesame")
    made = plan_one([want()], *found, foreign)
    assert ops(made) == [("blocked", "pick"), ("unmanaged", "Pick")]
    assert made.pending
    assert "(https://crm.example.com/…)" in made.changes[0].reason
    assert "sesame" not in render(made) + json.dumps(as_json(made))


def test_taken_over_it_stays_the_same_one_and_points_here() -> None:
    foreign = on_pbx(want(auth="basic"), "u9", url="https://crm.example.com/sesame", name="Pick")
    again = on_pbx(want(), "u8", url="https://dev.example.com/sesame")
    made = plan([want()], [(IVR, [foreign, again])], BASE, take_over=True)
    assert ops(made) == [("update", "pick"), ("unmanaged", "pick")]
    (change,) = made.of("update")
    assert change.resource == on_pbx(want(), "u9")
    assert change.reason == "taken over from https://crm.example.com/…"
    assert "sesame" not in render(made) + json.dumps(as_json(made)) + repr(made)
    assert ops(plan_one([want()], change.resource, again)) == [
        ("unchanged", "pick"),
        ("unmanaged", "pick"),
    ]


def test_a_managed_action_url_of_another_name_yields_to_the_one_taken_over() -> None:
    foreign = ActionUrl(id="u9", name="pick", url="https://crm.example.com/hook")
    mine = on_pbx(want(), "u1", name="before")
    made = plan([want()], [(IVR, [mine, foreign])], BASE, take_over=True)
    assert [(item.op, item.resource.id) for item in made.changes] == [
        ("update", "u9"),
        ("delete", "u1"),
    ]


def test_of_several_the_one_with_the_smallest_id_is_kept() -> None:
    made = plan_one([want()], on_pbx(want(), "10"), on_pbx(want(), "9"), on_pbx(want(), "8a"))
    assert [(item.op, item.resource.id) for item in made.changes] == [
        ("unchanged", "9"),
        ("delete", "10"),
        ("delete", "8a"),
    ]


def test_of_several_the_one_with_the_declared_name_is_kept() -> None:
    copy = on_pbx(want(), "u1", name="copy", url=f"{BASE}/action/8000/pick/")
    made = plan_one([want()], copy, on_pbx(want(), "u2"))
    assert [(item.op, item.resource.id) for item in made.changes] == [
        ("unchanged", "u2"),
        ("delete", "u1"),
    ]


@pytest.mark.parametrize(
    "url", ["https://crm.example.com/x", "https://old.example.com/action/{}/pick"]
)
def test_what_is_blocked_on_several_ivrs_for_one_reason_is_said_once(url: str) -> None:
    here, there = want(), want(ivr="9000")
    rivals = [on_pbx(item, "u9", url=url.format(item.ivr)) for item in (here, there)]
    made = plan([here, there], [(IVR, rivals[:1]), (OTHER, rivals[1:])], BASE)
    text = reasons(made.of("blocked"))
    assert text.startswith("8000/pick, 9000/pick: the IVR has an action URL of this name")
    assert text.count("the IVR has") == 1


@pytest.mark.parametrize("auth", ["bearer", "basic", "digest"])
def test_the_next_epoch_is_no_drift_and_stays(auth: str) -> None:
    action = declare(auth=auth)
    now, coming = (desired_action_urls([action], BASE, SECRET, epoch)[0] for epoch in (1, 2))
    assert ops(plan_one([now], on_pbx(coming))) == [("unchanged", "pick")]
    made = plan_one([now], on_pbx(coming, request_timeout=9))
    assert [item.field for item in made.changes[0].differences] == ["request_timeout"]
    assert made.changes[0].resource == on_pbx(coming)
    strict = desired_action_urls([action], BASE, SECRET, 2, lenient=False)
    assert ops(plan_one(strict, on_pbx(now))) == [("update", "pick")]
    assert ops(plan_one(desired_action_urls([action], BASE, SECRET, 2), on_pbx(now))) == [
        ("update", "pick")
    ]


def test_unreadable_fields_are_updated_on_request() -> None:
    found = [(IVR, [on_pbx(want(), token=Secret("****"))])]
    assert ops(plan([want()], found, BASE)) == [("unchanged", "pick")]
    made = plan([want()], found, BASE, certain=True)
    assert [str(item) for item in made.changes[0].differences] == [
        "token: (hidden by the PBX) → ***"
    ]
    known = [(IVR, [on_pbx(want()), on_pbx(want(name="open", auth=None), "u2")])]
    wants = [want(), want(name="open", auth=None)]
    assert not plan(wants, known, BASE, certain=True).pending


def test_the_parts_of_a_long_mask_are_managed_and_share_their_credentials() -> None:
    mask = ";".join(str(n) for n in range(40000, 40090, 2))
    one, two = desired_action_urls([declare(mask=mask)], BASE, SECRET)
    assert (one.action.name, two.action.name) == ("pick", "pick~2")
    assert two.action.url == f"{BASE}/action/8000/pick/2"
    assert one.action.token == two.action.token
    assert one.identity == two.identity == "8000/pick"
    found = [on_pbx(one), on_pbx(two, "u2")]
    assert ops(plan_one([one, two], *found)) == [("unchanged", "pick"), ("unchanged", "pick~2")]
    assert ops(plan_one([want()], *found)) == [("update", "pick"), ("delete", "pick~2")]


def test_two_services_live_on_one_ivr_under_the_same_names() -> None:
    foreign = on_pbx(want(), "u9", url="https://other.example.com/action/8000/pick")
    assert ops(plan_one([want()], on_pbx(want()), foreign)) == [
        ("unchanged", "pick"),
        ("unmanaged", "pick"),
    ]


def test_an_empty_desired_state_plans_the_removal_on_every_ivr() -> None:
    foreign = ActionUrl(id="u9", name="theirs", url="https://crm.example.com/")
    made = plan([], [(OTHER, [on_pbx(want(ivr="9000"))]), (IVR, [on_pbx(want()), foreign])], BASE)
    assert [item.op for item in made.changes] == ["delete", "unmanaged", "delete"]


@pytest.mark.parametrize(
    ("wants", "text"),
    [
        ([want(), want()], "two declarations named 'pick'"),
        (
            [DesiredActionUrl("8000", change(want().action, url="/action/8000/pick"))],
            "not lie below",
        ),
    ],
)
def test_what_cannot_be_planned(wants: list[DesiredActionUrl], text: str) -> None:
    with pytest.raises((DeclarationError, SettingsError)) as caught:
        plan_one(wants)
    assert text in str(caught.value)


def test_an_ivr_that_is_missing_stops_no_other() -> None:
    made = plan_one([want(), want(ivr="8001"), want(ivr="7000")])
    assert list(map(str, made.changes)) == [
        "create 8000/pick",
        "missing 8001/pick",
        "missing 7000/pick",
    ]
    assert made.pending == made.changes
    assert made.changes[1].where.startswith(__file__)
    assert made.changes[1].reason == (
        "there is no IVR 8001 on the PBX: the PBX has 8000 'Sales'; correct the number, create the "
        'IVR first, or declare it: Ivr("8001", name="…")'
    )
    assert "IVR 7000\n  ! pick  there is no IVR 7000 on the PBX" in render(made)
    assert as_json(made)["counts"]["missing"] == 2
    assert "1 to create, 2 missing." in render(made)


def test_an_ivr_that_is_yet_to_be_created_is_not_named_as_one_of_the_pbx() -> None:
    coming = IvrSummary(id="", name="New", extension_number="8002")
    made = plan([want(ivr="8001")], [(IVR, ()), (coming, ())], BASE)
    assert "the PBX has 8000 'Sales'; correct" in made.changes[0].reason


# any state -----------------------------------------------------------------------------------

names = st.sampled_from(["pick", "hours", "vip", "Pick", ""])
action_urls = st.builds(
    ActionUrl,
    id=st.uuids().map(str),
    name=names,
    enabled=st.booleans(),
    type=st.sampled_from(["DTMF", "CALLER", ""]),
    method=st.sampled_from(["GET", "POST"]),
    headers=st.sampled_from(["", "X-A:1", "broken"]),
    dtmf_mask=st.sampled_from(["", "1", "1;2", "?"]),
    request_timeout=st.integers(0, 3),
    url=st.one_of(
        st.builds(f"{BASE}/action/8000/{{}}".format, names.filter(bool)),
        st.builds("https://crm.example.com/{}".format, names),
    ),
    auth=st.sampled_from(["DISABLE", "BASIC", "DIGEST", "BEARER"]),
    username=st.sampled_from(["", "someone"]),
    password=st.sampled_from(["", "***", "sesame"]).map(Secret),
)
wants = st.lists(
    st.builds(
        want,
        name=st.sampled_from(["pick", "hours", "vip"]),
        auth=st.sampled_from([None, "basic", "digest", "bearer"]),
        headers=st.sampled_from([{}, {"X-A": "1"}]),
    ),
    unique_by=lambda item: item.action.name,
    max_size=3,
)


def carry_out(made: Plan, found: Sequence[ActionUrl]) -> list[ActionUrl]:
    """Return the action URLs of a PBX after ``made``."""
    gone = {item.resource.id for item in made.of("delete")}
    updated = {item.resource.id: item.resource for item in made.of("update")}
    kept = [updated.get(item.id, item) for item in found if item.id not in gone]
    return kept + [change(item.resource, id=f"new{item}") for item in made.of("create")]


@given(wants, st.lists(action_urls, max_size=6))
def test_planning_the_outcome_of_a_plan_gives_nothing_to_do(
    wants: list[DesiredActionUrl], found: list[ActionUrl]
) -> None:
    made = plan_one(wants, *found)
    again = plan_one(wants, *carry_out(made, found))
    blocked = [str(item) for item in made.of("blocked")]
    assert [str(item) for item in again.pending] == blocked
    assert ("Nothing to do." in render(again)) is (not blocked)


@given(wants, st.lists(action_urls, max_size=6))
def test_foreign_ones_are_listed_and_never_touched(
    wants: list[DesiredActionUrl], found: list[ActionUrl]
) -> None:
    made = plan_one(wants, *found)
    foreign = [item for item in found if item.url.startswith("https://crm")]
    assert [item.resource for item in made.of("unmanaged")] == foreign
    touched = {item.resource.id for item in made.of("update", "delete")}
    assert not touched & {item.id for item in foreign}


# printouts -----------------------------------------------------------------------------------


def secretive() -> Plan:
    new = want(name="new", headers={"X-Key": "sesame"}, auth=None)
    other = want(name="other", auth="basic")
    found = on_pbx(other, "u2", password=Secret("sesame"), headers="X-Key:sesame")
    foreign = ActionUrl(id="u9", name="their\ns", url="https://crm.example.com/sesame?k=sesame")
    return plan_one([new, other, want()], found, on_pbx(want()), on_pbx(want(name="old")), foreign)


def test_the_printout() -> None:
    assert render(secretive()).splitlines() == [
        "IVR 8000 Sales",
        f"  + new  DTMF 1;2, POST, no authentication, {BASE}/action/8000/new",
        "  ~ other",
        "      headers: X-Key:*** → (none)",
        "      password: *** → ***",
        "  = pick",
        f"  - old  {BASE}/action/8000/old (it is no longer declared; if it was renamed to new, "
        'declare that with was="old")',
        "  ? their\\ns  https://crm.example.com/… (it is unmanaged and not changed)",
        "Plan: 1 to create, 1 to update, 1 to delete, 1 unchanged, 1 unmanaged.",
    ]


def test_the_printout_of_nothing() -> None:
    assert render(plan_one([])) == "Nothing to do."
    assert render(plan_one([want()], on_pbx(want()))).splitlines() == [
        "IVR 8000 Sales",
        "  = pick",
        "Nothing to do.",
    ]


def test_what_was_done_is_listed_by_operation_and_ivr() -> None:
    made = plan([want(), want(ivr="9000")], [(IVR, ()), (OTHER, ())], BASE).changes
    ivr = plan_ivr(DesiredIvr(IvrFields(extension_number="8000")), None, None)
    assert listed([ivr, *made]) == "create IVR 8000, 8000/pick, 9000/pick"


def test_what_is_not_as_it_was_sent_is_listed_by_complaint() -> None:
    blocked = plan_one([want()], on_pbx(want(), url="https://crm.example.com/")).of("blocked")
    assert complaints(blocked) == f"8000/pick: blocked: {blocked[0].reason}"


def test_json_for_programs() -> None:
    made = as_json(secretive())
    assert made["pending"] is True
    assert made["counts"] == {
        "create": 1,
        "update": 1,
        "delete": 1,
        "unchanged": 1,
        "unmanaged": 1,
        "blocked": 0,
        "missing": 0,
    }
    update = made["changes"][1]
    assert update.pop("where").startswith(__file__)
    assert update == {
        "op": "update",
        "ivr": "8000",
        "name": "other",
        "id": "u2",
        "url": f"{BASE}/action/8000/other",
        "reason": None,
        "fields": [
            {"field": "headers", "from": "X-Key:***", "to": ""},
            {"field": "password", "from": "***", "to": "***"},
        ],
    }
    assert made["changes"][4]["url"] == "https://crm.example.com/…"


def test_no_printout_holds_a_secret() -> None:
    made = secretive()
    shown = f"{render(made)} {json.dumps(as_json(made))} {made!r}"
    derived = [derive(SECRET, f"8000/{name}") for name in ("new", "other", "pick")]
    assert "sesame" not in shown
    for item in derived:
        assert item.password.reveal() not in shown
        assert item.token.reveal() not in shown
        assert item.username not in shown


# what a PBX that hides nothing tells ---------------------------------------------------------

ODD_SECRETS = ["Changed-In-Portal", "CHANGED", "aaaaaaaa", "password-x", "***", ""]


@pytest.mark.parametrize("secret", ODD_SECRETS)
def test_where_one_secret_is_shown_any_other_value_is_drift(secret: str) -> None:
    one, two = want(name="one"), want(name="two")
    found = [(IVR, [on_pbx(one), on_pbx(two, "u2", token=Secret(secret))])]
    (changed,) = plan([one, two], found, BASE).of("update", "create", "delete")
    assert (changed.op, changed.resource.name) == ("update", "two")
    assert [item.field for item in changed.differences] == ["token"]
    assert not secret or secret == "***" or secret not in str(changed.differences)


@pytest.mark.parametrize("secret", ODD_SECRETS)
def test_where_none_is_shown_an_odd_value_may_be_a_mask(secret: str) -> None:
    one, two = want(name="one", auth="basic"), want(name="two", auth="digest")
    hidden = [
        on_pbx(one, password=Secret(secret)),
        on_pbx(two, "u2", password=Secret(secret)),
    ]
    assert not plan([one, two], [(IVR, hidden)], BASE).pending


@pytest.mark.parametrize("auth", ["bearer", "basic", "digest"])
def test_what_cannot_be_read_is_sent_so_that_it_is_good_before_and_after_a_rotation(
    auth: Any,
) -> None:
    """The epoch on the PBX is unknown: an update must not take it back to the old one."""
    (one,) = desired_action_urls([declare(auth=auth)], BASE, SECRET, 1)
    masked: dict[str, Any] = {"username": ""}
    masked |= dict.fromkeys(("password", "token"), Secret("***"))
    (update,) = plan([one], [(IVR, [on_pbx(one, **masked, enabled=False)])], BASE).of("update")
    (later,) = desired_action_urls([declare(auth=auth)], BASE, SECRET, 2)
    for name in ("username", "password", "token"):
        assert getattr(update.resource, name) == getattr(later.action, name)


@pytest.mark.parametrize("auth", ["bearer", "digest", None])
@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("epoch", [1, 2])
def test_a_secret_header_reveals_the_epoch(auth: Any, hidden: bool, epoch: int) -> None:
    """With hidden credentials too: those on the PBX are valid and are not changed."""
    action = declare(auth=auth, secret_header="X-Key", headers={"X-Site": "n"})
    (now,) = desired_action_urls([action], BASE, SECRET, 1)
    (there,) = desired_action_urls([action], BASE, SECRET, epoch)
    stars = dict.fromkeys(("password", "token"), Secret("***"))
    masked: dict[str, Any] = stars if hidden else {}
    (keep,) = plan([now], [(IVR, [on_pbx(there, **masked)])], BASE).changes
    assert keep.op == "unchanged"
    for lost in ("", "X-Site:n", "X-Site:n&X-Key:stranger"):
        found = on_pbx(there, **masked, headers=lost)
        (update,) = plan([now], [(IVR, [found])], BASE).of("update")
        assert now.coming is not None
        assert update.resource.headers in (now.action.headers, now.coming.headers)
        assert [item.field for item in update.differences] == ["headers"]
        assert "stranger" not in str(update.differences)


def test_warnings_stand_before_the_sum() -> None:
    made = replace(plan([want()], [(IVR, [])], BASE), warnings=("look out",))
    assert render(made).splitlines()[-2:] == ["Warning: look out", "Plan: 1 to create."]


def test_json_has_values_of_their_types() -> None:
    item = want()
    found = on_pbx(item, enabled=False, request_timeout=5)
    (change,) = as_json(plan_one([item], found))["changes"]
    assert change["fields"] == [
        {"field": "enabled", "from": False, "to": True},
        {"field": "request_timeout", "from": 5, "to": 2},
    ]
    assert "enabled: no → yes" in render(plan_one([item], found))
