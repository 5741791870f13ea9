"""The phone of the test kit, through all of an app."""

from __future__ import annotations

import asyncio
import gc
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver import Call, Forward, Hangup, Ivr, LoadError, Mask, Receiver, Repeat, Reply
from receiver.errors import ReceiverError
from receiver.pbx.callback_trace import Outcome
from receiver.settings import Settings
from receiver.testing import Behaviour, BlockingCallWarning, Faults, LineError, Phone
from tests.support import METHODS, MODES, SETTINGS, Counted, make_app

FORWARDED = Outcome("forwarded", "222")
FALLBACK = Outcome("forwarded", "0")


def make(handler: Any, **options: Any) -> Receiver:
    ivr = Ivr("8000")
    ivr.add("DTMF", "1", handler, name="pick", fallback=Forward("0"), **options)
    return Receiver(ivr)


async def answer(call: Call) -> Reply:
    return Forward("222")


def answer_plainly(call: Call) -> Reply:
    return Forward("222")


# Everything but the PBX is real --------------------------------------------------------------


@pytest.mark.parametrize("http", [False, True])
async def test_all_modes_through_the_whole_app(http: bool) -> None:
    handler = Counted()
    async with Phone(make_app(handler), http=http) as phone:
        for number, _ in enumerate(MODES):
            for method in METHODS:
                call = await phone.dial("888", caller="+4930", caller_name="Jürgen")
                step = await call.press(f"{number}{len(method)}")
                assert (step.outcome, call.forwarded_to) == (FORWARDED, "222")
    assert len(handler.calls) == len(MODES) * len(METHODS)
    assert {(call.caller, call.caller_name) for call in handler.calls} == {("+4930", "Jürgen")}
    assert len({call.session_id for call in handler.calls}) == len(handler.calls)
    assert phone.calls[0].callbacks[0].exchanges[0].url.startswith("http://127.0.0.1")


async def test_a_session_and_work_after_the_answer() -> None:
    done: list[str] = []

    async def handler(call: Call) -> Reply:
        async with call.session() as session:
            session["asked"] = session.get("asked", 0) + 1
            call.after(done.append, str(session["asked"]))
        await call.after.durably(note, "x", idempotency_key=call.session_id)
        return Repeat()

    async with Phone(make(handler)) as phone:
        call = await phone.dial("8000")
        await call.press("1")
        await call.press("1")
    assert done == ["1", "2"]


async def note(text: str) -> None: ...


async def test_neither_settings_nor_files_are_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECEIVER_SECRET", "short")
    async with Phone(make(answer)) as phone:
        await (await phone.dial("8000")).press("1")
    assert list(tmp_path.iterdir()) == []
    assert phone.calls[0].forwarded_to == "222"


async def test_settings_of_ones_own() -> None:
    phone = Phone(make(answer), settings=SETTINGS)
    assert phone.app.settings == SETTINGS


async def test_several_pbxs() -> None:
    north, south = Ivr("8000", pbx="north"), Ivr("8000", pbx="south")
    for ivr, number in ((north, "1"), (south, "2")):
        ivr.add("DTMF", "1", to(number), name="pick")
    async with Phone(Receiver(north, south)) as phone:
        for name, number in (("north/8000", "1"), ("south/8000", "2")):
            call = await phone.dial(name)
            await call.press("1")
            assert call.forwarded_to == number
        with pytest.raises(LoadError, match="choose one of north/8000, south/8000"):
            await phone.dial("8000")


def to(number: str) -> Any:
    async def handler(call: Call) -> Reply:
        return Forward(number)

    return handler


async def test_a_declared_receptionist_is_on_the_pbx() -> None:
    ivr = Ivr("8000", name="Sales", timeout=7, timeout_reply=Hangup())
    async with Phone(Receiver(ivr)) as phone:
        call = await phone.dial("8000")
        assert call.call.ivr_name == "Sales"
        await call.wait(28)
    assert call.outcome == Outcome("hung up")


async def test_the_app_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "named.py").write_text("from receiver import *\napp = Receiver(Ivr('8000'))")
    async with Phone(f"{tmp_path}/named.py") as phone:
        assert not (await phone.dial("8000")).ended


keys = st.text("0123456789*#", min_size=1, max_size=4)


@settings(max_examples=30)
@given(st.lists(keys, min_size=1, max_size=3))
def test_no_keys_reach_a_handler_that_is_not_for_them(presses: list[str]) -> None:
    asked: list[tuple[str, str]] = []

    def note(mask: str) -> Any:
        async def handler(call: Call) -> Reply:
            asked.append((mask, call.digits))
            return Repeat()

        return handler

    ivr, masks = Ivr("8000"), ("1", "2*;30-39", "4000-4999;5")
    for mask in masks:
        ivr.add("DTMF", mask, note(mask), name=f"on-{mask[0]}", max_repeats=99)

    async def main() -> None:
        async with Phone(Receiver(ivr)) as phone:
            call = await phone.dial("8000")
            for pressed in presses:
                if not call.ended:  # the keys may be the extension of the IVR
                    heard.append(pressed)
                    await call.press(pressed)

    heard: list[str] = []
    asyncio.run(main())
    wanted = [(m, one) for one in heard for m in masks if Mask.parse(m).matches(one)]
    assert asked == wanted


