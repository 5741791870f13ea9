"""The line number of each key in a TOML text, which ``tomllib`` does not report.

Rule 1: ``tomllib`` has parsed the text before, so this module checks nothing; a construct that it
        does not recognise gets no line.
Rule 2: a key is identified by its path, as in ``("ivr", 0, "dtmf", 1, "mask")``: numbers count the
        entries of a list. A key that occurs several times has the line of the first.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

Path = tuple[str | int, ...]

_SPACE = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_KEY = re.compile(r'[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|\'[^\']*\'')
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_SCALAR = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'"
    r"|[^,\]}#\n]+",
    re.DOTALL,
)


def key_lines(text: str) -> Mapping[Path, int]:
    """Return the line of each key and list entry in ``text``, from 1; the document has line 1."""
    return _Scanner(text.replace("\r\n", "\n")).scan()


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """Return the line of ``path``, or else of its nearest parent that has one."""
    while path not in lines:
        path = path[:-1]
    return lines[path]


class _Scanner:
    """Scans the text once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._lines: dict[Path, int] = {(): 1}
        self._entries: dict[Path, int] = {}  # of lists written with [[…]]

    def scan(self) -> Mapping[Path, int]:
        table: Path = ()
        while self._space():
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    def _header(self) -> Path:
        several = self._text.startswith("[[", self._at)
        self._step(2 if several else 1)
        self._space()
        *above, last = self._keys()
        table: Path = ()
        for key in above:
            table = self._inside((*table, key))
        table = (*table, last)
        if several:
            self._entries[table] = self._entries.get(table, -1) + 1
        table = self._inside(table)
        self._space()
        self._step(2 if several else 1)
        return table

    def _inside(self, path: Path) -> Path:
        """Return the path of the table at ``path``; for a list that of its last entry."""
        self._note(path)
        if path not in self._entries:
            return path
        entry = (*path, self._entries[path])
        self._note(entry)
        return entry

    def _pair(self, table: Path) -> None:
        path = table
        for key in self._keys():
            path = (*path, key)
            self._note(path)
        self._space()
        self._step(1)  # =
        self._value(path)

    def _keys(self) -> list[str]:
        keys = []
        while True:
            text = self._take(_KEY)
            keys.append(tomllib.loads(f"it={text}")["it"] if text[0] in "\"'" else text)
            if not self._take(_DOT):
                return keys

    def _value(self, path: Path) -> None:
        self._space()
        opening = self._text[self._at]
        if opening not in "[{":
            self._take(_SCALAR)
            return
        self._step(1)
        number = 0
        while self._space() not in "]}":
            if opening == "{":
                self._pair(path)
            else:
                self._note((*path, number))
                self._value((*path, number))
                number += 1
            if self._space() == ",":
                self._step(1)
        self._step(1)

    def _note(self, path: Path) -> None:
        self._lines.setdefault(path, self._line)

    def _space(self) -> str:
        """Skip white space and comments; return the next character, empty at the end."""
        self._take(_SPACE)
        return self._text[self._at : self._at + 1]

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        self._step(len(match[0]) if match else 0)
        return match[0] if match else ""

    def _step(self, characters: int) -> None:
        self._line += self._text.count("\n", self._at, self._at + characters)
        self._at += characters
