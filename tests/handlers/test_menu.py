"""handlers/menu.py"""

import pytest

from handlers.menu import Menu
from receiver import Call, DeclarationError, Forward, Hangup, Ivr, Repeat


async def test_each_choice_leads_to_its_reply() -> None:
    menu = Menu({"1": Forward("222"), "22": Hangup()}, otherwise=Forward("0"))
    assert [await menu(Call(digits=d)) for d in ("1", "22", "2", "")] == [
        Forward("222"),
        Hangup(),
        Forward("0"),
        Forward("0"),
    ]
    assert await Menu({"1": Hangup()})(Call(digits="9")) == Repeat()


def test_its_mask_is_what_to_register() -> None:
    menu = Menu({"1": Forward("222"), "22": Hangup()})
    assert menu.mask == "1;22"
    assert Ivr("8000").add("DTMF", menu.mask, menu, name="menu").mask.matches("22")


def test_wrong_menus() -> None:
    with pytest.raises(DeclarationError, match="at least one choice"):
        Menu({})
    for digits in ("1-3", "4*", "", 1):
        with pytest.raises(DeclarationError, match="a choice is a string of digits"):
            Menu({digits: Hangup()})  # type: ignore[dict-item]
    with pytest.raises(DeclarationError, match="'1' leads to '222'"):
        Menu({"1": "222"})  # type: ignore[dict-item]
    with pytest.raises(DeclarationError, match="'otherwise' leads to '0'"):
        Menu({"1": Hangup()}, otherwise="0")  # type: ignore[arg-type]
