"""What the PBX's REST API takes and gives: tables of fields, and the one code that reads them.

Rule 1: a field is a row. To add one is to add a row, never an ``if``.
Rule 2: the limits are the vendor's. A pattern is searched for, not anchored, as JSON Schema has it.
Rule 3: null is the same as missing, and what no row names is passed over: both are guesses.
Rule 4: a `Fault` names the field and the limit, never the value, which may be a secret.

Source: ``/ivrs`` and ``/ivrs/{id}/action_urls`` of the vendor's OpenAPI file for 22.2. Not in the
tables: the holidays of a forward rule (ids on write, objects on read), and what came with 22.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from receiver.errors import ReceiverError

Json = dict[str, Any]

Purpose = Literal["create", "update", "show", "list"]

Blanks = Literal["null", "empty", "omitted"]
"""How a field without a value is given: as ``null``, as ``""`` (texts only), or not at all."""

Secrets = Literal["clear", "masked"]
"""How a password, token or PIN is given."""

STARS = "******"
"""What stands for a masked secret."""


_SURROGATE = re.compile("[\ud800-\udfff]")


class Fault(ReceiverError):
    """The API refuses: ``status`` is the HTTP status, ``code`` and ``message`` go in the envelope.

    ``headers`` are further headers of the answer.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Field:
    """One row.

    Attributes:
        name: the key in the JSON object.
        kind: a ``list`` holds objects.
        low, high: the fewest and most characters of a text, the bounds of a whole number.
        pattern: a regular expression that must be found in a text.
        choices: the texts allowed; all, if there are none.
        default: taken where a create does not give the field; None for none.
        on: what the field appears in.
        required: a create must give it.
        unique: no two objects of a collection share it.
        secret: masked where the PBX masks secrets.
        rule: a check of a text that no other column can express: the problem, or "".
        fields: the rows of an object, or of each object in a list.
    """

    name: str
    kind: Literal["text", "whole", "flag", "object", "list"] = "text"
    low: int = 0
    high: int = 2**31 - 1
    pattern: str = ""
    choices: tuple[str, ...] = ()
    default: object = None
    on: tuple[Purpose, ...] = ("create", "update", "show")
    required: bool = False
    unique: bool = False
    secret: bool = False
    rule: Callable[[str], str] | None = None
    fields: tuple[Field, ...] = ()


def accept(fields: tuple[Field, ...], data: object, purpose: Purpose, at: str = "") -> Json:
    """What of ``data`` (decoded JSON) is taken over; a create adds the defaults.

    Parameters:
        purpose: ``"create"`` or ``"update"``.
        at: where ``data`` stands in the body, with a dot at its end; empty for the body itself.

    Raises:
        Fault: 400, the data is not as the rows want it.
    """
    if not isinstance(data, dict):
        raise invalid(at.rstrip(".") or "the body", "is not a JSON object")
    taken: Json = {}
    for field in fields:
        if purpose not in field.on:
            continue
        value = data.get(field.name)
        if value is None and purpose == "create":
            if field.required:
                raise invalid(at + field.name, "is required")
            value = field.default
        if value is not None:
            taken[field.name] = _value(field, value, at + field.name)
    return taken


def present(
    fields: tuple[Field, ...], stored: Json, purpose: Purpose, blanks: Blanks, secrets: Secrets
) -> Json:
    """The JSON object that the API gives for ``stored``.

    ``purpose`` is ``"show"``, or ``"list"`` for the summary that lists give.
    """
    shown: Json = {}
    for field in fields:
        if purpose not in field.on:
            continue
        value = stored.get(field.name)
        if value is None or value == "":
            if blanks != "omitted":
                shown[field.name] = "" if blanks == "empty" and field.kind == "text" else None
        elif field.kind == "object":
            shown[field.name] = present(field.fields, value, "show", blanks, secrets)
        elif field.kind == "list":
            items = [present(field.fields, item, "show", blanks, secrets) for item in value]
            shown[field.name] = items
        else:
            shown[field.name] = STARS if field.secret and secrets == "masked" else value
    return shown


