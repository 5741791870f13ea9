"""handlers/balance.py"""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.balance import Balance
from receiver import Call, DeclarationError, Forward, Hangup, Reply

WEIGHTS = st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any)
WHO = st.text("0123456789+", min_size=1, max_size=15)


def of(weights: list[int], **options: Any) -> Balance:
    return Balance([(str(place), weight) for place, weight in enumerate(weights)], **options)


async def places(balance: Balance, *callers: str) -> list[int]:
    found = [await balance(Call(caller=caller)) for caller in callers]
    return [int(reply.destination) for reply in found if isinstance(reply, Forward)]


async def test_turns() -> None:
    assert await places(Balance(["1", "2", "3"]), *"abcd") == [1, 2, 3, 1]
    assert await places(Balance({"1": 2, "2": 1, "3": 0}), *"abcdef") == [1, 2, 1, 1, 2, 1]


async def test_handlers_get_the_call() -> None:
    async def again(call: Call) -> Reply:
        return Forward(call.digits)

    balance = Balance([again, ("hangup", 1)])
    assert [await balance(Call(digits="7")) for _ in "12"] == [Forward("7"), Hangup()]


@given(WEIGHTS, st.integers(1, 3))
async def test_turns_are_fair_and_interleaved(weights: list[int], rounds: int) -> None:
    total, balance = sum(weights), of(weights)
    found = await places(balance, *[""] * (total * rounds))
    assert Counter(found) == Counter({p: w * rounds for p, w in enumerate(weights) if w})
    for most in range(len(found) + 1):
        for place, weight in enumerate(weights):
            due = most * weight / total
            assert abs(found[:most].count(place) - due) < len(weights)


@given(WEIGHTS, st.floats(0, 1, exclude_max=True))
async def test_chance_is_weighted(weights: list[int], drawn: float) -> None:
    [place] = await places(of(weights, by="chance", draw=lambda: drawn), "101")
    assert weights[place]
    assert sum(weights[:place]) <= drawn * sum(weights) + 1e-9
    assert drawn * sum(weights) <= sum(weights[: place + 1]) + 1e-9


@given(WEIGHTS, WHO)
async def test_a_caller_keeps_its_place(weights: list[int], who: str) -> None:
    first = await places(of(weights, by="caller"), who, who)
    assert first == await places(of(weights, by="caller"), who, who)
    assert weights[first[0]]


@given(WEIGHTS, WHO, st.data())
async def test_callers_move_only_to_higher_weights(
    weights: list[int], who: str, data: st.DataObject
) -> None:
    grown = data.draw(st.integers(0, len(weights) - 1))
    heavier = [weight + (place == grown) for place, weight in enumerate(weights)]
    [before], [after] = (
        await places(of(weights, by="caller"), who),
        await places(of(heavier, by="caller"), who),
    )
    assert after in (before, grown)


async def test_shares_of_callers() -> None:
    callers = [f"+49301{number:06}" for number in range(20_000)]
    canary = Counter(await places(of([95, 5], by="caller"), *callers))
    assert 850 < canary[1] < 1150  # five standard deviations of 1000
    thirds = Counter(await places(of([3, 2, 1], by="caller"), *callers))
    assert all(abs(thirds[p] - 20_000 * w / 6) < 350 for p, w in enumerate((3, 2, 1)))


async def test_names_separate_canaries() -> None:
    callers = [str(number) for number in range(1000)]
    one, two = [await places(of([1, 1], by="caller", name=n), *callers) for n in ("a", "b")]
    assert 400 < sum(a == b for a, b in zip(one, two, strict=True)) < 600


async def test_callers_without_a_number_are_distinguished_by_call() -> None:
    balance = of([1, 1], by="caller", draw=lambda: 0.99)
    found = {str(await balance(Call(session_id=str(n)))) for n in range(50)}
    assert len(found) == 2
    assert await balance(Call(session_id="7")) == await balance(Call(session_id="7"))
    assert await balance(Call()) == Forward("1")  # chance


@pytest.mark.parametrize(
    ("to", "options", "problem"),
    [
        ([], {}, "to= is a table"),
        ("8001", {}, "to= is a table"),
        (None, {}, "to= is a table"),
        ({}, {}, "at least one place must weigh more than 0"),
        ({"1": 0}, {}, "at least one place must weigh more than 0"),
        ({"1": 1e308, "2": 1e308}, {}, "at least one place"),
        (["1", "x"], {}, "Balance: place 2 is neither"),
        ([("1", "2")], {}, "weight of place 1 is '2'"),
        ([("1", 1), ["2", -1]], {}, "weight of place 2 is -1"),
        ({"1": True}, {}, "weight of place 1 is True"),
        ({"1": float("nan")}, {}, "weight of place 1 is nan"),
        (["1"], {"by": "weight"}, "by='weight' is none of turns, chance, caller"),
    ],
)
def test_wrong_options(to: Any, options: Any, problem: str) -> None:
    with pytest.raises(DeclarationError, match=problem):
        Balance(to, **options)


async def test_notations_of_a_number_are_one_caller() -> None:
    handler = of([1] * 50, by="caller")
    written = ("+4930123456", "004930123456", "4930123456", "sip:+4930123456@192.0.2.10")
    assert len({(await handler(Call(caller=one))) for one in written}) == 1


async def test_anonymous_callers_are_distinguished_by_call() -> None:
    handler = of([1] * 50, by="caller")
    calls = [Call(caller="anonymous", session_id=str(n)) for n in range(20)]
    assert len({await handler(call) for call in calls}) > 5
    assert {await handler(calls[0]) for _ in range(5)} == {await handler(calls[0])}
