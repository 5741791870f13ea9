"""What a field of the PBX's JSON may hold: a `Spec` beside each field of a model.

Rule 1: a limit stands at its field, as in ``Annotated[str, Spec(1, 64)]``, and nowhere else.
Rule 2: a `Spec` is about what is sent. What the PBX says is read as it comes.
Rule 3: ``None``, ``""`` and an empty secret are blank: not said by the PBX, not to be sent. An
        empty list is not blank; it is how a list is emptied.

Source: the vendor's OpenAPI file for 22.2, and its change log for what is newer.
"""

from __future__ import annotations

import functools
import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from receiver.secrets import Secret

Kind = Literal["text", "secret", "whole", "flag", "object", "list", "other"]
Use = Literal["any", "create", "read", "write"]

_LEAVES: dict[object, Kind] = {str: "text", Secret: "secret", int: "whole", bool: "flag"}


@dataclass(frozen=True, slots=True)
class Spec:
    """The vendor's limits of a field.

    Attributes:
        low, high: the fewest and most characters of a text, the bounds of a whole number.
        pattern: a regular expression that must be found in a text (searched for, as JSON Schema
            has it).
        choices: the texts allowed; all, if there are none.
        required: a create must give it.
        use: ``"create"`` cannot be changed later; ``"read"`` is the PBX's own; ``"write"`` is
            never given back.
        since: the PBX's version that brought it; empty if it was always there.
        as_ids: a list of objects that is sent as the list of their ids.
        rule: a check of a text that nothing else here can express: the problem, or ``""``.
    """

    low: int | None = None
    high: int | None = None
    pattern: str = ""
    choices: tuple[str, ...] = ()
    required: bool = False
    use: Use = "any"
    since: str = ""
    as_ids: bool = False
    rule: Callable[[str], str] | None = None


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON object of the PBX's API."""

    def conflicts(self, creating: bool) -> tuple[str, ...]:
        """What is wrong between fields that are each good by themselves."""
        return ()


@dataclass(frozen=True, slots=True)
class Shape:
    """A field: its ``name`` here, its ``key`` on the wire, and what it is.

    ``model`` is of an object, or of the objects in a list.
    """

    name: str
    key: str
    kind: Kind
    spec: Spec
    model: type[Model] | None = None


@functools.cache
def shapes(model: type[msgspec.Struct]) -> dict[str, Shape]:
    """The fields of ``model`` by their keys on the wire."""
    found = msgspec.structs.fields(model)
    return {field.encode_name: _shape(field.name, field.encode_name, field.type) for field in found}


def is_blank(value: object) -> bool:
    """Whether ``value`` says nothing."""
    return value is None or value == "" or (isinstance(value, Secret) and not value)


def leaf_problem(shape: Shape, value: Any) -> str:
    """What is wrong with the value of a field that holds no objects, or ``""``."""
    if shape.kind == "whole":
        return _problem_of_whole(shape.spec, value)
    if shape.kind in ("text", "secret"):
        return _problem_of_text(shape.spec, value.reveal() if shape.kind == "secret" else value)
    return ""


def _problem_of_whole(spec: Spec, value: int) -> str:
    low = -(2**31) if spec.low is None else spec.low
    high = 2**31 - 1 if spec.high is None else spec.high
    return "" if low <= value <= high else f"must be from {low} to {high}"


def _problem_of_text(spec: Spec, text: str) -> str:
    if spec.low is not None and len(text) < spec.low:
        return f"has {len(text)} characters and needs at least {spec.low}"
    if spec.high is not None and len(text) > spec.high:
        return f"has {len(text)} characters, and the PBX takes {spec.high}"
    if spec.choices and text not in spec.choices:
        return f"must be one of {', '.join(spec.choices)}"
    if spec.rule is not None and (problem := spec.rule(text)):
        return problem
    return "" if re.search(spec.pattern, text) else f"does not match {spec.pattern}"


def _shape(name: str, key: str, annotation: Any) -> Shape:
    spec = Spec()
    if typing.get_origin(annotation) is Annotated:
        annotation, *marks = typing.get_args(annotation)
        spec = next((mark for mark in marks if isinstance(mark, Spec)), spec)
    if isinstance(annotation, types.UnionType):
        annotation = next(part for part in typing.get_args(annotation) if part is not type(None))
    if typing.get_origin(annotation) is tuple:
        return Shape(name, key, "list", spec, typing.get_args(annotation)[0])
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return Shape(name, key, "object", spec, annotation)
    return Shape(name, key, _LEAVES.get(annotation, "other"), spec)
