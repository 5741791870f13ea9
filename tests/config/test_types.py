"""The types of values by annotation, and the options and descriptions of a signature."""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import Annotated, Any, Literal, Protocol, TypedDict, TypeVar, Unpack
from typing import Generic as Generic_

import pytest

from receiver import Call, Reply, Secret, Then
from receiver.config import types
from receiver.config.options import Option, keys_of, signature_of
from receiver.config.types import (
    ConnectorValue,
    ReplyValue,
    ThenValue,
    accepts,
    in_words,
    one_of,
    type_of,
)
from receiver.declarations.fallbacks import Fallback

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
    """An alias such as ``type Name = …`` of Python 3.12."""

    __value__ = str | None

    def __repr__(self) -> str:
        return "Alias"


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (str, str),
        (bool, bool),
        (int, int),
        (float, float),
        (int | float, float),
        (str | Path, Path),
        (PurePath, Path),
        (str | Secret, Secret),
        (Literal["a", 1], one_of(Literal["a"], Literal[1])),
        (Literal[1] | None, one_of(Literal[1], Annotated[Literal["none"], None])),
        (str | None, str),
        (Annotated[int, "seconds"], int),
        (Alias(), str),
        (Any, Any),
        (T, Any),
        (object, Any),
        (datetime.date, Any),
        (Keys, dict[str, Any]),
        (Literal["a", "b"], Literal["a", "b"]),
        (Literal["a", "b"] | None, Annotated[Literal["a", "b", "none"], None]),
        (list[int], list[int]),
        (Sequence[str], list[str]),
        (tuple[str, ...], tuple[str, ...]),
        (set[str], set[str]),
        (list, list[Any]),
        (tuple[str, int], tuple[str, int]),
        (Mapping[str, str], dict[str, str]),
        (dict, dict[str, Any]),
        (Reply, ReplyValue),
        (Fallback, ReplyValue),
        (Then, ThenValue),
        (Then | None, ThenValue),
        (Mapping[str, Then | Secret], dict[str, one_of(ThenValue, Secret)]),  # type: ignore[misc]
        (Crm, ConnectorValue),
        (Check, None),
        (Check | None, None),
        (Check | Mapping[str, str] | None, dict[str, str]),
        (list[Check], None),
        (Mapping[str, Check], None),
        (tuple[str, Check], None),
        (
            Mapping[str, float] | Sequence[Then | tuple[Then, float]],
            one_of(dict[str, float], list[one_of(ThenValue, tuple[ThenValue, float])]),  # type: ignore[misc]
        ),
    ],
    ids=str,
)
def test_the_type_of_an_annotation(annotation: Any, expected: Any) -> None:
    assert type_of(annotation) == expected


@pytest.mark.parametrize(
    ("kind", "value", "accepted"),
    [
        (int, 1, True),
        (int, 2**70, True),
        (int, True, False),
        (bool, True, True),
        (float, 1, True),
        (float, float("inf"), True),
        (Literal["a"], 1, False),
        (Literal[1], True, False),
        (type_of(Literal[1] | None), "none", True),
        (Secret, "222", True),
        (Path, 222, False),
        (ThenValue, "222", True),
        (ThenValue, {"forward": "222"}, True),
        (ThenValue, {"mon": "222"}, False),
        (ConnectorValue, {"connector": "x"}, True),
        (ConnectorValue, "x", False),
        (list[str], [], True),
        (tuple[str], {}, False),
        (dict[str, str], {}, True),
        (Any, None, True),
        (one_of(int, str), "x", True),
        (one_of(int, str), 1.5, False),
    ],
)
def test_which_toml_values_a_type_accepts(kind: Any, value: object, accepted: bool) -> None:
    assert accepts(kind, value) is accepted


def test_types_in_words() -> None:
    assert in_words(Literal["a", "b", 3]) == '"a", "b" or 3'
    assert in_words(Literal["a"]) == '"a"'
    assert in_words(type_of(Literal["a"] | None)) == '"a" or "none"'
    assert in_words(list[int]) == "a list (an integer)"
    assert in_words(tuple[int, ...]) == "a list (an integer)"
    assert in_words(dict[str, ReplyValue]) == 'a table (a reply such as "222")'
    assert in_words(tuple[str, bool]) == "a list of 2 (a string, true or false)"
    assert in_words(one_of(int, ThenValue)) == 'an integer, or a reply such as "222" or a handler'
    assert "connector" in in_words(ConnectorValue)
    assert types.is_marked({"use": 1})


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
    signature = signature_of(Thing)
    assert (signature.about, signature.open) == ("A thing.", True)
    assert signature.example == 'handler = "thing"\nfirst = 1'
    assert list(signature.options) == ["second", "third"]  # first cannot be given by its name
    second, third = signature.options.values()
    assert (second.type, second.required, second.default, second.about) == (
        str,
        False,
        "x",
        "the others.",
    )
    assert (third.type, third.required) == (None, True)


class Common(TypedDict, total=False):
    """Options of several.

    Keys:
        pace: how often.
        name: of each.
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
    signature = signature_of(Sharing)
    assert not signature.open
    assert signature.options == {
        "own": Option("own", str, True, inspect.Parameter.empty),
        "pace": Option("pace", float, default=2.0, about="how often."),
        "name": Option("name", str, about="of this one."),
        "hook": Option("hook", None),
    }


class Lost(TypedDict, total=False):
    key: NotThere  # type: ignore[name-defined]  # noqa: F821


class Generic(TypedDict, Generic_[T], total=False):
    key: T


def test_keys_with_unresolvable_annotations_accept_anything() -> None:
    def lost(**options: Unpack[Lost]) -> None: ...

    def generic(**options: Unpack[Generic[int]]) -> None: ...

    assert signature_of(lost).options == {"key": Option("key", Any)}
    assert list(signature_of(generic).options) == ["key"]


def test_the_docstring_of_a_constructor_counts_too() -> None:
    class Other:
        def __init__(self, one: int = 1) -> None:
            """Make it.

            Args:
                one: the one.
            """

    assert signature_of(Other).options["one"].about == "the one."


def test_without_annotations_and_docstrings() -> None:
    def make(one, two=2): ...  # type: ignore[no-untyped-def]

    def odd(one: NotThere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    class Odd:
        def __call__(self, one: int) -> None: ...

    assert [option.type for option in signature_of(make).options.values()] == [Any, Any]
    assert signature_of(odd).options["one"].type == Any
    assert signature_of(Odd()).options["one"].type is int
    with pytest.raises((TypeError, ValueError)):
        signature_of(3)  # type: ignore[arg-type]


def test_the_keys_of_a_typed_dict() -> None:
    one, other = keys_of(Keys, {"one": 5}).values()
    assert (one.type, one.default, one.about, one.required) == (int, 5, "the first.", False)
    assert (other.type, other.about) == (str, "")
