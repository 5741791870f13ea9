"""receiver/number_text.py"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver import Call, NumberError
from receiver.phone_numbers.notation import (
    MAX_LENGTH,
    NumberText,
    is_anonymous,
    plain_text,
    read_number,
)

SEVERAL, SPREADSHEET, NONE = "more than one number", "spreadsheet", "not a phone number"
BERLIN = NumberText("49301234567", plus=True)


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("06/12/34/56/78", "0612345678"),  # as in France
        ("06.12.34.56.78", "0612345678"),
        ("0475/12/34/56", "0475123456"),  # as in Belgium
        ("02/123/45/67", "021234567"),
        ("030.11.2026", "030112026"),
        ("34.44.48.46", "34444846"),  # as in Denmark, and no address
    ],
)
def test_groups_of_one_number(text: str, digits: str) -> None:
    assert read_number(text) == NumberText(digits)


@pytest.mark.parametrize(
    "text",
    [
        "+49301234567",
        "+49 30 1234567",
        "+49-30-1234567",
        "+49.30.123.45.67",
        "+49 (30) 1234567",
        "+49 (0)30 1234567",
        "0049 (0) 30 1234567".replace("(0) ", "(0)"),
        "(+49) 30 1234567",
        "49 (0)30 1234567",
        "+ 49 30 1234567",
        "+0049 30 1234567",
        "+49/30/1234567",
        "＋49　30 1234567",
        "+49\xa030\u202f1234567",
        "\u202a+49301234567\u202c",
        "\ufeff+49\u200b301234567\u00ad",
        "+49‑30–1234567",
        "+４９３０１２３４５６７",
        "+٤٩٣٠١٢٣٤٥٦٧",
        "'+49301234567",
        '="+49301234567"',
        '"+49301234567"',
        " +49301234567\r\n",
        "sip:+49301234567@192.0.2.10",
        "sips:+49301234567@pbx.example.com:5061;transport=tls",
        "SIP:%2B49301234567@pbx.example.com;user=phone",
        "sip:+49301234567;isub=1@pbx.example.com",
        "sip:+49301234567:secret@pbx.example.com",
        "sip: 49301234567@pbx.example.com",
        '"Ada" <sip:+49301234567@192.0.2.10;user=phone>;tag=1',
        '"4711 <x@y>" <sip:+49301234567@192.0.2.10>',
        "Ada Lovelace <+49301234567>",
        "<+49301234567>",
        "tel:+49-30-1234567",
        "tel:301234567;phone-context=+49",
        "callto://+49301234567",
        "+49301234567@192.0.2.10",
        "+49301234567;user=phone",
    ],
)
def test_notations_of_one_number(text: str) -> None:
    assert read_number(text) == BERLIN


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("sip:101@192.0.2.10", "101"),
        ("sip:101@[2001:db8::1]:5060", "101"),
        ("sip:101", "101"),
        ("101@pbx", "101"),
        ("030/1234567", "0301234567"),
        ("030 / 12 34 567", "0301234567"),
        ("06221/54-0", "06221540"),
        ("030/1234567/0", "03012345670"),
        ("415/555-2671", "4155552671"),
        ("415/555/2671", "4155552671"),
        ("415.555.2671", "4155552671"),
        ("01.42.68.53.00", "0142685300"),
        ("(415) 555-2671", "4155552671"),
        ("+39 (0)6 1234567", "390612345 67".replace(" ", "")),
        ("+030 1234567", "0301234567"),  # no country code begins with 0
        ("*98#", "98"),
        ("0", "0"),
    ],
)
def test_punctuation_is_removed(text: str, digits: str) -> None:
    assert read_number(text).digits == digits


@pytest.mark.parametrize(
    "text",
    [
        "+49 30 1234567 ext. 12",
        "+49 30 1234567 ext 12",
        "+49 30 1234567 Extension: 12",
        "+49 30 1234567, extn. 12",
        "+49 30 1234567x12",
        "+49 30 1234567 x 12",
        "+49 30 1234567 #12",
        "+49 30 1234567,,12#",
        "+49 30 1234567p12",
        "+49 30 1234567 Durchwahl 12",
        "+49 30 1234567 доб. 12",
        "+49 (30) 1234567-ext12",
        "tel:+49-30-1234567;ext=12",
    ],
)
def test_an_extension_is_separated(text: str) -> None:
    assert read_number(text) == BERLIN._replace(extension="12")


def test_an_invalid_extension_is_ignored() -> None:
    assert read_number("tel:+49301234567;ext=reception") == BERLIN
    assert read_number("tel:+49301234567;phone-context=example.com") == BERLIN
    assert read_number("tel:+49301234567;phone-context=+1") == BERLIN


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("030 1234567 ::: 0170 1234567", SEVERAL),
        ("030 1234567; 0170 1234567", SEVERAL),
        ("030 1234567 / 0170 1234567", SEVERAL),
        ("0301234567/01701234567", SEVERAL),
        ("0301234567/00441632960000", SEVERAL),
        ("0301234567/68", SEVERAL),
        ("0301234567/68/69", SEVERAL),
        ("101/102/103", SEVERAL),
        ("7000/7001/7002/7003", SEVERAL),
        ("10/11/12", SEVERAL),
        ("29.11.2026", NONE),
        ("sip:34.44.48.46", NONE),
        ("134.44.48.46", NONE),
        ("1/2/2026", NONE),
        ("11/29/2026", NONE),
        ("2026-11-29", NONE),
        ("+4930[0-9]", NONE),
        ("101/0044163296", SEVERAL),
        ("123456/654321", SEVERAL),
        ("0301234/7654321", SEVERAL),
        ("030/1234567/0170/1234567", SEVERAL),
        ("101/102", SEVERAL),
        ("+49 30 1234567 +49 170 1234567", SEVERAL),
        ("030 1234567, 0170 1234567", SEVERAL),
        ("030 1234567 | 0170 1234567", SEVERAL),
        ("030 1234567\n0170 1234567", SEVERAL),
        ("030 1234567 or 0170 1234567", SEVERAL),
        ("030 1234567 0170 1234567", SEVERAL),
        ("5552671 5552672", SEVERAL),
        ("4.93012E+11", SPREADSHEET),
        ("4,93012E+11", SPREADSHEET),
        ("4e11", SPREADSHEET),
        ("-4.9E+11", SPREADSHEET),
        ("49301234567.0", SPREADSHEET),
        ("49301234567,00", SPREADSHEET),
        ("49301234567.000", SPREADSHEET),
        (str(49301234567.0), SPREADSHEET),
        (str(4.9e22), SPREADSHEET),
        ("", NONE),
        ("+", NONE),
        ("ext. 12", NONE),
        ("1-800-FLOWERS", NONE),
        ("-49301234567", NONE),
        ("Room 101", NONE),
        ("192.0.2.10", NONE),
        ("*31#030123456", NONE),
        ("sip:192.0.2.10:5060", NONE),
        ("sip:[2001:db8::1]", NONE),
        ("sip:ada@192.0.2.10", NONE),
        ("49301234567;;", NONE),
        ("1" * (MAX_LENGTH + 1), NONE),
    ],
)
def test_other_text_is_refused_and_not_repeated(text: str, why: str) -> None:
    with pytest.raises(NumberError, match=why) as refused:
        read_number(text)
    assert not any(c.isdigit() for c in str(refused.value))


SPELLINGS = ["anonymous", "restricted", "unavailable", "unknown", "private"]
AROUND = [
    "{}",
    " {} ",
    '"{}"',
    "<{}>",
    "sip:{}@192.0.2.10",
    "sip:{}@anonymous.invalid",
    '"{0}" <sip:{0}@anonymous.invalid>;tag=1',
    "{}@anonymous.invalid",
    "{}@pbx.example.com",
    "{} number",
    "{} caller",
    "Caller ID {}",
    "{}-number",
]


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("word", SPELLINGS)
def test_anonymous_in_all_spellings(word: str, around: str) -> None:
    for spelt in (word, word.upper(), word.title()):
        assert Call(caller=around.format(spelt)).anonymous


@pytest.mark.parametrize(
    "caller",
    [
        "",
        "-",
        "+",
        "No Number",
        "withheld",
        "null",
        "+266696687",
        "266696687",
        "sip:+266696687@192.0.2.10",
        "86282452253",
        "+86282452253",
        "0",
        "000",
        "+0000000000",
        "0 00",
        "sip:000@192.0.2.10",
        "sip:ada@anonymous.invalid",
    ],
)
def test_anonymous_in_other_words(caller: str) -> None:
    assert Call(caller=caller).anonymous


@pytest.mark.parametrize(
    "caller",
    [
        "101",
        "+4930123456",
        "001",
        "0001",
        "+2666966871",
        "186282452253",
        "anonymous1",
        "Ada",
        "Private Bank AG",
        "unknown 101",
        "anonymous " * 50,
    ],
)
def test_not_anonymous(caller: str) -> None:
    assert not Call(caller=caller).anonymous


DIGITS = st.text("0123456789", min_size=3, max_size=15).filter(lambda text: text[0] != "0")
MARKS = st.sampled_from(["", " ", "\xa0", "-", "–", ".", "\u200e", " (", ") "])


@given(DIGITS, st.data())
def test_punctuation_changes_no_number(digits: str, data: st.DataObject) -> None:
    # Dots alone may make a decimal or an address, long groups two numbers: both have a + here,
    # and groups of three.
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    text = "+" + groups[0]
    for group in groups[1:]:
        text += data.draw(MARKS) + " " + group
    assert read_number(text) == NumberText(digits, plus=True)


@given(DIGITS.filter(lambda text: len(text) > 6), DIGITS.filter(lambda text: len(text) > 6))
def test_two_numbers_are_never_joined(one: str, other: str) -> None:
    for between in (" ::: ", ";", "; ", ", ", " | ", "\n", " +", " or ", " "):
        with pytest.raises(NumberError, match=SEVERAL):
            read_number(one + between + other)


@given(st.floats(min_value=1e6, max_value=1e30))
def test_floats_are_refused(number: float) -> None:
    for text in (str(number), f"{number:.5E}", f"{number:.2f}", f"{number:.1f}".replace(".", ",")):
        with pytest.raises(NumberError, match=SPREADSHEET):
            read_number(text)


@given(st.text(max_size=300) | st.text('0123456789+ ();/x.@:<>"=%', max_size=300))
def test_any_text_is_a_number_or_refused(text: str) -> None:
    is_anonymous(text)
    try:
        found = read_number(text)
    except NumberError:
        return
    assert found.digits.isascii()
    assert found.digits.isdecimal()
    assert not found.extension or found.extension.isdecimal()


@given(st.text(max_size=50))
def test_plain_text_is_plain(text: str) -> None:
    assert plain_text(plain_text(text)) == plain_text(text)
