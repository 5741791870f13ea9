"""Secrets that are named, not written: ``"$NAME"`` is the variable of that name.

It is read when a connector is made, and never shown.
"""

from __future__ import annotations

import os
import re

from receiver import DeclarationError, Secret

_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")


def secret_of(value: str | Secret, option: str) -> str:
    """The text of a secret, or of the variable that ``"$NAME"`` stands for.

    Parameters:
        option: what a problem is told of, as in ``"HubSpot: token"``.

    Raises:
        DeclarationError: it is empty, or there is no such variable.
    """
    text = value.reveal() if isinstance(value, Secret) else value
    if isinstance(text, str) and (variable := _VARIABLE.fullmatch(text)):
        text = os.environ.get(variable[1], "")
        if not text:
            raise DeclarationError(f"{option}: the variable {variable[1]} is not set")
    if not isinstance(text, str) or not text:
        raise DeclarationError(f'{option} is a text, or "$NAME" for a variable of that name')
    return text


def expand(text: str, option: str) -> str:
    """``text`` with variables in the place of their names, as in ``"Token $CRM_TOKEN"``.

    Raises:
        DeclarationError: one is not set, or that is no text.
    """
    if not isinstance(text, str):
        raise DeclarationError(f"{option} is no text")
    return _VARIABLE.sub(lambda found: secret_of(found[0], option), text)
