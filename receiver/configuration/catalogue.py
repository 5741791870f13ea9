"""What is installed to be named in a file: handlers and connectors, of any wheel, broken ones too.

Rule 1: one that is broken says why, and is in nobody else's way.
Rule 2: what takes a `Call` and nothing else is a handler itself; anything else is called with the
        options, and makes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from importlib.metadata import EntryPoint
from typing import Any, Literal

from receiver import limits
from receiver.configuration.options import Maker, maker_of
from receiver.errors import LoadError
from receiver.loader import CONNECTORS, GROUP, handler_names, load_handler
from receiver.printable import short

Kind = Literal["handler", "connector"]

GROUPS: Mapping[Kind, str] = {"handler": GROUP, "connector": CONNECTORS}


@dataclass(frozen=True)
class Entry:
    """A name that a file may use.

    Attributes:
        maker: its options; None if it is broken.
        made: the class or function behind it.
        reason: why it is broken, empty if it is not.
    """

    kind: Kind
    name: str
    value: str
    wheel: str
    maker: Maker | None = None
    made: Any = None
    reason: str = ""

    @cached_property
    def is_itself(self) -> bool:
        """Whether it is a handler already, and takes no options."""
        return (
            self.kind == "handler"
            and not isinstance(self.made, type)
            and self.maker is not None
            and sum(option.required for option in self.maker.options.values()) == 1
            and not limits.problem_of_handler(self.made)
        )


def installed(kind: Kind) -> Mapping[str, Entry]:
    """All of them, by name."""
    return {name: _entry(kind, point) for name, point in handler_names(GROUPS[kind]).items()}


def find(kind: Kind, name: str) -> Entry:
    """The one with that name; what is wrong is told by its ``reason``."""
    points = handler_names(GROUPS[kind])
    if name in points:
        return _entry(kind, points[name])
    near = get_close_matches(name, points, 1)
    hint = f"is {near[0]!r} meant?" if near else "receiver handlers lists those there are"
    return Entry(kind, name, "", "", reason=f"no {kind} {short(name)!r} is installed: {hint}")


def _entry(kind: Kind, point: EntryPoint) -> Entry:
    wheel = f"{point.dist.name} {point.dist.version}" if point.dist else ""
    try:
        made = load_handler(point.name, GROUPS[kind])
        return Entry(kind, point.name, point.value, wheel, maker_of(made), made)
    except LoadError as error:
        reason = str(error)
    except (TypeError, ValueError):
        reason = "it is neither a class nor a function whose options can be looked at"
    return Entry(kind, point.name, point.value, wheel, reason=reason)