# Time ----------------------------------------------------------------------------------------


async def test_the_clock_at_the_pbx() -> None:
    hours = {"mode": "CUSTOM", "monday": {"enabled": True}}
    entry = {
        "user_input": "2",
        "office_hours": hours,
        "office_hours_forward_rule": {"action": "FORWARD_TO_NUMBER", "number": "300"},
        "non_office_hours_forward_rule": {"action": "FORWARD_TO_NUMBER", "number": "900"},
    }
    async with Phone(make(answer)) as phone:
        phone.configure("8000", custom_forward_rules=[entry])
        ends = []
        for _ in range(2):
            call = await phone.dial("8000")
            await call.press("2")
            ends.append(call.forwarded_to)
            phone.clock.advance(24 * 3600)
        phone.clock.now = datetime(2026, 1, 12, 0, 0)
        call = await phone.dial("8000")
        await call.key("2")
    assert [*ends, call.forwarded_to] == ["300", "900", "300"]


async def test_what_the_pbx_would_not_take_is_refused() -> None:
    phone = Phone(make(answer))
    with pytest.raises(ReceiverError, match="dtmf_interval"):
        phone.configure("8000", dtmf_interval=0)


# Faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "outcome"),
    [
        (Faults(late=True), FALLBACK),
        (Faults(refused=True), Outcome("failed", "the connection was refused")),
        (Faults(dropped=True), Outcome("failed", "the connection broke off")),
        (Faults(wrong_password=True), Outcome("failed", "HTTP status 401")),
        (Faults(slow=3), Outcome("failed", "no complete answer within the request timeout")),
    ],
)
@pytest.mark.parametrize("handler", [answer, answer_plainly])
async def test_faults_come_and_go(handler: Any, faults: Faults, outcome: Outcome) -> None:
    async with Phone(make(handler)) as phone:
        call = await phone.dial("8000")
        phone.faults = faults
        assert phone.faults == faults
        assert (await call.press("1")).outcome == outcome
        phone.faults = Faults()
        other = await phone.dial("8000")
        assert (await other.press("1")).outcome == FORWARDED


async def test_a_late_handler_on_the_wire() -> None:
    async with Phone(make(answer), http=True) as phone:
        phone.faults = Faults(late=True)
        call = await phone.dial("8000")
        assert (await call.press("1")).outcome == FALLBACK


async def test_faults_from_the_beginning() -> None:
    phone = Phone(make(answer))
    phone.faults = Faults(refused=True)
    async with phone:
        assert (await (await phone.dial("8000")).press("1")).outcome.kind == "failed"


async def test_what_is_late_is_handed_over() -> None:
    async with Phone(make(answer, on_timeout="continue")) as phone:
        phone.faults = Faults(late=True)
        call = await phone.dial("8000")
        assert (await call.press("1")).outcome == Outcome("repeated")
        phone.faults = Faults()
        assert (await call.press("1")).outcome == FORWARDED


async def test_what_the_pbx_does_after_a_failure() -> None:
    async with Phone(make(answer)) as phone:
        phone.behaviour = Behaviour(after_failure="hang_up")
        phone.faults = Faults(refused=True)
        call = await phone.dial("8000")
        await call.press("1")
        assert call.outcome == Outcome("hung up")
        with pytest.raises(LineError, match="hung up"):
            await call.press("1")


# Opening and closing -------------------------------------------------------------------------


async def test_it_opens_by_itself_and_once() -> None:
    phone = Phone(make(answer))
    calls = await asyncio.gather(*(phone.dial("8000") for _ in range(3)))
    assert len(calls) == len(phone.calls) == 3
    await phone.close()
    await phone.close()
    with pytest.raises(ReceiverError, match="this phone is closed"):
        await phone.dial("8000")


async def test_a_phone_that_was_never_used_leaves_nothing() -> None:
    await Phone(make(answer)).close()
    Phone(make(answer))
    gc.collect()


def test_it_closes_with_its_loop() -> None:
    closed: list[str] = []

    async def handler(call: Call) -> Reply:
        call.after(closed.append, "after")
        return Forward("222")

    async def main() -> Phone:
        phone = Phone(make(handler))
        await (await phone.dial("8000")).press("1")
        return phone

    phone = asyncio.run(main())
    assert phone.calls[0].forwarded_to == "222"
    assert closed == ["after"]
    with pytest.raises(ReceiverError, match="closed"):
        asyncio.run(phone.open())


async def test_an_app_that_does_not_start(tmp_path: Path) -> None:
    phone = Phone(make(answer), settings=Settings())
    for _ in range(2):
        with pytest.raises(ReceiverError, match="RECEIVER_SECRET is not set"):
            await phone.dial("8000")
    await phone.close()


def test_what_is_no_receiver() -> None:
    with pytest.raises(LoadError, match="a Phone calls a Receiver, not Ivr"):
        Phone(Ivr("8000"))  # type: ignore[arg-type]  # what a user might do


