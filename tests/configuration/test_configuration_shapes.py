"""What may stand at a key, by the annotation of the option; and what a docstring says of it."""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal, Protocol, TypedDict, TypeVar, Unpack
from typing import Generic as Generic_

import pytest

from receiver import Call, Reply, Secret, Then
from receiver.configuration import shapes
from receiver.configuration.options import Option, keys_of, maker_of
from receiver.configuration.shapes import (
    FLAG,
    NUMBER,
    PATH,
    SECRET,
    TEXT,
    WHOLE,
    Anything,
    Choice,
    Either,
    Leads,
    ListOf,
    Part,
    Row,
    Shape,
    TableOf,
    shape_of,
)
from receiver.ladders import Fallback

ANY, THEN, REPLY = Anything(), Leads(handlers=True), Leads(handlers=False)
Check = Callable[[Call], bool]
T = TypeVar("T")


class Crm(Protocol):
    async def find(self, number: str) -> None: ...


class Keys(TypedDict):
    """Keys.

    Keys:
        one: the first.
    """

    one: int
    other: str


class Alias:
    """As ``type Name = …`` is in Python 3.12."""

    __value__ = str | None

    def __repr__(self) -> str:
        return "Alias"


@pytest.mark.parametrize(
    ("annotation", "shape"),
    [
        (str, TEXT),
        (bool, FLAG),
        (int, WHOLE),
        (float, NUMBER),
        (int | float, NUMBER),
        (str | Path, PATH),
        (str | Secret, SECRET),
        (str | None, TEXT),
        (Annotated[int, "seconds"], WHOLE),
        (Alias(), TEXT),
        (Any, ANY),
        (T, ANY),
        (object, ANY),
        (datetime.date, ANY),
        (Keys, TableOf(ANY)),
        (Literal["a", "b"], Choice(("a", "b"))),
        (Literal["a", "b"] | None, Choice(("a", "b", "none"), none=True)),
        (list[int], ListOf(WHOLE)),
        (Sequence[str], ListOf(TEXT)),
        (tuple[str, ...], ListOf(TEXT, tuple)),
        (set[str], ListOf(TEXT, set)),
        (list, ListOf(ANY)),
        (tuple[str, int], Row((TEXT, WHOLE))),
        (Mapping[str, str], TableOf(TEXT)),
        (dict, TableOf(ANY)),
        (Reply, REPLY),
        (Fallback, REPLY),
        (Then, THEN),
        (Then | None, THEN),
        (Mapping[str, Then | Secret], TableOf(Either((THEN, SECRET)))),
        (Crm, Part()),
        (Check, None),
        (Check | None, None),
        (Check | Mapping[str, str] | None, TableOf(TEXT)),
        (list[Check], None),
        (Mapping[str, Check], None),
        (tuple[str, Check], None),
        (
            Mapping[str, float] | Sequence[Then | tuple[Then, float]],
            Either((TableOf(NUMBER), ListOf(Either((THEN, Row((THEN, NUMBER))))))),
        ),
    ],
    ids=str,
)
def test_the_shape_of_an_annotation(annotation: Any, shape: Shape | None) -> None:
    assert shape_of(annotation) == shape


@pytest.mark.parametrize(
    ("shape", "value", "takes"),
    [
        (WHOLE, 1, True),
        (WHOLE, True, False),
        (FLAG, True, True),
        (NUMBER, 1, True),
        (Choice(("a",)), 1, False),
        (THEN, "222", True),
        (THEN, {"forward": "222"}, True),
        (THEN, {"mon": "222"}, False),
        (Part(), {"connector": "x"}, True),
        (ListOf(TEXT), [], True),
        (Row((TEXT,)), {}, False),
        (TableOf(TEXT), {}, True),
        (ANY, None, True),
        (Either((WHOLE, TEXT)), "x", True),
        (Either((WHOLE, TEXT)), 1.5, False),
    ],
)
def test_what_a_shape_takes(shape: Shape, value: object, takes: bool) -> None:
    assert shape.takes(value) is takes


