"""Parse the six fields of a callback from text that is almost JSON.

The caller chooses the display name. A PBX that writes it into JSON without escaping it sends a raw
tab, a lone quote or a backslash, and such a call must not be lost.

Rule 1: ``session_id``, ``from``, ``to`` and ``input`` determine the reply, and a display name may
        contain forged ones. The fields of the PBX are in the text unchanged, so a forged field is
        a duplicate: a field that occurs twice, or a value that needs interpretation, is not read.
Rule 2: the two names determine nothing. They are read if their end is certain; a name that occurs
        twice is left out.
Rule 3: the time is proportional to the length of the text.
"""

from __future__ import annotations

import json
import re

from receiver.calls import WIRE
from receiver.errors import CallbackError

DECIDING = ("session_id", "from", "to", "input")
"""The fields that determine the reply."""

_REQUIRED = ("from", "to", "input")
_KEY = re.compile(rf'"({"|".join(WIRE)})"\s*:\s*')
_BEFORE = re.compile(r"[{,]\s*\Z")
_CERTAIN = re.compile(
    r'(?:"((?:[^"\\\x00-\x1f]|\\(?:/|u[0-9a-fA-F]{4}))*)"|(-?[0-9]+(?:\.[0-9]+)?)|null)\s*[,}]'
)
_ESCAPED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*[,}]', re.DOTALL)
_RAW = re.compile(r'"(.*?)"\s*(?:,\s*"|\})', re.DOTALL)
_SPACES = 64  # characters before a name that are searched for the brace or comma


def read_fields(text: str) -> list[tuple[str, str]]:
    """Return the fields of ``text`` that can be read with certainty.

    Raises:
        CallbackError: ``from``, ``to`` or ``input`` is missing or cannot be read with certainty, or
            one of `DECIDING` occurs twice.
    """
    places: dict[str, list[re.Match[str]]] = {}
    for match in _KEY.finditer(text):
        places.setdefault(match[1], []).append(match)
    pairs = []
    for key in WIRE:
        found_here = places.get(key, [])
        if key in DECIDING:
            if found_here or key in _REQUIRED:
                pairs.append((key, _certain(text, key, found_here)))
        elif len(found_here) == 1:
            pairs.append((key, _name(text, found_here[0].end())))
    return pairs


def _certain(text: str, key: str, places: list[re.Match[str]]) -> str:
    if len(places) == 1:
        start, end = places[0].span()
        value = _CERTAIN.match(text, end)
        if value is not None and _BEFORE.search(text[max(start - _SPACES, 0) : start]):
            return json.loads(f'"{value[1]}"') if value[1] else value[2] or ""
    raise CallbackError(
        f"the body begins like JSON but is none, and {key} cannot be read from it with certainty"
    )


def _name(text: str, start: int) -> str:
    """Return the name that begins at ``start``, empty if its end is not certain."""
    match = _ESCAPED.match(text, start) or _RAW.match(text, start)
    if match is None:
        return ""
    try:
        name: str = json.loads(f'"{match[1]}"', strict=False)
    except ValueError:
        return match[1]
    return name
