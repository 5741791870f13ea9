"""The input of create and update: ``--set field=value`` and ``--file data.json``.

Rule 1: the model gives a value its type; objects and lists are JSON, and a dot selects a field of
        an object: ``--set timeout_forward_rule.timeout=10``.
Rule 2: the output of ``show --json`` is valid input: fields that only the PBX sets, and masked
        ones, are ignored.
Rule 3: ``--set field=`` empties a text or a list.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from receiver.cli.resources_output import MASK
from receiver.errors import DeclarationError
from receiver.pbx.checks import nearest
from receiver.pbx.fields import Model, Shape, shapes

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class FieldInput:
    """Fields with their values, and fields to empty."""

    data: dict[str, Any] = field(default_factory=dict)
    clear: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.data or self.clear)


def field_options(command: F) -> F:
    """Add the options that `gather` reads."""
    for option in (
        click.option(
            "--unchecked", is_flag=True, help="Do not check the fields before they are sent."
        ),
        click.option(
            "--file", "source", metavar="JSON", help="A file with a JSON object; - reads stdin."
        ),
        click.option(
            "--set",
            "sets",
            metavar="FIELD=VALUE",
            multiple=True,
            help="A field, as in name=Sales or timeout_forward_rule.timeout=10; may be repeated.",
        ),
    ):
        command = option(command)
    return command


def gather(model: type[Model], sets: tuple[str, ...], source: str | None) -> FieldInput:
    """Return the fields of all options; ``--set`` takes precedence over ``--file``.

    Raises:
        DeclarationError: invalid input; the text names the option or the field.
    """
    data = _writable(model, _read(source)) if source else {}
    clear: list[str] = []
    for text in sets:
        key, equals, value = text.partition("=")
        path = key.strip().split(".")
        if not equals or not all(path):
            raise DeclarationError(f"--set {text.partition('=')[0]!r}: write it as FIELD=VALUE")
        shape = _shape(model, path)
        if shape.spec.use == "read":
            raise DeclarationError(f"{key} is set by the PBX itself")
        if value:
            _put(data, path, _value(shape, key, value))
        elif len(path) == 1:
            data.pop(key, None)
            clear.append(key)
        else:
            raise DeclarationError(f"{key}: only a whole field can be emptied, give it a value")
    return FieldInput(data, tuple(clear))


def _read(source: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except OSError as error:
        raise DeclarationError(f"--file {source} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DeclarationError(f"--file {source}: this is not text in UTF-8") from None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DeclarationError(f"--file {source}: this is not JSON ({error})") from None
    if not isinstance(data, dict):
        raise DeclarationError(f"--file {source}: this is not a JSON object, as show --json prints")
    return data


def _writable(model: type[Model], data: Mapping[str, Any]) -> dict[str, Any]:
    known = shapes(model)
    return {
        key: value
        for key, value in data.items()
        if value is not None
        and not (key in known and known[key].spec.use == "read")
        and not (isinstance(value, str) and MASK in value)
    }


def _shape(model: type[Model], path: list[str]) -> Shape:
    """Return the field with this path."""
    known, shape = shapes(model), None
    for number, key in enumerate(path):
        here = ".".join(path[: number + 1])
        if key not in known:
            raise DeclarationError(f"there is no field {here}: {nearest(key, known)}")
        shape = known[key]
        if number + 1 < len(path):
            if shape.kind != "object" or shape.model is None:
                raise DeclarationError(
                    f"there is no field {'.'.join(path)}: {here} is not an object"
                    + (", give the whole list as JSON" if shape.kind == "list" else "")
                )
            known = shapes(shape.model)
    assert shape is not None  # noqa: S101 - a path has at least one part
    return shape


def _value(shape: Shape, key: str, text: str) -> Any:
    if shape.kind in ("object", "list"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise DeclarationError(f"{key}: this is not JSON, which a {shape.kind} needs") from None
    if MASK in text:
        raise DeclarationError(f"{key}: {MASK} is how a secret is shown, not its value")
    return text


def _put(data: dict[str, Any], path: list[str], value: Any) -> None:
    *above, last = path
    for key in above:
        inner = data.setdefault(key, {})
        if not isinstance(inner, dict):
            inner = data[key] = {}
        data = inner
    data[last] = value
