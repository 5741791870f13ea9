"""The installed handlers and connectors that a file can name, of any distribution, broken or not.

Rule 1: a broken one has a reason and does not affect the others.
Rule 2: values, such as office hours, are those of `receiver.config.types.VALUES`.
Rule 3: a function whose only parameter is a `Call` is a handler; any other function or class is
        called with the options and returns a handler.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from receiver.config.options import Signature, signature_of
from receiver.config.types import VALUES
from receiver.declarations import limits
from receiver.text import short

Kind = Literal["handler", "connector", "value"]

GROUPS: Mapping[Kind, str] = {"handler": "receiver.handlers", "connector": "receiver.crms"}
"""The entry-point groups of handlers and of connectors to CRMs, of any distribution."""


@dataclass(frozen=True)
class Entry:
    """A name that a file may use.

    Attributes:
        value: the object reference of the entry point, as in ``handlers.menu:Menu``.
        distribution: its name and version.
        signature: its options; None if it is broken.
        target: the class or function that the entry point names.
        reason: why it is broken, empty if it is not.
    """

    kind: Kind
    name: str
    value: str
    distribution: str
    signature: Signature | None = None
    target: Any = None
    reason: str = ""

    @cached_property
    def is_handler(self) -> bool:
        """Whether it is a handler already and takes no options."""
        return (
            self.kind == "handler"
            and not isinstance(self.target, type)
            and self.signature is not None
            and sum(option.required for option in self.signature.options.values()) == 1
            and not limits.problem_of_handler(self.target)
        )


def installed(kind: Kind) -> Mapping[str, Entry]:
    """Return all entries of a kind by name."""
    return {name: _entry(kind, point) for name, point in _points(kind).items()}


def find(kind: Kind, name: str) -> Entry:
    """Return the entry with that name; a broken or unknown one has a ``reason``."""
    points = _points(kind)
    if name in points:
        return _entry(kind, points[name])
    near = get_close_matches(name, points, 1)
    hint = f"did you mean {near[0]!r}?" if near else "run receiver handlers for a list"
    return Entry(kind, name, "", "", reason=f"no {kind} {short(name)!r} is installed: {hint}")


def _points(kind: Kind) -> Mapping[str, EntryPoint]:
    if kind == "value":
        places = {name: f"{one.__module__}:{one.__name__}" for name, one in VALUES.items()}
        return {name: EntryPoint(name, place, kind) for name, place in places.items()}
    return {point.name: point for point in sorted(entry_points(group=GROUPS[kind]))}


def _entry(kind: Kind, point: EntryPoint) -> Entry:
    distribution = f"{point.dist.name} {point.dist.version}" if point.dist else ""
    entry = Entry(kind, point.name, point.value, distribution)
    try:
        target = point.load()
    except (Exception, SystemExit) as error:  # another package's module may raise anything
        hint = _hidden_handlers() if point.module.startswith("handlers.") else ""
        problem = f"{type(error).__name__}: {error}{hint}"
        reason = f'{kind} "{point.name}" ({point.value}) is broken: {problem}'
        return replace(entry, reason=reason)
    try:
        return replace(entry, signature=signature_of(target), target=target)
    except (TypeError, ValueError):
        reason = "it is neither a class nor a function with a signature that can be read"
        return replace(entry, reason=reason)


def _hidden_handlers() -> str:
    """Return what to do if a ``handlers/__init__.py`` of the user hides the ready-made ones."""
    hiding = getattr(sys.modules.get("handlers"), "__file__", None)
    if hiding is None:
        return ""
    return (
        f"; {hiding} hides the ready-made handlers: delete that file, or write into it\n"
        '    __path__ = __import__("pkgutil").extend_path(__path__, __name__)'
    )