def invalid(what: str, problem: str) -> Fault:
    """The fault for a value that breaks a limit."""
    return Fault(400, "VALIDATE_FAILED", f"{what} {problem}")


def _value(field: Field, value: object, at: str) -> object:
    if field.kind == "object":
        return accept(field.fields, value, "create", f"{at}.")
    if field.kind == "list":
        if not isinstance(value, list):
            raise invalid(at, "is not a list")
        return [accept(field.fields, item, "create", f"{at}[{i}].") for i, item in enumerate(value)]
    if problem := _PROBLEMS[field.kind](field, value):
        raise invalid(at, problem)
    return value


def _problem_of_text(field: Field, value: object) -> str:
    if not isinstance(value, str):
        return "is not a string"
    if _SURROGATE.search(value):
        return "holds half a character"
    if not field.low <= len(value) <= field.high:
        return f"does not have {field.low} to {field.high} characters"
    if not re.search(field.pattern, value):
        return f"does not match {field.pattern}"
    if field.choices and value not in field.choices:
        return f"is none of {', '.join(field.choices)}"
    return field.rule(value) if field.rule else ""


def _problem_of_whole(field: Field, value: object) -> str:
    if type(value) is int and field.low <= value <= field.high:  # True is an int, too
        return ""
    return f"is not a whole number from {field.low} to {field.high}"


def _problem_of_flag(field: Field, value: object) -> str:
    return "" if isinstance(value, bool) else "is neither true nor false"


_PROBLEMS: dict[str, Callable[[Field, object], str]] = {
    "text": _problem_of_text,
    "whole": _problem_of_whole,
    "flag": _problem_of_flag,
}


def _pin_problem(pin: str) -> str:
    if not (pin.isascii() and pin.isdigit()):
        return "is not made of digits"
    for a, b, c in zip(map(int, pin), map(int, pin[1:]), map(int, pin[2:]), strict=False):
        if a == b == c or (b == a + 1 and c == b + 1):
            return "holds a digit three times in a row, or a run such as 012"
    return ""


# The tables ----------------------------------------------------------------------------------

_ID = Field("id", on=("show", "list"))
_ACTIONS = ("FORWARD_TO_NUMBER", "FORWARD_TO_VOICEMAIL", "REPEAT", "HANGUP")
_RULE = (Field("action", choices=_ACTIONS), Field("number"))
_TIMEOUT_RULE = (
    Field("timeout", "whole", default=30),
    Field("repeat_times", "whole", default=3),
    *_RULE,
)
_CUSTOM_RULE = (Field("action", choices=(*_ACTIONS, "DISA")), Field("number"))
_TIME = "^([01][0-9]|2[0-3]):[0-5][0-9]$"
_RANGES = (Field("from", pattern=_TIME), Field("to", pattern=_TIME))
_DAY = (Field("enabled", "flag"), Field("ranges", "list", fields=_RANGES))
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
    Field("holiday_forward_rule", "object", fields=_CUSTOM_RULE),
)
_OUTBOUND = (
    Field("provider_id"),
    Field("caller_id", low=1, high=64),
    Field("description", high=1024),
)


def _prompt(name: str) -> tuple[Field, ...]:
    return (
        Field(f"{name}_file_name", on=("show",)),
        Field(f"{name}_file_size", "whole", on=("show",)),
        Field(f"{name}_file_url", on=("show",)),
    )


IVR = (
    _ID,
    Field("name", low=1, high=64, required=True, on=("create", "update", "show", "list")),
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
    Field("prompt_file_id", on=("create", "update")),
    Field("transfer_prompt_file_id", on=("create", "update")),
    *_prompt("prompt"),
    *_prompt("transfer_prompt"),
    Field("enable_pin", "flag", default=True),
    # The OpenAPI file requires it on create; the newer page shows no such thing, so do not we.
    Field("pin", low=6, high=10, rule=_pin_problem, secret=True),
    Field("timeout_forward_rule", "object", default={}, fields=_TIMEOUT_RULE),
    Field("failure_forward_rule", "object", fields=_RULE),
    Field("night_mode_forward_rule", "object", fields=_RULE),
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