def test_shapes_in_words() -> None:
    assert Choice(("a", "b", 3)).words == '"a", "b" or 3'
    assert Choice(("a",)).words == '"a"'
    assert ListOf(WHOLE).words == "a list (a whole number)"
    assert TableOf(REPLY).words == 'a table (a reply such as "222")'
    assert Row((TEXT, FLAG)).words == "a list of 2 (a text, true or false)"
    assert Either((WHOLE, THEN)).words == 'a whole number, or a reply such as "222" or a handler'
    assert "connector" in Part().words
    assert shapes.is_marked({"use": 1})


class Thing:
    """A thing.

    More of it.

    In a file::

        handler = "thing"
        first = 1

    Parameters:
        first: the ``first``,
            on two lines.
        second, third (text): the others.
    """

    def __init__(
        self, first: int, /, second: str = "x", *rest: str, third: Check, **more: int
    ) -> None: ...


def test_the_options_of_a_class() -> None:
    maker = maker_of(Thing)
    assert (maker.about, maker.open) == ("A thing.", True)
    assert maker.example == 'handler = "thing"\nfirst = 1'
    assert list(maker.options) == ["second", "third"]  # first cannot be given by its name
    second, third = maker.options.values()
    assert (second.shape, second.required, second.default, second.about) == (
        TEXT,
        False,
        "x",
        "the others.",
    )
    assert (third.shape, third.required) == (None, True)


class Common(TypedDict, total=False):
    """Options of several.

    Keys:
        pace: how often.
        name: of whatever takes them.
    """

    pace: float
    name: str
    hook: Check


class Sharing:
    """One of them.

    Parameters:
        name: of this one.
    """

    defaults = SimpleNamespace(pace=2.0)

    def __init__(self, own: str, **options: Unpack[Common]) -> None: ...


def test_unpacked_options_are_those_of_their_table() -> None:
    maker = maker_of(Sharing)
    assert not maker.open
    assert maker.options == {
        "own": Option("own", TEXT, True, inspect.Parameter.empty),
        "pace": Option("pace", NUMBER, default=2.0, about="how often."),
        "name": Option("name", TEXT, about="of this one."),
        "hook": Option("hook", None),
    }


class Lost(TypedDict, total=False):
    key: NotThere  # type: ignore[name-defined]  # noqa: F821


class Generic(TypedDict, Generic_[T], total=False):
    key: T


def test_a_table_that_cannot_be_read_costs_its_shapes_only() -> None:
    def lost(**options: Unpack[Lost]) -> None: ...

    def generic(**options: Unpack[Generic[int]]) -> None: ...

    assert maker_of(lost).options == {"key": Option("key", ANY)}
    assert list(maker_of(generic).options) == ["key"]


def test_the_docstring_of_a_constructor_counts_too() -> None:
    class Other:
        def __init__(self, one: int = 1) -> None:
            """Make it.

            Args:
                one: the one.
            """

    assert maker_of(Other).options["one"].about == "the one."


def test_without_annotations_and_docstrings() -> None:
    def make(one, two=2): ...  # type: ignore[no-untyped-def]

    def odd(one: NotThere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    class Odd:
        def __call__(self, one: int) -> None: ...

    assert [option.shape for option in maker_of(make).options.values()] == [ANY, ANY]
    assert maker_of(odd).options["one"].shape == ANY
    assert maker_of(Odd()).options["one"].shape == WHOLE
    with pytest.raises((TypeError, ValueError)):
        maker_of(3)  # type: ignore[arg-type]


def test_the_keys_of_a_typed_dict() -> None:
    one, other = keys_of(Keys, {"one": 5}).values()
    assert (one.shape, one.default, one.about, one.required) == (WHOLE, 5, "the first.", False)
    assert (other.shape, other.about) == (TEXT, "")
