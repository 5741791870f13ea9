"""What may stand at a key, found out from the annotation of the option that it becomes.

Rule 1: annotations are the only source: of what a file may say, of how that is explained, and of
        the schema for editors.
Rule 2: a function cannot be written in a file. An option that wants nothing else has no shape; one
        that takes others as well has theirs. So `Then` is a reply or a handler, and
        ``Reply | Callable[[Call], Reply]``, a fallback, is a reply.
Rule 3: a class that is none of TOML's types is an object that a connector makes.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin, is_typeddict

from receiver.replies import Forward, Reply
from receiver.secrets import Secret


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value of TOML: ``types`` are Python's for it, ``name`` is JSON's."""

    words: str
    name: str
    types: tuple[type, ...]

    def takes(self, value: object) -> bool:
        return isinstance(value, self.types) and (not isinstance(value, bool) or bool in self.types)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several; with ``none`` the word ``"none"`` among them says None."""

    values: tuple[Any, ...]
    none: bool = False

    @property
    def words(self) -> str:
        shown = [f'"{v}"' if isinstance(v, str) else str(v) for v in self.values]
        return " or ".join((", ".join(shown[:-1]), shown[-1])) if len(shown) > 1 else shown[0]

    def takes(self, value: object) -> bool:
        return isinstance(value, tuple({type(v) for v in self.values}))


@dataclass(frozen=True, slots=True)
class ListOf:
    """Entries of one shape; ``made`` is what Python wants of them."""

    item: Shape
    made: type = list

    @property
    def words(self) -> str:
        return f"a list ({self.item.words})"

    def takes(self, value: object) -> bool:
        return isinstance(value, list)


@dataclass(frozen=True, slots=True)
class Row:
    """A list of so many entries, each with a shape of its own."""

    items: tuple[Shape, ...]

    @property
    def words(self) -> str:
        return f"a list of {len(self.items)} ({', '.join(item.words for item in self.items)})"

    def takes(self, value: object) -> bool:
        return isinstance(value, list)


@dataclass(frozen=True, slots=True)
class TableOf:
    value: Shape

    @property
    def words(self) -> str:
        return f"a table ({self.value.words})"

    def takes(self, value: object) -> bool:
        return isinstance(value, dict)


@dataclass(frozen=True, slots=True)
class Leads:
    """Where a call goes on: a reply, and if ``handlers`` also a handler."""

    handlers: bool

    @property
    def words(self) -> str:
        return 'a reply such as "222"' + (" or a handler" if self.handlers else "")

    def takes(self, value: object) -> bool:
        return isinstance(value, str) or is_marked(value)


@dataclass(frozen=True, slots=True)
class Part:
    """An object that a connector makes."""

    words = 'a connector, as in {connector = "…"}'

    def takes(self, value: object) -> bool:
        return is_marked(value)


@dataclass(frozen=True, slots=True)
class Anything:
    words = "anything"

    def takes(self, value: object) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Either:
    """The first that takes a value counts."""

    shapes: tuple[Shape, ...]

    @property
    def words(self) -> str:
        return ", or ".join(shape.words for shape in self.shapes)

    def takes(self, value: object) -> bool:
        return any(shape.takes(value) for shape in self.shapes)


Shape = Scalar | Choice | ListOf | Row | TableOf | Leads | Part | Anything | Either

TEXT = Scalar("a text", "string", (str,))
PATH = Scalar("a path", "string", (str,))
SECRET = Scalar('a text or "$NAME"', "string", (str,))
FLAG = Scalar("true or false", "boolean", (bool,))
WHOLE = Scalar("a whole number", "integer", (int,))
NUMBER = Scalar("a number", "number", (int, float))

MARKS = ("handler", "connector", "use", "forward", "hangup", "repeat")
"""A table with one of these keys is no table of data; the first that is there says what it is."""

_SCALARS: Mapping[object, Scalar] = {
    str: TEXT,
    Secret: SECRET,
    bool: FLAG,
    int: WHOLE,
    float: NUMBER,
}
_WIDER = {SECRET: TEXT, PATH: TEXT, NUMBER: WHOLE}
"""The first says what the second would, and more."""


def is_marked(value: object) -> bool:
    return isinstance(value, dict) and not value.keys().isdisjoint(MARKS)


def shape_of(annotation: Any) -> Shape | None:
    """The shape of an option that is annotated so; None if no file can say it."""
    if hasattr(annotation, "__value__"):  # type Name = …
        return shape_of(annotation.__value__)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return shape_of(args[0])
    if origin is Literal:
        return Choice(args)
    if origin in (Union, types.UnionType):
        return _of_union(args)
    kind = origin or annotation
    if kind in _SCALARS:
        return _SCALARS[kind]
    if is_typeddict(kind):
        return TableOf(Anything())
    # TOML has dates and times, too: what comes is what is wanted, or the maker says so.
    if not isinstance(kind, type) or kind in (Any, object) or kind.__module__ == "datetime":
        return Anything()
    return _of_class(kind, args)


def _of_class(kind: type, args: tuple[Any, ...]) -> Shape | None:
    if issubclass(kind, PurePath):
        return PATH
    if issubclass(kind, tuple) and args and args[-1] is not ...:
        return _whole(Row, [shape_of(arg) for arg in args])
    if issubclass(kind, Mapping):
        value = shape_of(args[1]) if len(args) == 2 else Anything()
        return value and TableOf(value)
    if issubclass(kind, Collection) or kind is Iterable:
        item = shape_of(args[0]) if args else Anything()
        return item and ListOf(item, kind if kind in (tuple, set, frozenset) else list)
    if kind in (Callable, types.NoneType):
        return None
    return Leads(handlers=False) if kind in get_args(Reply) else Part()


def _whole(kind: type[Row], shapes: list[Shape | None]) -> Row | None:
    there = tuple(shape for shape in shapes if shape is not None)
    return kind(there) if len(there) == len(shapes) else None


def _of_union(members: tuple[Any, ...]) -> Shape | None:
    rest = list(members)
    shapes: list[Shape] = []
    if Forward in rest:
        leads = Leads(handlers=any(map(_is_async, rest)))
        shapes.append(leads)
        said = {*get_args(Reply), str}
        rest = [one for one in rest if not (isinstance(one, type) and one in said)]
    for shape in map(shape_of, rest):
        if shape is not None and shape not in shapes:
            shapes.append(shape)
    narrower = {_WIDER.get(shape) for shape in shapes if isinstance(shape, Scalar)}
    shapes = [shape for shape in shapes if shape not in narrower]
    if types.NoneType in rest:
        shapes = [
            Choice((*s.values, "none"), none=True) if isinstance(s, Choice) else s for s in shapes
        ]
    # What is marked is a handler, where there may be a table as well.
    return shapes[0] if len(shapes) == 1 else Either(tuple(shapes)) if shapes else None


def _is_async(annotation: Any) -> bool:
    """Whether it is the annotation of an async function, which only a handler may be."""
    args = get_args(annotation)
    if get_origin(annotation) is not Callable or len(args) != 2:
        return False
    returned = get_origin(args[1]) or args[1]
    return hasattr(returned, "__await__")
