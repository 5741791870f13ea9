"""The options of a function, a class or a TypedDict: names, types, defaults and descriptions.

Rule 1: everything comes from the signature and the docstring. In the docstring a section
        ``Parameters:``, ``Args:`` or ``Keys:`` has a line ``name: text`` for each option, or
        ``name, other: text``; indented lines continue it.
Rule 2: ``**options: Unpack[Table]`` stands for the keys of that TypedDict; their defaults are the
        attributes of the class's ``defaults``, if it has one.
Rule 3: an annotation that does not resolve, or a missing docstring, costs an option its type or
        its description; the handler stays usable.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Unpack, get_args, get_origin, get_type_hints

from receiver.config.types import type_of

_SECTION = re.compile(r"^(?:Parameters|Args|Arguments|Keys):\n((?:[ \t]+.*\n?|\n)*)", re.MULTILINE)
_ENTRY = re.compile(r"^(\w+(?:, \w+)*)(?: \([^)]*\))?: (.*(?:\n(?:[ \t]+.*)?)*)", re.MULTILINE)
_EXAMPLE = re.compile(r"^In a file::\n\n((?:[ \t]+.*\n?|\n)*)", re.MULTILINE)
_KEYWORDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        type: its type, see `receiver.config.types.type_of`; None if only Python can set it.
        default: its default, meaningless if it is ``required``.
        about: its description in the docstring, on one line; may be empty.
    """

    name: str
    type: Any
    required: bool = False
    default: Any = None
    about: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """The options of a handler or a connector, and its description.

    Attributes:
        about: the first line of its docstring.
        example: the body of a table in TOML, from ``In a file::`` in its docstring; may be empty.
        open: whether it takes further options of any name.
    """

    options: Mapping[str, Option]
    about: str = ""
    example: str = ""
    open: bool = False


def signature_of(function: Callable[..., Any]) -> Signature:
    """Return the options with which ``function``, or a class, can be called.

    Raises:
        TypeError, ValueError: it has no signature.
    """
    doc = _doc(function)
    about = _about(doc)
    hints = _hints_of(_called(function)) or _hints_of(function)
    options: dict[str, Option] = {}
    takes_more = False
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints.get(name, Any)
        if parameter.kind in _KEYWORDS:
            required = parameter.default is inspect.Parameter.empty
            text = about.get(name, "")
            options[name] = Option(name, type_of(hint), required, parameter.default, text)
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            takes_more = get_origin(hint) is not Unpack
            options |= {} if takes_more else _unpacked(function, get_args(hint)[0], about)
    return Signature(options, doc.partition("\n")[0], _section(_EXAMPLE, doc), takes_more)


def argument_of(handler: Callable[..., Any]) -> Any:
    """Return the annotation of the argument that a handler takes; Any without one."""
    hints = _hints_of(_called(handler))
    return next((hint for name, hint in hints.items() if name != "return"), Any)


def keys_of(table: type, defaults: Mapping[str, Any]) -> dict[str, Option]:
    """Return the keys of a TypedDict as options, none of them required."""
    about = _about(_doc(table))
    hints = _hints_of(table)
    return {
        name: Option(
            *(name, type_of(hints.get(name, Any))),
            default=defaults.get(name),
            about=about.get(name, ""),
        )
        for name in table.__annotations__
    }


def _unpacked(function: Any, table: type, about: Mapping[str, str]) -> dict[str, Option]:
    defaults, table = getattr(function, "defaults", None), get_origin(table) or table
    values = {name: getattr(defaults, name, None) for name in table.__annotations__}
    return {
        name: replace(option, about=about.get(name, option.about))
        for name, option in keys_of(table, values).items()
    }


def _hints_of(thing: Any) -> Mapping[str, Any]:
    try:
        return get_type_hints(thing)
    except Exception:  # evaluating another package's annotation may raise anything
        return {}


def _called(function: Any) -> Any:
    """Return what a call runs: a class's constructor, or the ``__call__`` of an object."""
    if isinstance(function, type):
        return inspect.getattr_static(function, "__init__")
    return function if inspect.isroutine(function) else type(function).__call__


def _doc(thing: Any) -> str:
    """Return the docstring; for a class followed by that of its constructor."""
    inside = inspect.getdoc(_called(thing)) if isinstance(thing, type) else ""
    return "\n\n".join(filter(None, (inspect.getdoc(thing), inside)))


def _about(doc: str) -> dict[str, str]:
    texts: dict[str, str] = {}
    for names, text in _ENTRY.findall(_section(_SECTION, doc)):
        texts |= dict.fromkeys(names.split(", "), " ".join(text.replace("``", "").split()))
    return texts


def _section(pattern: re.Pattern[str], doc: str) -> str:
    match = pattern.search(doc + "\n")
    return textwrap.dedent(match[1]).strip("\n") if match else ""
