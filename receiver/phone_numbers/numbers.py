"""Phone numbers that compare equal in all notations.

Rule 1: `receiver.phone_numbers.notation` defines which text is one number; other text, and an
        anonymous caller, has an empty key.
Rule 2: Without a region a number is its digits, without ``+`` or an international ``00``. With one,
        numbers that are valid there or have a country code compare in E.164, by the library
        phonenumbers (extra ``numbers``); others, such as extensions, remain their digits.
Rule 3: Digits that begin with the region's country code, are valid with a ``+`` in front, and lack
        the trunk prefix are international: trunks and spreadsheets drop the ``+``. Ambiguous
        numbers, such as a foreign number without ``+``, need a `NumberFormat`.
Rule 4: Variants of one number have one key: Mexico's +52 1, the 9 of Argentina's mobile numbers,
        and Brazil's ninth digit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from receiver.errors import DeclarationError, NumberError
from receiver.phone_numbers.notation import NumberText, digits_of, is_anonymous, read_number

if TYPE_CHECKING:
    import phonenumbers

NumberFormat = Literal["automatic", "e164", "e164-without-plus", "national"]
"""The format of callers' numbers on a trunk:

- ``automatic``: unknown, see rule 3.
- ``e164``: with ``+``; without it an extension, or as dialled in the region.
- ``e164-without-plus``: with the country code, except short numbers and those that begin with 0.
- ``national``: as dialled in the region; numbers from abroad with the international prefix.
"""

SHORTEST = 7
"""Digits, with the country code, of the shortest number that is parsed as international without
a ``+``; shorter ones are extensions."""

_MIN_ABROAD = 10  # digits of a number that is not valid in the region; seven are a local number
_MIN_WITHOUT_REGION = 11  # digits; national numbers of North America have ten
_CACHE_SIZE = 10_000  # texts, in each process

_MEXICO = re.compile(r"521([0-9]{10})")
_BRAZIL = re.compile(r"(55[1-9]{2})([6-9][0-9]{7})")
_ARGENTINA = re.compile(r"549([0-9]{10})")


@dataclass(frozen=True, slots=True, repr=False)
class PhoneNumber:
    """A phone number in the forms in which it is compared.

    Attributes:
        key: equal for equal numbers.
        written: the text without punctuation, with a ``+`` if it has a country code.
        e164: ``+49301234567``; empty without a country code, as for an extension.
        national: as dialled in the region; empty for numbers of other countries.
        extension: dialled after the number.
    """

    key: str
    written: str = ""
    e164: str = ""
    national: str = ""
    extension: str = ""

    def __repr__(self) -> str:
        return f"PhoneNumber(<{len(self.key)}>)"


@dataclass(frozen=True, slots=True)
class PhoneNumbers:
    """Parser of phone numbers as dialled in one region. ::

        assert PhoneNumbers("DE").parse("030 1234567").e164 == "+49301234567"

    Parameters:
        region: the country in which the PBX dials, as in ``"DE"`` (ISO 3166-1); empty if all
            numbers have a country code, or all are internal.

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
                f"region={self.region!r} is not a country of ISO 3166-1, such as 'DE' or 'US'"
            )

    def parse(self, text: str, number_format: NumberFormat = "automatic") -> PhoneNumber:
        """Parse one number.

        Parameters:
            text: in any notation of people, PBXs and spreadsheets.
            number_format: ``call.number_format`` for a caller's number; the default for all others.

        Raises:
            NumberError: the text is not a number, or more than one.
        """
        found = _parse(text, self.region, number_format)
        if isinstance(found, str):
            raise NumberError(found)
        return found

    def key(self, text: str, number_format: NumberFormat = "automatic") -> str:
        """Return a key that is equal for equal numbers; empty if `parse` would raise."""
        found = _parse(text, self.region, number_format)
        return "" if isinstance(found, str) else found.key

    def forms(self, text: str, number_format: NumberFormat = "automatic") -> tuple[str, ...]:
        """Return the forms of a number to compare with masks and prefixes.

        The text without punctuation, the number with ``+`` and country code, and as dialled within
        the region, if it has these. With ``automatic``, digits that may lack a ``+`` are also
        returned with one, even if they are no valid number: without a region eleven digits or more,
        with one those that begin with its country code and lack its trunk prefix. So an invalid
        number, as forged callers have, is blocked too.
        """
        found = _parse(text, self.region, number_format)
        if isinstance(found, str):
            return ()
        forms = [found.written, found.e164]
        if found.e164:
            forms.append("+" + found.key)
        if number_format == "automatic" and _may_lack_plus(found.written, self.region):
            forms.append("+" + found.written)
        return tuple(dict.fromkeys(form for form in (*forms, found.national) if form))


def _may_lack_plus(written: str, region: str) -> bool:
    if not region:
        return len(written) >= _MIN_WITHOUT_REGION and written[0] not in "+0"
    own = country_code(region)
    trunk = _trunk_prefix(region)
    return len(written) >= SHORTEST and written.startswith(own) and trunk not in ("", own)


