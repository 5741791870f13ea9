"""The options of a declared IVR as the fields of the PBX.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from receiver.credentials import Secret
from receiver.declarations.ivr_menu import MenuEntry, list_of, read_rule
from receiver.declarations.speech import Speech
from receiver.errors import DeclarationError
from receiver.pbx import checks
from receiver.pbx.models import write
from receiver.pbx.models_ivr import Ivr, exclude_list
from receiver.pbx.models_shared import OutboundCallerId

PLAIN = {
    "name": "name",
    "language": "language",
    "dtmf_interval": "dtmf_interval",
    "enable_pin": "enable_pin",
    "night_mode": "enable_night_mode",
    "audio_recording": "enable_audio_recording",
}
"""The field of each option that is sent as it is."""

RULES = {
    "timeout_reply": "timeout_forward_rule",
    "failure_reply": "failure_forward_rule",
    "night_reply": "night_mode_forward_rule",
}
"""The field of each option that is a rule."""

_WITH = {"timeout_reply": ("timeout", "repeat_times")}
"""The other options that are parts of a rule."""

_FLAGS = ("enable_pin", "night_mode", "audio_recording")
_NOT_EMPTY = ("language", "pin", "prompt", "transfer_prompt")


def menu_of(options: Mapping[str, Any]) -> tuple[MenuEntry, ...]:
    """Return the declared entries.

    Raises:
        DeclarationError: it is no list of entries, or two are for one key.
    """
    made = list_of(options.get("menu", ()), MenuEntry)
    if made is None:
        raise DeclarationError('menu must be a list such as [MenuEntry("1", Forward("222"))]')
    keys = [entry.key for entry in made]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise DeclarationError(f"menu has two entries for the key {twice[0]}")
    return tuple(made)


def fields_of(options: Mapping[str, Any], menu: tuple[MenuEntry, ...]) -> dict[str, Any]:
    """Return the declared options as the PBX's fields.

    Parameters:
        options: of an `Ivr`, without the prompts, which are files.
        menu: the entries among them.

    Raises:
        DeclarationError: a value has another type than declared.
    """
    for flag in _FLAGS:
        if not isinstance(options.get(flag, False), bool):
            raise DeclarationError(f"{flag} must be True or False")
    made = {key: options[option] for option, key in PLAIN.items() if option in options}
    for option, key in RULES.items():
        parts = {key: options[key] for key in _WITH.get(option, ()) if key in options}
        parts |= read_rule(option, options[option]) if option in options else {}
        if parts:
            made[key] = parts
    if "pin" in options:
        pin = options["pin"]
        made["pin"] = pin.reveal() if isinstance(pin, Secret) else pin
        made.setdefault("enable_pin", True)
    if "exclude_list" in options:
        entries = options["exclude_list"]
        numbers = [entries] if isinstance(entries, str) else list_of(entries, str)
        if numbers is None:
            raise DeclarationError('exclude_list must be a list such as ["1001-2001", "3000"]')
        made["exclude_list"] = exclude_list(numbers)
    if "menu" in options:
        made["custom_forward_rules"] = [entry.fields for entry in menu]
    if "outbound_caller_ids" in options:
        ids = list_of(options["outbound_caller_ids"], OutboundCallerId)
        if ids is None:
            raise DeclarationError("outbound_caller_ids must be a list of OutboundCallerId(…)")
        made["outbound_caller_ids"] = list(map(write, ids))
    return made


def problems_of(fields: Ivr, options: Mapping[str, Any]) -> Iterator[str]:
    """Yield everything that the PBX would not accept about declared fields."""
    blank = (key for key in _NOT_EMPTY if key in options and not options[key])
    yield from (f"{key} is empty: leave it out" for key in blank)
    rule = fields.timeout_forward_rule
    if "timeout" in options and not (rule and rule.timeout):
        yield "timeout must be at least 1 second"
    for prompt in ("prompt", "transfer_prompt"):
        source: object = options.get(prompt, "")
        if isinstance(source, Speech) and source.problem:
            yield source.problem
        elif not isinstance(source, str | Path | Speech):
            yield f'{prompt} must be the path of a WAV file, or a Speech("…")'
    yield from checks.problems(fields, creating=True)
