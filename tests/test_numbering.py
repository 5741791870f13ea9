"""receiver/numbering.py"""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver import DeclarationError, Numbering

GERMANY = Numbering("DE")


@pytest.mark.parametrize(
    "number",
    ["030 123456", "+49 (0)30 123456", "0049-30-123456", "+4930123456", "(030) 12 34 56"],
)
def test_one_number_however_it_is_written(number: str) -> None:
    assert GERMANY.key(number) == "4930123456"
    assert {"+4930123456", "030123456"} <= set(GERMANY.forms(number))


def test_what_is_no_telephone_number_stays_the_digits_it_is() -> None:
    for number in ("101", "2200", "*98#"):
        assert GERMANY.key(number) == Numbering().key(number) == number.strip("*#")
        assert GERMANY.forms(number) == (number.strip("*#"),)
    assert GERMANY.key("+49900123") == "49900123"  # too short to be valid, but has a country code
    assert GERMANY.forms("+49900123") == ("+49900123", "0900123")


def test_numbers_from_elsewhere_are_not_dialled_within() -> None:
    assert GERMANY.key("+1 650-253-0000") == "16502530000"
    assert GERMANY.forms("+1 650-253-0000") == ("+16502530000",)


def test_without_a_region_dress_is_taken_off() -> None:
    plain = Numbering()
    assert plain.key("+49 (30) 1") == plain.key("0049-30.1") == "49301"
    assert plain.forms("+49 (30) 1") == plain.forms("0049-30.1") == ("+49301",)
    assert plain.forms("030/1") == ("0301",)


@pytest.mark.parametrize("number", ["", "anonymous", "+", "Restricted", "٣"])
def test_who_has_no_number(number: str) -> None:
    for numbering in (GERMANY, Numbering()):
        assert numbering.key(number) == ""
        assert numbering.forms(number) == ()


@given(st.text(max_size=30) | st.text("0123456789+ ()-", max_size=20))
def test_any_text_is_told_apart_by_digits_alone(number: str) -> None:
    for numbering in (GERMANY, Numbering()):
        assert not numbering.key(number).strip("0123456789")
        for form in numbering.forms(number):
            assert form.removeprefix("+").isdecimal()


@given(st.text("0123456789+ ", max_size=15))
def test_a_key_is_a_key_of_itself(number: str) -> None:
    key = Numbering().key(number)
    assert Numbering().key("+" + key) == key.removeprefix("00")


@pytest.mark.parametrize("region", ["de", "Germany", "XX", "49"])
def test_a_wrong_region(region: str) -> None:
    with pytest.raises(DeclarationError, match=f"region='{region}' is no country"):
        Numbering(region)


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    with pytest.raises(DeclarationError, match=r"pip install 'portsip-receiver\[numbers\]'"):
        Numbering("DE")
    assert Numbering().key("1") == "1"
