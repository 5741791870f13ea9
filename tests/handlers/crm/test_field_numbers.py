"""Phone numbers in text fields, in any notation, with words, extensions and other numbers."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from handlers.crm.contacts import Number
from handlers.crm.field_numbers import numbers_in

PREFIXES = {
    "DE": ("+49 ", "+49 (0)", "0049 ", "0049 (0)", "0", "49 "),
    "US": ("+1 ", "001 ", "1-", "", "+1-"),
}
AREAS = {"DE": ("30", "89", "5238", "33209"), "US": ("212", "415", "907")}
WORDS = ("Tel. ", "p: ", "Büro ", "tel:", "\u202a", "(", "")
AFTER = (" (Büro)", " privat", "-12", " ext. 12", " x12", "\u202c", ")", "")
OTHERS = ("0171 1234567", "+1 212 555 0199", "+43 664 1234567")
BETWEEN = (" ", ", ", "; ", " / ", "/", " ::: ", " u. ", "\n")

subscribers = st.from_regex(r"[2-9][0-9]{6}", fullmatch=True)
regions = st.sampled_from(sorted(AREAS))


@st.composite
def notations(draw: st.DrawFn, region: str, area: str, subscriber: str) -> str:
    """Return a number as a person writes it, with its area code."""
    gap = draw(st.sampled_from(["", " ", "-", ".", "/", "\u00a0", "\u2011"]))
    size = draw(st.integers(2, 7))
    groups = [subscriber[start : start + size] for start in range(0, 7, size)]
    prefix = draw(st.sampled_from(PREFIXES[region]))
    after_area = draw(st.sampled_from([gap, ") " if "(" not in prefix else " "]))
    return f"{prefix}{area}{after_area}{draw(st.sampled_from([gap, ' '])).join(groups)}"


@given(st.data(), regions, subscribers)
def test_a_number_is_found_in_any_notation(data: st.DataObject, region: str, own: str) -> None:
    area = data.draw(st.sampled_from(AREAS[region]))
    code = {"DE": "+49", "US": "+1"}[region]
    number = Number.parse(f"{code}{area}{own}")
    text = data.draw(notations(region, area, own))
    text = f"{data.draw(st.sampled_from(WORDS))}{text}{data.draw(st.sampled_from(AFTER))}"
    other, between = data.draw(st.sampled_from(OTHERS)), data.draw(st.sampled_from(BETWEEN))
    for field in (text, f"{text}{between}{other}", f"{other}{between}{text}"):
        assert number.matches_field(field), field


@given(st.data(), regions, subscribers, subscribers)
def test_other_numbers_do_not_match(
    data: st.DataObject, region: str, own: str, another: str
) -> None:
    assume(own[1:] != another[1:])
    area, elsewhere = data.draw(st.permutations(AREAS[region]))[:2]
    code = {"DE": "+49", "US": "+1"}[region]
    number = Number.parse(f"{code}{area}{own}")
    different = data.draw(notations(region, area, another))
    far = data.draw(notations(region, elsewhere, own))
    longer = f"{data.draw(notations(region, area, own))}1"
    abroad = f"+43 {area} {own}"
    for text in (different, far, abroad):
        field = f"{data.draw(st.sampled_from(WORDS))}{text}{data.draw(st.sampled_from(AFTER))}"
        assert not number.matches_field(field), field
    assert not number.matches_field(longer), longer


@pytest.mark.parametrize(("caller", "field", "same"), [
    ("+493023125000", "23125000 (local)", True),
    ("+493023125000", "030 23125000 030 1234567", True),
    ("+493023125000", "+49 30 1234567 030 23125000", True),
    ("+493023125000", "030 231250001", False),
    ("+493023125000", "030 2312 5000 1234", True),  # an extension, in doubt
    ("+493023125", "030 2312 5000", False),
    ("+493023125000", "030 23125000 oder ٠١٧١ ١٢٣٤٥٦٧", True),
    ("+493023125000", "٠٣٠ ٢٣١٢٥٠٠٠", True),
    ("+493023125000", "089 23125000-1234", False),
    ("+493023125000", "+43 30 23125000-1234", False),
    ("+12125550199", "415 555 0123 212 555 0199", True),
    ("03023125000", "+49 (0)30 23125000", True),
    ("03023125000", "+49 (0)30 23125001", False),
    ("201", "201@192.0.2.10", True),
])  # fmt: skip
def test_fields_with_several_numbers_and_extensions(caller: str, field: str, same: bool) -> None:
    assert Number.parse(caller).matches_field(field) is same


def test_only_parts_that_end_like_the_number_are_parsed() -> None:
    """Parsing takes time while a caller waits."""
    parts = numbers_in("030 23125001 / 0171 23125000-12, 1234567 (030 1)", "3023125000")
    assert list(parts) == ["0171 23125000"]
