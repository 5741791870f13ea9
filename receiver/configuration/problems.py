"""What is wrong with a configuration file: noted, each with its line and key, and told together.

Rule 1: what came out of a variable stands in no text.
Rule 2: nor does a key that may be a number of a caller, or a PIN: of a table of a handler that is
        sensitive none does. Its line says which it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from receiver.configuration import places
from receiver.printable import line

BAD: Any = object()
"""In place of what has a problem."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_NUMBER = re.compile(r"[^A-Za-z]*\d{3}[^A-Za-z]*")  # no date in a year, no name
_LITERAL = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""")
_STARS = "***"


@dataclass
class Problems:
    """What is wrong with a file.

    Attributes:
        found: the line of each key.
        hidden: what came out of variables.
        unnamed: tables whose keys are not shown.
        notes: a line and a text each.
    """

    file: str
    found: Mapping[places.Path, int]
    hidden: set[str] = field(default_factory=set)
    unnamed: set[places.Path] = field(default_factory=set)
    notes: list[tuple[int, str]] = field(default_factory=list)

    def where(self, path: places.Path) -> str:
        """``file:line`` of ``path``."""
        return f"{self.file}:{self.line(path)}"

    def line(self, path: places.Path) -> int:
        return places.line_of(self.found, path)

    def add(self, path: places.Path, text: str, *, where: str = "") -> Any:
        """Note that something is wrong with ``path``, which stands there, or else at ``where``."""
        named = ".".join(
            _STARS if path[:number] in self.unnamed else _shown(key)
            for number, key in enumerate(path)
            if isinstance(key, str)
        )
        text = self.without_hidden(text)
        given = where.rpartition(":")[2]
        self.notes.append(
            (int(given) if given else self.line(path), f"{named}: {text}" if named else text)
        )
        return BAD

    def without_hidden(self, text: str) -> str:
        """``text`` with stars for what came out of variables; to be asked before it is cut."""
        for value in sorted(self.hidden, key=len, reverse=True):
            text = text.replace(value, _STARS)
        return text

    def all(self) -> list[tuple[str, str]]:
        """All of them, in the order of the file."""
        return [(f"{self.file}:{number}", text) for number, text in sorted(self.notes)]


def without_keys(text: str) -> str:
    """What ``tomllib`` says, with stars for the keys in it that hold a digit."""
    return _LITERAL.sub(lambda found: _STARS if re.search(r"\d", found[0]) else found[0], text)


def _shown(key: str) -> str:
    if _NUMBER.fullmatch(key):
        return _STARS
    return key if _BARE.fullmatch(key) else json.dumps(line(key), ensure_ascii=False)
