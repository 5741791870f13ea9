"""Declared IVRs and holidays compared with those of a PBX, as values."""

from __future__ import annotations

from typing import Any

from receiver import Forward, Hangup, Ivr, MenuEntry, OutboundCallerId
from receiver.pbx import models_ivr
from receiver.pbx.models import read
from receiver.pbx.models_shared import Holiday
from receiver.registration.compare_ivr import holiday_differences, ivr_differences

RULE = {"action": "FORWARD_TO_NUMBER", "number": "222"}


def drift(menu: Any = (), **fields: Any) -> list[str]:
    """Return the differences from an IVR with ``fields``."""
    desired = Ivr("8000", name="Sales", menu=menu).desired
    assert desired is not None
    actual = read(models_ivr.Ivr, {"id": "i1", "name": "Sales", **fields})
    return list(map(str, ivr_differences(desired, actual)))


def rules(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"custom_forward_rules": list(entries)}


ENTRY = MenuEntry("1", Forward("222"))


def test_hours_of_the_tenant_may_be_left_out_by_the_pbx() -> None:
    entry = {"user_input": "1", "office_hours_forward_rule": RULE}
    assert not drift([ENTRY], **rules(entry))
    days = {"monday": {"enabled": True}}
    for hours in (None, {"mode": "GLOBAL", **days}, {"mode": "global"}, days):
        assert not drift([ENTRY], **rules({**entry, "office_hours": hours}))
    assert drift([ENTRY], **rules({**entry, "office_hours": {"mode": "CUSTOM", **days}})) == [
        "custom_forward_rules.1.office_hours: mon 00:00-24:00; tue-sun closed → GLOBAL"
    ]


def test_the_number_of_a_rule_that_forwards_nowhere_is_no_difference() -> None:
    there = {"action": "HANGUP", "number": "222"}
    entry = {"user_input": "1", "office_hours_forward_rule": there}
    assert not drift([MenuEntry("1", Hangup())], **rules(entry))


def test_rules_and_entries_that_are_not_declared_are_differences() -> None:
    closed = {
        "user_input": "1",
        "office_hours_forward_rule": RULE,
        "non_office_hours_forward_rule": RULE,
    }
    assert drift([ENTRY], **rules(closed)) == [
        "custom_forward_rules.1.non_office_hours_forward_rule: FORWARD_TO_NUMBER 222 → (none)"
    ]
    twice = drift([ENTRY], **rules(closed, closed))
    assert [one.partition(":")[0] for one in twice] == [
        "custom_forward_rules.1.non_office_hours_forward_rule",
        "custom_forward_rules.1~.office_hours",
        "custom_forward_rules.1~.office_hours_forward_rule",
        "custom_forward_rules.1~.non_office_hours_forward_rule",
    ]


def test_the_order_of_ranges_and_holidays_is_no_difference() -> None:
    ranges = [{"from": "13:00", "to": "17:00"}, {"from": "09:00", "to": "12:00"}]
    entry = {
        "user_input": "1",
        "office_hours": {"mode": "CUSTOM", "monday": {"enabled": True, "ranges": ranges}},
        "office_hours_forward_rule": RULE,
        "holidays": [{"id": "2", "name": "New Year"}, "Christmas"],
    }
    hours = {"mon": "09:00-12:00, 13:00-17:00"}
    mine = MenuEntry("1", Forward("222"), hours=hours)
    assert drift([mine], **rules(entry)) == [
        "custom_forward_rules.1.holidays: Christmas, New Year → (none)"
    ]


def test_outbound_caller_ids_are_compared_one_by_one() -> None:
    one, two = OutboundCallerId(provider_id="a", caller_id="1"), OutboundCallerId(caller_id="2")
    desired = Ivr("8000", name="Sales", outbound_caller_ids=[one, two]).desired
    assert desired is not None
    ids = [{"provider_id": "a", "caller_id": "1", "description": "x"}]
    actual = read(models_ivr.Ivr, {"name": "Sales", "outbound_caller_ids": ids})
    assert list(map(str, ivr_differences(desired, actual))) == [
        "outbound_caller_ids.2.caller_id: (none) → 2",
        "outbound_caller_ids.1.description: x → (none)",
    ]


def test_parts_of_a_holiday_that_are_not_declared_are_not_compared() -> None:
    mine = Holiday(name="X", month_start=12)
    assert not list(holiday_differences(mine, Holiday(name="X", month_start=12, hour_start=1)))
    assert list(map(str, holiday_differences(mine, Holiday(name="X", month_start=11)))) == [
        "month_start: 11 → 12"
    ]
