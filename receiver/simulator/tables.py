"""The fields of everything that the API takes and gives, as tables.

Rule 1: names, types, limits and defaults are the vendor's; where two of its documents differ, the
        stricter counts, and a comment says so.
Rule 2: what came with a later version than 22.0 says so in its row.

Source: the vendor's OpenAPI files for 22.0 to 22.2, and the change log of its REST API for what
22.3 and 22.6 added.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from receiver.simulator.behaviour import Behaviour
from receiver.simulator.schema import Field, Json, Purpose

_ID = Field("id", on=("show", "list"))
_LISTED: tuple[Purpose, ...] = ("create", "update", "show", "list")
_SHOWN: tuple[Purpose, ...] = ("show", "list")


def _pin_problem(pin: str, behaviour: Behaviour) -> str:
    low, high = behaviour.pin_length if behaviour.has("22.3") else (6, 10)
    if not low <= len(pin) <= high:
        return f"does not have {low} to {high} characters"
    if not (pin.isascii() and pin.isdigit()):
        return "is not made of digits"
    # The newer page leaves this to the tenant's policy and says nothing more: the stricter counts.
    for a, b, c in zip(map(int, pin), map(int, pin[1:]), map(int, pin[2:]), strict=False):
        if a == b == c or (b == a + 1 and c == b + 1):
            return "holds a digit three times in a row, or a run such as 012"
    return ""


def _range_problem(hours: Json, behaviour: Behaviour) -> str:
    start, end = hours.get("from"), hours.get("to")
    return "does not end after its start" if start and end and start >= end else ""


def server_problem(server: Json, behaviour: Behaviour) -> str:
    """What a server lacks as a whole."""
    return "" if server.get("ipv4") or server.get("ipv6") else "ipv4 or ipv6 is required"


def _address_problem(kind: type) -> Any:
    def problem(text: str, behaviour: Behaviour) -> str:
        try:
            kind(text)
        except ValueError:
            return "is no address of this kind" if text else ""
        return ""

    return problem


# Holidays and files --------------------------------------------------------------------------

# The OpenAPI file gives the numbers no bounds; a calendar does.
_DATE = {"year": (0, 9999), "month": (1, 12), "day": (1, 31), "hour": (0, 23), "minute": (0, 59)}

HOLIDAY = (
    _ID,
    Field("name", low=1, high=64, required=True, on=_LISTED),
    Field("region", pattern="^[A-Z]{3}$", required=True, on=_LISTED),
    Field("consecutive", "flag", required=True, on=_LISTED),
    Field("every_year", "flag", required=True, on=_LISTED),
    *(
        Field(f"{part}_{end}", "whole", low=low, high=high, on=_LISTED)
        for part, (low, high) in _DATE.items()
        for end in ("start", "end")
    ),
)

FILE = (
    _ID,
    Field("name", on=_SHOWN),
    Field("size", "whole", on=_SHOWN),
    Field("media_type", on=_SHOWN),
    Field("created_at", on=_SHOWN),
)

# IVRs ----------------------------------------------------------------------------------------

_ACTIONS = ("FORWARD_TO_NUMBER", "FORWARD_TO_VOICEMAIL", "REPEAT", "HANGUP")
_RULE = (Field("action", choices=_ACTIONS), Field("number"))
_TIMEOUT_RULE = (
    # The OpenAPI file gives no lower bound; no time is less than none.
    Field("timeout", "whole", default=30),
    Field("repeat_times", "whole", default=3),
    *_RULE,
)
_CUSTOM_RULE = (Field("action", choices=(*_ACTIONS, "DISA")), Field("number"))
_TIME = "^([01][0-9]|2[0-3]):[0-5][0-9]$"
_RANGES = (Field("from", pattern=_TIME), Field("to", pattern=_TIME))
_DAY = (
    Field("enabled", "flag"),
    Field("ranges", "list", fields=_RANGES, rule=_range_problem),
)
_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_OFFICE_HOURS = (
    Field("mode", choices=("GLOBAL", "CUSTOM")),
    *(Field(day, "object", fields=_DAY) for day in _WEEK),
)
_CUSTOM_RULES = (
    Field("user_input"),
    Field("office_hours", "object", fields=_OFFICE_HOURS),
    Field("office_hours_forward_rule", "object", fields=_CUSTOM_RULE),
    Field("non_office_hours_forward_rule", "object", fields=_CUSTOM_RULE),
    Field("holidays", "ids", refers="holiday", fields=HOLIDAY),
    Field("holiday_forward_rule", "object", fields=_CUSTOM_RULE),
)
_OUTBOUND = (
    Field("provider_id"),
    Field("caller_id", low=1, high=64),
    Field("description", high=1024),
    Field("display_name", since="22.6"),
)


def _prompt(name: str) -> tuple[Field, ...]:
    """An id is written, and what it stands for is shown."""
    key = f"{name}_file_id"
    return (
        Field(key, refers="file", on=("create", "update")),
        Field(f"{name}_file_name", via=(key, "name"), on=("show",)),
        Field(f"{name}_file_size", "whole", via=(key, "size"), on=("show",)),
        Field(f"{name}_file_url", via=(key, "url"), on=("show",)),
    )


IVR = (
    _ID,
    Field("name", low=1, high=64, required=True, on=_LISTED),
    Field(
        "extension_number",
        low=3,
        high=64,
        pattern="[0-9]{3,64}",
        required=True,
        unique=True,
        on=("create", "show", "list"),
    ),
    Field("language"),
    Field("dtmf_interval", "whole", low=1, default=2),
    *_prompt("prompt"),
    *_prompt("transfer_prompt"),
    Field("enable_pin", "flag", default=True),
    # The OpenAPI file requires it on create; the newer page shows no such thing, so do not we.
    Field("pin", rule=_pin_problem, secret=True),
    Field("enable_night_mode", "flag", default=False, since="22.3"),
    Field("exclude_list", since="22.3"),
    Field("enable_audio_recording", "flag", default=False, since="22.6", on=_LISTED),
    Field("timeout_forward_rule", "object", default={}, fields=_TIMEOUT_RULE),
    Field("failure_forward_rule", "object", fields=_RULE),
    Field("night_mode_forward_rule", "object", fields=_RULE, since="22.2"),
    Field("custom_forward_rules", "list", fields=_CUSTOM_RULES),
    Field("outbound_caller_ids", "list", fields=_OUTBOUND),
)

_WORD = "[a-z0-9]{6,64}"

ACTION_URL = (
    _ID,
    # Optional in the OpenAPI file, mandatory in the administration guide: the stricter counts.
    Field("name", low=1, high=64, required=True),
    Field("enabled", "flag", default=False),
    Field("type", choices=("DTMF", "CALLER")),
    Field("method", choices=("GET", "POST")),
    Field("headers"),
    Field("caller_mask", high=255),
    Field("dtmf_mask", high=255),
    Field("connection_timeout", "whole", default=2),
    Field("request_timeout", "whole", default=2),
    Field("url", low=1, high=128, pattern=_WORD),
    Field("auth", choices=("DISABLE", "BASIC", "DIGEST", "BEARER"), default="DISABLE"),
    Field("username", low=6, high=64, pattern=_WORD),
    Field("password", low=6, high=64, pattern=_WORD, secret=True),
    Field("token", secret=True),
)

IVR_SERVER = (
    _ID,
    Field("name", low=1, high=64, required=True, on=("create", "show", "list")),
    Field("enabled", "flag", default=True, on=_LISTED),
    Field("ipv4", rule=_address_problem(ipaddress.IPv4Address), on=("create", "show", "list")),
    Field("ipv6", rule=_address_problem(ipaddress.IPv6Address), on=("create", "show", "list")),
    Field("type", choices=("INTERNAL", "EXTERNAL"), on=_SHOWN),
)

# Accounts and numbers ------------------------------------------------------------------------

SIGN_IN = (
    Field("username", low=1, high=64, required=True),
    Field("password", required=True),
    Field("domain", low=1, high=280),
)

REFRESH = (Field("refresh_token", required=True),)

USER = (
    Field("role"),
    Field("password_verified", "flag"),
    Field("password_force_reset", "flag"),
    Field("domain", since="22.3"),
    Field("role_id", since="22.3"),
    Field("role_name", since="22.3"),
    Field("capabilities", "texts", since="22.3"),
)

EXTENSION = (_ID, Field("extension_number"), Field("name"), Field("type"))
