"""The type of a value in a configuration file, derived from the annotation of its option.

Rule 1: annotations are the only source for what a file may contain, for its description, and for
        the JSON Schema.
Rule 2: a file cannot contain a function. An option that accepts nothing else has no type here; an
        option that accepts other values too has the type of those. So `Then` is a reply or a
        handler, and ``Reply | Callable[[Call], Reply]``, a fallback, is a reply.
Rule 3: a class that is not a TOML type is one of `VALUES`, or an object that a connector makes.
Rule 4: a type is an annotation that msgspec understands, or a class of this module. msgspec
        converts scalars and writes the schema. It cannot do the rest: its unions allow one kind of
        table, while a reply, a handler and plain data are all tables; and its errors stop at the
        first, do not name the key of a dict (``$[...]``), and repeat the value, which may be a PIN.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from itertools import chain
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin, is_typeddict

import msgspec

from receiver.credentials import Secret
from receiver.declarations.ivr_menu import Disa, MenuEntry, Voicemail
from receiver.declarations.office_hours import Holiday, OfficeHours
from receiver.declarations.speech import Speech
from receiver.pbx.models_shared import OutboundCallerId
from receiver.replies import BaseReply, keywords


class ReplyValue:
    """A reply: ``"222"``, ``"hangup"``, or a table such as ``{forward = "222"}``."""


class ThenValue:
    """A reply or a handler."""


class RuleValue:
    """A rule of an IVR: a reply, or ``{voicemail = "101"}``."""

    kinds: tuple[type[Voicemail | Disa], ...] = (Voicemail,)


class MenuRuleValue(RuleValue):
    """A rule of a menu entry: as before, or ``"disa"``."""

    kinds = (Voicemail, Disa)


class ConnectorValue:
    """An object that a connector makes, or that ``use`` names."""


class EventHandlerValue:
    """A handler of events."""


class SpeechValue:
    """A spoken prompt: a table ``{text = "…", voice = "en"}``."""


class OneOf:
    """One of several types; the first that accepts a value counts. Made by `one_of`."""

    members: tuple[Any, ...] = ()


class TableValue:
    """A table of one of `VALUES`, or ``use``. Made by `table_of`."""

    target: type = object
    name: str = ""


VALUES: Mapping[str, type] = {
    "office-hours": OfficeHours,
    "holiday": Holiday,
    "menu-entry": MenuEntry,
    "outbound-caller-id": OutboundCallerId,
}
"""The values that tables stand for, by their name after ``value =``."""

_WORDS: Mapping[Any, str] = {
    str: "a string",
    Path: "a path",
    Secret: 'a string or "$NAME"',
    bool: "true or false",
    int: "an integer",
    float: "a number",
    Any: "anything",
    ReplyValue: 'a reply such as "222"',
    ThenValue: 'a reply such as "222" or a handler',
    RuleValue: 'a rule such as "222" or {voicemail = "101"}',
    MenuRuleValue: 'a rule such as "222", "disa" or {voicemail = "101"}',
    ConnectorValue: 'a connector, as in {connector = "…"}',
    EventHandlerValue: 'a handler of events, as in {handler = "follow-up"}',
    SpeechValue: 'a spoken prompt, as in {text = "…"}',
}
_TOML = {Secret: str, Path: str, tuple: list, set: list, frozenset: list}
"""By Python type without a TOML counterpart, the TOML type that represents it."""
_WIDER = {Secret: str, Path: str, float: int}
"""Pairs of which the first type accepts all values of the second, and more."""
_COLLECTIONS = (tuple, set, frozenset)
_OBJECTS = ("handler", "connector", "use")
"""The keys that mark a table as an object; ``value`` does so only in a definition."""


@cache
def one_of(*members: Any) -> Any:
    """Return the type of a value that has one of the types ``members``."""
    return type("OneOf", (OneOf,), {"members": members})


@cache
def table_of(target: type) -> Any:
    """Return the type of a table of ``target``, one of `VALUES`."""
    name = next(name for name, one in VALUES.items() if one is target)
    return type("TableValue", (TableValue,), {"target": target, "name": name})


def is_table(kind: Any) -> bool:
    """Return whether `table_of` made ``kind``."""
    return isinstance(kind, type) and issubclass(kind, TableValue)


def members_of(kind: Any) -> tuple[Any, ...]:
    """Return the members of a `OneOf`, or any other type as the only member."""
    return kind.members if isinstance(kind, type) and issubclass(kind, OneOf) else (kind,)


def marks() -> tuple[str, ...]:
    """Return the keys that mark a table as a handler, a connector or a reply; the first counts."""
    return (*_OBJECTS, *keywords())


def is_marked(value: object) -> bool:
    """Whether ``value`` is a table that stands for a reply, a handler or a connector."""
    return isinstance(value, dict) and not value.keys().isdisjoint(marks())


def accepts(kind: Any, value: object) -> bool:
    """Whether ``value`` has the TOML type of ``kind``, without regard to its entries."""
    origin = get_origin(kind) or kind
    if origin is Annotated:
        return accepts(get_args(kind)[0], value)
    if origin is Literal:
        return type(value) in {type(one) for one in get_args(kind)}
    if origin in (ReplyValue, ThenValue):
        return isinstance(value, str) or is_marked(value)
    if origin in (RuleValue, MenuRuleValue):
        return isinstance(value, str | dict)
    if origin in (ConnectorValue, EventHandlerValue):
        return isinstance(value, dict) and not value.keys().isdisjoint(_OBJECTS)
    if is_table(kind):
        names = {"use", "value", *inspect.signature(kind.target).parameters}
        return isinstance(value, dict) and not names.isdisjoint(value)
    if origin is SpeechValue:
        return isinstance(value, dict)
    if len(members_of(kind)) > 1:
        return any(accepts(member, value) for member in members_of(kind))
    try:
        msgspec.convert(value, _TOML.get(origin, origin))
    except msgspec.ValidationError:
        return False
    return True


def in_words(kind: Any) -> str:
    """Return a description of ``kind`` for errors and help texts."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return in_words(args[0])
    if origin is Literal:
        shown = [f'"{one}"' if isinstance(one, str) else str(one) for one in args]
        return " or ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
    if origin is dict:
        return f"a table ({in_words(args[1])})"
    if origin is tuple and args[-1] is not ...:
        return f"a list of {len(args)} ({', '.join(map(in_words, args))})"
    if origin is not None:
        return f"a list ({in_words(args[0])})"
    if is_table(kind):
        return f"a table ({kind.name.replace('-', ' ')})"
    return _WORDS.get(kind) or ", or ".join(map(in_words, members_of(kind)))


