"""Tests of app.py with a simulated phone; the fixture ``phone`` comes with the package."""

from receiver.testing import Faults, Phone


async def test_sales(phone: Phone) -> None:
    call = await phone.dial("8000", caller="101")
    await call.press("1")
    assert call.forwarded_to == "222"


async def test_a_repeated_prompt(phone: Phone) -> None:
    call = await phone.dial("8000", caller="101")
    await call.press("2")
    assert (call.ended, call.prompts) == (False, 2)


async def test_an_unwanted_caller(phone: Phone) -> None:
    call = await phone.dial("8000", caller="+49301234567")
    assert call.ended
    assert [step.action for step in call.callbacks] == ["unwanted"]


async def test_the_handler_is_late(phone: Phone) -> None:
    phone.faults = Faults(late=True)
    call = await phone.dial("8000", caller="101")
    await call.press("1")
    assert call.forwarded_to == "0"


async def test_nobody_presses_a_key(phone: Phone) -> None:
    phone.configure("8000", timeout_forward_rule={"timeout": 10, "action": "HANGUP"})
    call = await phone.dial("8000", caller="101")
    await call.wait(60)
    assert call.ended
    assert call.now == 60  # seconds on the line, not of yours


async def test_on_the_wire(http_phone: Phone) -> None:
    call = await http_phone.dial("8000", caller="101")
    await call.press("1")
    assert call.forwarded_to == "222"
