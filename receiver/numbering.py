"""Telephone numbers as they compare, however they were written.

Rule 1: without a region only dress is taken off: punctuation, a ``+``, an international ``00``.
        With one, a number that is valid there or has a country code is compared in its
        international form (E.164), by the library phonenumbers (extra ``numbers``); what is no
        valid number, such as an extension, stays the digits it is.
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
        digits = _digits(number)
        if number.strip().startswith("+"):
            digits = "+" + digits
        elif digits.startswith("00"):
            digits = "+" + digits[2:]
        return tuple(form for form in dict.fromkeys((digits, *self._written(number))) if form)

    def _written(self, number: str) -> tuple[str, str]:
        """With the country code, and as dialled within ours; empty what it has not."""
        if not self.region:
            return "", ""
        import phonenumbers as library  # noqa: PLC0415 - an extra

        try:
            parsed = library.parse(number, self.region)
        except library.NumberParseException:
            return "", ""
        if not library.is_valid_number(parsed):
            return "", ""
        international = library.format_number(parsed, library.PhoneNumberFormat.E164)
        if parsed.country_code != library.country_code_for_region(self.region):
            return international, ""
        national = library.format_number(parsed, library.PhoneNumberFormat.NATIONAL)
        return international, _digits(national)


def _digits(text: str) -> str:
    return "".join(c for c in text if c in _DIGITS)
