"""handlers/menu.py"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.menu import Menu
from receiver import Call, DeclarationError, Forward, Hangup, Ivr, Mask, Repeat, Reply

DIGITS = st.text("0123456789", min_size=1, max_size=4)
TREES = st.recursive(
    DIGITS.map(Forward),
    lambda inner: st.dictionaries(st.sampled_from("0123456789"), inner, min_size=1, max_size=4),
    max_leaves=12,
).filter(lambda tree: isinstance(tree, dict))


async def test_each_choice_leads_to_its_reply() -> None:
    menu = Menu({"1": Forward("222"), "22": Hangup(), "3": "333"}, otherwise=Forward("0"))
    assert [await menu(Call(digits=d)) for d in ("1", "22", "3", "2", "")] == [
        Forward("222"),
        Hangup(),
        Forward("333"),
        Forward("0"),
        Forward("0"),
    ]
    assert await Menu({"1": "hangup"})(Call(digits="9")) == Repeat()


async def test_the_finish_key_is_not_part_of_a_choice() -> None:
    menu = Menu({"1": "222", "2": Menu({"1": "331"}), "4*": "444"}, otherwise="0")
    found = [await menu(Call(digits=d)) for d in ("1#", "21#", "40#", "1*", "#", "1##")]
    assert found == [*map(Forward, ("222", "331", "444", "0", "0", "0"))]
    star = Menu({"1": "222"}, otherwise="0", finish_key="*")
    assert [await star(Call(digits=d)) for d in ("1*", "1#")] == [Forward("222"), Forward("0")]
    none = Menu({"1": "222"}, otherwise="0", finish_key="")
    assert await none(Call(digits="1#")) == Forward("0")
    with pytest.raises(DeclarationError, match="finish_key='0'"):
        Menu({"1": "222"}, finish_key="0")  # type: ignore[arg-type]


async def test_a_choice_gets_the_digits_without_the_finish_key() -> None:
    async def call_back(call: Call) -> Reply:
        return Forward(call.digits)

    assert await Menu({"1**": call_back})(Call(digits="123#")) == Forward("123")


async def test_ranges_patterns_and_lists_are_choices() -> None:
    menu = Menu({"1000-1999": "1", "4*": "2", "5;6": "3", "7": "4"})
    found = [await menu(Call(digits=d)) for d in ("1500", "49", "5", "6", "7", "2000", "4", "4*")]
    assert found == [*map(Forward, "12334"), Repeat(), Repeat(), Repeat()]
    assert menu.mask == "1000-1999;4*;5;6;7"


async def test_handlers_as_choices_get_the_call_unchanged() -> None:
    async def later(call: Call) -> Reply:
        return Forward(call.digits + call.caller)

    def at_once(call: Call) -> Reply:
        return Forward(call.caller + call.digits)

    menu = Menu({"1": later, "2": at_once}, otherwise=later)
    found = [await menu(Call(digits=d, caller="77")) for d in "123"]
    assert found == [Forward("177"), Forward("772"), Forward("377")]


async def test_a_nested_menu_takes_the_following_digits() -> None:
    inner = Menu({"1": "331", "2": Menu({"5-9": "3329", "4;0*": "3324"})}, otherwise="99")
    menu = Menu({"1": "222", "3": inner}, otherwise="0")
    assert menu.mask == "1;31;325-329;324;320*"
    found = [await menu(Call(digits=d)) for d in ("1", "31", "327", "324", "3209", "3", "33")]
    assert found == [*map(Forward, ("222", "331", "3329", "3324", "3324", "0", "0"))]


def leaves(tree: dict[str, Any], before: str = "") -> dict[str, Reply]:
    found: dict[str, Reply] = {}
    for digit, it in tree.items():
        found |= leaves(it, before + digit) if isinstance(it, dict) else {before + digit: it}
    return found


def menu_of(tree: dict[str, Any]) -> Menu:
    return Menu({d: menu_of(it) if isinstance(it, dict) else it for d, it in tree.items()})


@given(TREES, DIGITS)
async def test_nested_menus_equal_one_menu(tree: dict[str, Any], stray: str) -> None:
    menu, expected = menu_of(tree), leaves(tree)
    for digits in (*expected, stray):
        assert await menu(Call(digits=digits)) == expected.get(digits, Repeat())
    assert {str(entry) for entry in Mask.parse(menu.mask)} == set(expected)


def test_the_mask_has_all_choices() -> None:
    menu = Menu({"1": Forward("222"), "22": Hangup()})
    assert menu.mask == "1;22"
    assert Ivr("8000").add("DTMF", menu.mask, menu, name="menu").mask.matches("22")


@pytest.mark.parametrize(
    ("choices", "problem"),
    [
        ({}, "a table with at least one choice"),
        (["1"], "a table with at least one choice"),
        ({1: "2"}, r"choice 1: a mask is a string"),
        ({"": "2"}, "choice '': a mask has an empty entry"),
        ({"+49": "2"}, r"choice '\+49' is not digits"),
        ({"ALL": "2"}, "choice 'ALL' is not digits; use otherwise="),
        ({"1": "2 2"}, "^Menu: choice '1' is neither"),
        ({"1": 222}, "^Menu: choice '1' is neither a reply nor a handler.* not int"),
        ({"1": Hangup}, "^Menu: choice '1' is neither a reply nor a handler"),
        ({"1": lambda: "2"}, "^Menu: choice '1' is neither a reply nor a handler"),
        ({"1": "2", "0-5": "3"}, "the choices '1' and '0-5' both mean '1'"),
        ({"1*": "2", "0*-1*": "3"}, "choice '0"),
        ({"1*": "2", "12": "3"}, "the choices '12' and '1\\*' both mean '12'"),
        ({"1": "2", "1 ": "3"}, "both mean '1'"),
        ({"31": "2", "3": Menu({"1": "3"})}, "choice '31' is there twice"),
        ({"3*": Menu({"1": "3"})}, r"choice '3\*' leads to a Menu, so it must be digits"),
    ],
)
def test_wrong_menus(choices: Any, problem: str) -> None:
    with pytest.raises(DeclarationError, match=problem):
        Menu(choices)


def test_a_wrong_otherwise() -> None:
    with pytest.raises(DeclarationError, match="Menu: otherwise is neither"):
        Menu({"1": "2"}, otherwise="unknown")
