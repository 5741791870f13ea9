"""A menu: each choice of digits leads to a reply or to another handler.

::

    menu = Menu({"1": "222", "2": Hours(…), "3": Menu({"1": "331", "2": "332"})})
    sales.add("DTMF", menu.mask, menu, name="menu")

A `Menu` right inside a menu goes on with the digits that follow: here ``31`` leads to 331. (The PBX
plays one prompt a receptionist; a submenu with a prompt of its own is a receptionist of its own.)
All other handlers are asked with the call as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from receiver import Call, DeclarationError, Mask, MaskError, Reply, Then, handler_of, is_sensitive


class Menu:
    """A handler that looks the digits up.

    Parameters:
        choices: what the caller keys in, and where it leads. Besides digits a choice may be any
            mask: ``"1000-1999"``, ``"4**"``, ``"5;6"``. No input may be meant by two.
        otherwise: where anything else leads; by default the prompt is played again.

    Attributes:
        mask: what to register: all choices.

    In a file::

        handler = "menu"
        choices = {1 = "222", 2 = "333", 9 = "hangup"}

    Raises:
        DeclarationError: there is no choice, one cannot be read or leads nowhere, or two clash.
    """

    def __init__(self, choices: Mapping[str, Then], otherwise: Then = "repeat") -> None:
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
        # What is exact is found at once; ranges and patterns are gone through.
        self._exact = {digits: one for digits, one in handlers.items() if digits.isdecimal()}
        self._others = [(masks[d], one) for d, one in handlers.items() if d not in self._exact]
        self._otherwise = handler_of(otherwise, "Menu: otherwise")
        self.mask = ";".join(str(mask) for mask in masks.values())
        self.sensitive = is_sensitive(self._otherwise, *handlers.values())

    async def __call__(self, call: Call) -> Reply:
        then = self._exact.get(call.digits)
        if then is None:
            matching = (one for mask, one in self._others if mask.matches(call.digits))
            then = next(matching, self._otherwise)
        return await then(call)

    def _add(self, digits: str, then: Then) -> None:
        """A menu's own choices in place of it, with ``digits`` before them."""
        if not isinstance(then, Menu):
            further = {digits: then}
        elif not _mask(digits).matches(digits):
            raise DeclarationError(f"Menu: choice {digits!r} leads to a Menu, so it must be digits")
        else:
            further = {_prefixed(digits, inner): it for inner, it in then._choices.items()}
        for key, value in further.items():
            if key in self._choices:
                raise DeclarationError(f"Menu: choice {key!r} is there twice")
            self._choices[key] = value


def _prefixed(digits: str, inner: str) -> str:
    """``inner``, any mask, with ``digits`` before each of its numbers."""
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
        for other, before in seen if not digits.isdecimal() else ():  # these are keys of a dict
            if (both := mask.overlap(before)) is not None:
                raise DeclarationError(
                    f"Menu: the choices {other!r} and {digits!r} both mean {both!r}"
                )
        seen.append((digits, mask))
