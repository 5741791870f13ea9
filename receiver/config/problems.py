"""The problems of a configuration file, each with its line and key, collected and shown together.

Rule 1: no text contains a value that came from a variable.
Rule 2: no text contains a key that may be a caller's number or a PIN; of a table of a sensitive
        handler it contains no key at all. The line identifies it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from receiver.config import line_numbers
from receiver.text import line

INVALID: Any = object()
"""The result for a value that has a problem."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_NUMBER = re.compile(r"(?=[^A-Za-z]*?\d{3})[^A-Za-z]*+")  # no date in a year, no name
_LITERAL = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""")
_STARS = "***"


@dataclass
class Problems:
    """The problems of one file.

    Attributes:
        lines: the line of each key.
        hidden: values that came from variables.
        unnamed: tables whose keys are not shown.
        notes: a line number and a text for each problem.
    """

    file: str
    lines: Mapping[line_numbers.Path, int]
    hidden: set[str] = field(default_factory=set)
    unnamed: set[line_numbers.Path] = field(default_factory=set)
    notes: list[tuple[int, str]] = field(default_factory=list)

    def where(self, path: line_numbers.Path) -> str:
        """Return ``file:line`` of ``path``."""
        return f"{self.file}:{self.line(path)}"

    def line(self, path: line_numbers.Path) -> int:
        return line_numbers.line_of(self.lines, path)

    def add(self, path: line_numbers.Path, text: str, *, where: str = "") -> Any:
        """Note a problem of ``path``, at its line or else at ``where``; return `INVALID`."""
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
        return INVALID

    def without_hidden(self, text: str) -> str:
        """Return ``text`` with stars for values of variables; call it before shortening."""
        for value in sorted(self.hidden, key=len, reverse=True):
            text = text.replace(value, _STARS)
        return text

    def all(self) -> list[tuple[str, str]]:
        """Return all problems in the order of the file."""
        return [(f"{self.file}:{number}", text) for number, text in sorted(self.notes)]


def without_keys(text: str) -> str:
    """Return an error text of ``tomllib`` with stars for each quoted key that contains a digit."""
    return _LITERAL.sub(lambda match: _STARS if re.search(r"\d", match[0]) else match[0], text)


def _shown(key: str) -> str:
    if _NUMBER.fullmatch(key):
        return _STARS
    return key if _BARE.fullmatch(key) else json.dumps(line(key), ensure_ascii=False)
