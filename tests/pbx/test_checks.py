"""Requests are checked before they are sent: limits, names, types, changes of an update."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.credentials import Secret
from receiver.errors import DeclarationError
from receiver.pbx import checks
from receiver.pbx.fields import Model, Spec, is_blank, leaf_problem, shapes
from receiver.pbx.models import ActionUrl, write
from receiver.pbx.models_ivr import (
    CustomRule,
    Day,
    ForwardRule,
    Ivr,
    KeyRule,
    OfficeHours,
    TimeoutRule,
    TimeRange,
)
from receiver.pbx.models_shared import Holiday, IvrServer, OutboundCallerId, PromptFile

GOOD = Ivr(name="Sales", extension_number="8000")
ACTION = ActionUrl(
    name="pick", type="DTMF", method="POST", dtmf_mask="1", url="https://ivr.example/action"
)
XMAS = Holiday(name="Xmas", region="DEU", consecutive=True, every_year=False)


def with_fields(item: Model, **fields: Any) -> Model:
    return type(item)(**{name: getattr(item, name) for name in item.__struct_fields__} | fields)


@pytest.mark.parametrize(
    "item",
    [
        GOOD,
        with_fields(GOOD, enable_pin=True, pin=Secret("135792")),
        with_fields(GOOD, language="x-private"),
        with_fields(GOOD, language="i-klingon"),
        with_fields(GOOD, language="zh-Hans-CN", dtmf_interval=1, exclude_list="1–5, 3000;7"),
        with_fields(GOOD, failure_forward_rule=ForwardRule(action="HANGUP")),
        with_fields(GOOD, outbound_caller_ids=(OutboundCallerId(caller_id="1"),)),
        with_fields(GOOD, custom_forward_rules=(CustomRule(user_input="1"),)),
        ACTION,
        with_fields(ACTION, type="CALLER", caller_mask="1"),
        with_fields(ACTION, auth="BASIC", username="abcdef", password=Secret("A abcdef")),
        with_fields(ACTION, auth="BEARER", token=Secret("t")),
        XMAS,
        with_fields(XMAS, month_start=12, day_start=31, hour_end=23, minute_end=59, year_end=9999),
        IvrServer(name="a", ipv4="10.0.0.1"),
        IvrServer(name="a", ipv6="fe80::1"),
    ],
)
def test_valid_resources(item: Model) -> None:
    assert checks.problems(item, creating=True) == ()


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (Ivr(), "name is missing"),
        (Ivr(), "extension_number is missing"),
        (with_fields(GOOD, name="x" * 65), "name has 65 characters, and the PBX takes 64"),
        (with_fields(GOOD, extension_number="80"), "extension_number has 2 .* at least 3"),
        (with_fields(GOOD, extension_number="abcd"), "extension_number does not match"),
        (with_fields(GOOD, language="german!"), "language does not match"),
        (with_fields(GOOD, language="x"), "language does not match"),
        (with_fields(GOOD, language="x-ninechars"), "language does not match"),
        (with_fields(GOOD, dtmf_interval=0), "dtmf_interval must be from 1 to 2147483647"),
        (with_fields(GOOD, dtmf_interval=2**31), "dtmf_interval must be from 1 to 2147483647"),
        (with_fields(GOOD, pin=Secret("7" * 65)), "pin has 65 characters"),
        (with_fields(GOOD, pin=Secret("abcdef")), r"pin \(the DISA PIN\) must be made of digits"),
        (with_fields(GOOD, exclude_list="100;x"), "exclude_list contains 'x'"),
        (
            with_fields(GOOD, timeout_forward_rule=TimeoutRule(repeat_times=-1)),
            "timeout_forward_rule.repeat_times must be from 0 to 2147483647",
        ),
        (
            with_fields(GOOD, failure_forward_rule=ForwardRule(action="DISA")),
            "failure_forward_rule.action must be one of FORWARD_TO_NUMBER, .*, HANGUP",
        ),
        (
            with_fields(GOOD, night_mode_forward_rule=ForwardRule(action="FORWARD_TO_VOICEMAIL")),
            "night_mode_forward_rule.number is missing",
        ),
        (
            with_fields(GOOD, outbound_caller_ids=(OutboundCallerId(description="x" * 1025),)),
            r"outbound_caller_ids\[0\].description has 1025",
        ),
        (
            with_fields(GOOD, custom_forward_rules=(CustomRule(), CustomRule(user_input="1"))),
            r"custom_forward_rules\[0\].user_input is missing",
        ),
        (
            with_fields(
                GOOD,
                custom_forward_rules=(CustomRule(user_input="1", holidays=(XMAS,)),),
            ),
            r"custom_forward_rules\[0\].holidays\[0\].id is missing",
        ),
        (with_fields(ACTION, dtmf_mask="", caller_mask="1"), "dtmf_mask is missing"),
        (with_fields(ACTION, type="CALLER"), "caller_mask is missing"),
        (with_fields(ACTION, auth="DIGEST"), "password is missing, which auth DIGEST needs"),
        (with_fields(ACTION, auth="BEARER"), "token is missing"),
        (with_fields(ACTION, username="ABCDEF"), "username does not match"),
        (with_fields(ACTION, request_timeout=-1), "request_timeout must be from 0 to 2147483647"),
        (with_fields(ACTION, url="x" * 129), "url has 129"),
        (with_fields(XMAS, region="DE"), "region has 2 characters"),
        (with_fields(XMAS, region="deu"), "region does not match"),
        (with_fields(XMAS, consecutive=None), "consecutive is missing"),
        (with_fields(XMAS, year_end=-1), "year_end must be from 0 to 9999"),
        (with_fields(XMAS, month_start=13), "month_start must be from 1 to 12"),
        (with_fields(XMAS, day_end=0), "day_end must be from 1 to 31"),
        (with_fields(XMAS, hour_start=24), "hour_start must be from 0 to 23"),
        (with_fields(XMAS, minute_end=60), "minute_end must be from 0 to 59"),
        (IvrServer(name="a"), "ipv4 or ipv6 is missing"),
        (IvrServer(name="a", ipv4="10.0.0.256"), "ipv4 is no IPv4 address"),
        (IvrServer(name="a", ipv6="10.0.0.1"), "ipv6 is no IPv6 address"),
    ],
)
def test_invalid_resources(item: Model, problem: str) -> None:
    with pytest.raises(DeclarationError, match=f"x: .*{problem}") as caught:
        checks.refuse("x", checks.problems(item, creating=True))
    for secret in ("77777", "abcdef"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("start", "end", "problem"),
    [
        ("09:00", "17:00", ""),
        ("9:00", "17:00", "from does not match"),
        ("09:00", "24:00", "to does not match"),
        ("17:00", "17:00", "from must be before to"),
        ("", "17:00", "from is missing"),
    ],
)
def test_office_hours(start: str, end: str, problem: str) -> None:
    day = Day(enabled=True, ranges=(TimeRange(start=start, end=end),))
    rule = CustomRule(user_input="1", office_hours=OfficeHours(mode="CUSTOM", sunday=day))
    found = checks.problems(with_fields(GOOD, custom_forward_rules=(rule,)))
    assert bool(found) == bool(problem)
    if problem:
        assert found[0].startswith(
            f"custom_forward_rules[0].office_hours.sunday.ranges[0].{problem}"
        )


def test_only_the_rules_of_a_key_may_lead_to_disa() -> None:
    rule = CustomRule(user_input="1", office_hours_forward_rule=KeyRule(action="DISA"))
    assert checks.problems(with_fields(GOOD, custom_forward_rules=(rule,))) == ()


def test_fields_that_only_the_pbx_sets_are_not_checked() -> None:
    assert checks.problems(PromptFile(id="", name="x" * 999, size=-1)) == ()


# what people write ---------------------------------------------------------------------------


def test_a_mapping_becomes_a_model() -> None:
    data = {
        "name": "Sales",
        "pin": "135792",
        "language": None,
        "dtmf_interval": "3",
        "enable_pin": "true",
        "timeout_forward_rule": {"timeout": "5", "number": None},
        "custom_forward_rules": [
            {
                "user_input": "1",
                "holidays": ["h1", {"id": "h2"}],
                "office_hours": {"monday": {"ranges": [{"from": "09:00", "to": "10:00"}]}},
            }
        ],
    }
    hours = OfficeHours(monday=Day(ranges=(TimeRange(start="09:00", end="10:00"),)))
    holidays = (Holiday(id="h1"), Holiday(id="h2"))
    rule = CustomRule(user_input="1", holidays=holidays, office_hours=hours)
    assert checks.parse(Ivr, data) == Ivr(
        name="Sales",
        pin=Secret("135792"),
        dtmf_interval=3,
        enable_pin=True,
        timeout_forward_rule=TimeoutRule(timeout=5),
        custom_forward_rules=(rule,),
    )


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"languag": "de"}, "there is no field languag: did you mean language"),
        ({"zzz": 1}, "there is no field zzz: known are custom_forward_rules, .*, "),
        (
            {"timeout_forward_rule": {"timout": 1}},
            "there is no field timeout_forward_rule.timout: did you mean timeout",
        ),
        (
            {"custom_forward_rules": [{"input": "1"}]},
            r"there is no field custom_forward_rules\[0\].input: did you mean user_input",
        ),
        ({"dtmf_interval": "two"}, "dtmf_interval must be a whole number"),
        ({"enable_pin": "maybe"}, "enable_pin must be true or false"),
        ({"name": 1}, "name must be text"),
        ({"pin": 135792}, "pin must be text"),
        ({"custom_forward_rules": "1"}, "custom_forward_rules must be a list"),
        ({"custom_forward_rules": ["1"]}, r"custom_forward_rules\[0\] must be an object"),
        ({"failure_forward_rule": "HANGUP"}, "failure_forward_rule must be an object"),
    ],
)
def test_a_mapping_that_does_not_fit(data: dict[str, Any], problem: str) -> None:
    with pytest.raises(DeclarationError, match=problem) as caught:
        checks.parse(Ivr, data)
    assert "135792" not in str(caught.value)


def test_changes_are_the_given_fields() -> None:
    assert checks.changes(ActionUrl, {"name": "b"}) == {"name": "b"}
    assert checks.changes(Ivr, Ivr(dtmf_interval=3, custom_forward_rules=())) == {
        "dtmf_interval": 3,
        "custom_forward_rules": [],
    }
    assert checks.changes(Ivr, {"language": "", "name": None}) == {}
    with pytest.raises(DeclarationError, match="prompt_file_name is set by the PBX itself"):
        checks.changes(Ivr, {"prompt_file_name": "x"})


def test_a_merge_changes_objects_by_key_and_lists_as_a_whole() -> None:
    before = Ivr(
        id="7",
        name="Sales",
        pin=Secret("******"),
        timeout_forward_rule=TimeoutRule(timeout=30, repeat_times=3),
        custom_forward_rules=(CustomRule(user_input="1"),),
        prompt_file_name="a.wav",
        language="de",
    )
    change = {
        "timeout_forward_rule": {"timeout": 5},
        "failure_forward_rule": {"action": "HANGUP"},
        "custom_forward_rules": [],
    }
    assert checks.overlay(before, change, ["language"]) == Ivr(
        name="Sales",
        timeout_forward_rule=TimeoutRule(timeout=5, repeat_times=3),
        failure_forward_rule=ForwardRule(action="HANGUP"),
        custom_forward_rules=(),
    )


@pytest.mark.parametrize("key", ["enable_pin", "timeout_forward_rule", "name", "nonsense"])
def test_fields_that_cannot_be_emptied(key: str) -> None:
    checks.refuse_clearing(Ivr, ["language", "pin", "custom_forward_rules"])
    with pytest.raises(DeclarationError, match=f"cannot be emptied: {key}"):
        checks.refuse_clearing(Ivr, [key])


def test_fields_that_only_a_create_can_set() -> None:
    checks.refuse_fixed(GOOD, {"extension_number": "8000", "name": "x"})
    with pytest.raises(DeclarationError, match="only be set when it is created: extension_number"):
        checks.refuse_fixed(GOOD, {"extension_number": "8001"})


def test_fields_that_the_pbx_did_not_store() -> None:
    after = Ivr(name="Sales, Berlin", exclude_list="1–5;7", language="de", custom_forward_rules=())
    change: dict[str, Any] = {"name": "Sales, Berlin", "exclude_list": "1-5, 7", "pin": "135792"}
    change |= {"prompt_file_id": "f", "enable_night_mode": True, "dtmf_interval": 3}
    lost = ["enable_night_mode (since 22.3)", "dtmf_interval"]
    assert checks.not_taken(after, change) == lost
    assert checks.not_taken(after, {}, ["language", "exclude_list", "custom_forward_rules"]) == [
        "language",
        "exclude_list (since 22.3)",
    ]


@pytest.mark.parametrize(
    ("found", "sent", "covered"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        (None, {"a": 1}, False),
        ([{"a": 1, "b": 1}], [{"a": 1}], True),
        ([], [{"a": 1}], False),
        (None, [], True),
        ("1 ;2", "1;2", True),
        ("1", 1, False),
    ],
)
def test_covering(found: object, sent: object, covered: bool) -> None:
    assert checks.covers(found, sent) is covered


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_everything_covers_itself(value: object) -> None:
    assert checks.covers(value, value)


def test_similar_words_are_suggested() -> None:
    assert checks.nearest("languag", ["language", "name"]) == "did you mean language?"
    assert checks.nearest("zzz", ["b", "a"]) == "known are a, b"


def test_blank() -> None:
    assert all(map(is_blank, (None, "", Secret(""))))
    assert not any(map(is_blank, (0, False, (), "0", Secret("0"))))


def test_a_field_without_limits_has_no_problem() -> None:
    class Odd(Model, frozen=True, kw_only=True):
        thing: object = None

    assert shapes(Odd)["thing"].kind == "other"
    assert shapes(Odd)["thing"].spec == Spec()
    assert leaf_problem(shapes(Odd)["thing"], object()) == ""


@given(st.builds(Ivr, name=st.text(), dtmf_interval=st.none() | st.integers()))
def test_no_value_breaks_the_check(ivr: Ivr) -> None:
    for problem in checks.problems(ivr, creating=True):
        assert problem.partition(" ")[0].partition(".")[0] in shapes(Ivr)
    assert "id" not in write(ivr)


HOOK = ActionUrl(name="a", type="DTMF", method="GET", dtmf_mask="1", url="https://x.example/abcdef")


@pytest.mark.parametrize(
    "fields",
    [
        {"dtmf_mask": "1;2-5;9**"},
        {"dtmf_mask": "22, 33;"},
        {"dtmf_mask": "all"},
        {"type": "CALLER", "caller_mask": "+49*****"},
        {"headers": "X-Key:a b:c&Y:"},
        {"url": "http://u:p@10.0.0.5:8080/x?y=1"},
    ],
    ids=str,
)
def test_a_good_action_url(fields: dict[str, Any]) -> None:
    assert checks.problems(with_fields(HOOK, **fields), creating=True) == ()


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"dtmf_mask": "1;;2"}, "dtmf_mask cannot be read: a mask has an empty entry"),
        ({"dtmf_mask": "9-1"}, "dtmf_mask cannot be read: range"),
        ({"type": "CALLER", "caller_mask": "ann"}, "caller_mask cannot be read: mask entry"),
        ({"type": "CALLER", "caller_mask": "All"}, "caller_mask cannot be ALL"),
        ({"headers": "hush"}, "headers must be key1:value1&key2:value2"),
        ({"headers": "X:hush&"}, "headers must be key1:value1&key2:value2"),
        ({"headers": "X: hush"}, "headers must be key1:value1&key2:value2"),
        ({"url": "hush.example/abcdef"}, "url must be a URL such as"),
        ({"url": "https:///hush"}, "url must be a URL such as"),
        ({"url": "https://x.example:99999/hush"}, "url must be a URL such as"),
        ({"url": "https://x.example/hu sh"}, "url must be a URL such as"),
        ({"url": "ftp://x.example/hush"}, "url must be a URL such as"),
    ],
    ids=str,
)
def test_a_bad_action_url(fields: dict[str, Any], problem: str) -> None:
    (found,) = checks.problems(with_fields(HOOK, **fields), creating=True)
    assert found.startswith(problem)
    assert "hush" not in found
