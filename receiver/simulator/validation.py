"""Validate the requests of the simulated API, and render its answers, by the client's models.

Rule 1: the limits are those of `receiver.pbx.fields`; there is no branch for a field here.
Rule 2: a field of a later release is neither read nor shown.
Rule 3: null is refused, for the vendor's schemas allow none, or the same as missing
        (`Behaviour.nulls`); unknown keys are ignored, as JSON Schema has it.
Rule 4: an `ApiError` names the field and the limit, never the value, which may be a secret.
Rule 5: 2.0 is a whole number, as JSON Schema has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from receiver.errors import ReceiverError
from receiver.pbx.fields import Model, Shape, shapes, text_problem, whole_problem
from receiver.pbx.models import read
from receiver.simulator.behaviour import Behaviour

Json = dict[str, Any]

Purpose = Literal["create", "update"]

Find = Callable[[str, str], Json | None]
"""Return the stored object of a resource type (``"file"``) and an id, None if it does not exist."""

STARS = "******"
"""Shown for a masked secret."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_USES: dict[Purpose, tuple[str, ...]] = {
    "create": ("any", "create", "write"),
    "update": ("any", "write"),
}


class ApiError(ReceiverError):
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
class Context:
    """The parameters of validation and rendering that are no field's."""

    behaviour: Behaviour = field(default_factory=Behaviour)
    find: Find = lambda kind, key: None


def accept(
    model: type[Model],
    data: object,
    context: Context,
    purpose: Purpose = "create",
    *,
    complete: bool = True,
    at: str = "",
) -> Json:
    """Return the fields of ``model`` in ``data`` (decoded JSON) that the PBX stores.

    Parameters:
        complete: a missing field gets its default, and a required one must be given.
        at: the path of ``data`` in the body, with a dot at its end; empty for the body itself.

    Raises:
        ApiError: 400, the data breaks a limit.
    """
    if not isinstance(data, dict):
        raise invalid(at.rstrip(".") or "the body", "is not a JSON object")
    taken: Json = {}
    for key, shape in shapes(model).items():
        spec = shape.spec
        if spec.use not in _USES[purpose] or not spec.available(context.behaviour.version):
            continue
        value = _without_fraction(data.get(key))
        if value is None and key in data and context.behaviour.nulls == "refused":
            raise invalid(at + key, "is null")
        if value is None and complete:
            if _required(shape, context, purpose):
                raise invalid(at + key, "is required")
            value = spec.default
        if value is not None:
            taken[key] = _value(shape, value, context, at + key)
    if complete and model.pbx_checks_conflicts and purpose == "create":
        for problem in read(model, taken).conflicts(creating=True):
            raise invalid(at.rstrip("."), problem)
    return taken


def present(model: type[Model], stored: Json, context: Context) -> Json:
    """Return the JSON object of ``model`` with which the API shows ``stored``."""
    how = context.behaviour
    shown: Json = {}
    for key, shape in shapes(model).items():
        if shape.spec.use == "write" or not shape.spec.available(how.version):
            continue
        value = _stored(shape, key, stored, context)
        if value is None or value == "":
            if how.blanks != "omitted":
                text = shape.kind in ("text", "secret")
                shown[key] = "" if how.blanks == "empty" and text else None
        elif shape.model is None:
            masked = shape.kind == "secret" and how.secrets == "masked"
            shown[key] = STARS if masked else value
        elif shape.kind == "list":
            shown[key] = [present(shape.model, item, context) for item in value]
        else:
            shown[key] = present(shape.model, value, context)
    return shown


def invalid(what: str, problem: str) -> ApiError:
    """Return the error for a value that breaks a limit."""
    return ApiError(400, "VALIDATE_FAILED", f"{what} {problem}".strip())


def missing(what: str) -> ApiError:
    """Return the error for an unknown id."""
    return ApiError(404, "NOT_FOUND", f"there is no {what} of this id")


def _without_fraction(value: object) -> object:
    """Return a float without a fraction as an int, anything else unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _required(shape: Shape, context: Context, purpose: Purpose) -> bool:
    spec = shape.spec
    if spec.required:
        return not spec.optional_on_pbx
    return purpose == "create" and context.behaviour.until(spec.required_until)


def _stored(shape: Shape, key: str, stored: Json, context: Context) -> Any:
    """Return the value of a field, which may be of another object; None if that is deleted."""
    if shape.spec.via is not None:
        reference, name = shape.spec.via
        target = context.find("file", stored.get(reference, ""))
        return target[name] if target else None
    value = stored.get(key)
    if shape.kind == "list" and shape.spec.refers and value is not None:
        found = (context.find(shape.spec.refers, item) for item in value)
        return [item for item in found if item is not None]
    return value


def _value(shape: Shape, value: object, context: Context, at: str) -> object:
    if shape.model is None:
        if problem := _problem(shape, value, context):
            raise invalid(at, problem)
        return value
    if shape.kind == "object":
        return accept(shape.model, value, context, at=f"{at}.")
    if not isinstance(value, list):
        raise invalid(at, "is not a list")
    for number, item in enumerate(value if shape.spec.refers else ()):
        if problem := _problem_of_id(shape.spec.refers, item, context):
            raise invalid(f"{at}[{number}]", problem)
    if shape.spec.refers:
        return value
    items = enumerate(value)
    return [accept(shape.model, item, context, at=f"{at}[{i}].") for i, item in items]


def _problem(shape: Shape, value: object, context: Context) -> str:
    if shape.kind == "flag":
        return "" if isinstance(value, bool) else "is neither true nor false"
    if shape.kind == "whole":
        if isinstance(value, bool) or not isinstance(value, int):
            return "is not a whole number"
        return whole_problem(shape.spec, value)
    if problem := _problem_of_string(value):
        return problem
    text = str(value)
    if shape.spec.refers and text:
        return _problem_of_id(shape.spec.refers, text, context)
    rule = shape.spec.pbx_rule
    return text_problem(shape.spec, text) or (rule(text, context.behaviour) if rule else "")


def _problem_of_string(value: object) -> str:
    if not isinstance(value, str):
        return "is not a string"
    return "holds half a character" if _SURROGATE.search(value) else ""


def _problem_of_id(refers: str, value: object, context: Context) -> str:
    if problem := _problem_of_string(value):
        return problem
    known = value == "" or context.find(refers, str(value)) is not None
    return "" if known else f"is not the id of a {refers}"
