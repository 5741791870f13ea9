"""Masks: the match lists that select the key presses or callers of an action URL.

Rule 1: a mask is a list of entries separated by ``;``: ``101;2000-2999;9**;+49*****``.
Rule 2: an entry is digits, where ``*`` matches any one digit (PBX 22.2.19 and later), or a
        range of two equally long digit strings. Ranges compare as text of equal length, so card
        numbers of 16 to 19 digits and leading zeros are exact. A leading ``+`` is allowed.
Rule 3: ``ALL`` is the only entry and means any input (DTMF only, PBX 22.6.0 and later).
Rule 4: a declaration may write ``any`` for all callers whose number is not withheld. The PBX has no
        word for it (``ALL`` is documented for keys only): it gets `ANY_CALLER`, a pattern for each
        length, and lists show the word.
Rule 5: the parser accepts what people write and PBXs return: all kinds of dashes, spaces, ``,`` as
        a separator (as in the guide of version 12), and a trailing ``;``. The output has one form
        only: ``-`` and ``;``, no spaces, no trailing separator.

Source: "Managing Virtual Receptionist" in the vendor's administration guide. Whether a ``*`` there
also matches the star key is not documented; here it is a digit, and only ``ALL`` matches an
input that holds ``*`` or ``#``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from receiver.errors import MaskError
from receiver.mask_entries import (
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
from receiver.phone_numbers.notation import DASHES

__all__ = [
    "ANY_CALLER",
    "All",
    "Entry",
    "Exact",
    "Mask",
    "Pattern",
    "Range",
    "declared_mask",
    "short_mask",
]

_SEPARATOR = re.compile("[;,]")


@dataclass(frozen=True, slots=True)
class Mask:
    """A match list. ::

        assert Mask.parse("1;20-29;9**").matches("22")

    Create it with `Mask.parse`; ``str(mask)`` is the form for the PBX.
    """

    entries: tuple[Entry, ...]

    @classmethod
    def parse(cls, text: str) -> Mask:
        """Parse a match list.

        Parameters:
            text: as in ``"1;2;1000-1999"``.

        Raises:
            MaskError: the text is empty, an entry cannot be read, or one occurs twice.
        """
        if not isinstance(text, str):
            kind = type(text).__name__
            raise MaskError(f'a mask is a string such as "1;2;1000-1999", not {kind}')
        parts = _SEPARATOR.split(text.translate(DASHES))
        if len(parts) > 1 and not parts[-1].strip():
            parts.pop()
        entries = tuple(map(parse_entry, parts))
        seen = set[Entry]()
        for entry in entries:
            if entry in seen:
                raise MaskError(f'mask entry "{entry}" is in the list twice: remove one')
            seen.add(entry)
        if len(entries) > 1 and All() in entries:
            raise MaskError('"ALL" must be the only entry: remove the others')
        return cls(entries)

    def matches(self, number: str) -> bool:
        """Return whether ``number`` (the digits, or the caller's number) matches."""
        return any(entry.matches(number) for entry in self.entries)

    def rank(self, number: str) -> int | None:
        """Return how closely ``number`` matches: 0 exactly, 1 by range, 2 by ``*``, 3 by ``ALL``.

        None if it does not match. The PBX's own order is not documented; this one is a guess
        that the simulator makes, and the reason why overlapping masks are refused.
        """
        order = (Exact, Range, Pattern, All)
        ranks = [order.index(type(e)) for e in self.entries if e.matches(number)]
        return min(ranks, default=None)

    def overlap(self, other: Mask) -> str | None:
        """Return a number that both masks match, as a counter-example, or None."""
        for mine, theirs in product(self.entries, other.entries):
            if (number := common(mine, theirs)) is not None:
                return number
        return None

    def prefix(self, other: Mask) -> tuple[str, str] | None:
        """Return a number of this mask that is the beginning of one of ``other``, and that one.

        None if no number is. ``ALL`` is ignored.
        """
        for short, long in product(self.entries, other.entries):
            if (pair := beginning(short, long)) is not None:
                return pair
        return None

    def covers(self, entry: Entry) -> bool:
        """Return whether the mask matches all that ``entry`` matches; False if that is not certain.

        An entry that only several others together cover counts as not covered.
        """
        return any(within(entry, mine) for mine in self.entries)

    def split(self, limit: int) -> tuple[Mask, ...]:
        """Split the mask into as few masks of up to ``limit`` characters as its order allows.

        An entry that is longer than ``limit`` becomes a separate mask.
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

    @property
    def short(self) -> str:
        """The mask for people: ``any`` for `ANY_CALLER`, else as for the PBX."""
        return ANY if self == ANY_CALLER else str(self)

    def __str__(self) -> str:
        return ";".join(map(str, self.entries))

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)


ANY = "any"
"""The word of a declaration for `ANY_CALLER`."""

ANY_CALLER = Mask(
    tuple(
        Pattern(plus + "*" * size)
        for plus, least in (("", 3), ("+", 7))
        for size in range(least, 16)
    )
)
"""All numbers of 3 to 15 digits, and of 7 to 15 digits with a ``+``.

An extension has at least 3 digits, a number at most 15 (E.164). With 246 characters it is as long
as the PBX takes (255), so that one action URL is enough.
"""


def declared_mask(kind: str, text: str) -> Mask:
    """Parse the match list of a declaration.

    Parameters:
        kind: ``"DTMF"`` or ``"CALLER"``.
        text: as for `Mask.parse`, or ``"any"`` for callers.

    Raises:
        MaskError: as for `Mask.parse`, or the word is not for this kind.
    """
    if isinstance(text, str) and text.strip().lower() == ANY:
        if kind != "CALLER":
            raise MaskError('the mask "any" is for callers: "ALL" matches any keys')
        return ANY_CALLER
    return Mask.parse(text)


def short_mask(text: str) -> str:
    """Return a match list as `Mask.short` shows it; ``text`` is as the PBX returned it."""
    return ANY if text.replace(" ", "") == str(ANY_CALLER) else text
