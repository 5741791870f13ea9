"""The declaration that an input lacks: what to paste where a key or a caller matches no action.

Pure.

Rule 1: the text is valid as it is: it can be appended to a program that has ``ivr``, or to a
        configuration file, and declares an action that matches the input and clashes with no other.
Rule 2: digits of an IVR that has a sensitive action may be a PIN: the mask has a ``*`` for each.
Rule 3: an input that is longer than `MAX_INPUT_LENGTH`, or that a mask cannot match, has no
        declaration.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from receiver.calls import Kind
from receiver.declarations.actions import Action
from receiver.masks import Mask

MAX_INPUT_LENGTH = 32
"""Characters of an input for which a declaration is written."""

_KEYS = re.compile(rf"[0-9*#]{{1,{MAX_INPUT_LENGTH}}}")
_NUMBER = re.compile(rf"\+?[0-9]{{1,{MAX_INPUT_LENGTH - 1}}}")
_OWN_NAME = 2  # digits that a name repeats: more may be an account number

_ONLY = (
    "a mask cannot contain the keys * and #: ALL matches any keys, and must be the only DTMF mask "
    "of the IVR, so the other actions go into its handler"
)


class MissingAction(NamedTuple):
    """The lines to paste into the code.

    Attributes:
        python: a decorated function, for the variable ``ivr``; a comment says which IVR that is.
        toml: the same for a configuration file.
        note: what to consider, a sentence; often empty.
    """

    python: str
    toml: str
    note: str = ""


def missing_action(
    actions: Iterable[Action], ivr: str, kind: Kind, number: str, *, pbx: str = ""
) -> MissingAction | None:
    """Return the declaration of an action for an input that no action matches.

    Parameters:
        actions: what the app declares.
        ivr: the extension number of the IVR.
        kind: ``"DTMF"`` or ``"CALLER"``.
        number: the digits, or the caller's number as the PBX wrote it.
        pbx: the label of the PBX.

    Returns:
        None if an action matches the input already, or if no mask can (an anonymous caller).
    """
    declared = [one for one in actions if (one.pbx, one.ivr) == (pbx, ivr)]
    rivals = [one for one in declared if one.kind == kind and one.enabled]
    if any(one.mask.matches(number) for one in rivals):
        return None
    mask = _mask(kind, number, is_sensitive=any(one.sensitive for one in declared))
    if mask is None:
        return None
    note = ""
    if any(one.mask.overlap(mask) is not None for one in rivals):
        if str(mask) != "ALL":
            return None
        note = _ONLY
    name = _unique(_name(kind, mask), {one.name.lower() for one in declared})
    return MissingAction(
        _python(ivr, pbx, kind, mask, name), _toml(ivr, pbx, kind, mask, name), note
    )


def _mask(kind: Kind, number: str, *, is_sensitive: bool) -> Mask | None:
    if kind == "CALLER":
        return Mask.parse(number) if _NUMBER.fullmatch(number) else None
    if not _KEYS.fullmatch(number):
        return None
    if not number.isdigit():
        return Mask.parse("ALL")
    return Mask.parse("*" * len(number) if is_sensitive else number)


def _name(kind: Kind, mask: Mask) -> str:
    """Return a name for the function; it becomes part of a URL, so it holds no caller's number."""
    text = str(mask)
    if kind == "CALLER":
        return "known_caller"
    if text == "ALL":
        return "any_keys"
    return f"key_{text}" if text.isdigit() and len(text) <= _OWN_NAME else "keys"


def _unique(name: str, taken: set[str]) -> str:
    candidates = (name if count == 1 else f"{name}_{count}" for count in range(1, len(taken) + 2))
    return next(one for one in candidates if one not in taken)


def _python(ivr: str, pbx: str, kind: Kind, mask: Mask, name: str) -> str:
    of_pbx = f', pbx="{pbx}"' if pbx else ""
    return (
        f'# ivr is Ivr("{ivr}"{of_pbx})\n'
        f'@ivr.{kind.lower()}("{mask}")\n'
        f"async def {name}(call: Call) -> Reply:\n"
        '    return Forward("222")\n'
    )


def _toml(ivr: str, pbx: str, kind: Kind, mask: Mask, name: str) -> str:
    of_pbx = f'pbx = "{pbx}"\n' if pbx else ""
    return (
        f'[[ivr]]\nnumber = "{ivr}"\n{of_pbx}\n'
        f'[[ivr.{kind.lower()}]]\nmask = "{mask}"\nname = "{name}"\nthen = "222"\n'
    )
