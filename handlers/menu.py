"""Handler for a menu: digits choose a reply or another handler.

::

    menu = Menu({"1": "222", "2": Hours(…), "3": Menu({"1": "331", "2": "332"})})
    sales.add("DTMF", menu.mask, menu, name="menu")

A `Menu` directly inside a menu takes the following digits: here ``31`` leads to 331. (The PBX plays
one prompt per IVR; a submenu with another prompt is another IVR.) All other handlers get the call
unchanged, except for the finish key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from receiver import (
    Call,
    DeclarationError,
    FinishKey,
    Mask,
    MaskError,
    Reply,
    Then,
    handler_of,
    is_sensitive,
    repeats_of,
)


class Menu:
    """A handler that chooses by the digits.

    ::

        menu = Menu({"1": "222", "2": Balance({"8001": 3, "8002": 1}), "9": "hangup"})
        ivr.add("DTMF", menu.mask, menu, name="menu")

    Parameters:
        choices: replies or handlers by digits or by any mask: ``"1000-1999"``, ``"4**"``,
            ``"5;6"``. Choices must not overlap.
        otherwise: reply or handler for any other input; the default repeats the prompt.
        finish_key: ``"#"`` (the default) or ``"*"`` at the end of the digits is removed; ``""`` for
            none.

    Attributes:
        mask: the mask of all choices, for the declaration.

    In a file::

        handler = "menu"
        choices = {1 = "222", 2 = "333", 9 = "hangup"}

    Raises:
        DeclarationError: there is no choice, one is invalid, or two overlap.
    """

    def __init__(
        self,
        choices: Mapping[str, Then],
        otherwise: Then = "repeat",
        *,
        finish_key: FinishKey = "#",
    ) -> None:
        if finish_key not in get_args(FinishKey):
            raise DeclarationError(f'Menu: finish_key={finish_key!r} is not "#", "*" or ""')
        self._finish_key = finish_key
        if not isinstance(choices, Mapping) or not choices:
            raise DeclarationError("Menu: choices= is a table with at least one choice")
        self._choices: dict[str, Then] = {}
        for digits, then in choices.items():
            self._add(digits, then)
        masks = {digits: _mask(digits) for digits in self._choices}
        _check_clashes(masks)
        handlers = {
            digits: handler_of(then, f"Menu: choice {digits!r}")
            for digits, then in self._choices.items()
        }
        # Exact choices are in a dict; ranges and patterns are searched.
        self._exact = {digits: one for digits, one in handlers.items() if digits.isdecimal()}
        self._others = [(masks[d], one) for d, one in handlers.items() if d not in self._exact]
        self._otherwise = handler_of(otherwise, "Menu: otherwise")
        self.mask = ";".join(str(mask) for mask in masks.values())
        self.sensitive = is_sensitive(self._otherwise, *handlers.values())
        self.repeats = repeats_of(self._otherwise, *handlers.values())

    async def __call__(self, call: Call) -> Reply:
        call = call.without_finish_key(self._finish_key)
        then = self._exact.get(call.digits)
        if then is None:
            matching = (one for mask, one in self._others if mask.matches(call.digits))
            then = next(matching, self._otherwise)
        return await then(call)

    def _add(self, digits: str, then: Then) -> None:
        """Add a choice; for a `Menu` add its choices with the prefix ``digits``."""
        if not isinstance(then, Menu):
            choices = {digits: then}
        elif not _mask(digits).matches(digits):
            raise DeclarationError(f"Menu: choice {digits!r} leads to a Menu, so it must be digits")
        else:
            choices = {_prefixed(digits, inner): it for inner, it in then._choices.items()}
        for key, value in choices.items():
            if key in self._choices:
                raise DeclarationError(f"Menu: choice {key!r} is there twice")
            self._choices[key] = value


def _prefixed(digits: str, inner: str) -> str:
    """Return the mask ``inner`` with the prefix ``digits`` for each of its numbers."""
    parts = str(_mask(inner)).split(";")
    return ";".join("-".join(digits + end for end in part.split("-")) for part in parts)


def _mask(digits: str) -> Mask:
    try:
        mask = Mask.parse(digits)
    except MaskError as error:
        raise DeclarationError(f"Menu: choice {digits!r}: {error.problem}") from None
    if "+" in str(mask) or str(mask) == "ALL":
        raise DeclarationError(
            f"Menu: choice {digits!r} is not digits; use otherwise= for the rest"
        )
    return mask


def _check_clashes(masks: Mapping[str, Mask]) -> None:
    seen: list[tuple[str, Mask]] = []
    for digits, mask in sorted(masks.items(), key=lambda item: item[0].isdecimal(), reverse=True):
        for other, before in seen if not digits.isdecimal() else ():  # keys of a dict are unique
            if (both := mask.overlap(before)) is not None:
                raise DeclarationError(
                    f"Menu: the choices {other!r} and {digits!r} both mean {both!r}"
                )
        seen.append((digits, mask))
