"""The entries of a match list: numbers, ranges and patterns, and what they have in common.

Rule 1: values and their algebra, with nothing but digits in mind: no lists, no limits.
Rule 2: a question that has an example is answered with one, or None.

`receiver.masks` says what an entry means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import assert_never

from receiver.errors import MaskError

_NUMBER = re.compile(r"\+?[0-9]+")
_PATTERN = re.compile(r"\+?[0-9*]+")


@dataclass(frozen=True, slots=True)
class Exact:
    """One number, compared as text."""

    text: str

    def matches(self, number: str) -> bool:
        return number == self.text

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Range:
    """All digit strings from ``low`` to ``high`` that are as long as these two."""

    low: str
    high: str

    def matches(self, number: str) -> bool:
        # Of equal length, digits compare as text as they do as numbers; letters are kept out.
        return (
            len(number) == len(self.low)
            and self.low <= number <= self.high
            and _NUMBER.fullmatch(number) is not None
        )

    def __str__(self) -> str:
        return f"{self.low}-{self.high}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """Digits, with ``*`` for any one digit."""

    text: str

    def matches(self, number: str) -> bool:
        return len(number) == len(self.text) and all(
            c in "0123456789" if p == "*" else c == p
            for p, c in zip(self.text, number, strict=True)
        )

    def at_least(self, low: str) -> str | None:
        """The smallest number of this pattern that is not below ``low`` (of the same length)."""
        if self.matches(low):
            return low
        for i in reversed(range(len(low))):  # keep as much of ``low`` as possible
            if low[i] == "9" or not Pattern(self.text[:i]).matches(low[:i]):
                continue
            step = chr(ord(low[i]) + 1) if self.text[i] == "*" else self.text[i]
            if step > low[i] != "+":
                return low[:i] + step + self.text[i + 1 :].replace("*", "0")
        return None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class All:
    """Any input."""

    def matches(self, number: str) -> bool:
        return number != ""

    def __str__(self) -> str:
        return "ALL"


Entry = Exact | Range | Pattern | All


def parse_entry(part: str) -> Entry:
    """The entry that ``part`` of a list means.

    Raises:
        MaskError: it cannot be read; the text names it.
    """
    text = "-".join(piece.strip() for piece in part.split("-"))
    if not text:
        raise MaskError("a mask has an empty entry: write at least one number between the ;")
    if text.upper() == "ALL":
        return All()
    if "-" in text:
        return _range(text)
    if _NUMBER.fullmatch(text):
        return Exact(text)
    if _PATTERN.fullmatch(text):
        return Pattern(text)
    hint = (
        '; to hear about the # key use the mask "ALL" with the method POST' if "#" in text else ""
    )
    raise MaskError(f'mask entry "{text}" is neither digits, nor * for a digit, nor a range{hint}')


def _range(text: str) -> Entry:
    low, _, high = text.partition("-")
    if not (_NUMBER.fullmatch(low) and _NUMBER.fullmatch(high)):
        raise MaskError(f'range "{text}" needs digits on both sides, as in 1000-1999')
    if len(low) != len(high) or (low[0] == "+") != (high[0] == "+"):
        raise MaskError(
            f'range "{text}" needs two equally long numbers: split it, as in 90-99;100-110'
        )
    if low > high:
        raise MaskError(f'range "{text}" runs backwards: write {high}-{low}')
    return Exact(low) if low == high else Range(low, high)


def common(a: Entry, b: Entry) -> str | None:
    """Return a number that both entries match, or None."""
    match a, b:
        case (All(), other) | (other, All()):
            return example(other)
        case (Exact(text), other) | (other, Exact(text)):
            return text if other.matches(text) else None
        case Range(), Range():
            low, high = max(a.low, b.low), min(a.high, b.high)
            return low if len(a.low) == len(b.low) and low <= high else None
        case (Range(low, high), Pattern() as pattern) | (Pattern() as pattern, Range(low, high)):
            if len(low) != len(pattern.text):
                return None
            number = pattern.at_least(low)
            return number if number is not None and number <= high else None
        case Pattern(), Pattern():
            return _merge(a.text, b.text)
        case _:  # pragma: no cover - the type checker proves that nothing is left
            assert_never((a, b))  # type: ignore[arg-type]


def _merge(a: str, b: str) -> str | None:
    """A number that two patterns match: the fixed digits of both, 0 where neither has one."""
    if len(a) != len(b):
        return None
    number = ""
    for x, y in zip(a, b, strict=True):
        if x != y and ("*" not in (x, y) or "+" in (x, y)):
            return None
        number += (y if x == "*" else x).replace("*", "0")
    return number


def beginning(short: Entry, long: Entry) -> tuple[str, str] | None:
    """A number of ``short`` and a longer one of ``long`` that begins with it; None without."""
    if isinstance(short, All) or isinstance(long, All):
        return None
    length, whole = len(example(short)), example(long)
    if length >= len(whole):
        return None
    start: Entry
    match long:
        case Exact(text):
            start = Exact(text[:length])
        case Range(low, high):
            start = Range(low[:length], high[:length])
        case Pattern(text):
            start = Pattern(text[:length])
        case _:
            assert_never(long)
    begin = common(short, start)
    if begin is None:
        return None
    rest = whole[length:]  # of the smallest number: good for the smallest beginning
    if isinstance(long, Range) and begin != whole[:length]:
        rest = "0" * len(rest)
    return begin, begin + rest


def within(entry: Entry, outer: Entry) -> bool:
    """Whether ``outer`` matches all that ``entry`` does; False where that is not simple to see."""
    match entry, outer:
        case (_, All()):
            return True
        case (Exact(text), _):
            return outer.matches(text)
        case Range(low, high), Range():
            return outer.matches(low) and outer.matches(high)
        case Pattern(text), Pattern(wider):
            return len(text) == len(wider) and all(
                y == x or (y == "*" and x != "+") for x, y in zip(text, wider, strict=True)
            )
        case _:
            return False


def example(entry: Entry) -> str:
    """A number that ``entry`` matches."""
    match entry:
        case Exact(text):
            return text
        case Range(low, _):
            return low
        case Pattern(text):
            return text.replace("*", "0")
        case All():
            return "0"
        case _:
            assert_never(entry)
