"""The ``filter`` of a list: ``name eq 'Sales' or startswith(extension_number,'80')``.

Rule 1: comparisons ``eq ne gt ge lt le`` with a text in single quotes (one within it is doubled),
        a number or true or false; ``startswith``, ``endswith``, ``contains``; ``and`` before
        ``or``; parentheses.
Rule 2: only fields of lists can be filtered by.

Source: "About" of the PBX's REST API. That a quote is doubled is OData's rule, and a guess here.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection
from typing import Any

from receiver.simulator.validation import ApiError, Json, invalid

Test = Callable[[Json], bool]

_TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|([A-Za-z_]\w*|-?[0-9]+|[(),]))")
_MAX_DEPTH = 20
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_TEXT_TESTS: dict[str, Callable[[str, str], bool]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": operator.contains,
}


def parse(text: str, names: Collection[str]) -> Test:
    """Return the test for a condition.

    Parameters:
        text: a condition, not empty.
        names: the fields of lists.

    Raises:
        ApiError: 400, the condition is invalid.
    """
    parser = _Parser(_tokens(text), names)
    test = parser.either(0)
    if parser.rest:
        raise _unreadable()
    return test


class _Parser:
    """A recursive-descent parser of ``rest``: pairs of a quoted and an unquoted token."""

    def __init__(self, rest: list[tuple[str | None, str]], names: Collection[str]) -> None:
        self.rest = rest
        self._names = names

    def either(self, depth: int) -> Test:
        test = self._both(depth)
        while self._skip("or"):
            test = _joined(any, test, self._both(depth))
        return test

    def _both(self, depth: int) -> Test:
        test = self._one(depth)
        while self._skip("and"):
            test = _joined(all, test, self._one(depth))
        return test

    def _one(self, depth: int) -> Test:
        if self._skip("("):
            if depth == _MAX_DEPTH:
                raise _unreadable()
            test = self.either(depth + 1)
            self._need(")")
            return test
        word = self._word()
        if word in _TEXT_TESTS:
            self._need("(")
            name = self._name(self._word())
            self._need(",")
            wanted = str(self._literal())
            self._need(")")
            return lambda item: _TEXT_TESTS[word](str(item.get(name) or ""), wanted)
        name, sign, value = self._name(word), self._word(), self._literal()
        if sign not in _COMPARE:
            raise _unreadable()
        return lambda item: _compare(sign, item.get(name), value)

    def _literal(self) -> object:
        if not self.rest:
            raise _unreadable()
        quoted, plain = self.rest.pop(0)
        if quoted is not None:
            return quoted.replace("''", "'")
        if plain in ("true", "false"):
            return plain == "true"
        if not plain.lstrip("-").isdecimal():
            raise _unreadable()
        return int(plain)

    def _name(self, word: str) -> str:
        if word not in self._names:
            raise invalid("filter", "names a field that lists do not have")
        return word

    def _word(self) -> str:
        quoted, plain = self.rest.pop(0) if self.rest else (None, "")
        if quoted is not None or not plain:
            raise _unreadable()
        return plain

    def _need(self, mark: str) -> None:
        if not self._skip(mark):
            raise _unreadable()

    def _skip(self, mark: str) -> bool:
        is_next = bool(self.rest) and self.rest[0] == (None, mark)
        if is_next:
            del self.rest[0]
        return is_next


def _tokens(text: str) -> list[tuple[str | None, str]]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise _unreadable()
        found.append((match[1], match[2] or ""))
        at = match.end()
    return found


def _joined(how: Callable[[tuple[bool, bool]], bool], one: Test, other: Test) -> Test:
    return lambda item: how((one(item), other(item)))


def _compare(sign: str, found: object, wanted: object) -> bool:
    """Compare values; those of different types, or missing ones, are only unequal."""
    if type(found) is not type(wanted):
        return sign == "ne"
    return _COMPARE[sign](found, wanted)


def _unreadable() -> ApiError:
    return invalid("filter", "is not a condition such as name eq 'text'")
