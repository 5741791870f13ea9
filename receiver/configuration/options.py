"""The options of a function, a class or a TypedDict: names and types, defaults, and what they say.

Rule 1: the signature and the docstring are all there is to write. In the docstring a section
        ``Parameters:``, ``Args:`` or ``Keys:`` has a line ``name: text`` for each, or
        ``name, other: text``; what is indented below goes on.
Rule 2: ``**options: Unpack[Table]`` stands for the keys of that TypedDict; their defaults are the
        attributes of what the class has as ``defaults``, if it has that.
Rule 3: what cannot be found out (an annotation that does not resolve, no docstring) costs an option
        its shape or its text, never the handler.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Unpack, get_args, get_origin, get_type_hints

from receiver.configuration.shapes import Shape, shape_of

_SECTION = re.compile(r"^(?:Parameters|Args|Arguments|Keys):\n((?:[ \t]+.*\n?|\n)*)", re.MULTILINE)
_ENTRY = re.compile(r"^(\w+(?:, \w+)*)(?: \([^)]*\))?: (.*(?:\n(?:[ \t]+.*)?)*)", re.MULTILINE)
_EXAMPLE = re.compile(r"^In a file::\n\n((?:[ \t]+.*\n?|\n)*)", re.MULTILINE)
_KEYWORDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        shape: what may stand there; None if only Python can say it.
        default: what counts without it, meaningless if it is ``required``.
        about: what the docstring says of it, on one line; may be empty.
    """

    name: str
    shape: Shape | None
    required: bool = False
    default: Any = None
    about: str = ""


@dataclass(frozen=True, slots=True)
class Maker:
    """What makes a handler or a connector: its options, and what it says of itself.

    Attributes:
        about: the first line of its docstring.
        example: the body of a table in TOML, from ``In a file::`` in its docstring; may be empty.
        open: whether it takes further options, of any name.
    """

    options: Mapping[str, Option]
    about: str = ""
    example: str = ""
    open: bool = False


def maker_of(function: Callable[..., Any]) -> Maker:
    """What ``function``, or a class, can be made with.

    Raises:
        TypeError, ValueError: it has no signature to look at.
    """
    doc = _doc(function)
    about = _about(doc)
    hints = _hints(function)
    options: dict[str, Option] = {}
    takes_more = False
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints.get(name, Any)
        if parameter.kind in _KEYWORDS:
            required = parameter.default is inspect.Parameter.empty
            options[name] = Option(
                name, shape_of(hint), required, parameter.default, about.get(name, "")
            )
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            takes_more = get_origin(hint) is not Unpack
            options |= {} if takes_more else _unpacked(function, get_args(hint)[0], about)
    return Maker(options, doc.partition("\n")[0], _section(_EXAMPLE, doc), takes_more)


def keys_of(table: type, defaults: Mapping[str, Any]) -> dict[str, Option]:
    """The keys of a TypedDict, none of them required, as options."""
    about = _about(_doc(table))
    hints = _hints_of(table)
    return {
        name: Option(
            *(name, shape_of(hints.get(name, Any))),
            default=defaults.get(name),
            about=about.get(name, ""),
        )
        for name in table.__annotations__
    }


def _unpacked(function: Any, table: type, about: Mapping[str, str]) -> dict[str, Option]:
    defaults, table = getattr(function, "defaults", None), get_origin(table) or table
    there = {name: getattr(defaults, name, None) for name in table.__annotations__}
    return {
        name: replace(option, about=about.get(name, option.about))
        for name, option in keys_of(table, there).items()
    }


def _hints(function: Any) -> Mapping[str, Any]:
    return _hints_of(_maker(function))


def _hints_of(thing: Any) -> Mapping[str, Any]:
    try:
        return get_type_hints(thing)
    except Exception:  # somebody else's annotation may raise anything
        return {}


def _maker(function: Any) -> Any:
    """What is called: of a class the constructor, of an object that is no function its call."""
    if isinstance(function, type):
        return inspect.getattr_static(function, "__init__")
    return function if inspect.isroutine(function) else type(function).__call__


def _doc(thing: Any) -> str:
    """The docstring; of a class with that of its constructor, either of which tells the options."""
    inside = inspect.getdoc(_maker(thing)) if isinstance(thing, type) else ""
    return "\n\n".join(filter(None, (inspect.getdoc(thing), inside)))


def _about(doc: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for names, text in _ENTRY.findall(_section(_SECTION, doc)):
        found |= dict.fromkeys(names.split(", "), " ".join(text.replace("``", "").split()))
    return found


def _section(pattern: re.Pattern[str], doc: str) -> str:
    found = pattern.search(doc + "\n")
    return textwrap.dedent(found[1]).strip("\n") if found else ""
