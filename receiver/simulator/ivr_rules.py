"""Apply the configuration of an IVR on the simulated PBX to a call.

Pure.
"""

from __future__ import annotations

from receiver.errors import MaskError
from receiver.masks import Mask
from receiver.replies import KINDS
from receiver.simulator.hours import LocalTime, is_holiday, is_open
from receiver.simulator.model import Pbx
from receiver.simulator.validation import ApiError, Json


def outcomes() -> dict[object, str]:
    """Return the outcomes by the action of a rule: those of replies, and two that no reply has."""
    by_rule: dict[object, str] = {kind.rule: kind.outcome for kind in KINDS.values() if kind.rule}
    return {"FORWARD_TO_VOICEMAIL": "voicemail", "DISA": "disa"} | by_rule


def is_complete(rule: Json | None) -> bool:
    """Return whether a rule is complete: an action, and a number if that needs one."""
    action = (rule or {}).get("action") or ""
    return action in outcomes() and bool(
        not action.startswith("FORWARD_") or (rule or {}).get("number")
    )


def rule_of(pbx: Pbx, entry: Json, now: LocalTime) -> tuple[str, Json | None]:
    """Return the rule of a menu entry that applies now, after a text that says when."""
    holidays = (pbx.holidays.find(key) for key in entry.get("holidays") or ())
    holiday = entry.get("holiday_forward_rule")
    if is_complete(holiday) and is_holiday(holidays, now):
        return ", on a holiday", holiday
    if is_open(entry.get("office_hours"), pbx.office_hours, now):
        return "", entry.get("office_hours_forward_rule")
    return ", outside of office hours", entry.get("non_office_hours_forward_rule")


def night_rule(pbx: Pbx, ivr: Json) -> Json | None:
    """Return the rule of an IVR's night mode; None if that is off, or has no complete rule."""
    has = pbx.behaviour.has
    own = has("22.3") and ivr.get("enable_night_mode")
    rule: Json | None = ivr.get("night_mode_forward_rule")
    on = has("22.2") and (own or pbx.night_mode)
    return rule if on and is_complete(rule) else None


def announces(pbx: Pbx, ivr: Json) -> bool:
    """Return whether an IVR only announces (`receiver.Announcement`)."""
    if any(one["enabled"] for one in pbx.action_urls(ivr["id"])):
        return False
    rule = ivr.get("timeout_forward_rule") or {}
    only = rule.get("repeat_times") == 0 and not ivr.get("custom_forward_rules")
    return only and is_complete(rule) and rule["action"] != "REPEAT"


def prompt_seconds(pbx: Pbx, ivr: Json) -> float:
    """Return the length of the prompt of an IVR; 0 if it is unknown."""
    file = pbx.files.find(ivr.get("prompt_file_id") or "") or {}
    seconds: float = file.get("seconds", 0.0)
    return seconds


def is_dialled(pbx: Pbx, ivr: Json, number: str) -> bool:
    """Return whether a caller in ``ivr`` who keys in ``number`` is connected to that extension."""
    try:
        pbx.at(number)
    except ApiError:
        return False
    excluded = (ivr.get("exclude_list") or "").replace(",", ";")
    try:
        return not Mask.parse(excluded).matches(number)
    except MaskError:
        return True  # empty or invalid
