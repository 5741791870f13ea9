"""The whole IVR in a configuration file: the same as in Python, and its errors by line."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from handlers.hours import Hours
from receiver import Disa, Forward, Hangup, IvrOptions, MenuEntry, Voicemail
from receiver.cli import main
from receiver.cli.handlers import example
from receiver.config.build import build
from receiver.config.catalogue import Entry, installed
from receiver.config.types import VALUES, MenuRuleValue, RuleValue, in_words, table_of, type_of
from receiver.declarations.ivr_menu import MenuRule, Rule, rule_fields
from receiver.pbx.models_ivr import CustomRule, Day, KeyRule, TimeRange
from tests.command_line import CliRunner
from tests.config.files import built, problems
from tests.full_ivr import CHRISTMAS, OFFICE, PIN, full_ivr

FULL = """
[define.office]
value = "office-hours"

[define.office.week]
mon-thu = "08:30-12:30, 13:30-17:00"
fri = "08:30-15:00"
sat = "10:00-12:00"
sun = "14:00-16:00"

[define.christmas]
value = "holiday"
name = "Christmas"
days = "2026-12-24 14:30 to 2027-01-06 08:15"
region = "DEU"

[define.may]
value = "holiday"
name = "Labour Day"
days = "05-01"
region = "DEU"
consecutive = false

[define.opening-hours]
handler = "hours"
zone = "Europe/Berlin"
week = {use = "office"}
holidays = [{use = "christmas"}, {use = "may"}]
open = "222"
closed = "8999"

[[ivr]]
number = "8000"
name = "Sales"
language = "en-US"
prompt = "welcome.wav"
transfer_prompt = "one-moment.wav"
dtmf_interval = 3
timeout = 8
repeat_times = 2
timeout_reply = {voicemail = "101"}
failure_reply = "0"
night_mode = true
night_reply = {forward = "8999"}
exclude_list = ["1001-2001", "3000"]
pin = "$DISA_PIN"
enable_pin = true
audio_recording = true

[[ivr.menu]]
key = "1"
then = "222"
hours = {use = "office"}
closed = {voicemail = "222"}
holidays = [{use = "christmas"}, {use = "may"}]
on_holiday = "8998"

[[ivr.menu]]
key = "22#"
then = "repeat"
closed = {hangup = true}

[[ivr.menu]]
key = "9"
then = "disa"

[[ivr.outbound_caller_ids]]
provider_id = "NzAwNTUx"
caller_id = "+4930123456"
description = "sales calls"
display_name = "Sales"

