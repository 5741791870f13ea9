"""Masks: the match lists that decide which key presses or callers an action URL is for.

Rule 1: a mask is a list of entries with ``;`` between them: ``101;2000-2999;9**;+49*****``.
Rule 2: an entry is digits, where ``*`` stands for any one digit (PBX 22.2.19 and later), or a
        range of two equally long digit strings. Ranges compare as text of equal length, so card
        numbers of 16 to 19 digits and leading zeros are exact. A ``+`` may stand in front.
Rule 3: ``ALL`` stands alone and means any input (DTMF only, PBX 22.6.0 and later).
Rule 4: dashes of every kind and spaces are read; only ``-``, and no space, is written.

Source: "Managing Virtual Receptionist" in the vendor's administration guide. Whether a ``*`` there
also stands for the star key is not documented; here it is a digit, and only ``ALL`` matches an
input that holds ``*`` or ``#``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import assert_never

from receiver.errors import MaskError

_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−"), "-")  # U+2010 to U+2015 and the minus sign, U+2212
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


@dataclass(frozen=True, slots=True)
class Mask:
    """A match list. Make one with `Mask.parse`; ``str(mask)`` is what the PBX is given."""

    entries: tuple[Entry, ...]

    @classmethod
    def parse(cls, text: str) -> Mask:
        """Read a match list.

        Parameters:
            text: as in ``"1;2;1000-1999"``.

        Raises:
            MaskError: the text is empty, an entry cannot be read, or one stands there twice.
        """
        if not isinstance(text, str):
            kind = type(text).__name__
            raise MaskError(f'a mask is a string such as "1;2;1000-1999", not {kind}')
        entries = tuple(_entry(part) for part in text.translate(_DASHES).split(";"))
        for i, entry in enumerate(entries):
            if entry in entries[:i]:
                raise MaskError(f'mask entry "{entry}" stands in the list twice: remove one')
        if len(entries) > 1 and All() in entries:
            raise MaskError('"ALL" stands alone: remove the other entries of the mask')
        return cls(entries)

    def matches(self, number: str) -> bool:
        """Whether ``number`` (what the caller keyed in, or the caller's number) is meant."""
        return any(entry.matches(number) for entry in self.entries)

    def rank(self, number: str) -> int | None:
        """How closely ``number`` is meant: 0 exactly, 1 by range, 2 by ``*``, 3 by ``ALL``.

        None if it does not match. The PBX's own order is not documented; this one is a guess
        that the simulator makes, and the reason why overlapping masks are refused.
        """
        order = (Exact, Range, Pattern, All)
        ranks = [order.index(type(e)) for e in self.entries if e.matches(number)]
        return min(ranks, default=None)

    def overlap(self, other: Mask) -> str | None:
        """A number that both masks match, as a counter-example; None if there is none."""
        for mine, theirs in product(self.entries, other.entries):
            if (number := _common(mine, theirs)) is not None:
                return number
        return None

    @property
    def example(self) -> str:
        """A number that the mask matches."""
        return _example(self.entries[0])

    def __str__(self) -> str:
        return ";".join(map(str, self.entries))

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)


def _entry(part: str) -> Entry:
    text = "".join(part.split())
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


def _common(a: Entry, b: Entry) -> str | None:
    """A number that both entries match."""
    match a, b:
        case (All(), other) | (other, All()):
            return _example(other)
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


def _example(entry: Entry) -> str:
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
