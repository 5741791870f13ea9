"""Registration against a small PBX in memory: it converges after any interruption."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest

from receiver.calls import Call
from receiver.credentials import Secret
from receiver.declarations.actions import Action
from receiver.declarations.ivr import Ivr
from receiver.errors import DeclarationError, PbxForbidden, PbxUnreachable, RegistrationError
from receiver.pbx.access_tokens import GivenToken
from receiver.pbx.pbx_client import PbxClient
from receiver.registration.actual_state import read_actual
from receiver.registration.changes import Change, Plan, Resource
from receiver.registration.concurrency import MAX_CONCURRENT
from receiver.registration.ownership import OWNER, owner_mark
from receiver.registration.registrar import (
    Result,
    apply,
    make_plan,
    plan_destroy,
)
from receiver.replies import Forward, Reply
from tests.pbx.fake_pbx import TOKEN, FakePbx, Json
from tests.simulated_pbx import destroy

BASE = "https://ivr.example.com"
SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")
FOREIGN = {"name": "crm", "url": "https://crm.example.com/hook", "token": "theirs", "odd": [1]}


async def handler(call: Call) -> Reply:
    return Forward("222")


def declare(number: str, *names: str) -> list[Action]:
    ivr = Ivr(number)
    return [ivr.add("DTMF", str(i), handler, name=name) for i, name in enumerate(names)]


def fresh() -> FakePbx:
    """Something to create, to update, to delete, to keep and to leave alone."""
    pbx = FakePbx("8000", "9000")
    pbx.add("8000", **FOREIGN)
    pbx.add("8000", name="b", url=f"{BASE}/action/8000/b", headers="X:1", dtmf_mask="7")
    pbx.add("8000", name="old", url=f"{BASE}/action/8000/old")
    pbx.add("9000", **FOREIGN)
    pbx.add("9000", name="gone", url=f"{BASE}/action/9000/gone")
    return pbx


ACTIONS = declare("8000", "a", "b", "c")


async def plan_for(pbx: FakePbx) -> Plan:
    return await make_plan(pbx.client(), ACTIONS, BASE, SECRET)


async def register(pbx: FakePbx, *, deletes: bool = True) -> Result:
    return await apply(pbx.client(), await plan_for(pbx), allow_deletes=deletes)


def names(pbx: FakePbx, number: str = "8000") -> list[str]:
    return sorted(item["name"] for item in pbx.urls[f"id{number}"])


def foreign(pbx: FakePbx) -> list[Json]:
    return [item for urls in pbx.urls.values() for item in urls if item["name"] == "crm"]


# all is well ---------------------------------------------------------------------------------


async def test_creates_and_updates_come_first_and_deletes_last() -> None:
    pbx, seen = fresh(), list[Change[Resource]]()
    plan = await plan_for(pbx)
    assert pbx.writes == []
    result = await apply(pbx.client(), plan, allow_deletes=True, progress=seen.append)
    assert pbx.writes == [
        "POST /ivrs/id8000/action_urls",
        "POST /ivrs/id8000/action_urls/u2",
        "POST /ivrs/id8000/action_urls",
        "POST /ivrs/id8000/action_urls/u3/destroy",
        "POST /ivrs/id9000/action_urls/u5/destroy",
    ]
    assert seen == list(result.done)
    assert [change.op for change in seen] == ["create", "update", "create", "delete", "delete"]
    assert result.left == ()
    assert not result.after.pending
    assert names(pbx) == ["a", "b", "c", "crm"]
    assert pbx.urls["id8000"][1]["headers"] == f"{OWNER}:{owner_mark(SECRET)}"


async def test_a_second_apply_changes_nothing() -> None:
    pbx = fresh()
    await register(pbx)
    pbx.log.clear()
    result = await register(pbx)
    assert result == Result((), (), result.after)
    assert pbx.writes == []


async def test_deletes_that_are_not_allowed_are_left() -> None:
    pbx = fresh()
    result = await register(pbx, deletes=False)
    assert [str(change) for change in result.left] == ["delete 8000/old", "delete 9000/gone"]
    assert names(pbx) == ["a", "b", "c", "crm", "old"]
    assert (await register(pbx, deletes=False)).left == result.left


async def test_destroy_removes_managed_action_urls_on_every_ivr_and_nothing_else() -> None:
    pbx = fresh()
    before = [dict(item) for item in foreign(pbx)]
    await register(pbx, deletes=False)
    assert len((await plan_destroy(pbx.client(), BASE)).pending) == 5
    result = await destroy(pbx.client(), BASE)
    assert len(result.done) == 5
    assert [item for urls in pbx.urls.values() for item in urls] == before
    assert (await destroy(pbx.client(), BASE)).done == ()


async def test_what_the_pbx_hides_is_no_drift() -> None:
    pbx = fresh()
    pbx.show = lambda item: item | {"token": "********"}
    await register(pbx)
    assert not (await plan_for(pbx)).pending


async def test_reading_goes_a_few_at_a_time_and_keeps_the_order() -> None:
    pbx = FakePbx(*(str(n) for n in range(8000, 8250)))
    found = await read_actual(pbx.client())
    assert [ivr.extension_number for ivr, _ in found] == [str(n) for n in range(8000, 8250)]
    assert len(pbx.log) == 250 + 3


async def test_no_more_than_eight_reads_are_under_way() -> None:
    pbx, now, most = FakePbx(*(str(n) for n in range(8000, 8050))), 0, 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(5):
            await asyncio.sleep(0)
        now -= 1
        return pbx(request)

    given = GivenToken(Secret(TOKEN))
    client = PbxClient("http://localhost", given, transport=httpx.MockTransport(answer))
    assert len(await read_actual(client)) == 50
    assert most == MAX_CONCURRENT == 8


# refused before any change -------------------------------------------------------------------


async def test_nothing_is_sent_if_something_is_blocked() -> None:
    pbx = fresh()
    pbx.add("8000", name="a", url="https://other.example.com/action/8000/a")
    with pytest.raises(
        RegistrationError, match=r"nothing was changed.*is RECEIVER_PUBLIC_URL right"
    ):
        await register(pbx)
    assert pbx.writes == []


async def test_an_ivr_that_is_not_there() -> None:
    pbx = FakePbx("8000")
    actions = [*ACTIONS, *declare("8001", "x", "y")]
    plan = await make_plan(pbx.client(), actions, BASE, SECRET, look=True)
    result = await apply(pbx.client(), plan, allow_deletes=True)
    assert names(pbx) == ["a", "b", "c"]
    assert [change.op for change in result.done] == ["create"] * 3
    assert list(map(str, result.after.pending)) == ["missing 8001/x", "missing 8001/y"]
    assert "no IVR 8001 on the PBX: the PBX has 8000" in result.after.of("missing")[0].reason


async def test_a_url_that_is_too_long_is_reported_before_anything_is_sent() -> None:
    pbx = fresh()
    with pytest.raises(DeclarationError, match="RECEIVER_PUBLIC_URL"):
        await make_plan(pbx.client(), ACTIONS, "https://" + "x" * 120, SECRET)
    assert pbx.log == []


async def test_an_error_while_reading_is_that_error() -> None:
    pbx = fresh()
    pbx.before = lambda request: httpx.Response(403) if "action_urls" in request.url.path else None
    with pytest.raises(PbxForbidden):
        await read_actual(pbx.client())


# failures in between -------------------------------------------------------------------------


def break_write(
    pbx: FakePbx, number: int, fault: Callable[[], httpx.Response], after: bool
) -> None:
    """Let one write fail, before or after it took effect."""

    def broken(request: httpx.Request) -> httpx.Response | None:
        return fault() if request.method == "POST" and len(pbx.writes) == number else None

    pbx.before, pbx.after = (lambda request: None, broken) if after else (broken, pbx.after)


def cut_off() -> httpx.Response:
    raise httpx.ReadError("cut off")


def timed_out() -> httpx.Response:
    raise httpx.ReadTimeout("slow")


FAULTS = [cut_off, timed_out, lambda: httpx.Response(500), lambda: httpx.Response(201, text="<")]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("number", range(1, 6))
async def test_stopped_anywhere_the_same_command_goes_on(
    number: int, fault: Callable[[], httpx.Response], after: bool
) -> None:
    pbx = fresh()
    before = [dict(item) for item in foreign(pbx)]
    break_write(pbx, number, fault, after)
    try:
        await register(pbx)
    except RegistrationError:
        await register(pbx)
    assert names(pbx) == ["a", "b", "c", "crm"]
    assert names(pbx, "9000") == ["crm"]
    assert foreign(pbx) == before
    assert not (await plan_for(pbx)).pending


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("after", "creates"), [(False, 3), (True, 2)])
async def test_a_create_whose_answer_was_lost_is_looked_up_first(
    fault: Callable[[], httpx.Response], after: bool, creates: int
) -> None:
    pbx = fresh()
    break_write(pbx, 1, fault, after)
    await register(pbx)
    assert pbx.writes.count("POST /ivrs/id8000/action_urls") == creates
    assert names(pbx) == ["a", "b", "c", "crm"]


async def test_a_failure_says_what_was_done_and_what_to_do() -> None:
    pbx = fresh()
    break_write(pbx, 3, lambda: httpx.Response(400), after=False)
    with pytest.raises(RegistrationError) as caught:
        await register(pbx)
    text = str(caught.value)
    assert text.startswith("create 8000/c failed; 2 of 5 changes done before (")
    assert "(create 8000/a; update 8000/b); run the same command again" in text
    assert "does not accept what was sent (400 UNKNOWN)" in text


async def test_a_failure_says_if_it_may_have_happened() -> None:
    pbx = fresh()
    break_write(pbx, 2, timed_out, after=True)
    with pytest.raises(RegistrationError, match="may have taken effect anyway") as caught:
        await register(pbx)
    assert isinstance(caught.value.__cause__, PbxUnreachable)
    assert "1 of 5 changes done before (create 8000/a);" in str(caught.value)


async def test_a_first_failure_has_done_nothing() -> None:
    pbx = fresh()
    break_write(pbx, 1, lambda: httpx.Response(403), after=False)
    with pytest.raises(RegistrationError, match="0 of 5 changes done before;"):
        await register(pbx)


async def test_an_action_url_deleted_concurrently_counts_as_deleted() -> None:
    pbx = fresh()
    plan = await plan_for(pbx)
    del pbx.urls["id8000"][2]
    result = await apply(pbx.client(), plan, allow_deletes=True)
    assert len(result.done) == 5


# read back -----------------------------------------------------------------------------------


async def test_a_field_that_the_pbx_does_not_take_is_named() -> None:
    pbx = fresh()
    pbx.take = lambda item: item | {"request_timeout": 1, "token": "sesame"}
    with pytest.raises(RegistrationError) as caught:
        await register(pbx)
    assert "8000/a, b, c: not what was sent: request_timeout: 1 → 2, token: *** → ***" in str(
        caught.value
    )
    assert "sesame" not in str(caught.value)


async def test_what_was_created_and_is_not_there_is_named() -> None:
    pbx = fresh()
    pbx.before = lambda request: (
        httpx.Response(201, json={"id": "x"}) if request.method == "POST" else None
    )
    with pytest.raises(
        RegistrationError, match="afterwards 8000/a, c: not there; 8000/b: not what"
    ):
        await register(pbx)


async def test_what_was_deleted_and_is_still_there_is_named() -> None:
    pbx = fresh()
    pbx.before = lambda request: (
        httpx.Response(204) if request.url.path.endswith("destroy") else None
    )
    with pytest.raises(RegistrationError, match="8000/old, 9000/gone: still there"):
        await register(pbx)


async def test_if_nothing_can_be_read_back_that_is_said() -> None:
    pbx = fresh()
    pbx.before = lambda request: (
        httpx.Response(500) if request.method == "GET" and len(pbx.writes) == 5 else None
    )
    with pytest.raises(RegistrationError, match="could not be read back"):
        await register(pbx)


@pytest.mark.parametrize("written", ["1;2;", "1,2", "2, 1", "1 ; 2 ;"])
async def test_a_pbx_that_writes_masks_otherwise_converges(written: str) -> None:
    pbx = FakePbx("8000")
    pbx.show = lambda item: item | {"dtmf_mask": written}
    action = Ivr("8000").add("DTMF", "1;2", handler, name="a")
    plan = await make_plan(pbx.client(), [action], BASE, SECRET)
    await apply(pbx.client(), plan, allow_deletes=False)
    assert not (await make_plan(pbx.client(), [action], BASE, SECRET)).pending


@pytest.mark.parametrize("declared", ["1;2;", "1,2", "1, 2"])
async def test_a_mask_that_is_declared_otherwise_converges(declared: str) -> None:
    pbx = FakePbx("8000")
    action = Ivr("8000").add("DTMF", declared, handler, name="a")
    for expected in (["create"], []):
        plan = await make_plan(pbx.client(), [action], BASE, SECRET)
        result = await apply(pbx.client(), plan, allow_deletes=False)
        assert [change.op for change in result.done] == expected
    assert pbx.urls["id8000"][0]["dtmf_mask"] == "1;2"


async def test_a_failure_groups_the_many_names_that_were_done() -> None:
    pbx = FakePbx("8000", "8001")
    actions = [*declare("8000", *(f"n{i}" for i in range(30))), *declare("8001", "x")]
    break_write(pbx, 30, lambda: httpx.Response(400), after=False)
    plan = await make_plan(pbx.client(), actions, BASE, SECRET)
    with pytest.raises(RegistrationError) as caught:
        await apply(pbx.client(), plan, allow_deletes=True)
    assert "n9 and 19 more); run the same command again" in str(caught.value)
    assert "(create 8000/n0, n1, n2" in str(caught.value)


async def test_what_is_blocked_for_one_reason_is_said_once() -> None:
    pbx = FakePbx("8000")
    for name in ("a", "b", "c"):
        pbx.add("8000", name=name, url=f"https://other.example.com/{name}")
    with pytest.raises(RegistrationError) as caught:
        await register(pbx)
    assert str(caught.value).startswith("nothing was changed: 8000/a, b, c: the IVR has an")
    assert str(caught.value).count("--take-over") == 1
