"""A menu: each choice of digits leads to a reply.

::

    menu = Menu({"1": Forward("222"), "2": Forward("333"), "9": Hangup()})
    sales.add("DTMF", menu.mask, menu, name="menu")
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from receiver import Call, DeclarationError, Repeat, Reply

_DIGITS = re.compile("[0-9]+")


class Menu:
    """A handler that looks the digits up.

    Parameters:
        choices: what the caller keys in, and the reply to it.
        otherwise: the reply to anything else; by default the prompt is played again.

    Raises:
        DeclarationError: there is no choice, or one of them leads to something that is no reply.
    """

    def __init__(self, choices: Mapping[str, Reply], otherwise: Reply | None = None) -> None:
        if not choices:
            raise DeclarationError("a Menu needs at least one choice")
        self.otherwise: Reply = Repeat() if otherwise is None else otherwise
        for digits, reply in {**choices, "otherwise": self.otherwise}.items():
            if digits != "otherwise" and not _DIGITS.fullmatch(
                digits if isinstance(digits, str) else ""
            ):
                raise DeclarationError(f"Menu: a choice is a string of digits, not {digits!r}")
            if not isinstance(reply, Reply):
                raise DeclarationError(f"Menu: {digits!r} leads to {reply!r}, which is no reply")
        self.choices = dict(choices)

    @property
    def mask(self) -> str:
        """The mask to register: all choices."""
        return ";".join(self.choices)

    async def __call__(self, call: Call) -> Reply:
        return self.choices.get(call.digits, self.otherwise)
