"""Announcements: what they declare, where they lead on, and handlers that name them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from receiver import (
    Announcement,
    Call,
    DeclarationError,
    Forward,
    Hangup,
    Ivr,
    Receiver,
    Repeat,
    Reply,
    Secret,
    Speech,
)
from receiver.declarations.actions import Action
from receiver.declarations.call_flow import flow_json
from receiver.declarations.introspection import named
from receiver.pbx.models import write

CLOSED = Speech("We are closed now.")
late = Announcement("8801", CLOSED, then="222")
sales = Ivr("8000")


async def pick(call: Call) -> Reply:
    return Forward(late)


def test_it_is_an_ivr_that_repeats_nothing_and_leads_on() -> None:
    assert late.desired is not None
    assert write(late.desired.fields) == {
        "name": "Announcement 8801",
        "extension_number": "8801",
        "timeout_forward_rule": {
            "action": "FORWARD_TO_NUMBER",
            "number": "222",
            "timeout": 1,
            "repeat_times": 0,
        },
    }
    assert (late.desired.prompts["prompt"], late.then, late.words) == (
        CLOSED,
        Forward("222"),
        CLOSED.words,
    )
    assert (repr(late), list(late)) == ("Announcement('8801')", [])


def test_all_of_its_options() -> None:
    pin = Secret("135790")
    made = Announcement(
        *("8801", "closed.wav"),
        then=Hangup(),
        name="Closed",
        language="en-US",
        timeout=4,
        failure_reply=Forward("0"),
        pin=pin,
        pbx="north",
    )
    assert made.desired is not None
    fields = made.desired.fields
    assert (fields.name, fields.language, fields.pin) == ("Closed", "en-US", pin)
    assert fields.timeout_forward_rule is not None
    assert fields.failure_forward_rule is not None
    rule = fields.timeout_forward_rule
    assert (rule.action, rule.timeout, rule.repeat_times) == ("HANGUP", 4, 0)
    assert fields.failure_forward_rule.number == "0"
    assert (made.desired.prompts["prompt"], made.words) == (
        Path(__file__).parent / "closed.wav",
        "closed.wav",
    )
    assert repr(made) == "Announcement('8801', pbx='north')"


def test_one_leads_to_another_and_to_an_ivr() -> None:
    assert Announcement("8802", CLOSED, then=Forward(late)).then == Forward("8801")
    assert Forward(sales) == Forward("8000")
    assert Announcement("8803", CLOSED, then="hangup").then == Hangup()


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Announcement("88", CLOSED, then="222"), "extension number of 3 to 64 digits"),
        (lambda: Announcement("8801", Speech(""), then="222"), "the text of a Speech is empty"),
        (lambda: Announcement("8801", CLOSED, then="sales"), "then is neither"),
        (lambda: Announcement("8801", CLOSED, then="repeat"), "then must lead on"),
        (lambda: Announcement("8801", CLOSED, then=Repeat()), "then must lead on"),
        (lambda: Announcement("8801", CLOSED, then=late), "then must lead on"),  # type: ignore[arg-type]
        (lambda: Announcement("8801", CLOSED, then="222", timeout=0), "timeout must be at least 1"),
        (lambda: late.add("DTMF", "1", pick), 'no actions: declare them on an Ivr."8801"'),
        (lambda: late.dtmf("1")(pick), "an Announcement has no actions"),
    ],
)
def test_what_cannot_be_announced_is_an_error_at_import(
    make: Callable[[], Any], problem: str
) -> None:
    with pytest.raises(DeclarationError, match=problem) as caught:
        make()
    assert caught.value.where.startswith(f"{__file__}:")


# Handlers that name one ----------------------------------------------------------------------


def declared(handler: Any) -> tuple[Ivr, Action]:
    ivr = Ivr("8000")
    return ivr, ivr.add("DTMF", "1", handler, name="pick")


async def test_a_handler_returns_it_as_a_destination() -> None:
    assert await pick(Call(digits="1")) == Forward("8801")


def decorated(function: Any) -> Any:
    @wraps(function)
    async def inner(call: Call) -> Reply:
        found: Reply = await function(call)
        return found

    return inner


@pytest.mark.parametrize("handler", [pick, decorated(pick)])
def test_one_that_is_not_declared_is_an_error_when_the_app_is_loaded(handler: Any) -> None:
    ivr, action = declared(handler)
    with pytest.raises(DeclarationError, match="names the announcement 8801, which is not") as one:
        Receiver(ivr)
    assert one.value.where == action.where
    assert Receiver(ivr, late).ivrs == (ivr, late)


def test_handlers_that_name_none() -> None:
    class Lines:
        def __call__(self, call: Call) -> Reply:
            return Hangup()

    for handler in (Lines(), Lines().__call__):
        Receiver(declared(handler)[0])


def test_the_call_flow_knows_where_it_leads() -> None:
    async def elsewhere(call: Call) -> Reply:
        return Forward(late) if call.digits else Forward(sales)

    async def unknown(call: Call) -> Reply:
        return Forward(call)  # type: ignore[arg-type]

    assert named(elsewhere) == ("8801", "8000")
    assert named(unknown) == ()
    [shown] = flow_json([], {("", "8801"): "Closed"}, {}, {}, [late])["ivrs"]
    assert (shown["number"], shown["name"], shown["nowhere"]) == ("8801", "Closed", [])
    [line] = shown["inputs"]
    assert (line["kind"], line["handler"], line["declared"]) == (
        *("ANNOUNCEMENT", "We are closed now."),
        ["222"],
    )
