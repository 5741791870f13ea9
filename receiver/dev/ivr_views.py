"""The IVRs as the page shows them: prompt, menu, actions, office hours.

Pure: the time is a parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

from receiver.console.web import DEFAULT_CALLER
from receiver.declarations.actions import split_path
from receiver.declarations.speech import Speech
from receiver.dev.declaration_messages import DeclaredAction
from receiver.errors import MaskError
from receiver.masks import Entry, Mask, short_mask
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
    label: str,
    pbx: Pbx,
    declared: Mapping[str, DeclaredAction],
    base: str,
    now: LocalTime,
    speeches: Mapping[tuple[str, str], Speech] = MappingProxyType({}),
) -> list[Json]:
    """Return all IVRs of one PBX.

    Parameters:
        label: of the PBX.
        pbx: the simulated PBX.
        declared: the actions, by identity.
        base: the service's URL.
        now: for office hours.
        speeches: the spoken prompts, by the label of the PBX and the number of the IVR.
    """
    return [
        {
            "number": ivr["extension_number"],
            "pbx": label,
            "name": ivr["name"],
            "prompt": prompt_json(pbx, ivr, speeches.get((label, ivr["extension_number"]))),
            "menu": list(_menu(ivr)),
            "actions": [
                _action(read(ActionUrl, one), declared, base) for one in pbx.action_urls(ivr["id"])
            ],
            "night": bool(ivr.get("enable_night_mode")) or pbx.night_mode,
            "office": office(pbx, ivr, now),
            "example": _example(
                one
                for one in (read(ActionUrl, url) for url in pbx.action_urls(ivr["id"]))
                if one.enabled and identity_of(one.url, base) in declared
            ),
        }
        for ivr in pbx.ivrs
    ]


def prompt_json(pbx: Pbx, ivr: Json, speech: Speech | None = None) -> Json:
    """Return the prompt of an IVR, as far as it is known; of a spoken one the text."""
    file = pbx.files.find(ivr.get("prompt_file_id") or "")
    text = speech.words if speech else file and file["name"]
    return {"text": text, "audio": file and f"audio/{file['id']}"}


def identity_of(url: str, base: str) -> str | None:
    """Return the identity of the action at ``url``; None if it is another service's."""
    if not url.startswith(f"{base}/"):
        return None
    target = split_path(unquote(urlsplit(url[len(base) :]).path))
    return target.identity if target else None


def office(pbx: Pbx, ivr: Json, now: LocalTime) -> str:
    """Return the rules that the IVR's menu uses: ``open``, ``closed`` or ``holiday``."""
    entries = ivr.get("custom_forward_rules") or []
    holidays = (pbx.holidays.find(key) for entry in entries for key in entry.get("holidays") or ())
    if is_holiday(holidays, now):
        return "holiday"
    hours: Iterable[Json | None] = [entry.get("office_hours") for entry in entries] or [None]
    return "open" if all(is_open(one, pbx.office_hours, now) for one in hours) else "closed"


def _example(actions: Iterable[ActionUrl]) -> Json | None:
    """Return a call that leads to a callback: the caller's number if it matters, and the keys.

    Keys that begin a longer input of the IVR are avoided: they act only after the digit gap.
    """
    masks: dict[str, list[Entry]] = {"CALLER": [], "DTMF": []}
    for one in actions:
        with suppress(MaskError):  # of a copied PBX
            masks[one.type] += Mask.parse(one.mask)
    callers, keys = Mask(tuple(masks["CALLER"])), Mask(tuple(masks["DTMF"]))
    if callers.matches(DEFAULT_CALLER):
        return {"caller": "", "keys": ""}
    if keys.entries:
        single = (Mask((one,)) for one in keys)
        plain = next((one for one in single if one.prefix(keys) is None), keys)
        return {"caller": "", "keys": plain.example}
    return {"caller": callers.example, "keys": ""} if callers.entries else None


def _action(one: ActionUrl, declared: Mapping[str, DeclaredAction], base: str) -> Json:
    identity = identity_of(one.url, base)
    known = declared.get(identity or "")
    return {
        "name": one.name,
        "identity": identity,
        "kind": one.type,
        "mask": short_mask(one.mask),
        "method": one.method,
        "auth": one.auth.lower() if one.auth not in ("", "DISABLE") else "none",
        "enabled": bool(one.enabled),
        "handler": known.handler if known else "another service: no callback is sent",
        "fallback": known.fallback if known else "",
    }


def _menu(ivr: Json) -> Iterable[Json]:
    for entry in ivr.get("custom_forward_rules") or []:
        texts = [
            f"{when}{does}" for key, when in _RULES if (does := _does(entry.get(key))) is not None
        ]
        yield {"keys": entry.get("user_input", ""), "text": "; ".join(texts)}
    for key, event in (
        ("timeout_forward_rule", "no key"),
        ("failure_forward_rule", "a failure"),
        ("night_mode_forward_rule", "night"),
    ):
        if (does := _does(ivr.get(key))) is not None:
            yield {"keys": event, "text": does}


def _does(rule: Json | None) -> str | None:
    if not rule or rule.get("action") not in _DOES:
        return None
    return _DOES[rule["action"]].format(rule.get("number") or "")
