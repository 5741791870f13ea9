"""The owner of an action URL: by its public URL, or by the owner mark if that changed."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.calls import Call
from receiver.credentials import Secret
from receiver.declarations.actions import Action
from receiver.declarations.ivr import Ivr
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.registration.changes import Plan
from receiver.registration.desired import DesiredActionUrl, desired_action_urls
from receiver.registration.ownership import OWNER, Ownership, mark_of, owner_mark, without_mark
from receiver.registration.plans import DUPLICATE, FORMER, plan, plan_again
from receiver.registration.render import render
from receiver.replies import Forward, Reply

BASE = "https://ivr.example.com:8443/new"
OLD = "http://10.0.0.5:8000/old"
SECRET = Secret("a service secret of the tests")
OTHER = Secret("another secret of the tests")
IVR = IvrSummary(id="i1", name="Sales", extension_number="8000")


async def handler(call: Call) -> Reply:
    return Forward("222")


def declare(*names: str) -> list[Action]:
    ivr = Ivr("8000")
    return [ivr.add("DTMF", str(n), handler, name=name) for n, name in enumerate(names)]


def want(
    *names: str, base: str = BASE, secret: Secret = SECRET, epoch: int = 1
) -> tuple[DesiredActionUrl, ...]:
    return desired_action_urls(declare(*names), base, secret, epoch)


def there(*items: DesiredActionUrl, **fields: str) -> list[ActionUrl]:
    """Return the action URLs of a PBX after these were applied."""
    return [
        msgspec.structs.replace(item.action, id=f"u{n}", **fields) for n, item in enumerate(items)
    ]


def plan_it(
    wants: Sequence[DesiredActionUrl],
    found: Sequence[ActionUrl],
    former: str = "",
    secret: Secret = SECRET,
) -> Plan:
    return plan(wants, [(IVR, found)], BASE, owner=owner_mark(secret), former=former)


def ops(made: Plan) -> list[tuple[str, str]]:
    return [(item.op, item.resource.name) for item in made.changes]


def carry_out(made: Plan, found: Sequence[ActionUrl]) -> list[ActionUrl]:
    """Return the action URLs of a PBX after ``made``."""
    gone = {item.resource.id for item in made.of("delete")}
    updated = {item.resource.id: item.resource for item in made.of("update")}
    kept = [updated.get(item.id, item) for item in found if item.id not in gone]
    new = (msgspec.structs.replace(c.resource, id=f"n{c.resource.name}") for c in made.of("create"))
    return [*kept, *new]


# the mark ------------------------------------------------------------------------------------


def test_the_mark_is_one_for_each_secret_and_pbx_and_survives_a_rotation() -> None:
    mark = owner_mark(SECRET)
    assert re.fullmatch("[a-z2-7]{16}", mark)
    assert len({mark, owner_mark(OTHER), owner_mark(SECRET, "north")}) == 3
    for epoch in (1, 2, 9):
        (item,) = want("pick", epoch=epoch)
        assert item.coming is not None
        assert mark_of(item.action.headers) == mark_of(item.coming.headers) == mark


@pytest.mark.parametrize(
    ("headers", "mark"),
    [
        ("", ""),
        (f"{OWNER}:abcdefgh234567ab", "abcdefgh234567ab"),
        ("x:1&receiver-owner: abcdefgh234567ab &y:2", "abcdefgh234567ab"),
        (f"{OWNER}:***", ""),
        (f"{OWNER}:ABCDEFGH234567AB", ""),
        (f"{OWNER}", ""),
        (f"X-{OWNER}:abcdefgh234567ab", ""),
    ],
)
def test_a_mark_that_cannot_be_read_is_none(headers: str, mark: str) -> None:
    assert mark_of(headers) == mark


@given(st.text(max_size=60))
def test_headers_without_the_mark_have_none(headers: str) -> None:
    assert mark_of(without_mark(headers)) == ""
    assert without_mark(f"{without_mark(headers)}&{OWNER}:x") == without_mark(headers)


def test_a_mark_that_the_pbx_drops_is_no_drift() -> None:
    for headers in ("", f"{OWNER}:***", f"{OWNER}"):
        made = plan_it(want("pick"), there(*want("pick"), headers=headers))
        assert ops(made) == [("unchanged", "pick")]


def test_a_changed_secret_shows_where_the_pbx_hides_the_credentials() -> None:
    found = [
        msgspec.structs.replace(item, token=Secret("****"))
        for item in there(*want("pick", secret=OTHER))
    ]
    made = plan_it(want("pick"), found)
    assert [str(item) for item in made.changes[0].differences] == [
        "owner: another RECEIVER_SECRET → this one"
    ]
    assert made.changes[0].resource.headers == f"{OWNER}:{owner_mark(SECRET)}"


# spellings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["/", "//", "#x", "?x=1"])
def test_a_spelling_that_is_not_answered_is_repaired_and_destroyed(end: str) -> None:
    (found,) = there(*want("pick"))
    found = msgspec.structs.replace(found, url=found.url + end)
    made = plan_it(want("pick"), [found])
    assert ops(made) == [("update", "pick")]
    assert [item.field for item in made.changes[0].differences] == ["url"]
    assert ops(plan_it(want("pick"), carry_out(made, [found]))) == [("unchanged", "pick")]
    assert ops(plan_it((), [found])) == [("delete", "pick")]


# a public URL that changed -------------------------------------------------------------------


def test_a_moved_service_is_shown_and_blocked_until_the_former_url_is_given() -> None:
    found = there(*want("pick", "old", base=OLD))
    made = plan_it(want("pick", "new"), found)
    assert ops(made) == [
        ("blocked", "pick"),
        ("create", "new"),
        ("unmanaged", "pick"),
        ("unmanaged", "old"),
    ]
    reason = made.changes[0].reason
    assert f"leads to this action at {OLD}, not at {BASE}: is RECEIVER_PUBLIC_URL right?" in reason
    assert f"--moved-from {OLD}" in reason
    assert "--take-over" not in render(made)
    assert f"it was registered with this RECEIVER_SECRET at {OLD}" in made.changes[3].reason
    assert f"(it was registered with this RECEIVER_SECRET at {OLD}" in render(made)


@pytest.mark.parametrize("marked", [True, False])
def test_with_the_former_url_nothing_is_orphaned(marked: bool) -> None:
    found = there(*want("pick", "old", base=OLD))
    if not marked:  # the PBX hides or drops headers
        found = [msgspec.structs.replace(item, headers="") for item in found]
    made = plan_it(want("pick", "new"), found, former=OLD + "/")
    assert ops(made) == [("update", "pick"), ("create", "new"), ("delete", "old")]
    assert made.changes[0].resource.id == "u0"
    again = plan_it(want("pick", "new"), carry_out(made, found))
    assert ops(again) == [("unchanged", "pick"), ("unchanged", "new")]
    assert ops(plan_it((), found, former=OLD)) == [("delete", "pick"), ("delete", "old")]


def test_by_another_name_the_same_action_is_moved_too() -> None:
    found = there(*want("pick", base=OLD), name="renamed in the portal")
    made = plan_it(want("pick"), found, former=OLD)
    assert ops(made) == [("update", "pick")]
    assert made.changes[0].resource.id == "u0"


def test_what_is_at_both_public_urls_is_kept_once() -> None:
    (old,), (new,) = there(*want("pick", base=OLD)), there(*want("pick"))
    found = [old, msgspec.structs.replace(new, id="u8"), msgspec.structs.replace(new, id="u9")]
    made = plan_it(want("pick"), found, former=OLD)
    assert [(item.op, item.resource.id, item.reason) for item in made.changes] == [
        ("unchanged", "u8", ""),
        ("delete", "u0", FORMER),
        ("delete", "u9", DUPLICATE),
    ]


def test_a_plan_is_made_again_by_the_same_rules() -> None:
    found = there(*want("pick", base=OLD))
    made = plan_it(want("pick"), found, former=OLD)
    assert plan_again(made, [(IVR, found)]) == made


# two installations ---------------------------------------------------------------------------


def test_two_installations_with_other_secrets_never_own_each_others() -> None:
    found = there(*want("pick", "theirs", base=OLD, secret=OTHER))
    for former in ("", OLD):
        made = plan_it(want("pick"), found, former=former)
        assert not made.of("update", "delete", "create")
        assert f"another RECEIVER_SECRET at {OLD}, not at {BASE}" in made.of("blocked")[0].reason
        assert "--moved-from" not in render(made)
        assert not plan_it((), found, former=former).of("update", "delete")


def test_staging_with_the_secret_of_production_deletes_nothing_of_it() -> None:
    production = there(*want("pick", "hours", base=OLD))
    assert not plan_it((), production).of("update", "delete")
    assert not plan_it(want("other"), production).of("update", "delete")


def test_what_another_secret_registered_here_is_not_deleted() -> None:
    """The command may have a wrong secret; what is declared the service itself decides on."""
    found = there(*want("pick", "gone", secret=OTHER))
    made = plan_it(want("pick"), found)
    assert ops(made) == [("update", "pick"), ("unmanaged", "gone")]
    assert "another RECEIVER_SECRET and is not changed" in render(made)
    assert "receiver action-urls delete IVR NAME" in made.changes[1].reason
    assert [item.op for item in plan_it((), found).changes] == ["unmanaged", "unmanaged"]
    without = plan((), [(IVR, found)], BASE)
    assert [item.op for item in without.changes] == ["delete", "delete"]


marks = st.sampled_from(["", f"{OWNER}:{owner_mark(SECRET)}", f"{OWNER}:{owner_mark(OTHER)}"])
bases = st.sampled_from([BASE, BASE + "/", OLD, "https://third.example.com"])


@given(
    st.lists(
        st.builds(
            lambda base, name, end, headers, id: ActionUrl(
                id=id, name=name, url=f"{base}/action/8000/{name}{end}", headers=headers
            ),
            bases,
            st.sampled_from(["pick", "hours", "vip"]),
            st.sampled_from(["", "/", "?x", "/2"]),
            marks,
            st.uuids().map(str),
        ),
        max_size=6,
    ),
    st.sampled_from(["", OLD]),
)
def test_nothing_of_another_installation_is_touched(found: list[ActionUrl], former: str) -> None:
    whose = Ownership(BASE, "", owner_mark(SECRET), former)
    made = plan_it(want("pick", "hours"), found, former)
    touched = made.of("update", "delete")
    before = [item.before if item.op == "update" else item.resource for item in touched]
    assert all(isinstance(item, ActionUrl) and whose.owns(item) for item in before)
    assert not any(
        item.op == "delete" and whose.has_other_mark(item.resource) and item.reason != DUPLICATE
        for item in touched
    )
    again = plan_it(want("pick", "hours"), carry_out(made, found), former)
    assert not again.of("create", "update", "delete")
