"""The session of one call, as a mapping that a handler reads and writes.

Rule 1: a value is read back exactly as it was written, or the write raises. So only values that
        survive JSON unchanged in every parser are accepted: no tuples, subclasses, integers beyond
        64 bits, NaN or lone surrogates.
Rule 2: errors and `repr` contain keys and types, never a value, which is caller data.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from math import isfinite
from typing import Any, TypeAlias, TypeVar

from msgspec import DecodeError
from msgspec.json import Decoder, Encoder

from receiver.errors import ReceiverError, Unavailable

MAX_SIZE = 16 * 1024
"""Largest size of a session as JSON, in octets."""

MAX_DEPTH = 20
"""Deepest nesting of lists and dicts."""

Value: TypeAlias = str | int | float | bool | list[Any] | dict[str, Any] | None

_encode = Encoder().encode
_decode = Decoder(dict[str, Any]).decode

T = TypeVar("T", bound=Value)


class SessionError(ReceiverError):
    """A session is too large, or is used after its end: an error in the handler's code."""


class SessionLost(Unavailable):
    """The session cannot be read or saved; the stored session is most likely unchanged.

    Another callback holds it, or the store is unavailable. The caller gets the fallback.
    """


class Session(MutableMapping[str, Value]):
    """The session of one call, from ``async with`` to its end.

    Parameters:
        stored: JSON that `change` returned; empty for a new call.

    Raises:
        SessionLost: ``stored`` is not valid.
    """

    def __init__(self, stored: bytes = b"") -> None:
        self._stored = stored
        self._over = False
        try:
            self._values: dict[str, Value] = _decode(stored) if stored else {}
        except (DecodeError, UnicodeDecodeError, TypeError):
            raise SessionLost("the stored session of this call is invalid") from None

    def __getitem__(self, key: str) -> Value:
        return self._values[key]

    def get(self, key: str, default: Any = None) -> Any:
        return self._values.get(key, default)  # several times as fast as the one of a mapping

    def __setitem__(self, key: str, value: Value) -> None:
        """Raises:
        TypeError: a session cannot hold the value.
        SessionError: the session is over.
        """
        if self._over:
            self._check_open()
        _check(key, value)
        self._values[key] = value

    def __delitem__(self, key: str) -> None:
        self._check_open()
        del self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Session({', '.join(map(repr, self._values))})"

    def read(self, key: str, default: T) -> T:
        """Return the value at ``key``, of the type of ``default``; or ``default``.

        ``session["attempts"] = session.read("attempts", 0) + 1``

        Raises:
            TypeError: the stored value has another type.
        """
        value = self._values.get(key, default)
        if type(value) is not type(default):
            raise TypeError(
                f"session[{_named(key)}] is of type {type(value).__name__}, "
                f"not {type(default).__name__}"
            )
        return value

    def change(self) -> bytes | None:
        """End the session; return the text to store, empty to delete it, None if unchanged.

        Raises:
            TypeError: a list or dict in it has got a value that a session cannot hold.
            SessionError: it is too large.
        """
        self._over = True
        for key, value in self._values.items():
            if type(value) in (list, dict):  # which may have been changed since it was put in
                _check(key, value)
        stored = _encode(self._values) if self._values else b""
        if stored == self._stored:
            return None
        if len(stored) > MAX_SIZE:
            sizes = {key: len(_encode(value)) for key, value in self._values.items()}
            largest = max(sizes, key=sizes.__getitem__)
            raise SessionError(
                f"the session has {len(stored)} octets as JSON and may have {MAX_SIZE}; "
                f"the largest part is session[{_named(largest)}]"
            )
        return stored

    def _check_open(self) -> None:
        if self._over:
            raise SessionError("the session is over: write to it inside its `async with`")


def _check(key: object, value: object) -> None:
    """Raise an error unless ``value`` can be stored under ``key``.

    Raises:
        TypeError: it cannot, or not under this key.
    """
    problem = _problem(value) if type(key) is str else "a key that is not str"
    if problem := problem or _problem(key):
        raise TypeError(
            f"session[{_named(key)}] is or contains {problem}; a session can hold str, int, float, "
            "bool, None, and lists and dicts of them"
        )


def _problem(value: Any, depth: int = 0) -> str:
    """Return why ``value``, or a value in it, cannot be stored; empty if it can."""
    kind = type(value)  # JSON would lose what a subclass adds
    if kind is str:
        return "" if _whole(value) else "text with a lone surrogate"
    if kind is int:
        return "" if -(2**63) <= value < 2**64 else "a number beyond 64 bits"
    if kind is float:
        return "" if isfinite(value) else "a number that is not finite"
    if kind is bool or value is None:
        return ""
    if kind is list:
        inner = value
    elif kind is dict:
        if not all(type(name) is str for name in value):
            return "a key that is not str"
        inner = [*value, *value.values()]
    else:
        return f"a {kind.__name__}"
    if depth == MAX_DEPTH:
        return f"more than {MAX_DEPTH} lists or dicts inside each other"
    return next(filter(None, (_problem(item, depth + 1) for item in inner)), "")


def _whole(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _named(key: object) -> str:
    return repr(key)[:60]
