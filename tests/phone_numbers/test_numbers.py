"""receiver/phone_numbers.py"""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver import DeclarationError, NumberError, NumberFormat, PhoneNumbers
from receiver.phone_numbers.numbers import _parse

GERMANY = PhoneNumbers("DE")


@pytest.mark.parametrize(
    "number",
    ["030 123456", "+49 (0)30 123456", "0049-30-123456", "+4930123456", "(030) 12 34 56"],
)
def test_notations_of_one_number(number: str) -> None:
    assert GERMANY.key(number) == "4930123456"
    assert {"+4930123456", "030123456"} <= set(GERMANY.forms(number))


def test_other_numbers_remain_their_digits() -> None:
    for number in ("101", "2200", "*98#"):
        assert GERMANY.key(number) == PhoneNumbers().key(number) == number.strip("*#")
        assert GERMANY.forms(number) == (number.strip("*#"),)
    assert GERMANY.key("+49900123") == "49900123"  # too short to be valid, but has a country code
    assert GERMANY.forms("+49900123") == ("+49900123", "0900123")


def test_numbers_from_elsewhere_are_not_dialled_within() -> None:
    assert GERMANY.key("+1 650-253-0000") == "16502530000"
    assert GERMANY.forms("+1 650-253-0000") == ("+16502530000",)


def test_without_a_region_punctuation_is_removed() -> None:
    plain = PhoneNumbers()
    assert plain.key("+49 (30) 1") == plain.key("0049-30.1") == "49301"
    assert plain.forms("+49 (30) 1") == plain.forms("0049-30.1") == ("+49301",)
    assert plain.forms("030/1") == ("0301",)


@pytest.mark.parametrize(
    "number", ["", "anonymous", "+", "Restricted", "Ada", "030 1234567; 0170 1234567", "4.9E+11"]
)
def test_callers_without_a_number(number: str) -> None:
    for numbers in (GERMANY, PhoneNumbers()):
        assert numbers.key(number) == ""
        assert numbers.forms(number) == ()


@given(st.text(max_size=30) | st.text("0123456789+ ()-", max_size=20))
def test_keys_depend_on_digits_only(number: str) -> None:
    for numbers in (GERMANY, PhoneNumbers()):
        assert not numbers.key(number).strip("0123456789")
        for form in numbers.forms(number):
            assert form.removeprefix("+").isdecimal()


@pytest.mark.parametrize("region", ["", "DE"])
def test_errors_name_the_reason(region: str) -> None:
    for text, why in (("anonymous", "withheld"), ("1;2", "not a phone number"), ("4e11", "REAL")):
        with pytest.raises(NumberError, match=why):
            PhoneNumbers(region).parse(text)


def test_the_repr_hides_the_number() -> None:
    found = GERMANY.parse("+49 30 123456 ext. 12")
    assert repr(found) == "PhoneNumber(<10>)"
    assert found.extension == "12"


@pytest.mark.parametrize(
    ("region", "text", "key"),
    [
        ("DE", "491701234567", "491701234567"),
        ("DE", "4922112345678", "4922112345678"),
        ("DE", "4971112345678", "4971112345678"),
        ("DE", "4935112345678", "4935112345678"),
        ("DE", "4934112345678", "4934112345678"),
        ("ID", "628123456789", "628123456789"),
        ("XK", "38343201234", "38343201234"),
        ("SE", "468123456", "468123456"),
        ("US", "14155552671", "14155552671"),
        ("US", "4155552671", "14155552671"),
        ("US", "491701234567", "491701234567"),
        # The same with the country code of another country, where that is the only reading.
        ("GB", "33123456789", "33123456789"),
        # What is dialled in the region, though it begins like the country code.
        ("DE", "0491 1234567", "494911234567"),
        ("NO", "47123456", "4747123456"),
        ("BR", "5532221234", "555532221234"),
        ("KZ", "7012345678", "77012345678"),
        # Extensions.
        ("DE", "4930", "4930"),
        ("SE", "46812", "46812"),
    ],
)
def test_a_plus_that_the_trunk_or_a_spreadsheet_dropped(region: str, text: str, key: str) -> None:
    assert PhoneNumbers(region).key(text) == key


