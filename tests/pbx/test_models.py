"""The PBX's JSON: read leniently, written strictly, without showing secrets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.credentials import Secret
from receiver.errors import PbxInvalid
from receiver.pbx.models import (
    ActionUrl,
    Created,
    IvrSummary,
    Page,
    known_ivrs,
    read,
    read_page,
    with_defaults,
    write,
)
from receiver.pbx.sign_in import Tokens

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
def test_errors_of_reading_do_not_repeat_values(data: object) -> None:
    with pytest.raises(PbxInvalid, match=r"^the answer of the PBX") as caught:
        read(IvrSummary, data)
    assert "secret" not in str(caught.value)


def test_a_secret_has_to_be_text() -> None:
    with pytest.raises(PbxInvalid, match="expected text for a Secret"):
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
def test_an_invalid_page_is_not_an_empty_one(data: object) -> None:
    with pytest.raises(PbxInvalid, match="the list"):
        read_page(IvrSummary, data)


def test_an_update_leaves_out_blank_fields_unless_they_are_cleared() -> None:
    assert write(FULL) == {
        "name": "pick",
        "enabled": False,
        "type": "DTMF",
        "method": "POST",
        "dtmf_mask": "1;2",
        "url": "https://ivr.example.com/action/8000/pick",
        "auth": "BEARER",
        "token": "abcdef",
    }
    assert write(FULL, ["headers", "id"]) == write(FULL) | {"headers": ""}


def test_blank_fields_have_defaults_that_are_never_written() -> None:
    bare = ActionUrl(id="1", name="a")
    assert with_defaults(bare) == ActionUrl(
        id="1",
        name="a",
        enabled=False,
        connection_timeout=2,
        request_timeout=2,
        auth="DISABLE",
    )
    whole = ActionUrl(enabled=True, connection_timeout=0, request_timeout=9, auth="BASIC")
    assert with_defaults(whole) == whole
    assert write(bare) == {"name": "a"}


def test_only_secrets_have_a_hook() -> None:
    class Odd(Created, frozen=True, kw_only=True):
        thing: object

    with pytest.raises(NotImplementedError, match="object"):
        write(Odd(id="1", thing=object()))


def test_no_model_prints_secrets() -> None:
    action = ActionUrl(
        headers="X-Key:open-sesame", password=Secret("open-sesame"), url="https://x/open-sesame"
    )
    assert "open-sesame" not in f"{action} {action!r} {Tokens(access_token=Secret('open-sesame'))}"


def test_the_mask_that_applies() -> None:
    assert ActionUrl(type="DTMF", dtmf_mask="1", caller_mask="2").mask == "1"
    assert ActionUrl(type="CALLER", dtmf_mask="1", caller_mask="2").mask == "2"


def test_the_nearest_ivrs_are_named_first() -> None:
    ivrs = [IvrSummary(id=str(n), extension_number=str(n), name="") for n in range(8000, 8020)]
    text = known_ivrs([*ivrs, IvrSummary(id="x", extension_number="9001", name="Sales")], "9100")
    assert text.startswith("the PBX has 9001 'Sales', 8")
    assert text.endswith(" and 13 more")
    assert "Sales" in known_ivrs([IvrSummary(id="x", extension_number="9001", name="Sales")])
    assert known_ivrs([]) == "this account sees no IVR on the PBX"


AUTHS = ("DISABLE", "BASIC", "DIGEST", "BEARER")
"""Read in any case, and as these, see the test behind the next."""


@given(
    st.builds(
        ActionUrl,
        id=st.just("7"),
        name=st.text(),
        headers=st.text(),
        auth=st.sampled_from(AUTHS)
        | st.text(min_size=1).filter(lambda text: text.strip().upper() not in AUTHS),
        request_timeout=st.integers(-(2**62), 2**62),
        password=st.text(alphabet=st.characters(exclude_categories=["Cs"])).map(Secret),
    )
)
def test_what_is_written_is_read_back(action: ActionUrl) -> None:
    assert read(ActionUrl, {"id": "7", **write(action)}) == action


@pytest.mark.parametrize("case", [str.lower, str.title, str.upper, "  {} ".format])
def test_enumerations_are_read_in_any_case(case: Callable[[str], str]) -> None:
    data = {"id": "u1", "type": case("CALLER"), "method": case("POST"), "auth": case("DIGEST")}
    found = read(ActionUrl, {**data, "name": "DTMF", "caller_mask": "1", "dtmf_mask": "2"})
    assert (found.type, found.method, found.auth) == ("CALLER", "POST", "DIGEST")
    assert (found.name, found.mask) == ("DTMF", "1")
    assert read(ActionUrl, {"id": "u1", "type": "fax"}).type == "fax"
