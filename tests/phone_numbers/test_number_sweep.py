"""One key for each number of each region, however it is written: the library's example numbers."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from receiver import NumberFormat, PhoneNumbers

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
KINDS = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE)

NO_EXAMPLE = {("TA", PhoneNumberType.MOBILE)}
"""Tristan da Cunha has no mobiles."""

ACCESS = {
    # Where callers choose a carrier, one of the prefixes that are dialled before a country code.
    "BO": "0010",
    "BR": "0015",
    "CL": "00",
    "CO": "005",
    "ID": "008",
    "IL": "00",
    "KH": "001",
    "KP": "00",
    "KR": "002",
    "PW": "011",
    "SB": "00",
    "SG": "001",
    "TH": "001",
    "TW": "002",
    "TZ": "000",
    "UG": "000",
}


def access(region: str) -> str:
    """The international prefix of a region."""
    known = phonenumbers.PhoneMetadata.metadata_for_region(region)
    assert known is not None
    preferred = re.sub("[^0-9]", "", known.preferred_international_prefix or "")
    prefix = preferred or ACCESS.get(region) or known.international_prefix or ""
    assert re.fullmatch(known.international_prefix or "", prefix)
    return prefix


def examples(region: str) -> Iterator[phonenumbers.PhoneNumber]:
    for kind in KINDS:
        example = phonenumbers.example_number_for_type(region, kind)
        assert (example is None) == ((region, kind) in NO_EXAMPLE)
        if example is not None:
            yield example


def forms(number: phonenumbers.PhoneNumber, region: str) -> dict[str, str]:
    e164, spaced, national, rfc3966 = (
        phonenumbers.format_number(number, form)
        for form in (
            PhoneNumberFormat.E164,
            PhoneNumberFormat.INTERNATIONAL,
            PhoneNumberFormat.NATIONAL,
            PhoneNumberFormat.RFC3966,
        )
    )
    return {
        "plus": e164,
        "spaced": spaced,
        "uri": rfc3966,
        "sip": f"<sip:{e164}@192.0.2.10;user=phone>",
        "access": access(region) + e164[1:],
        "00": "00" + e164[1:],
        "national": national,
        "national digits": re.sub("[^0-9]", "", national),
        "without trunk prefix": phonenumbers.national_significant_number(number),
        "without plus": e164[1:],
    }


DIALLED: dict[NumberFormat, tuple[str, ...]] = {
    "automatic": (
        "plus",
        "spaced",
        "uri",
        "sip",
        "access",
        "00",
        "national",
        "national digits",
        "without trunk prefix",
        "without plus",
    ),
    "e164": ("plus", "spaced", "uri", "sip", "national", "national digits"),
    "e164-without-plus": ("plus", "spaced", "uri", "sip", "without plus"),
    "national": ("plus", "spaced", "uri", "sip", "access", "00", "national", "national digits"),
}
"""The forms that a trunk with this format sends, or that people write."""


@pytest.mark.parametrize("region", REGIONS)
def test_one_key_each(region: str) -> None:
    numbers = PhoneNumbers(region)
    wrong = set[tuple[str, str]]()
    for example in examples(region):
        written = forms(example, region)
        key = numbers.key(written["plus"])
        assert key
        for number_format, names in DIALLED.items():
            for name in names:
                if numbers.key(written[name], number_format) != key:
                    wrong.add((region, f"{number_format}: {name}"))
        if not key.startswith(("52", "54", "55")):
            assert key == written["plus"][1:]
    assert wrong == set()  # no region and no form is an exception


@pytest.mark.parametrize("region", REGIONS)
def test_without_the_library_the_international_forms_are_one(region: str) -> None:
    plain = PhoneNumbers()
    for example in examples(region):
        written = forms(example, region)
        keys = {
            plain.key(written[name])
            for name in ("plus", "spaced", "uri", "sip", "00", "without plus")
        }
        assert keys == {PhoneNumbers(region).key(written["plus"])}


@pytest.mark.parametrize("region", REGIONS)
def test_no_two_numbers_are_one(region: str) -> None:
    numbers, chance = PhoneNumbers(region), random.Random(region)  # noqa: S311 - always the same
    for example in examples(region):
        significant = phonenumbers.national_significant_number(example)
        found = dict[str, set[str]]()
        for _ in range(60):
            digits = [chance.choice("0123456789") for _ in significant[1:]]
            text = f"+{example.country_code}{significant[0]}{''.join(digits)}"
            other = phonenumbers.parse(text)
            if not phonenumbers.is_valid_number_for_region(other, region):
                continue
            e164 = phonenumbers.format_number(other, PhoneNumberFormat.E164)
            found.setdefault(numbers.key(e164), set()).add(e164)
            assert numbers.key(e164[1:]) == numbers.key(e164)
        assert all(len(same) == 1 for same in found.values())
