"""receiver/number_lists.py"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver import DeclarationError, NumberList, PhoneNumbers

PLAIN = PhoneNumbers()


def matches(entry: object, caller: str, region: str = "") -> bool:
    numbers = PhoneNumbers(region)
    return NumberList.parse([("list.txt:1", entry)], numbers).matches(caller, numbers)


@pytest.mark.parametrize(
    "entry",
    [
        "415-555-2671",
        "(415) 555-2671",
        "415.555.2671",
        "415\xa0555\u202f2671",
        "\u202a(415) 555-2671\u202c",
        "415‑555–2671",
        "+1 415 555 2671",
        "1-415-555-2671",
        "415-5552671",
        "415-555-2671 ext. 12",
        "sip:4155552671@192.0.2.10",
        "415-555****",
        "(415) 555-26**",
        "415-555-...",
        "+1 (415) 555 ...",
        "+14155552600-+14155552699",
        "+14155552600..+14155552699",
        "101;415-555-2671",
    ],
)
def test_entries_as_people_write_them(entry: str) -> None:
    for caller in ("+14155552671", "4155552671", "14155552671"):
        assert matches(entry, caller, "US")
    assert not matches(entry, "+14155562671", "US")
    assert not matches(entry, "555", "US")


@pytest.mark.parametrize(
    ("entry", "low", "high"),
    [
        ("1000-1999", "1000", "1999"),
        ("1000..1999", "1000", "1999"),
        ("6555..7777", "6555", "7777"),
        ("6555 .. 7777", "6555", "7777"),
        ("200 - 299", "200", "299"),
        ("10-15", "10", "15"),
        ("7000–7009", "7000", "7009"),
        ("5552600-5552671", "5552600", "5552671"),
    ],
)
def test_ranges(entry: str, low: str, high: str) -> None:
    assert matches(entry, low)
    assert matches(entry, high)
    assert not matches(entry, str(int(low) - 1))
    assert not matches(entry, str(int(high) + 1))


@pytest.mark.parametrize(
    "entry", ["6555-7777", "6555–7777", "6555 - 7777", "101-150", "90-110", "1-22", "98765-43210"]
)
def test_what_may_be_a_number_or_a_range_is_an_error_that_names_both(entry: str) -> None:
    with pytest.raises(DeclarationError, match="a range or a phone number, and neither"):
        matches(entry, "7000")
    with pytest.raises(DeclarationError, match=r"list.txt:1: .* two dots, .* without the dash"):
        matches(entry, "7000")


@given(st.integers(3, 6), st.data())
def test_no_dash_makes_a_range_in_silence(length: int, data: st.DataObject) -> None:
    ends = st.text("123456789", min_size=length, max_size=length).filter(lambda e: e[-1] != "9")
    low, high = data.draw(ends), data.draw(ends)
    with pytest.raises(DeclarationError):
        matches(f"{low}-{high}", low)


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "x",
        "x*",
        "303 x",
        "1*...",
        "77 ... 78",
        "2000..1000",
        "1..22",
        "4.9E+11",
        7,
        "1;;2",
        "1,2",
    ],
)
def test_what_is_no_entry_is_an_error_with_the_forms_and_without_the_number(entry: object) -> None:
    with pytest.raises(
        DeclarationError, match=r"list.txt:1: .*(an entry is a number|the lower end is first)"
    ) as e:
        matches(entry, "1")
    assert "303" not in str(e.value)
    assert "2000" not in str(e.value)


def test_beginnings_as_people_write_them() -> None:
    for entry in ("+49 (0)30...", "0049 (0) 30 ...", "+4930…", "+49 30 …"):  # as Word writes dots
        assert matches(entry, "+49301234567", "DE")
        assert not matches(entry, "+49401234567", "DE")


@pytest.mark.parametrize(
    ("entry", "region", "caller", "other"),
    [
        ("1900...", "US", "+19005551234", "+18005551234"),
        ("1-900-...", "US", "9005551234", "8005551234"),
        ("49170...", "DE", "+491701234567", "+491711234567"),
        ("49170...", "DE", "0170 1234567", "0171 1234567"),
        ("49170*******", "DE", "+491701234567", "+491711234567"),
        ("491701234500..491701234599", "DE", "01701234567", "01701234600"),
        ("49...", "DE", "4900", "+491701234567"),  # may be extensions
        ("1...", "US", "101", "+14155552671"),
        ("415555...", "US", "4155552671", "+41555526711"),
    ],
)
def test_an_entry_that_lost_its_plus(entry: str, region: str, caller: str, other: str) -> None:
    assert matches(entry, caller, region)
    assert not matches(entry, other, region)


@pytest.mark.parametrize("entry", ["00...", "+0...", "+0049...", "(+0)30..."])
def test_a_beginning_that_no_number_has_is_an_error(entry: str) -> None:
    with pytest.raises(
        DeclarationError, match=r"list.txt:1: no number begins like this: .*\+49900"
    ):
        matches(entry, "+49301234567", "DE")


def test_errors_say_what_is_wrong_with_this_entry() -> None:
    for entry in ("2000..1000", "1..22", "+493012..+493011"):
        with pytest.raises(DeclarationError, match="the lower end is first"):
            matches(entry, "1")
    for entry in ("+4917[0-9]", "%", "-", "49170?"):
        with pytest.raises(DeclarationError, match=r"list.txt:1: it .*an entry is a number"):
            matches(entry, "+491709", "DE")


def test_callers_without_a_number_are_not_on_lists() -> None:
    with pytest.raises(DeclarationError, match="anonymous= says"):
        matches("anonymous", "anonymous")
    assert not matches("***", "anonymous")


def test_other_forms() -> None:
    assert matches("ALL", "101")
    assert matches("*98#", "98")
    assert matches("2**", "299")


def test_a_lost_plus_is_no_way_past_a_block() -> None:
    for entry in ("+491701234567", "+49170...", "+49170*******", "+491701000000-+491701999999"):
        for caller in ("+491701234567", "491701234567", "00491701234567", " 491701234567"):
            assert matches(entry, caller, "DE")
            assert matches(entry, caller)
        assert not matches(entry, "+491711234567", "DE")
    for entry in ("+4915100000", "+49151...", "+49151*****"):  # not valid, as of forged callers
        assert matches(entry, "4915100000", "DE")
    # Ten digits may be a national number of North America, and short ones are extensions.
    assert not matches("+41...", "4155552671")
    assert not matches("+1...", "101")


def test_the_number_format_says_what_digits_are() -> None:
    numbers = PhoneNumbers()
    block = NumberList.parse([("", "+41...")], numbers)
    assert block.matches("4155552671", numbers, "e164-without-plus")
    assert not block.matches("41555526711", numbers, "national")
    assert not block.matches("41555526711", numbers, "e164")
    assert not block.matches("410", numbers, "e164-without-plus")
