"""Requests as templates: placeholders in them, and paths into the answer.

Rule 1: placeholders are replaced once, and are not looked for in what they stand for.
Rule 2: a template is checked when it is read, so that no call fails of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from handlers.crm.asking import text_of
from receiver import DeclarationError

Template = Mapping[str, Any]
"""One request, as `handlers.crm.rest` describes it."""

_SLOT = re.compile(r"\{([a-z0-9]+)\}")
_PARTS = {"url": str, "method": str, "params": Mapping, "headers": Mapping, "json": object}


@dataclass(frozen=True, slots=True)
class Step:
    """One request."""

    url: str
    method: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    at: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    @property
    def slots(self) -> set[str]:
        """The placeholders in it."""
        return set(_SLOT.findall(repr((self.url, self.params, self.headers, self.json))))

    def told(self, found: Mapping[str, Any]) -> tuple[str, ...]:
        """What stands in its fields."""
        return tuple(self._text(found, self.fields.get(name, "")) for name in self.names)

    def _text(self, found: Mapping[str, Any], path: str) -> str:
        try:
            return text_of(at(found, path))
        except LookupError:
            return ""


def read(template: Template, option: str, slots: frozenset[str], names: tuple[str, ...]) -> Step:
    if not isinstance(template, Mapping) or not isinstance(template.get("url"), str):
        raise DeclarationError(f"Rest: {option} is a table with a url")
    if unknown := template.keys() - {*_PARTS, "at", *names}:
        raise DeclarationError(f"Rest: {option} has no {', '.join(sorted(map(str, unknown)))}")
    for part, value in template.items():
        if not isinstance(value, _PARTS.get(part, str)):
            raise DeclarationError(f"Rest: {option}: {part} cannot be a {type(value).__name__}")
    parts = {part: template[part] for part in _PARTS if part in template}
    parts.setdefault("method", "POST" if "json" in template else "GET")
    fields = {name: template[name] for name in names if name in template}
    step = Step(**parts, at=template.get("at", ""), fields=fields, names=names)
    if strange := step.slots - slots:
        raise DeclarationError(f"Rest: {option} has no {{{sorted(strange)[0]}}}")
    return step


def filled(template: Any, values: Mapping[str, str]) -> Any:
    if isinstance(template, str):
        return _SLOT.sub(lambda slot: values[slot[1]], template)
    if isinstance(template, Mapping):
        return {name: filled(value, values) for name, value in template.items()}
    if isinstance(template, list | tuple):
        return [filled(value, values) for value in template]
    return template


def at(value: Any, path: str) -> Any:
    """What stands there; a LookupError if nothing does."""
    for part in path.split(".") if path else ():
        if isinstance(value, list) and part.isdecimal():
            value = value[int(part)]
        elif isinstance(value, Mapping):
            value = value[part]
        else:
            raise LookupError
    return value
