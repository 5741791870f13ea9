"""The limits of the fields of the PBX's JSON: a `Spec` beside each field of a model.

Rule 1: a limit is written once, at its field, as in ``Annotated[str, Spec(1, 64)]``. The client
        checks what it sends by it, and the simulated PBX what it receives.
Rule 2: a `Spec` is about requests. Answers of the PBX are read leniently.
Rule 3: ``None``, ``""`` and an empty secret are blank: not returned by the PBX, and not sent. An
        empty list is not blank; it is how a list is emptied.

Source: the vendor's OpenAPI file for 22.2, and its change log for what is newer. Where two of its
documents differ, the stricter one counts.
"""

from __future__ import annotations

import functools
import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Protocol

import msgspec

from receiver.credentials import Secret
from receiver.text import counted

FieldType = Literal["text", "secret", "whole", "flag", "object", "list", "other"]
Use = Literal["any", "create", "read", "write"]

INT32 = 2**31 - 1

_LEAVES: dict[object, FieldType] = {str: "text", Secret: "secret", int: "whole", bool: "flag"}


class Tenant(Protocol):
    """The release of a PBX and the policies of its tenant, on which limits depend."""

    @property
    def version(self) -> str:
        """The release, such as ``"22.2"``."""
        ...

    @property
    def pin_length(self) -> tuple[int, int]:
        """Fewest and most digits of a DISA PIN since 22.3."""
        ...


@dataclass(frozen=True, slots=True)
class Spec:
    """The vendor's limits of a field.

    Attributes:
        low, high: the fewest and most characters of a text, the bounds of a whole number.
        pattern: a regular expression that must be found in a text (searched for, as JSON Schema
            has it).
        choices: the texts allowed; all, if empty.
        required: a create must contain it.
        optional_on_pbx: only the client requires it; the PBX accepts a create without it.
        required_until: the last release in which the PBX requires it; empty for none.
        use: ``"create"`` cannot be changed later; ``"read"`` is set by the PBX alone; ``"write"``
            is never returned.
        since: the PBX's release that introduced it; empty if it was always there.
        default: the value that the PBX sets if a create has none.
        unique: no two objects of a collection have the same value.
        refers: the resource type that a text is the id of; a list is sent as ids of it, and
            returned as objects.
        via: for a field that shows another object: the field with its id, and its field to show.
        rule: a check of a text that no other attribute can express: the problem, or ``""``.
        client_rule: a check by the client only: the PBX accepts such a text but cannot use it.
        pbx_rule: a check by the PBX only, which depends on its release and its tenant's policy.
    """

    low: int | None = None
    high: int | None = None
    pattern: str = ""
    choices: tuple[str, ...] = ()
    required: bool = False
    optional_on_pbx: bool = False
    required_until: str = ""
    use: Use = "any"
    since: str = ""
    default: object = None
    unique: bool = False
    refers: str = ""
    via: tuple[str, str] | None = None
    rule: Callable[[str], str] | None = None
    client_rule: Callable[[str], str] | None = None
    pbx_rule: Callable[[str, Tenant], str] | None = None

    def available(self, version: str) -> bool:
        """Return whether a PBX of the release ``version`` has the field."""
        return not self.since or not older(version, self.since)


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON object of the PBX's API.

    Attributes:
        pbx_checks_conflicts: whether the PBX refuses an object with `conflicts`, as the client
            does.
    """

    pbx_checks_conflicts: ClassVar[bool] = False

    def conflicts(self, creating: bool) -> tuple[str, ...]:
        """Return the problems between fields that are each valid alone."""
        return ()


@dataclass(frozen=True, slots=True)
class Shape:
    """A field: its ``name`` in Python, its ``key`` in JSON, its type and limits.

    ``model`` is of an object, or of the objects in a list.
    """

    name: str
    key: str
    kind: FieldType
    spec: Spec
    model: type[Model] | None = None


@functools.cache
def shapes(model: type[msgspec.Struct]) -> dict[str, Shape]:
    """Return the fields of ``model`` by their keys in JSON."""
    found = msgspec.structs.fields(model)
    return {field.encode_name: _shape(field.name, field.encode_name, field.type) for field in found}


def is_blank(value: object) -> bool:
    """Return whether ``value`` is None, an empty text or an empty secret."""
    return value is None or value == "" or (isinstance(value, Secret) and not value)


def older(version: str, than: str) -> bool:
    """Return whether the release ``version`` came before ``than``; False if it is unknown (empty).

    Both are numbers with dots, such as ``"22.2.19"``.
    """
    return bool(version) and _numbers(version) < _numbers(than)


def leaf_problem(shape: Shape, value: Any) -> str:
    """Return why the client does not send ``value`` in a field without objects, or ``""``."""
    if shape.kind in ("text", "secret"):
        text = value.reveal() if shape.kind == "secret" else value
        rule = shape.spec.client_rule
        return text_problem(shape.spec, text) or (rule(text) if rule is not None else "")
    return whole_problem(shape.spec, value) if shape.kind == "whole" else ""


def whole_problem(spec: Spec, value: int) -> str:
    """Return which of the vendor's limits a whole number breaks, or ``""``."""
    low, high = _bound(spec.low, -INT32 - 1), _bound(spec.high, INT32)
    return "" if low <= value <= high else f"must be from {low} to {high}"


def text_problem(spec: Spec, text: str) -> str:
    """Return which of the vendor's limits a text breaks, or ``""``; it does not repeat the text."""
    if spec.low is not None and len(text) < spec.low:
        return f"has {counted(len(text), 'character')} and needs at least {spec.low}"
    if spec.high is not None and len(text) > spec.high:
        return f"has {counted(len(text), 'character')}, and the PBX takes {spec.high}"
    if spec.choices and text not in spec.choices:
        return f"must be one of {', '.join(spec.choices)}"
    if spec.rule is not None and text and (problem := spec.rule(text)):
        return problem
    return "" if re.search(spec.pattern, text) else f"does not match {spec.pattern}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _bound(limit: int | None, default: int) -> int:
    return default if limit is None else limit


def _shape(name: str, key: str, annotation: Any) -> Shape:
    spec = Spec()
    if typing.get_origin(annotation) is Annotated:
        annotation, *marks = typing.get_args(annotation)
        spec = next((mark for mark in marks if isinstance(mark, Spec)), spec)
    if isinstance(annotation, types.UnionType):
        annotation = next(part for part in typing.get_args(annotation) if part is not type(None))
    if typing.get_origin(annotation) is tuple:
        item = typing.get_args(annotation)[0]
        return (
            Shape(name, key, "list", spec, item)
            if _is_model(item)
            else Shape(name, key, "other", spec)
        )
    if _is_model(annotation):
        return Shape(name, key, "object", spec, annotation)
    return Shape(name, key, _LEAVES.get(annotation, "other"), spec)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Model)
