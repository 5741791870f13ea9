"""handlers/crm/rules.py, contacts.py and the rate limit of client.py."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.crm.client import RateLimit, _hint
from handlers.crm.contacts import Contact, Number
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
def test_rules_that_do_not_hold(rule: Any) -> None:
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
def test_invalid_rules(rules: Any) -> None:
    with pytest.raises(DeclarationError, match="rules"):
        read_rules(rules, "rules")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
)


@given(JSON, st.sampled_from(["equals", "contains"]), st.text())
def test_a_rule_accepts_any_value(value: Any, test: str, wanted: str) -> None:
    (rule,) = read_rules([{"field": "a", test: wanted, "to": "1"}], "rules")
    assert rule.match(Contact("1", fields={"a": value}), None) in (True, False)


@given(st.text(), st.sampled_from(["", "DE", "US"]))
def test_any_text_parses_to_a_number(text: str, region: str) -> None:
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
def test_a_field_matches_a_number(text: str, same: bool) -> None:
    assert Number.parse("+493023125000").matches_field(text) is same


async def test_requests_wait_for_the_rate_limit_until_the_deadline() -> None:
    limit = RateLimit(per_second=10, burst=2)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(4):
        await limit.wait()
    assert loop.time() - began >= 0.2 - 0.01
    limit = RateLimit(per_second=0.01)
    await limit.wait()
    with pytest.raises(Unavailable):
        await limit.wait(Timed(left=0.05))


async def test_a_block_ends_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, frozen=True)
    limit = RateLimit(per_second=1000)
    limit.block(7)
    with pytest.raises(Unavailable):
        await limit.wait()
    clock.advance(7)
    await limit.wait()
    limit.block(1e9)
    clock.advance(300)
    await limit.wait()


@pytest.mark.parametrize(("status", "text"), [
    (302, "redirects are not followed"), (401, "lack a scope"), (404, "check url="), (500, "^$"),
])  # fmt: skip
def test_the_error_of_a_status_says_what_to_do(status: int, text: str) -> None:
    assert re.search(text, _hint(status))


async def test_a_block_without_a_time_doubles_up_to_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch, frozen=True)
    limit = RateLimit(per_second=1000)
    for seconds in (1, 2, 4, 8, 16, 32, 60, 60):
        limit.block(None)
        limit.block(None)  # the answer to a request that was sent before
        clock.advance(seconds - 0.1)
        with pytest.raises(Unavailable):
            await limit.wait(Timed(left=0.1))
        clock.advance(0.1)
        await limit.wait()
    limit.record_success()
    limit.block(None)
    clock.advance(1)
    await limit.wait()


@pytest.mark.parametrize(
    ("web_concurrency", "workers", "seconds"),
    [("4", 0, 0.4), ("", 0, 0.1), ("four", 0, 0.1), ("4", 2, 0.2)],
)
async def test_workers_share_the_rate_limit(
    monkeypatch: pytest.MonkeyPatch, web_concurrency: str, workers: int, seconds: float
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", web_concurrency)
    clock = Clock(monkeypatch, frozen=True)
    limit = RateLimit(per_second=10, workers=workers)
    await limit.wait()
    clock.advance(seconds * 0.9)
    with pytest.raises(Unavailable):
        await limit.wait(Timed(left=0.05))
    clock.advance(seconds * 0.2)
    await limit.wait(Timed(left=0.05))


async def test_background_requests_leave_capacity_for_callers() -> None:
    limit = RateLimit(per_second=0.02, burst=2)
    await limit.wait(background=True)
    waiting = asyncio.ensure_future(limit.wait(background=True))
    await asyncio.sleep(0)
    assert not waiting.done()
    await limit.wait(Timed(left=0.1))
    waiting.cancel()


@pytest.mark.parametrize("numbers", [(0, 1, 1), (1, 0, 1), (1, 1, -1)])
def test_a_rate_limit_must_be_positive(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(DeclarationError):
        RateLimit(*numbers)


@pytest.mark.parametrize(
    ("field", "same"),
    [
        ("030 1111111 ::: 030 23125000", True),
        ("030 1111111; +49 30 23125000", True),
        ("030 23125000 / 0170 1234567", True),
        ("493023125000", True),
        ("030 23125000 ext. 12", True),
        ("4.93023E+11", False),
        ("anonymous", False),
    ],
)
def test_a_field_with_several_numbers_matches(field: str, same: bool) -> None:
    assert Number.parse("+493023125000", "DE").matches_field(field, "DE") is same


def test_numbers_of_a_trunk_without_a_plus() -> None:
    assert Number.parse("493023125000", "DE").e164 == "+493023125000"
    assert Number.parse("33123456789", "DE", "e164-without-plus").e164 == "+33123456789"
    assert Number.parse("sip:+493023125000@192.0.2.10", "DE").e164 == "+493023125000"
    assert Number.parse("+266696687", "DE").digits == ""


def test_variants_are_one_number() -> None:
    mobile, old = Number.parse("+54 9 11 2345-6789"), Number.parse("+54 11 2345-6789")
    assert mobile.digits == old.digits == "541123456789"
    assert mobile.e164 == "+5491123456789"
    assert mobile.matches_field("+54 11 2345-6789")
    assert old.matches_field("+54 9 11 2345-6789")
