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

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from receiver.entries import (
    All,
    Entry,
    Exact,
    Pattern,
    Range,
    beginning,
    common,
    example,
    parse_entry,
    within,
)
from receiver.errors import MaskError

__all__ = ["All", "Entry", "Exact", "Mask", "Pattern", "Range"]

_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−"), "-")  # U+2010 to U+2015 and the minus sign, U+2212


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
        entries = tuple(parse_entry(part) for part in text.translate(_DASHES).split(";"))
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
            if (number := common(mine, theirs)) is not None:
                return number
        return None

    def prefix(self, other: Mask) -> tuple[str, str] | None:
        """A number of this mask that is the beginning of a longer one of ``other``, and that one.

        None if there is none. ``ALL`` has no numbers of its own and counts for nothing here.
        """
        for short, long in product(self.entries, other.entries):
            if (pair := beginning(short, long)) is not None:
                return pair
        return None

    def covers(self, entry: Entry) -> bool:
        """Whether all that ``entry`` matches is surely matched; False also where it is not clear.

        An entry that only several others together make up counts as not covered.
        """
        return any(within(entry, mine) for mine in self.entries)

    def split(self, limit: int) -> tuple[Mask, ...]:
        """Itself in as few masks of up to ``limit`` characters as its order allows.

        An entry that is longer than ``limit`` has a mask of its own all the same.
        """
        parts: list[list[Entry]] = []
        length = 0
        for entry in self.entries:
            more = len(str(entry)) + 1
            if not parts or length + more > limit:
                parts.append([])
                length = -1  # the first entry has no ; before it
            parts[-1].append(entry)
            length += more
        return tuple(Mask(tuple(part)) for part in parts)

    @property
    def example(self) -> str:
        """A number that the mask matches."""
        return example(self.entries[0])

    def __str__(self) -> str:
        return ";".join(map(str, self.entries))

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)
