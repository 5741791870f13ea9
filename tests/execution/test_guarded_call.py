"""The text of a handler's exception in the log."""

from __future__ import annotations

from receiver.execution.guarded_call import Failed, attempt, describe, settle


def find_customer() -> None:
    raise LookupError("no customer")


async def pick() -> None:
    find_customer()


async def test_the_text_begins_in_the_handler() -> None:
    for failed, first in ((await settle(pick), "pick"), (attempt(find_customer), "find_customer")):
        assert isinstance(failed, Failed)
        kind, place, *_ = describe(failed.error, with_text=True).splitlines()
        assert kind == "LookupError: no customer"
        assert place.endswith(f"in {first}")
        assert __file__ in place


async def test_an_exception_that_the_handler_did_not_raise_has_all_frames() -> None:
    failed = attempt(len)
    assert isinstance(failed, Failed)
    assert "guarded_call.py" in describe(failed.error, with_text=True)
