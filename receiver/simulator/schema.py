"""What the PBX's REST API takes and gives: what a field is, and the one code that reads fields.

Rule 1: a field is a row (`receiver.simulator.tables`). To add one is to add a row, never an ``if``.
Rule 2: a row of a later version is neither read nor shown.
Rule 3: null is the same as missing, and what no row names is passed over: both are guesses.
Rule 4: a `Fault` names the field and the limit, never the value, which may be a secret.
Rule 5: patterns are searched for, not anchored, as JSON Schema has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from receiver.errors import ReceiverError
from receiver.simulator.behaviour import Behaviour, Version

Json = dict[str, Any]

Purpose = Literal["create", "update", "show", "list"]

Find = Callable[[str, str], Json | None]
"""The stored object of a kind (``"file"``) and an id, None if there is none."""

Kind = Literal["text", "whole", "flag", "object", "list", "ids", "texts"]

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
        kind: a ``list`` holds objects; ``ids`` are written as ids and shown as objects; ``texts``
            are only shown.
        low, high: the fewest and most characters of a text, the bounds of a whole number.
        pattern: a regular expression that must be found in a text.
        choices: the texts allowed; all, if there are none.
        default: taken where a create does not give the field; None for none.
        on: what the field appears in.
        since: the version that brought it.
        required: a create must give it.
        unique: no two objects of a collection share it.
        secret: masked where the PBX masks secrets.
        rule: a check that no other column can express: the problem, or "".
        fields: the rows of an object, or of each object in a list.
        refers: the kind of object that a text, or each of the ids, is the id of.
        via: the field with the id of another object, and the field of that one to show.
    """

    name: str
    kind: Kind = "text"
    low: int = 0
    high: int = 2**31 - 1
    pattern: str = ""
    choices: tuple[str, ...] = ()
    default: object = None
    on: tuple[Purpose, ...] = ("create", "update", "show")
    since: Version = "22.0"
    required: bool = False
    unique: bool = False
    secret: bool = False
    rule: Callable[[Any, Behaviour], str] | None = None
    fields: tuple[Field, ...] = ()
    refers: str = ""
    via: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Context:
    """What reading and showing depends on besides the rows."""

    behaviour: Behaviour = field(default_factory=Behaviour)
    find: Find = lambda kind, key: None


def accept(
    fields: tuple[Field, ...],
    data: object,
    context: Context,
    purpose: Purpose = "create",
    *,
    whole: bool = True,
    at: str = "",
) -> Json:
    """What of ``data`` (decoded JSON) is taken over.

    Parameters:
        purpose: ``"create"`` or ``"update"``.
        whole: the data is all there will be: what is missing gets its default, and what is
            required must be there.
        at: where ``data`` stands in the body, with a dot at its end; empty for the body itself.

    Raises:
        Fault: 400, the data is not as the rows want it.
    """
    if not isinstance(data, dict):
        raise invalid(at.rstrip(".") or "the body", "is not a JSON object")
    taken: Json = {}
    for row in fields:
        if purpose not in row.on or not context.behaviour.has(row.since):
            continue
        value = data.get(row.name)
        if value is None and whole:
            if row.required:
                raise invalid(at + row.name, "is required")
            value = row.default
        if value is not None:
            taken[row.name] = _value(row, value, context, at + row.name)
    return taken


def present(fields: tuple[Field, ...], stored: Json, context: Context, purpose: Purpose) -> Json:
    """The JSON object that the API gives for ``stored``.

    ``purpose`` is ``"show"``, or ``"list"`` for the summary that lists give.
    """
    how = context.behaviour
    shown: Json = {}
    for row in fields:
        if purpose not in row.on or not how.has(row.since):
            continue
        value = _stored(row, stored, context)
        if value is None or value == "":
            if how.blanks != "omitted":
                shown[row.name] = "" if how.blanks == "empty" and row.kind == "text" else None
        elif row.kind == "object":
            shown[row.name] = present(row.fields, value, context, "show")
        elif row.kind in ("list", "ids"):
            shown[row.name] = [present(row.fields, item, context, "show") for item in value]
        else:
            shown[row.name] = STARS if row.secret and how.secrets == "masked" else value
    return shown


def invalid(what: str, problem: str) -> Fault:
    """The fault for a value that breaks a limit."""
    return Fault(400, "VALIDATE_FAILED", f"{what} {problem}")


def missing(what: str) -> Fault:
    """The fault for an id that nothing has."""
    return Fault(404, "NOT_FOUND", f"there is no {what} of this id")


def _stored(row: Field, stored: Json, context: Context) -> Any:
    """The value of ``row``, which may be another object's; what is gone is not there."""
    if row.via != ("", ""):
        other = context.find("file", stored.get(row.via[0], ""))
        return other[row.via[1]] if other else None
    value = stored.get(row.name)
    if row.kind == "ids" and value is not None:
        found = (context.find(row.refers, key) for key in value)
        return [item for item in found if item is not None]
    return value


def _value(row: Field, value: object, context: Context, at: str) -> object:
    if row.kind == "object":
        taken = accept(row.fields, value, context, at=f"{at}.")
        if problem := row.rule(taken, context.behaviour) if row.rule else "":
            raise invalid(at, problem)
        return taken
    if row.kind in ("list", "ids"):
        if not isinstance(value, list):
            raise invalid(at, "is not a list")
        each = _each(row)
        return [_value(each, item, context, f"{at}[{i}]") for i, item in enumerate(value)]
    if problem := _PROBLEMS[row.kind](row, value, context):
        raise invalid(at, problem)
    return value


def _each(row: Field) -> Field:
    """The row for one item of a list."""
    if row.kind == "ids":
        return Field(row.name, refers=row.refers)
    return Field(row.name, "object", fields=row.fields, rule=row.rule)


def _problem_of_text(row: Field, value: object, context: Context) -> str:
    if not isinstance(value, str):
        return "is not a string"
    if _SURROGATE.search(value):
        return "holds half a character"
    if not row.low <= len(value) <= row.high:
        return f"does not have {row.low} to {row.high} characters"
    if not re.search(row.pattern, value):
        return f"does not match {row.pattern}"
    if row.choices and value not in row.choices:
        return f"is none of {', '.join(row.choices)}"
    if row.refers and value and context.find(row.refers, value) is None:
        return f"is not the id of a {row.refers}"
    return row.rule(value, context.behaviour) if row.rule else ""


def _problem_of_whole(row: Field, value: object, context: Context) -> str:
    if type(value) is int and row.low <= value <= row.high:  # True is an int, too
        return ""
    return f"is not a whole number from {row.low} to {row.high}"


def _problem_of_flag(row: Field, value: object, context: Context) -> str:
    return "" if isinstance(value, bool) else "is neither true nor false"


_PROBLEMS: dict[Kind, Callable[[Field, object, Context], str]] = {
    "text": _problem_of_text,
    "whole": _problem_of_whole,
    "flag": _problem_of_flag,
}