@lru_cache(_CACHE_SIZE)
def _parse(text: str, region: str, number_format: NumberFormat) -> PhoneNumber | str:
    """Return the number, or the reason why the text is not one."""
    if is_anonymous(text):
        return "it has no digits except zeros, or the number is withheld"
    try:
        parts = read_number(text)
    except NumberError as error:
        return error.problem
    abroad = parts.digits if parts.plus else parts.digits.removeprefix("00")
    written = f"+{abroad}" if parts.plus or abroad != parts.digits else abroad
    e164 = national = ""
    if region and (found := _find(parts, abroad, region, number_format)):
        e164, national = _format(found, region)
    elif not region and (written[0] == "+" or _is_abroad(abroad, number_format)):
        e164 = "+" + _current(abroad)
    return PhoneNumber(_key(e164[1:] or abroad), written, e164, national, parts.extension)


def _is_abroad(digits: str, number_format: NumberFormat) -> bool:
    """Return whether the digits begin with a country code by the trunk's format."""
    return (
        number_format == "e164-without-plus"
        and len(digits) >= SHORTEST
        and not digits.startswith("0")
    )


def _find(
    parts: NumberText, abroad: str, region: str, number_format: NumberFormat
) -> phonenumbers.PhoneNumber | None:
    """Return the library's number for ``parts`` dialled in ``region``."""
    if parts.plus:
        return _international(abroad, possible=True)
    digits = parts.digits
    if _is_abroad(digits, number_format) and (found := _international(digits, possible=True)):
        return found
    guess = number_format == "automatic" and len(digits) >= SHORTEST
    # A number that begins with the country code lacks the trunk prefix: the two begin alike only
    # where they are equal, as in North America.
    if guess and digits.startswith(country_code(region)) and (found := _international(digits)):
        return found
    if abroad != digits:
        return _after_00(digits, abroad, region)
    if found := _dialled(digits, region, possible=True):
        return found
    return _international(digits) if guess and len(digits) >= _MIN_ABROAD else None


def _after_00(digits: str, abroad: str, region: str) -> phonenumbers.PhoneNumber | None:
    """Return the number after ``00``; some countries dial 00 and one more digit, such as 008."""
    direct = _international(abroad)
    if direct is not None and _is_dialled_00(region):
        return direct
    return (
        _dialled(digits, region, possible=False)
        or direct
        or _international(abroad, possible=True)
        or _dialled(digits, region, possible=True)
    )


def _international(digits: str, *, possible: bool = False) -> phonenumbers.PhoneNumber | None:
    """Return the number with its country code, if it is valid or, with ``possible``, possible."""
    return _checked("+" + _current(digits), None, possible=possible)


def _dialled(digits: str, region: str, *, possible: bool) -> phonenumbers.PhoneNumber | None:
    """Return the number reached from ``region`` by dialling ``digits``.

    Parameters:
        possible: accept a number of another country that is possible but not valid.
    """
    found = _checked(digits, region, possible=True)
    if found is None:
        return None
    domestic = str(found.country_code) == country_code(region)
    current = _current(f"{found.country_code}{_significant(found)}")
    return _checked("+" + current, None, possible=possible and not domestic)


def _checked(text: str, region: str | None, *, possible: bool) -> phonenumbers.PhoneNumber | None:
    import phonenumbers as library  # noqa: PLC0415 - an extra

    try:
        found = library.parse(text, region)
    except library.NumberParseException:
        return None
    good = library.is_valid_number(found) or (possible and library.is_possible_number(found))
    return found if good else None


def _format(found: phonenumbers.PhoneNumber, region: str) -> tuple[str, str]:
    """Return E.164 and the national form, which is empty for numbers of other countries."""
    import phonenumbers as library  # noqa: PLC0415 - an extra

    e164 = library.format_number(found, library.PhoneNumberFormat.E164)
    if str(found.country_code) != country_code(region):
        return e164, ""
    if library.is_valid_number(found):
        national = library.format_number(found, library.PhoneNumberFormat.NATIONAL)
        return e164, digits_of(national)
    # The library does not format invalid numbers, which callers may send.
    return e164, _trunk_prefix(region) + _significant(found)


def _significant(found: phonenumbers.PhoneNumber) -> str:
    import phonenumbers as library  # noqa: PLC0415 - an extra

    return library.national_significant_number(found)


@lru_cache(300)
def country_code(region: str) -> str:
    """Return the country code of a region that `PhoneNumbers` accepts, such as ``49``."""
    import phonenumbers as library  # noqa: PLC0415 - an extra

    return str(library.country_code_for_region(region))


@lru_cache(300)
def _trunk_prefix(region: str) -> str:
    import phonenumbers as library  # noqa: PLC0415 - an extra

    return library.ndd_prefix_for_region(region, strip_non_digits=True) or ""


@lru_cache(300)
def _is_dialled_00(region: str) -> bool:
    import phonenumbers as library  # noqa: PLC0415 - an extra

    known = library.PhoneMetadata.metadata_for_region(region)
    prefix = known.international_prefix if known else None
    return re.fullmatch(prefix or "", "00") is not None


def _current(digits: str) -> str:
    """Return international digits in the current form for Mexico and Brazil."""
    if found := _MEXICO.fullmatch(digits):
        return "52" + found[1]
    if found := _BRAZIL.fullmatch(digits):
        return f"{found[1]}9{found[2]}"
    return digits


def _key(digits: str) -> str:
    """Return `_current`, without the 9 before mobile numbers of Argentina."""
    if found := _ARGENTINA.fullmatch(digits):
        return "54" + found[1]
    return _current(digits)
