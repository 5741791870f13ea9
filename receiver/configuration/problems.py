"""What is wrong with a configuration file: noted, each with its line and key, and told together.

Rule: what came out of a variable stands in no text.
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


@dataclass
class Problems:
    """What is wrong with a file."""

    file: str
    found: Mapping[places.Path, int]
    hidden: set[str] = field(default_factory=set)
    notes: list[tuple[int, str]] = field(default_factory=list)

    def where(self, path: places.Path) -> str:
        """``file:line`` of ``path``."""
        return f"{self.file}:{self.line(path)}"

    def line(self, path: places.Path) -> int:
        return places.line_of(self.found, path)

    def add(self, path: places.Path, text: str, *, where: str = "") -> Any:
        """Note that something is wrong with ``path``, which stands there, or else at ``where``."""
        named = ".".join(
            key if _BARE.fullmatch(key) else json.dumps(line(key), ensure_ascii=False)
            for key in path
            if isinstance(key, str)
        )
        text = self.without_hidden(text)
        number = where.rpartition(":")[2]
        self.notes.append(
            (int(number) if number else self.line(path), f"{named}: {text}" if named else text)
        )
        return BAD

    def without_hidden(self, text: str) -> str:
        """``text`` with stars for what came out of variables; to be asked before it is cut."""
        for value in sorted(self.hidden, key=len, reverse=True):
            text = text.replace(value, "***")
        return text

    def all(self) -> list[tuple[str, str]]:
        """All of them, in the order of the file."""
        return [(f"{self.file}:{number}", text) for number, text in sorted(self.notes)]
