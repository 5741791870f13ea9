"""The simulated PBX enforces the vendor's limits, and matches action URLs."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.errors import MaskError
from receiver.masks import Mask
from receiver.simulator.model import Behaviour, Pbx
from receiver.simulator.validation import ApiError

SALES = {"name": "Sales", "extension_number": "8000"}
PICK = {
    "name": "pick",
    "enabled": True,
    "type": "DTMF",
    "method": "POST",
    "dtmf_mask": "22",
    "url": "http://127.0.0.1/action/8000/pick",
}


@pytest.fixture
def pbx() -> Pbx:
    return Pbx(numbers=itertools.count(1))


def add(pbx: Pbx, name: str, mask: str, **more: object) -> str:
    ivr = pbx.ivr_at("8000")
    key = ivr.id if ivr else pbx.ivrs.create(SALES)
    return pbx.action_urls(key).create(PICK | {"name": name, "dtmf_mask": mask} | more)


def fired(pbx: Pbx, number: str, kind: Any = "DTMF") -> str | None:
    action = pbx.fires("8000", kind, number)
    return action.name if action else None


def fault(call: Any, *args: object) -> ApiError:
    with pytest.raises(ApiError) as caught:
        call(*args)
    return caught.value


# IVRs ----------------------------------------------------------------------------------------


def test_a_created_ivr_has_the_vendors_defaults(pbx: Pbx) -> None:
    key = pbx.ivrs.create(SALES | {"no_such_field": 1})
    assert key == "MQ=="
    assert pbx.ivrs.show(key) == SALES | {
        "id": "MQ==",
        "dtmf_interval": 2,
        "enable_pin": True,
        "enable_night_mode": False,
        "enable_audio_recording": False,
        "timeout_forward_rule": {"timeout": 30, "repeat_times": 3},
    }


def test_the_first_id_is_the_vendors_example() -> None:
    assert Pbx().ivrs.create(SALES) == "NzAwNTUxOTA5NzczMTQ4MTYw"
    pbx = Pbx(Behaviour(ids="decimal"))
    assert (pbx.tenant, pbx.ivrs.create(SALES)) == ("700551909773148159", "700551909773148160")


def test_an_update_changes_the_given_fields_only(pbx: Pbx) -> None:
    key = pbx.ivrs.create(SALES | {"language": "en-US"})
    pbx.ivrs.update(key, {"name": "Support", "extension_number": "9000"})
    shown = pbx.ivrs.show(key)
    assert (shown["name"], shown["extension_number"], shown["language"]) == (
        "Support",
        "8000",
        "en-US",
    )


def test_a_destroyed_ivr_is_gone_with_its_action_urls(pbx: Pbx) -> None:
    add(pbx, "pick", "22")
    key = pbx.ivrs.page({})["items"][0]["id"]
    pbx.destroy_ivr(key)
    assert pbx.fires("8000", "DTMF", "22") is None
    for call in (pbx.destroy_ivr, pbx.ivrs.show, pbx.ivrs.destroy, pbx.action_urls):
        assert fault(call, key).status == 404
    assert fault(pbx.ivrs.update, key, {}).code == "NOT_FOUND"


def test_lists_show_a_summary(pbx: Pbx) -> None:
    key = pbx.ivrs.create(SALES)
    summary = {"id": key, **SALES, "enable_audio_recording": False}
    assert pbx.ivrs.page({}) == {"count": 1, "items": [summary]}
    pbx.behaviour = Behaviour(version="22.3")
    assert pbx.ivrs.page({}) == {"count": 1, "items": [{"id": key, **SALES}]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "the body is not a JSON object"),
        ({"name": "Sales"}, "extension_number is required"),
        (SALES | {"name": ""}, "name has 0 characters and needs at least 1"),
        (SALES | {"name": "x" * 65}, "name has 65 characters, and the PBX takes 64"),
        (SALES | {"name": 1}, "name is not a string"),
        (SALES | {"name": "\ud800"}, "name holds half a character"),
        (SALES | {"extension_number": "12"}, "extension_number has 2 characters"),
        (SALES | {"extension_number": "abc"}, "extension_number does not match [0-9]{3,64}"),
        (SALES | {"dtmf_interval": 0}, "dtmf_interval must be from 1 to 2147483647"),
        (SALES | {"dtmf_interval": True}, "dtmf_interval is not a whole number"),
        (SALES | {"dtmf_interval": 2.5}, "dtmf_interval is not a whole number"),
        (SALES | {"dtmf_interval": float("inf")}, "dtmf_interval is not a whole number"),
        (SALES | {"language": None}, "language is null"),
        (SALES | {"timeout_forward_rule": {"action": None}}, "timeout_forward_rule.action is null"),
        (SALES | {"enable_pin": 1}, "enable_pin is neither true nor false"),
        (SALES | {"pin": "12345"}, "pin does not have 6 to 10 digits"),
        (SALES | {"pin": "abcdef"}, "pin (the DISA PIN) must be made of digits"),
        (SALES | {"failure_forward_rule": "no"}, "failure_forward_rule is not a JSON object"),
        (
            SALES | {"failure_forward_rule": {"action": "DISA"}},
            "failure_forward_rule.action must be one of",
        ),
        (SALES | {"outbound_caller_ids": {}}, "outbound_caller_ids is not a list"),
        (SALES | {"outbound_caller_ids": [1]}, "outbound_caller_ids[0] is not a JSON object"),
        (
            SALES | {"custom_forward_rules": [{"office_hours": {"mode": "NEVER"}}]},
            "custom_forward_rules[0].office_hours.mode must be one of GLOBAL, CUSTOM",
        ),
    ],
)
def test_what_breaks_a_limit_is_refused(pbx: Pbx, data: object, message: str) -> None:
    refused = fault(pbx.ivrs.create, data)
    assert (refused.status, refused.code) == (400, "VALIDATE_FAILED")
    assert refused.message.startswith(message)
    assert pbx.ivrs.page({})["count"] == 0


def test_an_extension_number_is_given_once(pbx: Pbx) -> None:
    pbx.ivrs.create(SALES)
    assert fault(pbx.ivrs.create, SALES).message == "extension_number is taken already"


def test_a_pin_is_taken_and_masked_on_request(pbx: Pbx) -> None:
    key = pbx.ivrs.create(SALES | {"pin": "921093"})
    assert pbx.ivrs.show(key)["pin"] == "921093"
    pbx.behaviour = Behaviour(secrets="masked")
    assert pbx.ivrs.show(key)["pin"] == "******"


def test_blanks_are_shown_in_three_ways(pbx: Pbx) -> None:
    key = pbx.ivrs.create(SALES)
    assert "language" not in pbx.ivrs.show(key)
    pbx.behaviour = Behaviour(blanks="null")
    assert pbx.ivrs.show(key)["language"] is None
    pbx.behaviour = Behaviour(blanks="empty")
    shown = pbx.ivrs.show(key)
    assert (shown["language"], shown["failure_forward_rule"]) == ("", None)


def test_null_is_refused_or_ignored(pbx: Pbx) -> None:
    key = pbx.ivrs.create(SALES | {"language": "en-US"})
    assert fault(pbx.ivrs.update, key, {"language": None}).message == "language is null"
    pbx.behaviour = Behaviour(nulls="ignored")
    pbx.ivrs.update(key, {"language": None, "name": "Desk"})
    assert (pbx.ivrs.show(key)["language"], pbx.ivrs.show(key)["name"]) == ("en-US", "Desk")
    assert fault(pbx.ivrs.create, SALES | {"name": None}).message == "name is required"


def test_a_whole_number_may_be_written_with_a_point(pbx: Pbx) -> None:
    found = pbx.ivrs.show(pbx.ivrs.create(SALES | {"dtmf_interval": 3.0}))["dtmf_interval"]
    assert (found, type(found)) == (3, int)


# Lists ---------------------------------------------------------------------------------------


@pytest.fixture
def three(pbx: Pbx) -> Pbx:
    for name, number in (("O'Hare", "8001"), ("Sales", "8003"), ("Desk", "8002")):
        pbx.ivrs.create({"name": name, "extension_number": number})
    return pbx


@pytest.mark.parametrize(
    ("query", "numbers", "count"),
    [
        ({}, "8001 8003 8002", 3),
        ({"skip": "1", "top": "1"}, "8003", 3),
        ({"skip": "9"}, "", 3),
        ({"search": "sAL"}, "8003", 1),
        ({"search": "800"}, "8001 8003 8002", 3),
        ({"filter": "extension_number eq '8002'"}, "8002", 1),
        ({"filter": " name eq 'O''Hare' "}, "8001", 1),
        ({"orderby": "extension_number"}, "8001 8002 8003", 3),
        ({"orderby": "name desc"}, "8003 8001 8002", 3),
        ({"orderby": "name asc, id desc"}, "8002 8001 8003", 3),
    ],
)
def test_lists_search_filter_order_and_page(
    three: Pbx, query: dict[str, str], numbers: str, count: int
) -> None:
    page = three.ivrs.page(query)
    assert " ".join(item["extension_number"] for item in page["items"]) == numbers
    assert page["count"] == count


@pytest.mark.parametrize(
    "query",
    [
        {"skip": "x"},
        {"filter": "name like 'x'"},
        {"filter": "pin eq '921093'"},
        {"orderby": "name upwards"},
        {"orderby": "pin"},
    ],
)
def test_a_query_that_cannot_be_read_is_refused(three: Pbx, query: dict[str, str]) -> None:
    assert fault(three.ivrs.page, query).status == 400


def test_skip_may_count_from_one(three: Pbx) -> None:
    three.behaviour = Behaviour(skip_origin=1)
    for skip, number in (("0", "8001"), ("1", "8001"), ("2", "8003")):
        assert three.ivrs.page({"skip": skip})["items"][0]["extension_number"] == number


# Action URLs ---------------------------------------------------------------------------------


def test_a_created_action_url_has_the_vendors_defaults(pbx: Pbx) -> None:
    pbx.behaviour = Behaviour(blanks="omitted")
    ivr = pbx.ivrs.create(SALES)
    key = pbx.action_urls(ivr).create({"name": "pick"})
    expected = {
        "id": key,
        "name": "pick",
        "enabled": False,
        "connection_timeout": 2,
        "request_timeout": 2,
        "auth": "DISABLE",
    }
    assert pbx.action_urls(ivr).show(key) == expected
    assert pbx.action_urls(ivr).show_all() == {"items": [expected]}


def test_no_fault_repeats_a_value(pbx: Pbx) -> None:
    urls = pbx.action_urls(pbx.ivrs.create(SALES))
    assert "HUNTER2" not in str(fault(urls.create, PICK | {"password": "HUNTER2"}))


# What fires ----------------------------------------------------------------------------------


def test_exact_beats_range_beats_star_beats_all(pbx: Pbx) -> None:
    for name, mask in (("all", "ALL"), ("star", "**"), ("range", "20-29"), ("exact", "9;22")):
        add(pbx, name, mask)
    assert [fired(pbx, number) for number in ("22", "23", "33", "333")] == [
        "exact",
        "range",
        "star",
        "all",
    ]


def test_of_equals_the_first_created_fires(pbx: Pbx) -> None:
    add(pbx, "first", "20-25")
    add(pbx, "second", "22-29")
    assert (fired(pbx, "24"), fired(pbx, "26")) == ("first", "second")


def test_action_urls_that_do_not_match(pbx: Pbx) -> None:
    add(pbx, "disabled", "1", enabled=False)
    add(pbx, "unreadable", "2;;")
    add(pbx, "caller", "", type="CALLER", caller_mask="101;3")
    add(pbx, "callers", "", type="CALLER", caller_mask="ALL")
    pbx.action_urls(pbx.ivrs.create(SALES | {"extension_number": "8001"})).create(
        {key: value for key, value in PICK.items() if key != "type"} | {"dtmf_mask": "4"}
    )
    assert [fired(pbx, number) for number in "123"] == [None, None, None]
    assert pbx.fires("8001", "DTMF", "4") is None
    assert fired(pbx, "101", "CALLER") == "caller"
    assert fired(pbx, "102", "CALLER") is None
    assert pbx.fires("9999", "DTMF", "1") is None


MASKS = st.lists(
    st.one_of(
        st.from_regex(r"\A\+?[0-9*]{1,4}\Z"),
        st.from_regex(r"\A[0-9]{2}-[0-9]{2}\Z"),
        st.sampled_from(["ALL", "", "#", "9-", "a"]),
    ),
    min_size=1,
    max_size=4,
).map(";".join)


@settings(deadline=None)
@given(masks=st.lists(MASKS, max_size=5), number=st.from_regex(r"\A\+?[0-9*#]{0,4}\Z"))
def test_no_input_fires_a_mask_that_does_not_match(masks: list[str], number: str) -> None:
    pbx = Pbx()
    for name, mask in enumerate(masks):
        add(pbx, str(name), mask)

    def matches(mask: str) -> bool:
        try:
            return Mask.parse(mask).matches(number)
        except MaskError:
            return False

    action = pbx.fires("8000", "DTMF", number)
    if action is None:
        assert not any(map(matches, masks))
    else:
        assert matches(action.dtmf_mask)
