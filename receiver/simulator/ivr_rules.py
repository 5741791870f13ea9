"""Apply the configuration of an IVR on the simulated PBX to a call.

Pure.
"""

from __future__ import annotations

from receiver.errors import MaskError
from receiver.masks import Mask
from receiver.replies import KINDS
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


def announcement(pbx: Pbx, number: str) -> Json | None:
    """Return the IVR with this number, if it only announces (`receiver.Announcement`)."""
    found = pbx.ivr_at(number)
    if found is None or any(one["enabled"] for one in pbx.action_urls(found.id)):
        return None
    ivr = pbx.ivrs.stored(found.id)
    rule = ivr.get("timeout_forward_rule") or {}
    only = rule.get("repeat_times") == 0 and not ivr.get("custom_forward_rules")
    return ivr if only and is_complete(rule) and rule["action"] != "REPEAT" else None


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
