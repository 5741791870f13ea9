"""The PBX's JSON: read leniently, written strictly, without showing secrets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import PbxNonsense
from receiver.pbx.models import (
    ActionUrl,
    Created,
    IvrSummary,
    Page,
    Tokens,
    known_ivrs,
    read,
    read_page,
    write,
)
from receiver.secrets import Secret

FULL = ActionUrl(
    name="pick",
    enabled=False,
    type="DTMF",
    method="POST",
    dtmf_mask="1;2",
    url="https://ivr.example.com/action/8000/pick",
    auth="BEARER",
    token=Secret("abcdef"),
)


@pytest.mark.parametrize("blank", [None, ""])
def test_blanks_and_what_is_missing_are_the_same(blank: object) -> None:
    data = {"id": "1", "headers": blank, "request_timeout": blank, "auth": blank, "token": blank}
    assert read(ActionUrl, data) == read(ActionUrl, {"id": "1"}) == ActionUrl(id="1")


def test_numbers_come_as_text_and_text_as_numbers() -> None:
    data = {"id": 700551909773148160, "request_timeout": "5", "password": 123456, "new": [1]}
    assert read(ActionUrl, data) == ActionUrl(
        id="700551909773148160", request_timeout=5, password=Secret("123456")
    )
    assert read(IvrSummary, {"id": 1, "extension_number": 8000}).extension_number == "8000"


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "x",
        {},
        {"id": {}},
        {"id": True},
        {"id": "1", "name": ["secret"]},
    ],
)
def test_what_does_not_fit_is_said_without_its_values(data: object) -> None:
    with pytest.raises(PbxNonsense, match=r"^the answer of the PBX") as caught:
        read(IvrSummary, data)
    assert "secret" not in str(caught.value)


def test_a_secret_has_to_be_text() -> None:
    with pytest.raises(PbxNonsense, match="expected text for a Secret"):
        read(Tokens, {"access_token": ["x"]})


@pytest.mark.parametrize(
    ("data", "page"),
    [
        ({}, Page((), None)),
        ({"count": 0}, Page((), 0)),
        ({"items": None}, Page((), None)),
        ({"items": "", "count": "7"}, Page((), 7)),
        ({"items": [{"id": "1"}], "count": True}, Page((IvrSummary(id="1"),), None)),
    ],
)
def test_a_page(data: dict[str, Any], page: Page[IvrSummary]) -> None:
    assert read_page(IvrSummary, data) == page


@pytest.mark.parametrize(
    "data", [None, [], {"errors": []}, {"data": []}, {"items": {"a": 1}}, {"items": [1]}]
)
def test_what_is_no_page_is_not_an_empty_one(data: object) -> None:
    with pytest.raises(PbxNonsense, match="the list"):
        read_page(IvrSummary, data)


def test_an_update_leaves_out_what_is_empty_unless_it_is_to_be_emptied() -> None:
    assert write(FULL) == {
        "name": "pick",
        "enabled": False,
        "type": "DTMF",
        "method": "POST",
        "dtmf_mask": "1;2",
        "connection_timeout": 2,
        "request_timeout": 2,
        "url": "https://ivr.example.com/action/8000/pick",
        "auth": "BEARER",
        "token": "abcdef",
    }
    assert write(FULL, ["headers", "id"]) == write(FULL) | {"headers": ""}


def test_only_secrets_have_a_hook() -> None:
    class Odd(Created, frozen=True, kw_only=True):
        thing: object

    with pytest.raises(NotImplementedError, match="object"):
        write(Odd(id="1", thing=object()))


def test_no_model_prints_what_may_be_secret() -> None:
    action = ActionUrl(
        headers="X-Key:open-sesame", password=Secret("open-sesame"), url="https://x/open-sesame"
    )
    assert "open-sesame" not in f"{action} {action!r} {Tokens(access_token=Secret('open-sesame'))}"


def test_the_mask_that_counts() -> None:
    assert ActionUrl(type="DTMF", dtmf_mask="1", caller_mask="2").mask == "1"
    assert ActionUrl(type="CALLER", dtmf_mask="1", caller_mask="2").mask == "2"


def test_the_nearest_ivrs_are_named_first() -> None:
    ivrs = [IvrSummary(id=str(n), extension_number=str(n), name="") for n in range(8000, 8020)]
    text = known_ivrs([*ivrs, IvrSummary(id="x", extension_number="9001", name="Sales")], "9100")
    assert text.startswith("the PBX has 9001 'Sales', 8")
    assert text.endswith(" and 13 more")
    assert "Sales" in known_ivrs([IvrSummary(id="x", extension_number="9001", name="Sales")])
    assert known_ivrs([]) == "the PBX shows this account no IVR at all"


@given(
    st.builds(
        ActionUrl,
        id=st.just("7"),
        name=st.text(),
        headers=st.text(),
        auth=st.text(min_size=1),
        request_timeout=st.integers(-(2**62), 2**62),
        password=st.text(alphabet=st.characters(exclude_categories=["Cs"])).map(Secret),
    )
)
def test_what_is_written_is_read_back(action: ActionUrl) -> None:
    assert read(ActionUrl, {"id": "7", **write(action)}) == action