def type_of(annotation: Any) -> Any:
    """Return the type of an option with this annotation; None if a file cannot contain it."""
    if hasattr(annotation, "__value__"):  # type Name = …
        return type_of(annotation.__value__)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_of(args[0])
    if origin is Literal:
        return one_of(*_literals(args)) if len({*map(type, args)}) > 1 else annotation
    if origin in (Union, types.UnionType):
        return _of_union(args)
    kind = origin or annotation
    if is_typeddict(kind):
        return dict[str, Any]
    # TOML has dates and times too; the constructor checks them.
    if not isinstance(kind, type) or kind in (Any, object) or kind.__module__ == "datetime":
        return Any
    return kind if kind in _WORDS else _of_class(kind, args)


def _of_class(kind: Any, args: tuple[Any, ...]) -> Any:
    if issubclass(kind, PurePath):
        return Path
    if kind is Speech:
        return SpeechValue
    if issubclass(kind, tuple) and args and args[-1] is not ...:
        items = tuple(map(type_of, args))
        return None if None in items else types.GenericAlias(tuple, items)
    if issubclass(kind, Mapping):
        value = type_of(args[1]) if len(args) == 2 else Any
        return value and types.GenericAlias(dict, (str, value))
    if issubclass(kind, Collection) or kind is Iterable:
        item = type_of(args[0]) if args else Any
        made = kind if kind in _COLLECTIONS else list
        return item and types.GenericAlias(made, (item, ...) if made is tuple else (item,))
    if kind in (Callable, types.NoneType):
        return None
    if kind in VALUES.values():
        return table_of(kind)
    return ReplyValue if _is_reply(kind) else ConnectorValue


def _of_union(members: tuple[Any, ...]) -> Any:
    rest = list(members)
    kinds: list[Any] = []
    if Voicemail in rest:
        kinds.append(MenuRuleValue if Disa in rest else RuleValue)
        rest = [one for one in rest if one not in (Voicemail, Disa) and not _is_reply(one)]
    elif any(map(_is_reply, rest)):
        kinds.append(ThenValue if any(map(_is_async, rest)) else ReplyValue)
        rest = [one for one in rest if one is not str and not _is_reply(one)]
    for kind in chain.from_iterable(members_of(type_of(one)) for one in rest):
        if kind is not None and kind not in kinds:
            kinds.append(kind)
    kinds = [kind for kind in kinds if kind not in {_WIDER.get(one) for one in kinds}]
    literals = [kind for kind in kinds if get_origin(kind) is Literal]
    if types.NoneType in rest and literals:
        words = [kind for kind in literals if isinstance(get_args(kind)[0], str)]
        kinds = [_or_none(kind) if kind in words else kind for kind in kinds]
        kinds += [] if words else [_or_none(Literal[()])]
    return one_of(*kinds) if len(kinds) > 1 else kinds[0] if kinds else None


def _or_none(kind: Any) -> Any:
    """Return a ``Literal`` with the further value ``"none"``, which the mark None tells from it."""
    return Annotated[Literal.__getitem__((*get_args(kind), "none")), None]


def _literals(values: Iterable[Any]) -> Iterator[Any]:
    """Return one ``Literal`` for each type: msgspec before 0.22 cannot sort mixed ones."""
    by_type: dict[type, list[Any]] = {}
    for value in values:
        by_type.setdefault(type(value), []).append(value)
    yield from (Literal.__getitem__(tuple(some)) for some in by_type.values())


def _is_reply(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseReply)


def _is_async(annotation: Any) -> bool:
    """Whether this is the annotation of an async function, which only a handler may be."""
    args = get_args(annotation)
    if get_origin(annotation) is not Callable or len(args) != 2:
        return False
    returned = get_origin(args[1]) or args[1]
    return hasattr(returned, "__await__")
