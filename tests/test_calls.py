"""The repr and the fields of a call."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from receiver.call_context import UNBACKED, Acceptance, Detached
from receiver.calls import Call, veil


def test_the_repr_of_a_call_has_no_caller_data() -> None:
    call = Call(caller="101", caller_name="Jason", ivr="888", digits="22", session_id="12345678")
    assert repr(call) == "Call(ivr='888', session_id='12345678', caller=<3>, digits=<2>)"
    assert veil("") == "<none>"


def test_a_call_by_hand_is_written_in_an_unknown_form() -> None:
    assert Call().number_format == "automatic"
    assert Call(context=Detached(number_format="e164")).number_format == "e164"
    assert Call().anonymous
    assert not Call(caller="101").anonymous


@pytest.mark.parametrize(
    ("digits", "key", "left"),
    [
        ("4711#", "#", "4711"),
        ("4711##", "#", "4711#"),
        ("47#11", "#", "47#11"),
        ("#", "#", ""),
        ("", "#", ""),
        ("4711#", "*", "4711#"),
        ("4711*", "*", "4711"),
        ("4711#", "", "4711#"),
    ],
)
def test_one_finish_key_is_stripped_from_the_end(digits: str, key: Any, left: str) -> None:
    call = Call("101", "Jason", "888", "Sales", digits, "1")
    assert call.without_finish_key(key) == Call("101", "Jason", "888", "Sales", left, "1")
    assert call.without_finish_key(key).context is call.context


def test_a_context_without_an_app_has_no_other_attributes() -> None:
    assert not hasattr(Detached(), "pbx")


def test_the_shared_context_of_parsed_calls_stores_nothing() -> None:
    UNBACKED.remembered = {"digits": "4711"}
    assert UNBACKED.remembered == {}


def test_a_session_by_hand_is_stored_unless_the_block_raises() -> None:
    call = Call(context=Detached())
    with call.session() as session:
        session["attempts"] = 1
    with suppress(LookupError), call.session() as session:
        session["attempts"] = 2
        raise LookupError
    with call.session() as session:
        assert session == {"attempts": 1}


async def test_whether_a_durable_job_was_accepted() -> None:
    known, pending = Acceptance(True), Acceptance(asyncio.sleep(0, True))
    assert known
    assert not Acceptance(False)
    assert (repr(known), repr(pending)) == ("Acceptance(True)", "Acceptance(…)")
    with pytest.raises(RuntimeError, match=r"^in an async def write: await call\.after\.durably"):
        bool(pending)
    assert not pending.is_awaited
    assert await pending is True
    assert pending.is_awaited
    assert await known is True