[[ivr.dtmf]]
mask = "5"
then = {use = "opening-hours"}
"""
ENTRIES = list(installed("value").values())
IVR = '[[ivr]]\nnumber = "8000"\nname = "S"\n'


@pytest.fixture(scope="module")
def validator() -> Any:
    printed = json.loads(CliRunner().invoke(main, ["schema"]).stdout)
    jsonschema.Draft202012Validator.check_schema(printed)
    return jsonschema.Draft202012Validator(printed)


def test_a_file_declares_what_python_declares(tmp_path: Path) -> None:
    (ivr,) = build(FULL, "app.toml", {"DISA_PIN": PIN}, tmp_path).ivrs
    assert ivr.desired == full_ivr(tmp_path).desired
    assert set(tomllib.loads(FULL)["ivr"][0]) >= IvrOptions.__annotations__.keys()


def test_handlers_share_office_hours_and_holidays_with_menus(tmp_path: Path) -> None:
    (ivr,) = build(FULL, "app.toml", {"DISA_PIN": PIN}, tmp_path).ivrs
    (action,) = ivr
    assert isinstance(action.handler, Hours)
    assert action.handler._week == OFFICE.ranges
    assert action.handler._declared[0] == CHRISTMAS


def test_a_whole_ivr_is_valid(validator: Any) -> None:
    validator.validate(tomllib.loads(FULL))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_the_example_of_each_value_is_valid_and_can_be_read(validator: Any, entry: Entry) -> None:
    text = f"[define.it]\n{example(entry)}\n[[ivr]]\nnumber = '8000'"
    validator.validate(tomllib.loads(text))
    assert (entry.distribution, entry.target) == ("", VALUES[entry.name])
    built(text)


def test_values_are_listed() -> None:
    printed = CliRunner().invoke(main, ["handlers", "office-hours", "outbound-caller-id"]).stdout
    first = "office-hours, a value  (receiver.declarations.office_hours:OfficeHours)"
    assert printed.splitlines()[0] == first
    assert "  week: a table (a string), required" in printed
    assert "  provider_id: a string" in printed


def first_entry(text: str, **variables: str) -> CustomRule:
    (ivr,) = built(IVR + text, **variables).ivrs
    assert ivr.desired is not None
    assert ivr.desired.fields.custom_forward_rules is not None
    return ivr.desired.fields.custom_forward_rules[0]


def test_hours_of_a_menu_entry_may_stand_there() -> None:
    for hours in ('{mon-fri = "09:00-17:00"}', '{week = {mon-fri = "09:00-17:00"}}'):
        rule = first_entry(f'menu = [{{key = "1", then = "222", hours = {hours}}}]')
        assert rule.office_hours is not None
        assert rule.office_hours.monday == Day(
            enabled=True, ranges=(TimeRange(start="09:00", end="17:00"),)
        )


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ('"disa"', Disa()),
        ('" DISA "', Disa()),
        ('"hangup"', Hangup()),
        ('{forward = "222"}', Forward("222")),
        ('{voicemail = "$BOX"}', Voicemail("101")),
        ('"$DEST"', Forward("0")),
    ],
)
def test_rules_of_a_menu(written: str, rule: MenuRule) -> None:
    found = first_entry(f'menu = [{{key = "1", then = {written}}}]', BOX="101", DEST="0")
    assert found.office_hours_forward_rule == KeyRule(**rule_fields(rule))


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('timeout_reply = "disa"', "4 ivr.timeout_reply: this is neither"),
        (
            "timeout_reply = 3",
            "4 ivr.timeout_reply: this is an integer; it must be a rule such as "
            '"222" or {voicemail = "101"}',
        ),
        (
            'timeout_reply = {voicemale = "1"}',
            '4 ivr.timeout_reply: it must be a rule such as "222" or {voicemail = "101"}',
        ),
        (
            'night_reply = {voicemail = "$BOX"}',
            '4 ivr.night_reply.voicemail: Voicemail wants the number of an extension, as "101"',
        ),
        ("night_reply = {voicemail = 3}", "4 ivr.night_reply.voicemail: this is an integer"),
        ('night_reply = {voicemail = "$NONE"}', "4 ivr.night_reply.voicemail: the variable NONE"),
        ('night_reply = {handler = "menu"}', "4 ivr.night_reply: it must be a rule"),
        ("night_reply = {hangup = true, x = 1}", "4 ivr.night_reply.x: hangup = … is a complete"),
        ('night_reply = {voicemail = "1", x = 1}', "4 ivr.night_reply: it must be a rule"),
        ('night_mode = "yes"', "4 ivr.night_mode: this is a string; it must be true or false"),
        ("menu = [{}]", "4 ivr.menu: key is missing; it must be a string"),
        ('menu = [{ky = "1"}]', "4 ivr.menu.ky: there is no such key; did you mean key?"),
        ("menu = [3]", "4 ivr.menu: this is an integer; it must be a table (menu entry)"),
        ('menu = [{key = "1"}]', "4 ivr.menu: then is missing; it must be a rule such as"),
        ('menu = [{key = "1", then = "222", tehn = 1}]', "4 ivr.menu.tehn: there is no such key"),
        (
            'menu = [\n{key = "1", then = "222"},\n{key = "x", then = "222"}]',
            "MenuEntry: 'x' is no key",
        ),
        ('[[ivr.menu]]\nkey = "x"\nthen = "1"', "4 ivr.menu: MenuEntry: 'x' is no key"),
        (
            '[[ivr.menu]]\nkey = "1"\nthen = "1"\nhours = {mon = "22:00-06:00"}',
            "4 ivr.menu: MenuEntry 1: hours of monday reach midnight",
        ),
        (
            '[[ivr.menu]]\nkey = "1"\nthen = "1"\nhours = {use = "closed"}\n'
            '[define.closed]\nhandler = "menu"\nchoices = {1 = "222"}',
            "7 ivr.menu.hours: this is a Menu; it must be a table (office hours)",
        ),
        (
            '[[ivr.menu]]\nkey = "1"\nthen = "1"\nholidays = [{name = "X", days = "13-01", '
            'region = "DEU"}]',
            "7 ivr.menu.holidays: Holiday: '13-01' are no days",
        ),
        ('[define.it]\nvalue = "nope"', "5 define.it.value: no value 'nope' is installed"),
    ],
)
def test_errors_have_their_line(lines: str, problem: str) -> None:
    found = problems(IVR + lines, BOX="x")
    assert [one for one in found if problem in one], found


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({"timeout_reply": "disa"}, None),  # a destination is checked by receiver check
        ({"timeout_reply": 3}, "timeout_reply"),
        ({"menu": [{"key": "1", "then": {"voicemail": 3}}]}, "menu"),
        ({"menu": [{"key": "1"}]}, "menu"),
        ({"menu": [{"key": "1", "then": "222", "tehn": "1"}]}, "menu"),
        ({"night_mode": "yes"}, "night_mode"),
        ({"outbound_caller_ids": [{"provider": "x"}]}, "outbound_caller_ids"),
    ],
)
def test_the_schema_reports_wrong_types(
    validator: Any, document: dict[str, Any], where: str | None
) -> None:
    errors = list(validator.iter_errors({"ivr": [{"number": "8000", **document}]}))
    assert {one.absolute_path[2] for one in errors} == ({where} if where else set())


def test_types_of_rules_and_values() -> None:
    assert type_of(Rule) is RuleValue
    assert type_of(MenuRule | None) is MenuRuleValue
    assert type_of(MenuEntry) is table_of(MenuEntry)
    assert "disa" in in_words(MenuRuleValue)
    assert in_words(table_of(MenuEntry)) == "a table (menu entry)"
