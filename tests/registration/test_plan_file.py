"""A plan in a file: no secret in it, and equal only to the plan that was saved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.calls import Call
from receiver.credentials import Secret
from receiver.declarations.desired_ivr import DesiredIvr, Prompt
from receiver.declarations.ivr import Ivr
from receiver.errors import LoadError, RegistrationError
from receiver.pbx.models import IvrSummary
from receiver.pbx.models_ivr import Ivr as IvrFields
from receiver.registration.changes import Change, Plan
from receiver.registration.desired import desired_action_urls
from receiver.registration.plan_file import (
    PlanFile,
    PlanOptions,
    SavedPlan,
    check,
    check_seal,
    decode,
    encode,
    is_possible,
    save,
    seal,
)
from receiver.registration.plans import plan, plan_ivr
from receiver.replies import Forward, Reply

BASE = "https://ivr.example.com/app"
SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")
OTHER = Secret("e81b5c3f70a94d26b3f7091ac5d64e28")
PIN = "13579024"
IVR = IvrSummary(id="i1", name="Sales", extension_number="8000")
OPTIONS = PlanOptions()


async def handler(call: Call) -> Reply:
    return Forward("222")


def make(last: str = "1", *, names: int = 1, epoch: int = 1, token: str = "") -> Plan:
    """Return a plan with an IVR to create, and actions to create or, with ``token``, to update."""
    ivr = Ivr("8000")
    actions = [ivr.add("DTMF", f"{n + 10}{last}", handler, name=f"pick{n}") for n in range(names)]
    desired = desired_action_urls(actions, BASE, SECRET, epoch)
    found = [
        msgspec.structs.replace(one.action, id=f"u{n}", token=Secret(token), request_timeout=9)
        for n, one in enumerate(desired)
        if token
    ]
    fields = IvrFields(extension_number="8100", name="Support", pin=Secret(PIN))
    recordings = {"prompt": Prompt("welcome.wav", b"RIFF")}
    support = plan_ivr(DesiredIvr(fields, where="app.py:3", recordings=recordings), None, None)
    return plan(desired, [(IVR, found)], BASE, ivrs=(support,))


def moved(made: Plan) -> Plan:
    """Return the plan of the same declarations in other lines of another folder."""

    def elsewhere(change: Change[DesiredIvr]) -> Change[DesiredIvr]:
        resource = replace(
            change.resource, where="/b/app.py:9", prompts={"prompt": Path("/b/welcome.wav")}
        )
        return replace(change, where="/b/app.py:9", resource=resource)

    changes = tuple(replace(one, where="/b/app.py:7") for one in made.changes)
    return replace(made, changes=changes, ivrs=tuple(map(elsewhere, made.ivrs)))


def test_the_saved_plan_is_that_plan_also_on_another_machine() -> None:
    check(save(make(), SECRET), make(), SECRET)
    check(save(make(), SECRET), moved(make()), SECRET)


def test_the_file_keeps_the_plan_and_no_secret() -> None:
    made = make(token="a-token-on-the-pbx")
    content = PlanFile("app:app", OPTIONS, (save(made, SECRET),))
    text = encode(content)
    assert decode(text, "x.plan") == content
    check(decode(text, "x.plan").plans[0], made, SECRET)
    (shown,) = json.loads(text)["plans"]
    assert [one["op"] for one in shown["plan"]["changes"]] == ["update"]
    assert all("where" not in one for one in shown["plan"]["ivrs"])
    secrets = {SECRET.reveal(), PIN, "a-token-on-the-pbx"}
    secrets |= {one.action.token.reveal() for one in made.desired}
    assert not [secret for secret in secrets if secret in text.decode()]


@pytest.mark.parametrize(
    ("now", "what"),
    [
        (
            make("3"),
            "(+ pick0  DTMF 103, POST, bearer, https://ivr.example.com/app/action/8000/pick0)",
        ),
        (make(names=2), "(8000/pick1)"),
        (make(names=13), "8000/pick10 and 2 more)"),
        (make(epoch=2), "(credentials, or the state of an action URL)"),
        (make(token="x"), "(8000/pick0)"),
        (replace(make(), ivrs=()), "(IVR 8100)"),
    ],
)
def test_another_plan_is_refused(now: Plan, what: str) -> None:
    with pytest.raises(RegistrationError, match="nothing was done: the PBX, the decl") as caught:
        check(save(make(), SECRET), now, SECRET)
    assert what in str(caught.value)


def test_a_credential_that_changed_on_the_pbx_is_refused() -> None:
    before, now = make(token="aaaaaaaaaaaa"), make(token="bbbbbbbbbbbb")
    assert save(before, SECRET).plan == save(now, SECRET).plan  # the masked lines are equal
    with pytest.raises(RegistrationError, match="credentials, or the state"):
        check(save(before, SECRET), now, SECRET)


def test_the_plan_of_another_secret_is_refused() -> None:
    with pytest.raises(RegistrationError, match="have changed"):
        check(save(make(), SECRET), make(), OTHER)


def test_an_edited_plan_is_refused() -> None:
    saved = save(make(), SECRET)
    edited = msgspec.structs.replace(saved, plan={**saved.plan, "changes": []})
    with pytest.raises(RegistrationError, match="the plan was edited after it was saved"):
        check(edited, make(), SECRET)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["ivr", "name"]), inner),
)


@given(st.dictionaries(st.sampled_from(["ivrs", "changes", "printed"]), JSON), st.text())
def test_any_edit_is_refused_in_one_line(content: dict[str, Any], fingerprint: str) -> None:
    with pytest.raises(RegistrationError) as caught:
        check(SavedPlan("", BASE, content, fingerprint), make(), SECRET)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"format": "receiver plan 2"}', b"from x"]
)
def test_a_file_that_is_no_plan(text: bytes) -> None:
    with pytest.raises(
        LoadError, match=r"^a b is neither an app nor a plan of receiver plan --out"
    ):
        decode(text, "a b")


def test_an_unknown_key_is_an_error() -> None:
    data = json.loads(encode(PlanFile("app:app", OPTIONS, ())))
    with pytest.raises(LoadError, match="unknown field"):
        decode(json.dumps({**data, "deletes": True}).encode(), "x.plan")


def test_what_names_the_app_is_sealed_with_the_secret() -> None:
    content = PlanFile("app:app", OPTIONS, (), seal("app:app", SECRET))
    check_seal(decode(encode(content), "x.plan"), SECRET)
    check_seal(PlanFile("app:app", OPTIONS, ()), Secret(""))  # the app has its settings in code
    edited = msgspec.structs.replace(content, app="/tmp/other.py:app")  # noqa: S108
    for wrong, secret in (
        (edited, SECRET),
        (msgspec.structs.replace(edited, seal=""), SECRET),
        (msgspec.structs.replace(content, seal="\u00e9"), SECRET),
        (content, Secret("0f6d2c9ab17e4583f4c8d25e90ab3716")),
        (content, Secret("")),
    ):
        with pytest.raises(RegistrationError, match="another RECEIVER_SECRET, or what names"):
            check_seal(wrong, secret)


def test_a_former_url_is_saved_without_a_password() -> None:
    options = PlanOptions(moved_from="https://me:hush@old.example.com/calls/")
    assert options.saved == PlanOptions(moved_from="https://old.example.com/calls")
    assert OPTIONS.saved == OPTIONS


@pytest.mark.parametrize(
    ("name", "possible"),
    [("x.plan", True), ("plan", True), ("a.json", True), ("app.py", False), ("r.toml", False)],
)
def test_a_plan_file_has_not_the_name_of_an_app(name: str, possible: bool) -> None:
    assert is_possible(Path(name)) is possible
    assert not is_possible(Path(f"{name}:app"))
