"""Inputs that no mask matches, and the call flow as the console gets it."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver import Call, Forward, Hangup, Ivr, Repeat, Reply
from receiver.declarations import call_flow
from receiver.declarations.call_flow import Row, flow_json, nowhere
from receiver.masks import Mask

STRINGS = ["".join(keys) for size in (1, 2, 3) for keys in product("0123456789", repeat=size)]


def dead_ends(mask: str, *menu: str, **limits: int) -> list[str]:
    return list(nowhere([Mask.parse(mask)], menu, **limits))


@pytest.mark.parametrize(
    ("mask", "menu", "found"),
    [
        ("1", (), ["0", "2-9", "*", "#"]),
        ("1-9", ("0", "*"), ["#"]),
        ("0-9", ("**", "#"), []),
        ("1;2**;0-9", ("*", "#"), []),
        ("22", (), ["0-1", "3-9", "*", "#", "20-21", "23-29"]),
        ("15-23", ("0", "3#"), ["4-9", "*", "#", "10-14", "24-29"]),
        ("+4", ("*", "#"), ["0-9"]),
        ("ALL", (), []),
        ("100-199", (), ["0", "2-9", "*", "#"]),
        ("1**", ("1",), ["0", "2-9", "*", "#"]),
        ("3", ("12",), ["0", "2", "4-9", "*", "#", "10-11", "13-19"]),
    ],
)
def test_inputs_that_lead_nowhere(mask: str, menu: tuple[str, ...], found: list[str]) -> None:
    assert dead_ends(mask, *menu) == found


def test_a_long_list_is_cut() -> None:
    found = dead_ends("12345678;87654321")
    assert found[-1] == "…"
    assert len(found) == call_flow.MAX_INPUTS + 1


def test_the_search_is_bounded() -> None:
    assert dead_ends("1-9;0", "*", "#", max_beginnings=2) == []
    assert dead_ends("0-9;1*2;3*2;5*2", "*", "#", max_beginnings=2) == ["…"]


entries = st.one_of(
    st.from_regex(r"[0-9*]{1,3}", fullmatch=True),
    st.integers(1, 3).flatmap(
        lambda size: st.tuples(*[st.integers(0, 10**size - 1)] * 2).map(
            lambda pair: "-".join(f"{one:0{size}}" for one in sorted(pair))
        )
    ),
)


@given(
    st.lists(entries, min_size=1, max_size=4, unique=True),
    st.sets(st.from_regex("[0-9]{1,2}", fullmatch=True), max_size=2),
)
def test_exactly_the_shortest_unmatched_inputs_are_reported(
    lists: list[str], menu: set[str]
) -> None:
    masks = [Mask.parse(one) for one in lists]
    taken = {one for one in STRINGS if any(mask.matches(one) for mask in masks)} | menu
    begun = {one[:size] for one in taken for size in range(4)}
    fired = {one for one in STRINGS if any(one.startswith(key) for key in menu)}
    longer = {one[:size] for one in taken for size in range(len(one))}
    first = {
        one
        for one in STRINGS
        if one not in begun | fired and one[:-1] in longer and one[:-1] not in fired
    }
    unmatched = [one for one in _all(masks, menu) if one not in "*#"]
    for one in STRINGS:
        assert any(Mask.parse(text).matches(one) for text in unmatched) == (one in first)


def _all(masks: list[Mask], menu: set[str]) -> tuple[str, ...]:
    return nowhere(masks, menu, max_inputs=10_000)


async def answer(call: Call) -> Reply:
    return Repeat()


def test_the_map() -> None:
    sales, other = Ivr("8000"), Ivr("8100", pbx="north")
    sales.add("DTMF", "1;22", answer, name="pick", fallback=Forward("0"))
    sales.add("DTMF", "9", answer, name="off", enabled=False, fallback=Hangup())
    other.add("CALLER", "100-199", answer, name="known", fallback=lambda call: Repeat())
    rows = [Row(one, "app.answer", ("222", "repeat"), ("0",)) for one in (*sales, *other)]
    observed = {"8000/pick": {"333": 1, "222": 4}}
    flow = flow_json(rows, {("", "8000"): "Sales"}, {("", "8000"): ["3"]}, observed)
    first, second = flow["ivrs"]
    assert (first["number"], first["name"], first["menu"]) == ("8000", "Sales", ["3"])
    assert first["nowhere"] == ["0", "4-9", "*", "#", "20-21", "23-29"]  # 9 is switched off
    pick, off = first["inputs"]
    assert pick["declared"] == ["222", "repeat", "0 (fallback)"]
    assert pick["observed"] == [{"to": "222", "count": 4}, {"to": "333", "count": 1}]
    assert not off["enabled"]
    assert (second["pbx"], second["menu"], second["nowhere"]) == ("north", None, [])


def test_the_mask_of_a_sensitive_action_is_not_spelt_out() -> None:
    ivr, other = Ivr("8000"), Ivr("8100")
    ivr.add("DTMF", "4711;4712;10-19;2*", answer, name="pin", sensitive=True)
    ivr.add("CALLER", "+4930123", answer, name="known", sensitive=True)
    other.add("DTMF", "ALL", answer, name="card", sensitive=True)
    first, second = flow_json([Row(one, "") for one in (*ivr, *other)], {}, {}, {})["ivrs"]
    assert [one["mask"] for one in first["inputs"]] == ["****;**", "+*******"]
    assert first["nowhere"] == ["*", "#"]
    assert second["inputs"][0]["mask"] == "ALL"
