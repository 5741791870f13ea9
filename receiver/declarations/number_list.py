"""Entries of block and allow lists: numbers, ranges, masks and prefixes, in common notations.

Rule 1: an entry that could be a phone number is never silently parsed as a range. A range is
        written with two dots (``6555..7777``), with two complete numbers
        (``+493012300-+493012399``), or as whole tens, hundreds or thousands (``1000-1999``). Any
        other entry with a dash between equally many digits, or with fewer digits than a phone
        number, is an error that names both readings.
Rule 2: error texts contain no numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from receiver.errors import DeclarationError, MaskError, NumberError
from receiver.masks import Mask
from receiver.phone_numbers.notation import is_anonymous, plain_text
from receiver.phone_numbers.numbers import SHORTEST, NumberFormat, PhoneNumbers, country_code

_BEGINNING = re.compile(r"([+(\[]*[0-9][0-9 ()\[\]./-]*?) ?\.\.\.")
_DOTTED = re.compile(r"(\+?[0-9]+) ?\.\. ?(\+?[0-9]+)")
_DASHED = re.compile(r"(\+?[0-9]+) ?- ?(\+?[0-9]+)")
_PUNCTUATION = re.compile(r"[ ()\[\]./-]")

_SURELY = 3  # digits behind a country code without +: fewer may begin an extension
_SHORT = 2  # twice as many digits are no phone number

_READINGS = (
    "digits, a dash and digits can be a range or a phone number, and neither reading was taken: "
    "write a range with two dots, as in 6555..7777, or the number without the dash"
)
_ENDS = (
    "the ends of a range have the same number of digits, and the lower end is first, as in "
    "1000..1999"
)
_NO_BEGINNING = (
    "no number begins like this: write the country code behind +, as in +49900..., or the number "
    "as it is dialled, as in 0900..."
)
_ANONYMOUS = (
    "this entry means callers who withhold their number: anonymous= says where their calls lead"
)
_FORMS = (
    "an entry is a number, a range such as 1000..1999, a mask such as +49301234**, or a beginning "
    "such as +49900..."
)


@dataclass(frozen=True, slots=True)
class NumberList:
    """A parsed list of entries. ::

        numbers = PhoneNumbers("DE")
        blocked = NumberList.parse([("blocked.txt:1", "030 1234567")], numbers)
        assert blocked.matches("+49301234567", numbers)

    Create one with `NumberList.parse`.
    """

    keys: frozenset[str]
    beginnings: tuple[str, ...]
    masks: tuple[Mask, ...]

    @classmethod
    def parse(cls, entries: Iterable[tuple[str, object]], numbers: PhoneNumbers) -> NumberList:
        """Parse entries.

        Parameters:
            entries: the place of each, as in ``"blocked.txt:3"``, and its text.
            numbers: how they are dialled.

        Raises:
            DeclarationError: an entry is invalid or ambiguous.
        """
        keys, beginnings, masks = set[str](), list[str](), list[Mask]()
        for where, text in entries:
            if not isinstance(text, str):
                raise DeclarationError(f"{_FORMS}; this one is no text", where)
            for part in _parts(plain_text(text).replace("…", "...")):  # as Word writes them
                read = _read(part, numbers, where)
                if isinstance(read, Mask):
                    masks.append(read)
                elif read.endswith("..."):
                    beginnings.append(read.removesuffix("..."))
                else:
                    keys.add(read)
        return cls(frozenset(keys), tuple(beginnings), tuple(masks))

    def matches(
        self, text: str, numbers: PhoneNumbers, number_format: NumberFormat = "automatic"
    ) -> bool:
        """Return whether an entry matches a caller's number; parameters as `PhoneNumbers.parse`."""
        key = numbers.key(text, number_format)
        if not key:
            return False
        if key in self.keys:
            return True
        forms = numbers.forms(text, number_format)
        return any(
            form.startswith(self.beginnings)
            or any(mask.matches(form) for mask in self.masks)
            or (form[0] == "+" and form[1:] in self.keys)  # a forged number that lost its plus
            for form in forms
        ) or (bool(numbers.region) and self._matches_without_plus(forms, numbers.region))

    def _matches_without_plus(self, forms: Iterable[str], region: str) -> bool:
        """Return whether an entry without ``+`` before the country code matches, as ``1900...``."""
        own = country_code(region)
        least = len(own) + _SURELY
        return any(
            any(mask.matches(form[1:]) for mask in self.masks)
            or any(len(one) >= least and form[1:].startswith(one) for one in self.beginnings)
            for form in forms
            if form.startswith("+" + own)
        )


def _parts(text: str) -> list[str]:
    """Return the entries of a text, which ``;`` separates."""
    is_uri = any(mark in text for mark in ":@=<")
    return [text] if is_uri else [part.strip() for part in text.split(";")]


def _read(text: str, numbers: PhoneNumbers, where: str) -> Mask | str:
    try:
        return _entry(text, numbers)
    except MaskError:
        raise DeclarationError(_FORMS, where) from None
    except NumberError as error:
        raise DeclarationError(f"{error.problem}; {_FORMS}", where) from None
    except DeclarationError as error:
        raise DeclarationError(error.problem, where) from None


def _entry(text: str, numbers: PhoneNumbers) -> Mask | str:
    """Return a mask or range, a prefix, which ends with ``...``, or the key of a number."""
    if begins := _BEGINNING.fullmatch(text):
        return _beginning(begins[1]) + "..."
    if dotted := _DOTTED.fullmatch(text):
        return _mask_of(dotted[1], dotted[2])
    if dashed := _DASHED.fullmatch(text):
        low, high = dashed[1], dashed[2]
        short = len(low) + len(high) < SHORTEST
        if high.startswith("+") or (low[0] != "+" and (short or len(low) == len(high))):
            return _range(low, high)
    if "*" in text and "#" not in text and ".." not in text:
        return Mask.parse(_PUNCTUATION.sub("", text))
    if text.upper() == "ALL":
        return Mask.parse(text)
    if is_anonymous(text) and any(map(str.isalnum, text)):
        raise DeclarationError(_ANONYMOUS)
    return numbers.parse(text).key


def _range(low: str, high: str) -> Mask:
    """Return the range of two ends, unless both together could be one phone number."""
    differ = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), 0) + 1
    tens = len(low) == len(high) and low[-1] == "0" and high[-1] == "9"
    tens = tens and not low[differ:].strip("0") and not high[differ:].strip("9")
    if high.startswith("+") or len(low) >= SHORTEST or tens or len(high) == len(low) <= _SHORT:
        return _mask_of(low, high)
    raise DeclarationError(_READINGS)


def _mask_of(low: str, high: str) -> Mask:
    try:
        return Mask.parse(f"{low}-{high}")
    except MaskError:
        raise DeclarationError(_ENDS) from None


def _beginning(text: str) -> str:
    """Return a prefix without punctuation, and with + for an international 00."""
    digits = re.sub("[^0-9+]", "", text)
    if re.match(r"\+|00", digits):  # a country code: no number is dialled with the 0 behind it
        digits = re.sub("[^0-9+]", "", text.replace("(0)", ""))
    begins = re.sub("^00", "+", digits)
    if re.match(r"\+(?![1-9])", begins):
        raise DeclarationError(_NO_BEGINNING)
    return begins
