"""A call that is forwarded from one IVR to another: it continues there, with one session."""

from __future__ import annotations

import pytest

from receiver import Call, Forward, Hangup, Ivr, Receiver, Repeat, Reply
from receiver.simulator.flow import MAX_IVRS
from receiver.testing import Phone

main, patients, doctors = Ivr("8000"), Ivr("8100", name="Patients"), Ivr("8200", name="Doctors")


@main.dtmf("1;2")
async def language(call: Call) -> Reply:
    async with call.session() as session:
        session["language"] = call.digits
    return Forward("8100")


@patients.dtmf("****", sensitive=True)
async def pin(call: Call) -> Reply:
    async with call.session() as session:
        session["attempts"] = session.get("attempts", 0) + 1
        if call.digits == "1234":
            return Forward("8200")
        return Repeat() if session["attempts"] < 3 else Hangup()


@patients.caller("300")
async def known(call: Call) -> Reply:
    return Forward("8200") if call.ivr == "8100" else Forward("0")


@doctors.dtmf("1")
async def doctor(call: Call) -> Reply:
    async with call.session() as session:
        return Forward(f"20{session['language']}")


def app() -> Receiver:
    return Receiver(main, patients, doctors)


async def test_the_keys_are_for_the_ivr_that_the_call_is_in() -> None:
    async with Phone(app()) as phone:
        call = await phone.dial("8000")
        assert (call.forwarded_to, call.ivr) == (None, "8000")
        await call.press("2")
        assert (call.forwarded_to, call.ivr, call.ended) == ("8100", "8100", False)
        await call.press("1")  # a key that matches nothing there
        await call.press("1234")
        assert (call.forwarded_to, call.ivr, call.ended) == ("8200", "8200", False)
        await call.press("1")
        assert (call.forwarded_to, call.ivr, call.ended) == ("202", "8200", True)
    assert [step.action for step in call.callbacks] == ["language", "pin", "doctor"]
    assert "the call continues in IVR 8100, Patients" in call.transcript


async def test_the_session_is_that_of_the_call() -> None:
    async with Phone(app()) as phone:
        call = await phone.dial("8000")
        for keys in ("1", "1111", "1112", "1113"):
            await call.press(keys)
        assert call.outcome is not None
        assert (call.outcome.kind, call.forwarded_to) == ("hung up", "8100")


async def test_keys_are_hidden_in_the_ivr_with_a_sensitive_action_only() -> None:
    async with Phone(app()) as phone:
        call = await phone.dial("8000")
        assert not call.hides_keys
        await call.press("2")
        assert call.hides_keys
        await call.press("1234")
        assert not call.hides_keys
    assert "the caller presses 2" in call.transcript
    assert "1234" not in call.transcript.replace(call.call.session_id, "")


async def test_the_caller_action_of_the_other_ivr_is_asked() -> None:
    async with Phone(app()) as phone:
        call = await phone.dial("8000", caller="300")
        await call.press("1")
        assert (call.ivr, call.callbacks[-1].action, call.prompts) == ("8200", "known", 2)


async def test_its_night_mode_counts() -> None:
    night = {"action": "FORWARD_TO_NUMBER", "number": "900"}
    async with Phone(app()) as phone:
        phone.configure("8100", enable_night_mode=True, night_mode_forward_rule=night)
        call = await phone.dial("8000")
        await call.press("1")
        assert (call.forwarded_to, call.ended) == ("900", True)


@pytest.mark.parametrize("hangs_up", [False, True])
async def test_an_ivr_that_the_caller_leaves_is_no_missed_call(hangs_up: bool) -> None:
    receiver = app()
    kinds = list[str]()
    for kind in ("call_ended", "call_missed"):
        receiver.on(kind, name=kind)(lambda event: kinds.append(event.kind))
    async with Phone(receiver) as phone:
        call = await phone.dial("8000")
        await call.press("1")
        if hangs_up:
            await call.hang_up()
        await phone.end(call, answered=False)
    assert kinds == ["call_ended"]


async def test_ivrs_that_lead_in_a_circle_end_the_call() -> None:
    one, other = Ivr("8000"), Ivr("8100")
    one.add("CALLER", "any", lambda call: Forward("8100"), name="there")
    other.add("CALLER", "any", lambda call: Forward("8000"), name="back")
    async with Phone(Receiver(one, other)) as phone:
        call = await phone.dial("8000")
        assert call.ended
        assert len(call.callbacks) == MAX_IVRS + 1
