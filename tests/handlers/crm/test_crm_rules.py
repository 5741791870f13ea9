"""handlers/crm/rules.py, contacts.py and pace.py."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.crm.contacts import Contact, Number
from handlers.crm.pace import Pace
from handlers.crm.rules import read_rules
from receiver import DeclarationError, Unavailable
from tests.upstream.stage import Clock, Timed

FIELDS = {"a": " Gold ", "n": "3", "t": "x; Y", "l": [1, "z"], "b": True, "in": {"c": "d"}, "e": ""}


def holds(**rule: Any) -> bool:
    (one,) = read_rules([{"to": "1", **rule}], "rules")
    return one.match(Contact("9", "Ada", "7", FIELDS), None)


@pytest.mark.parametrize(
    "rule",
    [
        {"field": "a", "equals": "gold"},
        {"field": "n", "equals": 3},
        {"field": "b", "equals": True},
        {"field": "in.c", "equals": "D"},
        {"field": "id", "equals": "9"},
        {"field": "a", "one_of": ["silver", "GOLD"]},
        {"field": "t", "contains": "y"},
        {"field": "l", "contains": "1"},
        {"field": "n", "at_least": 3},
        {"field": "n", "at_most": 3.5},
        {"field": "a", "present": True},
        {"field": "e", "present": False},
        {"field": "zz", "present": False},
    ],
)
def test_rules_that_hold(rule: Any) -> None:
    assert holds(**rule)


@pytest.mark.parametrize(
    "rule",
    [
        {"field": "zz", "equals": ""},
        {"field": "zz", "one_of": ["", "none"]},
        {"field": "a", "equals": "gol"},
        {"field": "t", "contains": "x;"},
        {"field": "a", "at_least": 0},
        {"field": "zz", "at_most": 9},
        {"field": "n", "at_least": 4},
        {"field": "owner.x", "equals": "y"},
        {"field": "in.c.d", "present": True},
    ],
)
def test_rules_that_do_not(rule: Any) -> None:
    assert not holds(**rule)


@pytest.mark.parametrize(
    "rules",
    [
        "x",
        {},
        ["x"],
        [{}],
        [{"field": "a", "equals": "x"}],
        [{"field": "a", "equals": "x", "present": True, "to": "1"}],
        [{"field": "", "equals": "x", "to": "1"}],
        [{"field": "a", "equals": None, "to": "1"}],
        [{"field": "a", "at_least": True, "to": "1"}],
        [{"field": "a", "equal": "x", "to": "1"}],
    ],
)
def test_rules_that_mean_nothing(rules: Any) -> None:
    with pytest.raises(DeclarationError, match="rules"):
        read_rules(rules, "rules")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
)


@given(JSON, st.sampled_from(["equals", "contains"]), st.text())
def test_whatever_a_field_holds_a_rule_holds_or_not(value: Any, test: str, wanted: str) -> None:
    (rule,) = read_rules([{"field": "a", test: wanted, "to": "1"}], "rules")
    assert rule.match(Contact("1", fields={"a": value}), None) in (True, False)


@given(st.text(), st.sampled_from(["", "DE", "US"]))
def test_whatever_the_pbx_tells_is_a_number_or_none(text: str, region: str) -> None:
    number = Number.parse(text, region)
    assert number.digits.isdecimal() or number.digits == ""
    assert bool(number.e164) == bool(number.significant)
    assert text not in repr(number) or len(text) < 12


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("+49 30 23125000", True),
        ("030/23125000", True),
        ("30 23125000", True),
        ("+1 30 23125000", False),
        ("030 23125001", False),
        ("5000", False),
        ("", False),
    ],
)
def test_what_a_crm_holds_may_be_the_number(text: str, same: bool) -> None:
    assert Number.parse("+493023125000").is_written(text) is same


async def test_turns_come_at_the_pace_and_not_too_late() -> None:
    pace = Pace(per_second=10, burst=2)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(4):
        await pace.turn()
    assert loop.time() - began >= 0.2 - 0.01
    with pytest.raises(Unavailable):
        await pace.turn(Timed(left=0.05))


async def test_a_crm_that_says_so_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    pace = Pace(per_second=1000)
    pace.hold(7)
    with pytest.raises(Unavailable):
        await pace.turn()
    clock.advance(7)
    await pace.turn()
    pace.hold(1e9)
    clock.advance(300)
    await pace.turn()


@pytest.mark.parametrize(
    ("said", "workers", "seconds"), [("4", 0, 0.4), ("", 0, 0.1), ("four", 0, 0.1), ("4", 2, 0.2)]
)
async def test_workers_share_what_the_crm_allows(
    monkeypatch: pytest.MonkeyPatch, said: str, workers: int, seconds: float
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", said)
    clock = Clock(monkeypatch)
    pace = Pace(per_second=10, workers=workers)
    await pace.turn()
    clock.advance(seconds * 0.9)
    with pytest.raises(Unavailable):
        await pace.turn(Timed(left=0.05))
    clock.advance(seconds * 0.2)
    await pace.turn(Timed(left=0.05))


async def test_what_goes_aside_leaves_one_turn_for_callers() -> None:
    pace = Pace(per_second=2, burst=2)
    await pace.turn(aside=True)
    waiting = asyncio.ensure_future(pace.turn(aside=True))
    await asyncio.sleep(0)
    assert not waiting.done()
    await pace.turn(Timed(left=0.1))
    waiting.cancel()


@pytest.mark.parametrize("numbers", [(0, 1, 1), (1, 0, 1), (1, 1, -1)])
def test_a_pace_is_made_of_numbers_above_nought(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(DeclarationError):
        Pace(*numbers)
