"""Rules and menus of IVRs, as values."""

from __future__ import annotations

from typing import Any

import pytest

from receiver import (
    DeclarationError,
    Disa,
    Forward,
    Hangup,
    Holiday,
    Ivr,
    MenuEntry,
    OfficeHours,
    Repeat,
    Voicemail,
)
from receiver.declarations.ivr_menu import holiday_fields, is_rule, list_of, rule_fields
from receiver.pbx.models_shared import Holiday as Fields

CHRISTMAS = Holiday("Christmas", "12-24 to 12-26", region="DEU")


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        (Forward("222"), {"action": "FORWARD_TO_NUMBER", "number": "222"}),
        (Hangup(), {"action": "HANGUP"}),
        (Repeat(), {"action": "REPEAT"}),
        (Voicemail("101"), {"action": "FORWARD_TO_VOICEMAIL", "number": "101"}),
        (Disa(), {"action": "DISA"}),
    ],
)
def test_a_rule_as_the_pbx_has_it(rule: Any, fields: dict[str, str]) -> None:
    assert rule_fields(rule) == fields
    assert is_rule(rule, menu=True)
    assert is_rule(rule) == (rule != Disa())


def test_a_handler_cannot_return_a_rule_that_is_no_reply() -> None:
    for option in ("then", "closed"):
        assert not is_rule(option)
    with pytest.raises(DeclarationError, match="fallback must be a reply"):
        Ivr("8000", fallback=Voicemail("101"))  # type: ignore[arg-type]


@pytest.mark.parametrize("extension", ["", "sales", "+49", "1" * 65, 101, None])
def test_a_voicemail_is_that_of_an_extension(extension: Any) -> None:
    with pytest.raises(DeclarationError, match='Voicemail wants the number of an extension, as "1'):
        Voicemail(extension)


def test_an_entry_has_hours_and_rules_of_its_own() -> None:
    office = OfficeHours({"mon": "09:00-12:00, 13:00-17:00", "tue": "00:00-24:00"})
    entry = MenuEntry(
        "1#", Forward("222"), hours=office, closed=Hangup(), holidays=[CHRISTMAS], on_holiday=Disa()
    )
    closed = {"enabled": False, "ranges": []}
    assert entry.fields == {
        "user_input": "1#",
        "office_hours": {
            "mode": "CUSTOM",
            "monday": {
                "enabled": True,
                "ranges": [{"from": "09:00", "to": "12:00"}, {"from": "13:00", "to": "17:00"}],
            },
            "tuesday": {"enabled": True, "ranges": []},
            **dict.fromkeys(("wednesday", "thursday", "friday", "saturday", "sunday"), closed),
        },
        "office_hours_forward_rule": {"action": "FORWARD_TO_NUMBER", "number": "222"},
        "non_office_hours_forward_rule": {"action": "HANGUP"},
        "holidays": ["Christmas"],
        "holiday_forward_rule": {"action": "DISA"},
    }
    assert len({entry, MenuEntry("1", Hangup()), MenuEntry("1", Hangup())}) == 2


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"key": ""}, "MenuEntry: '' is no key"),
        ({"key": "one"}, "MenuEntry: 'one' is no key"),
        ({"key": 1}, "MenuEntry: 1 is no key"),
        ({"then": "222"}, "MenuEntry 1: then must be a rule such as Forward"),
        ({"then": None}, "MenuEntry 1: then must be a rule such as Forward"),
        ({"closed": "222"}, r"MenuEntry 1: closed must be a rule .* or Disa\(\)"),
        ({"on_holiday": Hangup}, "MenuEntry 1: on_holiday must be a rule"),
        ({"hours": "09:00"}, "MenuEntry 1: hours: week= is a table"),
        ({"hours": {"mon": "22:00-06:00"}}, "hours of monday reach midnight"),
        ({"hours": {"mon": "22:00-24:00"}}, "hours of monday reach midnight"),
        ({"holidays": "12-24"}, "holidays must be a list of Holiday"),
        ({"holidays": ["12-24"]}, "holidays must be a list of Holiday"),
        ({"holidays": 5}, "holidays must be a list of Holiday"),
    ],
)
def test_what_a_menu_cannot_have(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(DeclarationError, match=problem):
        MenuEntry(**{"key": "1", "then": Forward("222"), **options})


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"menu": "1"}, "menu must be a list such as"),
        ({"menu": [Forward("222")]}, "menu must be a list such as"),
        ({"menu": [MenuEntry("1", Hangup())] * 2}, "menu has two entries for the key 1"),
        ({"timeout_reply": Disa()}, "timeout_reply must be a rule such as"),
        ({"night_mode": "on"}, "night_mode must be True or False"),
        ({"enable_pin": None}, "enable_pin must be True or False"),
        ({"audio_recording": 1}, "audio_recording must be True or False"),
        ({"exclude_list": 5}, "exclude_list must be a list"),
        ({"exclude_list": [1001]}, "exclude_list must be a list"),
        ({"exclude_list": ["sales"]}, "exclude_list contains 'sales'"),
        ({"repeat_times": -1}, "repeat_times must be from 0"),
        ({"transfer_prompt": 5}, "transfer_prompt must be the path"),
        ({"transfer_prompt": ""}, "transfer_prompt is empty"),
        ({"outbound_caller_ids": ["+49"]}, "outbound_caller_ids must be a list of"),
        ({"menu": []}, "give it a name="),
    ],
)
def test_what_an_ivr_cannot_have(options: dict[str, Any], problem: str) -> None:
    name: Any = {} if problem.startswith("give") else {"name": "Sales"}
    with pytest.raises(DeclarationError, match=problem) as caught:
        Ivr("8000", **name, **options)
    assert caught.value.where.startswith(__file__)


def test_numbers_that_cannot_be_dialled_may_be_one_text() -> None:
    made = Ivr("8000", name="Sales", exclude_list="1001–2001, 3000").desired
    assert made is not None
    assert made.fields.exclude_list == "1001-2001;3000"


def test_a_holiday_as_the_pbx_has_it() -> None:
    assert holiday_fields(CHRISTMAS) == Fields(
        name="Christmas",
        region="DEU",
        consecutive=True,
        every_year=True,
        month_start=12,
        month_end=12,
        day_start=24,
        day_end=26,
    )


def test_a_list_of_one_type() -> None:
    assert list_of(iter("ab"), str) == ["a", "b"]
    assert list_of([1, "b"], str) is None
    assert list_of("ab", str) is None
    assert list_of(None, str) is None
