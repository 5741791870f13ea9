"""Announcements on the simulated PBX: played for their length, then the call continues."""

from __future__ import annotations

from typing import Any

import pytest

from receiver import Announcement, Call, Forward, Hangup, Ivr, Receiver, Reply, Speech
from receiver.simulator.blob_store import Blob
from receiver.testing import Phone
from tests.recordings import wav

CLOSED = Speech("We are closed now.")
late = Announcement("8801", CLOSED, then="222")
second = Announcement("8802", CLOSED, then=Forward(late), name="Second")
last = Announcement("8803", CLOSED, then=Hangup())
circle = Announcement("8804", CLOSED, then="8804")
other = Ivr("8810", name="Menu", timeout=1, timeout_reply=Forward("222"))
sales = Ivr("8000")


@sales.dtmf("1-6")
async def pick(call: Call) -> Reply:
    numbers = {"1": late, "2": second, "3": last, "4": circle, "5": other}
    return Forward(numbers[call.digits])


@sales.caller("300")
async def arrive(call: Call) -> Reply:
    return Forward(late)


def app() -> Receiver:
    return Receiver(sales, late, second, last, circle, other)


@pytest.mark.parametrize(
    ("key", "announced", "end"),
    [
        ("1", ("8801",), "forwarded to 222"),
        ("2", ("8802", "8801"), "forwarded to 222"),
        ("3", ("8803",), "hung up"),
    ],
)
async def test_it_is_played_and_the_call_goes_on(
    key: str, announced: tuple[str, ...], end: str
) -> None:
    async with Phone(app()) as phone:
        call = await phone.dial("8000")
        await call.press(key)
        assert call.outcome is not None
        assert (call.announcements, call.outcome.text, call.prompts) == (announced, end, 1)


async def test_an_ivr_with_a_dialog_announces_nothing() -> None:
    async with Phone(app()) as phone:
        call = await phone.dial("8000")
        await call.press("5")
        assert (call.announcements, call.ivr, call.ended) == ((), "8810", False)
        await call.wait(10)
        assert call.forwarded_to == "222"


async def test_before_the_prompt() -> None:
    async with Phone(app()) as phone:
        call = await phone.dial("8000", caller="300")
        assert (call.announcements, call.forwarded_to, call.prompts) == (("8801",), "222", 0)
        played = "   0.0 s  the announcement 8801 plays: Announcement 8801"
        assert [line[1:] for line in call.transcript.splitlines() if "plays" in line] == [played]


async def test_announcements_that_lead_in_a_circle_do_not_hang_the_test() -> None:
    async with Phone(app()) as phone:
        call = await phone.dial("8000")
        await call.press("4")
        assert (call.ended, set(call.announcements)) == (False, {"8804"})


async def pressed(phone: Phone, **fields: Any) -> Any:
    phone.configure("8801", **fields)
    call = await phone.dial("8000")
    await call.key("1")
    await call.wait(2)
    return call


async def test_it_lasts_as_long_as_its_recording() -> None:
    async with Phone(app()) as phone:
        pbx = phone.pbxs[""]
        file = pbx.add_file(Blob("d1", "closed.wav", wav([1] * 16_000 * 5)), "2026-11-29")
        call = await pressed(phone, prompt_file_id=file)
        began = call.now
        assert (call.ended, call.due) == (False, pytest.approx(began + 5 + 1))
        await call.wait(5.9)
        assert not call.ended
        await call.wait(0.2)
        assert call.forwarded_to == "222"


async def test_a_target_that_cannot_be_reached_leads_to_its_failure_rule() -> None:
    async with Phone(app()) as phone:
        phone.pbxs[""].unreachable.add("222")
        call = await pressed(phone, failure_forward_rule={"action": "REPEAT"})
        await call.wait(1)
        assert call.announcements == ("8801", "8801")
        await call.hang_up()
        assert call.outcome is not None
        assert call.outcome.kind == "left"


@pytest.mark.parametrize(
    "fields",
    [
        {"timeout_forward_rule": {"timeout": 1, "repeat_times": 1, "action": "HANGUP"}},
        {"timeout_forward_rule": {"timeout": 1, "repeat_times": 0, "action": "REPEAT"}},
        {"custom_forward_rules": [{"user_input": "1"}]},
    ],
)
async def test_an_ivr_that_does_more_than_announce_is_a_destination(fields: Any) -> None:
    async with Phone(app()) as phone:
        call = await pressed(phone, **fields)
        assert (call.forwarded_to, call.announcements) == ("8801", ())


async def test_an_ivr_with_an_action_url_is_a_destination() -> None:
    async with Phone(app()) as phone:
        pbx = phone.pbxs[""]
        row = {"name": "x", "enabled": True, "type": "DTMF", "method": "GET", "auth": "DISABLE"}
        row |= {"dtmf_mask": "1", "url": "http://other.example"}
        pbx.action_urls(pbx.at("8801")["id"]).create(row)
        assert (await pressed(phone)).forwarded_to == "8801"
