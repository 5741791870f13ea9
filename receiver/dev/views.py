"""What the page is told of the IVRs: prompt, menu, actions, office hours. Values in, values out.

What it says of the time is of the moment that is passed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from receiver.actions import split_path
from receiver.dev.messages import DeclaredAction
from receiver.pbx.models import ActionUrl, read
from receiver.simulator.hours import LocalTime, is_holiday, is_open
from receiver.simulator.model import Pbx

Json = dict[str, Any]

_DOES = {
    "FORWARD_TO_NUMBER": "forward to {}",
    "FORWARD_TO_VOICEMAIL": "voicemail of {}",
    "REPEAT": "repeat the prompt",
    "HANGUP": "hang up",
    "DISA": "dial out",
}
_RULES = (
    ("office_hours_forward_rule", ""),
    ("non_office_hours_forward_rule", "outside of office hours "),
    ("holiday_forward_rule", "on holidays "),
)


def ivrs_json(
    label: str, pbx: Pbx, declared: Mapping[str, DeclaredAction], base: str, now: LocalTime
) -> list[Json]:
    """All IVRs of one PBX.

    Parameters:
        label: of the PBX.
        pbx: the simulated one.
        declared: the actions, by identity.
        base: where the service is.
        now: the moment, for office hours.
    """
    return [
        {
            "number": ivr["extension_number"],
            "pbx": label,
            "name": ivr["name"],
            "prompt": prompt_json(pbx, ivr),
            "menu": list(_menu(ivr)),
            "actions": [
                _action(read(ActionUrl, one), declared, base) for one in pbx.action_urls(ivr["id"])
            ],
            "night": bool(ivr.get("enable_night_mode")) or pbx.night_mode,
            "office": office(pbx, ivr, now),
        }
        for ivr in pbx.ivrs
    ]


def prompt_json(pbx: Pbx, ivr: Json) -> Json:
    """What the IVR plays, as far as it is known."""
    file = pbx.files.find(ivr.get("prompt_file_id") or "")
    if file is None:
        return {"text": None, "audio": None}
    return {"text": file["name"], "audio": f"audio/{file['id']}"}


def identity_of(url: str, base: str) -> str | None:
    """The identity of the action at ``url``; None if it is of another service."""
    if not url.startswith(f"{base}/"):
        return None
    target = split_path(unquote(urlsplit(url[len(base) :]).path))
    return target.identity if target else None


def office(pbx: Pbx, ivr: Json, now: LocalTime) -> str:
    """Whether the IVR's menu follows its rules for office hours: open, closed or holiday."""
    entries = ivr.get("custom_forward_rules") or []
    holidays = (pbx.holidays.find(key) for entry in entries for key in entry.get("holidays") or ())
    if is_holiday(holidays, now):
        return "holiday"
    hours: Iterable[Json | None] = [entry.get("office_hours") for entry in entries] or [None]
    return "open" if all(is_open(one, pbx.office_hours, now) for one in hours) else "closed"


def _action(one: ActionUrl, declared: Mapping[str, DeclaredAction], base: str) -> Json:
    identity = identity_of(one.url, base)
    known = declared.get(identity or "")
    return {
        "name": one.name,
        "identity": identity,
        "kind": one.type,
        "mask": one.mask,
        "method": one.method,
        "auth": one.auth.lower() if one.auth != "DISABLE" else "none",
        "enabled": one.enabled,
        "handler": known.handler if known else "of another service, which is not asked here",
        "fallback": known.fallback if known else "",
    }


def _menu(ivr: Json) -> Iterable[Json]:
    for entry in ivr.get("custom_forward_rules") or []:
        texts = [
            f"{when}{does}" for key, when in _RULES if (does := _does(entry.get(key))) is not None
        ]
        yield {"keys": entry.get("user_input", ""), "text": "; ".join(texts)}
    for key, words in (
        ("timeout_forward_rule", "no key"),
        ("failure_forward_rule", "a failure"),
        ("night_mode_forward_rule", "night"),
    ):
        if (does := _does(ivr.get(key))) is not None:
            yield {"keys": words, "text": does}


def _does(rule: Json | None) -> str | None:
    if not rule or rule.get("action") not in _DOES:
        return None
    return _DOES[rule["action"]].format(rule.get("number") or "")
