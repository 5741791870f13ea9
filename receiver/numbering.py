"""Telephone numbers as they compare, however they were written.

Rule 1: without a region only dress is taken off: punctuation, a ``+``, an international ``00``.
        With one, a number that is valid there or has a country code is compared in its
        international form (E.164), by the library phonenumbers (extra ``numbers``); what is
        neither, such as an extension, stays the digits it is.
Rule 2: a number is the caller's data: no text of an error holds one.
"""

from __future__ import annotations

from dataclasses import dataclass

from receiver.errors import DeclarationError

_DIGITS = frozenset("0123456789")


@dataclass(frozen=True, slots=True)
class Numbering:
    """How numbers are written where the PBX is.

    Parameters:
        region: the country from which ``030 1234`` is dialled, as in ``"DE"`` (ISO 3166-1); empty
            if all numbers that are to compare have their country code, or none is from outside.

    Raises:
        DeclarationError: phonenumbers does not know the region, or is not installed.
    """

    region: str = ""

    def __post_init__(self) -> None:
        if not self.region:
            return
        try:
            from phonenumbers import SUPPORTED_REGIONS  # noqa: PLC0415 - an extra
        except ImportError:
            raise DeclarationError(
                "region= needs the library phonenumbers: pip install 'portsip-receiver[numbers]'"
            ) from None
        if self.region not in SUPPORTED_REGIONS:
            raise DeclarationError(
                f"region={self.region!r} is no country of ISO 3166-1, such as 'DE' or 'US'"
            )

    def key(self, number: str) -> str:
        """What is equal for equal numbers; empty for what has no digit, as an anonymous caller."""
        international = self._written(number)[0]
        return international[1:] or _digits(number).removeprefix("00")

    def forms(self, number: str) -> tuple[str, ...]:
        """How ``number`` may be written where masks and beginnings are compared with it.

        As it came but without punctuation, with ``+`` and country code, and as dialled within the
        region; what it cannot be written as is left out.
        """
        bare = _bare(number)
        return tuple(form for form in dict.fromkeys((bare, *self._written(number))) if form)

    def _written(self, number: str) -> tuple[str, str]:
        """With the country code, and as dialled within ours; empty what it has not."""
        if not self.region:
            return "", ""
        import phonenumbers as library  # noqa: PLC0415 - an extra

        try:
            parsed = library.parse(number, self.region)
        except library.NumberParseException:
            return "", ""
        valid = library.is_valid_number(parsed)
        if not valid and not (_bare(number).startswith("+") and library.is_possible_number(parsed)):
            return "", ""
        whole = library.format_number(parsed, library.PhoneNumberFormat.E164)
        if parsed.country_code != library.country_code_for_region(self.region):
            return whole, ""
        if valid:
            national = library.format_number(parsed, library.PhoneNumberFormat.NATIONAL)
            return whole, _digits(national)
        # The library knows no format for what nobody has, but who calls may well say they do.
        trunk = library.ndd_prefix_for_region(self.region, strip_non_digits=True) or ""
        return whole, trunk + library.national_significant_number(parsed)


def _bare(number: str) -> str:
    """Digits alone, with a ``+`` before them if they begin with a country code."""
    digits = _digits(number)
    if number.strip().startswith("+"):
        return "+" + digits if digits else ""
    abroad = digits.removeprefix("00")
    return "+" + abroad if abroad and abroad != digits else abroad


def _digits(text: str) -> str:
    return "".join(c for c in text if c in _DIGITS)
