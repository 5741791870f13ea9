"""The filter of a list, and its errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.simulator.conditions import parse
from receiver.simulator.validation import ApiError

NAMES = ("name", "size", "enabled")
ITEMS = (
    {"name": "O'Hare", "size": 1, "enabled": True},
    {"name": "Sales", "size": 20, "enabled": False},
    {"name": "Desk", "size": 3},
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name eq 'Sales'", "Sales"),
        (" name  eq 'O''Hare' ", "O'Hare"),
        ("name ne 'Sales'", "O'Hare Desk"),
        ("size gt 3", "Sales"),
        ("size ge 3", "Sales Desk"),
        ("size lt 3", "O'Hare"),
        ("size le 3", "O'Hare Desk"),
        ("size gt -1", "O'Hare Sales Desk"),
        ("size eq '3'", ""),
        ("size ne '3'", "O'Hare Sales Desk"),
        ("enabled eq true", "O'Hare"),
        ("enabled eq false", "Sales"),
        ("startswith(name,'S')", "Sales"),
        ("endswith(name, 'e')", "O'Hare"),
        ("contains(name,'es')", "Sales Desk"),
        ("name eq 'Desk' or size eq 1", "O'Hare Desk"),
        ("name eq 'Desk' or size eq 20 and enabled eq true", "Desk"),
        ("(name eq 'Desk' or size eq 20) and enabled eq false", "Sales"),
        ("((size eq 1))", "O'Hare"),
    ],
)
def test_conditions(text: str, found: str) -> None:
    test = parse(text, NAMES)
    assert " ".join(str(item["name"]) for item in ITEMS if test(item)) == found


@pytest.mark.parametrize(
    "text",
    [
        "name",
        "name eq",
        "name like 'x'",
        "name eq Sales",
        "name eq 'x",
        "name eq 'x' name",
        "name eq 'x' and",
        "pin eq 'x'",
        "startswith(pin,'x')",
        "startswith name,'x'",
        "startswith(name 'x')",
        "startswith(name,'x'",
        "(name eq 'x'",
        "'x' eq name",
        "name eq ;",
        "(" * 1000,
    ],
)
def test_invalid_conditions_are_refused(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse(text, NAMES)
    assert (caught.value.status, caught.value.message.split()[0]) == (400, "filter")


@given(st.text(alphabet="name size eqortd()',19 ", min_size=1))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        test = parse(text, NAMES)
    except ApiError:
        return
    assert all(test(item) in (True, False) for item in ITEMS)
