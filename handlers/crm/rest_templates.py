"""Templates of requests: checked when they are read, filled for each request.

Rule 1: Placeholders such as ``{key}`` are replaced once, never within values.
Rule 2: A template is checked when it is read, so none can fail during a call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from handlers.crm.contacts import text_of
from receiver import DeclarationError

Template = Mapping[str, Any]
"""One request, as described in `handlers.crm.rest`."""

_SLOT = re.compile(r"\{([a-z0-9]+)\}")
_ASCII = "".join(map(chr, range(0x20, 0x7F)))
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PARTS = {"url": str, "method": str, "params": Mapping, "headers": Mapping, "json": object}


@dataclass(frozen=True, slots=True)
class Step:
    """A template, checked."""

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
        """The names of its placeholders."""
        return set(_SLOT.findall(repr((self.url, self.params, self.headers, self.json))))

    def texts(self, record: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the values of its fields."""
        return tuple(self._text(record, self.fields.get(name, "")) for name in self.names)

    def _text(self, record: Mapping[str, Any], path: str) -> str:
        try:
            return text_of(value_at(record, path))
        except LookupError:
            return ""


def read_step(
    template: Template, option: str, slots: frozenset[str], names: tuple[str, ...] = ()
) -> Step:
    """Return the request that ``template`` describes.

    Parameters:
        option: its name, for errors.
        slots: the placeholders that it may have.
        names: the fields of the answer that it may have paths for.

    Raises:
        DeclarationError: it is wrong.
    """
    if not isinstance(template, Mapping) or not isinstance(template.get("url"), str):
        raise DeclarationError(f"Rest: {option} must be a table with a url")
    if unknown := template.keys() - {*_PARTS, "at", *names}:
        raise DeclarationError(
            f"Rest: {option} does not know {', '.join(sorted(map(str, unknown)))}"
        )
    for part, value in template.items():
        if not isinstance(value, _PARTS.get(part, str)):
            raise DeclarationError(f"Rest: {option}: {part} cannot be a {type(value).__name__}")
    parts = {part: template[part] for part in _PARTS if part in template}
    parts.setdefault("method", "POST" if "json" in template else "GET")
    if parts["method"].upper() not in _METHODS:
        raise DeclarationError(f"Rest: {option}: method must be one of {', '.join(_METHODS)}")
    if not all(
        re.fullmatch(r"[\x20-\x7e]*", f"{one}") for one in parts.get("headers", {}).values()
    ):
        raise DeclarationError(f"Rest: {option}: headers must be ASCII without line breaks")
    fields = {name: template[name] for name in names if name in template}
    step = Step(**parts, at=template.get("at", ""), fields=fields, names=names)
    if unknown := step.slots - slots:
        raise DeclarationError(f"Rest: {option} has no placeholder {{{sorted(unknown)[0]}}}")
    return step


def check_records(
    seek: Step | None, log: Step | None, complete: Step | None, task: Step | None
) -> None:
    """Raise DeclarationError if a record could be created twice, or never be found again."""
    if log and not (_has_key(log) if seek is None else "key" in seek.slots & log.slots):
        raise DeclarationError(
            "Rest: log could create two records of one call: add seek, with {key} in both; or "
            "{key} in the url or a header of log, if the CRM treats it as a unique key"
        )
    has_id = any(one and "id" in one.fields for one in (seek, log))
    if complete and "record" in complete.slots and not has_id:
        raise DeclarationError(
            "Rest: complete uses {record}: add id, the path of the record's id, to log or seek"
        )
    if task and not _has_key(task):
        raise DeclarationError(
            "Rest: task could create two tasks of one call: add {key} to its url or a header, "
            "which the CRM treats as a unique key"
        )


def _has_key(step: Step) -> bool:
    return "{key}" in step.url + repr(step.headers)


def filled(template: Any, values: Mapping[str, str]) -> Any:
    """Return ``template`` with its placeholders replaced."""
    if isinstance(template, str):
        return _SLOT.sub(lambda slot: values[slot[1]], template)
    if isinstance(template, Mapping):
        return {name: filled(value, values) for name, value in template.items()}
    if isinstance(template, list | tuple):
        return [filled(value, values) for value in template]
    return template


def in_header(value: str) -> str:
    """Return ``value`` with what is not ASCII percent-encoded, as UTF-8."""
    return quote(value, safe=_ASCII)


def value_at(value: Any, path: str) -> Any:
    """Return the value at ``path``; raises LookupError if it is missing."""
    for part in path.split(".") if path else ():
        if isinstance(value, list) and part.isdecimal():
            value = value[int(part)]
        elif isinstance(value, Mapping):
            value = value[part]
        else:
            raise LookupError
    return value
