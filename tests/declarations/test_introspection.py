"""The destinations that a handler names."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

import receiver
from handlers.menu import Menu
from receiver import Call, Forward, Hangup, Repeat, Reply
from receiver.declarations.introspection import declared, named


async def pick(call: Call) -> Reply:
    if call.digits == "1":
        return Forward("222")
    return Forward(call.digits) if call.digits == "2" else Repeat()


def end(call: Call) -> Reply:
    return receiver.Hangup()


def wrong(call: Call) -> Reply:
    return Forward("nowhere") if call.digits else Forward("1" + call.digits)


class Desk:
    """A handler that is an object."""

    def __init__(self, to: Reply) -> None:
        self.to = [{"then": to}]

    async def __call__(self, call: Call) -> Reply:
        return Forward("300") if call.digits else self.to[0]["then"]

    async def other(self, call: Call) -> Reply:
        return Forward("400")


def around(handler: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handler)
    async def asked(call: Call) -> Reply:
        return await handler(call) or Forward("500")

    return asked


@pytest.mark.parametrize(
    ("handler", "found"),
    [
        (pick, {"222", "repeat"}),
        (end, {"hang up"}),
        (wrong, set()),
        (Desk(Hangup()), {"300", "hang up"}),
        (Desk(Hangup()).other, {"400", "300", "hang up"}),
        (around(pick), {"222", "repeat"}),
        (functools.partial(pick), {"222", "repeat"}),
        (Menu({"1": "222", "2": pick, "3": "hangup"}), {"222", "hang up", "repeat"}),
        (len, set()),
    ],
)
def test_what_a_handler_names(handler: Any, found: set[str]) -> None:
    assert set(named(handler)) >= found
    assert "nowhere" not in named(handler)


def test_without_its_source_nothing_is_known() -> None:
    made: dict[str, Any] = {}
    exec("def made(call): return Forward('222')", {"Forward": Forward}, made)  # noqa: S102
    assert named(made["made"]) == ()


def test_a_decorators_fallback_is_not_the_handlers() -> None:
    ivr = receiver.Ivr("8000")

    @ivr.dtmf("1", fallback=Forward("0"))
    async def only(call: Call) -> Reply:
        return Forward("222")

    assert named(only) == ("222",)
    assert named(lambda call: Forward("222")) in ((), ("222",))  # a lambda's source is a line


def test_what_is_looked_at_is_bounded() -> None:
    chain: list[Any] = [Forward("222")]
    for _ in range(1000):
        chain = [chain]
    assert named(Desk(Repeat())) != ()
    held = Desk(Repeat())
    held.to = chain
    assert "222" not in named(held)


def test_the_first_rung_of_the_ladder_counts() -> None:
    ivr, other = receiver.Ivr("8000", fallback=Forward("8")), receiver.Ivr("8000", pbx="north")
    ivr.add("DTMF", "1", pick, name="own", fallback=lambda call: Forward("9"))
    ivr.add("DTMF", "2", pick, name="of-ivr")
    other.add("DTMF", "3", pick, name="of-app")
    found = declared((*ivr, *other), {"": Forward("7")})
    assert found["8000/own"].names == ("222", "repeat")
    assert [one.fallback[-1:] for one in found.values()][1:] == [("8",), ("7",)]
    assert declared(other, {"north": Hangup()})["north/8000/of-app"].fallback == ("hang up",)
    assert declared(other, {})["north/8000/of-app"].fallback == ("repeat",)