@given(
    st.integers(0, 9_999_999), st.sampled_from(["1511", "1590", "160", "170", "171", "175", "176"])
)
def test_all_german_mobiles_without_a_plus(number: int, network: str) -> None:
    text = f"49{network}{number:07}"
    assert GERMANY.key(text) == GERMANY.key("+" + text) == GERMANY.key("0" + text[2:]) == text
    assert "+" + text in GERMANY.forms(text)


@pytest.mark.parametrize(
    ("number_format", "region", "text", "key"),
    [
        ("e164-without-plus", "DE", "33123456789", "33123456789"),
        ("automatic", "DE", "33123456789", "4933123456789"),  # 0331 is Potsdam
        ("e164-without-plus", "DE", "49900123", "49900123"),
        ("e164-without-plus", "DE", "01701234567", "491701234567"),
        ("e164-without-plus", "DE", "101", "101"),
        ("e164-without-plus", "DE", "+33123456789", "33123456789"),
        ("e164-without-plus", "DE", "9999999", "9999999"),
        ("national", "DE", "4911234567", "494911234567"),  # 0491 without its 0
        ("e164", "DE", "+4911234567", "4911234567"),
        ("national", "US", "0041446681800", "41446681800"),
        ("national", "US", "01141446681800", "41446681800"),
        ("e164", "US", "41446681800", "41446681800"),
    ],
)
def test_the_number_format_decides_ambiguous_numbers(
    number_format: NumberFormat, region: str, text: str, key: str
) -> None:
    assert PhoneNumbers(region).key(text, number_format) == key


def test_a_forged_number_without_its_plus_is_compared_with_one() -> None:
    assert GERMANY.forms("4915100000") == (
        "4915100000",
        "+494915100000",
        "+4915100000",
        "04915100000",
    )
    assert "+4915100000" not in GERMANY.forms("4915100000", "national")
    # Where numbers have no trunk prefix, this is how they are dialled.
    assert "+47123456" not in PhoneNumbers("NO").forms("47123456")
    assert GERMANY.forms("49151") == ("49151",)


def test_the_number_format_without_a_region() -> None:
    plain = PhoneNumbers()
    assert plain.forms("4155552671", "e164-without-plus") == ("4155552671", "+4155552671")
    assert plain.forms("4155552671") == ("4155552671",)
    assert plain.forms("491701234567") == ("491701234567", "+491701234567")
    assert plain.forms("491701234567", "national") == ("491701234567",)
    assert plain.parse("4155552671").e164 == ""
    assert plain.parse("4155552671", "e164-without-plus").e164 == "+4155552671"


@pytest.mark.parametrize(
    ("region", "texts"),
    [
        ("MX", ["+52 1 55 1234 5678", "+52 55 1234 5678", "5215512345678", "55 1234 5678"]),
        ("AR", ["+54 9 11 2345-6789", "+54 11 2345-6789", "5491123456789", "011 15 2345-6789"]),
        ("BR", ["+55 11 98123-4567", "+55 11 8123-4567", "551181234567", "(011) 8123-4567"]),
    ],
)
def test_regional_variants_are_one_number(region: str, texts: list[str]) -> None:
    numbers = PhoneNumbers(region)
    assert len({numbers.key(text) for text in texts}) == 1
    international = [text for text in texts if text[0] in "+5" and len(text) > 12]
    assert len({PhoneNumbers().key(text) for text in international}) == 1
    assert len({GERMANY.key(text) for text in international if text[0] == "+"}) == 1


def test_fixed_lines_of_brazil_have_no_ninth_digit() -> None:
    assert PhoneNumbers("BR").key("+55 11 2345-6789") == "551123456789"
    assert PhoneNumbers("BR").key("+55 11 5123-4567") != PhoneNumbers("BR").key("+5511951234567")


def test_the_memory_is_limited() -> None:
    assert _parse.cache_info().maxsize == 10_000


@given(st.text("0123456789+ ", max_size=15))
def test_a_key_is_a_key_of_itself(number: str) -> None:
    key = PhoneNumbers().key(number)
    assert PhoneNumbers().key("+" + key) == key.removeprefix("00")


@pytest.mark.parametrize("region", ["de", "Germany", "XX", "49"])
def test_a_wrong_region(region: str) -> None:
    with pytest.raises(DeclarationError, match=f"region='{region}' is not a country"):
        PhoneNumbers(region)


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    with pytest.raises(DeclarationError, match=r"pip install 'portsip-receiver\[numbers\]'"):
        PhoneNumbers("DE")
    assert PhoneNumbers().key("1") == "1"