async def test_there_is_no_other_ivr() -> None:
    with pytest.raises(LineError, match="no IVR with the extension number '9000'"):
        await Phone(make(answer)).dial("9000")
    with pytest.raises(LoadError, match='an IVR is named by a string, as in "8000", not int'):
        await Phone(make(answer)).dial(8000)  # type: ignore[arg-type]


async def test_a_phone_that_is_dropped_runs_until_its_loop_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await (await Phone(make(answer)).dial("8000")).hang_up()
    gc.collect()
    await asyncio.sleep(0)
    assert "Task was destroyed" not in caplog.text


async def test_a_misspelt_control_is_an_error() -> None:
    """Or the test passes without the fault, or at another time of day."""
    phone = Phone(make(answer))
    with pytest.raises(AttributeError, match=r"Phone.fault cannot be set; a test sets faults, beh"):
        phone.fault = Faults(late=True)  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"Phone.clock cannot be set; .* clock.now"):
        phone.clock = datetime(2026, 12, 24)  # type: ignore[assignment]
    with pytest.raises(TypeError, match=r"clock.now is a datetime, as in .*, not str"):
        phone.clock.now = "2026-12-24"  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        phone.clock.nwo = datetime(2026, 12, 24)  # type: ignore[attr-defined]


async def test_a_subclass_may_have_further_attributes() -> None:
    class CountingPhone(Phone):
        def __init__(self, app: Receiver) -> None:
            super().__init__(app)
            self.dialled = 0

    phone = CountingPhone(make(answer))
    phone.dialled += 1
    phone.faults = Faults(late=True)
    assert (phone.dialled, phone.faults.late) == (1, True)


async def test_keys_are_a_string() -> None:
    async with Phone(make(answer)) as phone:
        call = await phone.dial("8000")
        with pytest.raises(LineError, match=r'keys are a string, as in press\("1"\), not int'):
            await call.press(1)  # type: ignore[arg-type]


# Synchronous calls in async handlers ---------------------------------------------------------


@pytest.mark.parametrize("http", [False, True])
async def test_a_handler_that_blocks_the_event_loop_is_a_warning_at_its_line(http: bool) -> None:
    async def look_up(call: Call) -> Reply:
        block_until_reported(phone)
        return Forward("222")

    async with Phone(make(look_up), http=http, block_limit=0.01) as phone:
        call = await phone.dial("8000")
        with pytest.warns(BlockingCallWarning, match="blocked the event loop .*plain def") as seen:
            await call.press("1")
        assert call.forwarded_to == "222"
        assert (seen[0].filename, seen[0].lineno) == (__file__, phone.blocking_calls[0].line)
        assert phone.blocking_calls[0].function == "block_until_reported"


async def test_with_warnings_as_errors_a_blocking_call_fails_the_test() -> None:
    async def look_up(call: Call) -> Reply:
        block_until_reported(phone)
        return Forward("222")

    async with Phone(make(look_up), block_limit=0.01) as phone:
        call = await phone.dial("8000")
        with pytest.raises(BlockingCallWarning):  # pyproject.toml has filterwarnings = error
            await call.press("1")


async def test_a_plain_handler_may_block() -> None:
    released = threading.Event()

    def look_up(call: Call) -> Reply:
        assert released.wait(60)
        return Forward("222")

    async with Phone(make(look_up), block_limit=0.01) as phone:
        call = await phone.dial("8000")
        pressed = asyncio.create_task(call.press("1"))
        await asyncio.to_thread(released.wait, 0.05)
        released.set()
        await pressed
    assert (call.forwarded_to, phone.blocking_calls) == ("222", [])


def block_until_reported(phone: Phone) -> None:
    while not phone.blocking_calls:
        threading.Event().wait(0.001)


# The clock ------------------------------------------------------------------------------------


@pytest.mark.parametrize("http", [False, True])
async def test_handlers_have_the_time_of_the_pbx_in_their_call(http: bool) -> None:
    seen: list[str] = []

    async def asynchronous(call: Call) -> Reply:
        seen.append(f"{call.now('Europe/Berlin'):%a %H:%M %Z}")
        return Repeat()

    ivr = Ivr("8000")
    ivr.add("DTMF", "1", asynchronous, name="pick", max_repeats=9)
    ivr.add("DTMF", "2", lambda call: Forward(f"{call.now():%H%M}"), name="plain")
    async with Phone(Receiver(ivr), http=http) as phone:
        phone.clock.now = datetime(2026, 11, 30, 10)
        call = await phone.dial("8000")
        await call.press("1")
        phone.clock.advance(60)
        await call.press("1")
        phone.configure("8000", timeout_forward_rule={"timeout": 6000, "action": "HANGUP"})
        await call.press("1")
        await call.wait(600)  # the time of this call alone
        await call.press("1")
        other = await phone.dial("8000")
        await other.press("2")
    assert seen == ["Mon 10:00 CET", "Mon 10:01 CET", "Mon 10:01 CET", "Mon 10:11 CET"]
    assert other.forwarded_to == "1001"
