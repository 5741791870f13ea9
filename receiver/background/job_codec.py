"""Encode a function and its arguments as signed text, and decode it.

Rule 1: a job is decoded exactly as it was encoded, or it is refused: the function is found by its
        name, or is one that the app declares by that name, and arguments have the types of JSON. A
        tuple would be decoded as a list.
Rule 2: a body is signed, with its key, so a client that can write to the queue runs no code here.
Rule 3: no error's text contains an argument.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib
import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from types import MappingProxyType
from typing import Any, NamedTuple

from receiver.errors import ReceiverError

IDEMPOTENCY_KEY = "idempotency_key"
"""The argument by which a function is given its job's key, if it takes one of this name."""

MAX_BODY_LENGTH = 65_536
"""Most characters of a body."""

MAX_DECLARED_LENGTH = 16 * MAX_BODY_LENGTH
"""The same for a function that the app declares, such as what runs a handler of events."""

Declared = Mapping[str, Callable[..., object]]
"""Functions that cannot be imported by name, such as those that an app makes, by `name_of`."""

_MAX_DEPTH = 20
_SIGNATURE_LENGTH = 64


class BodyError(ReceiverError):
    """A body cannot be decoded: wrong signature, or its function no longer exists."""


class Work(NamedTuple):
    """A call to make, in ``context`` or else in that of the worker.

    ``sensitive`` if a sensitive action queued it.
    """

    function: Callable[..., object]
    args: Sequence[object]
    kwargs: Mapping[str, object]
    context: Context | None = None
    sensitive: bool = False


def name_of(function: Callable[..., object]) -> str:
    """Return ``module:qualname``, as far as known, for logs."""
    owner = function if hasattr(function, "__qualname__") else type(function)
    return f"{owner.__module__}:{owner.__qualname__}"


def check_function(function: object) -> None:
    """Raise a TypeError if ``function`` is not callable, such as a coroutine."""
    if not callable(function):
        kind = type(function).__name__
        raise TypeError(f"after takes a function and then its arguments, not a {kind}")


def write(seal: bytes, key: str, work: Work, declared: Declared = MappingProxyType({})) -> str:
    """Return the body of a job.

    Parameters:
        seal: the secret to sign with.
        key: of the job, which is signed too.
        work: what is to be done.
        declared: the functions that need not be found by their names.

    Raises:
        TypeError: the function cannot be found by its name, does not take these arguments, or one
            of them is not made of JSON's types.
        ValueError: an argument is a number without end, or all are too long or nested too deeply.
    """
    name = name_of(work.function)
    is_declared = declared.get(name) is work.function
    if not is_declared and (name.startswith("__main__:") or not _is_found(name, work.function)):
        raise TypeError(
            f"durable work must be a function that another process can import: {name} is not found "
            "there; write it with def, at the top of a module"
        )
    _check_call(name, key, work)
    for place, value in [*enumerate(work.args, 1), *work.kwargs.items()]:
        _check(value, f"argument {place!r} of {name}", _MAX_DEPTH)
    parts = [name, work.args, work.kwargs, *([True] if work.sensitive else [])]
    text = json.dumps(parts, separators=(",", ":"))
    longest = MAX_DECLARED_LENGTH if is_declared else MAX_BODY_LENGTH
    if len(text) > longest:
        raise ValueError(f"the arguments of {name} are longer than {longest} characters")
    return _sign(seal, key, text) + text


def read(seal: bytes, key: str, body: str, declared: Declared = MappingProxyType({})) -> Work:
    """Decode a body; the key is one of the arguments if the function accepts it.

    Raises:
        BodyError: it was not signed with ``seal``, or the function cannot be imported.
    """
    text = body[_SIGNATURE_LENGTH:]
    if not hmac.compare_digest(_sign(seal, key, text).encode(), body[:_SIGNATURE_LENGTH].encode()):
        raise BodyError("not signed with this RECEIVER_SECRET")
    name, args, kwargs, *sensitive = json.loads(text)
    try:
        function = declared[name] if name in declared else _find(name)
    except (ImportError, AttributeError, ValueError):
        raise BodyError(f"there is no {name}") from None
    if _takes_key(function):
        kwargs[IDEMPOTENCY_KEY] = key
    return Work(function, args, kwargs, sensitive=bool(sensitive))


def name_in(body: str) -> str:
    """Return the name of the function in ``body``, without checking the signature."""
    try:
        return str(json.loads(body[_SIGNATURE_LENGTH:])[0])
    except (ValueError, LookupError, TypeError):
        return "?"


def arguments_in(body: str) -> tuple[Sequence[object], Mapping[str, object]]:
    """Return the arguments in ``body``, which are caller data, without checking it."""
    try:
        _, args, kwargs, *_ = json.loads(body[_SIGNATURE_LENGTH:])
    except (ValueError, TypeError):
        return (), {}
    good = isinstance(args, list) and isinstance(kwargs, dict)
    return (args, kwargs) if good else ((), {})


def _sign(seal: bytes, key: str, text: str) -> str:
    message = f"{len(key)}:{key}{text}".encode("utf-8", "surrogatepass")
    return hmac.new(seal, message, hashlib.sha256).hexdigest()


def _find(name: str) -> Any:
    module, _, path = name.rpartition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def _is_found(name: str, function: Callable[..., object]) -> bool:
    try:
        return bool(_find(name) == function)
    except (ImportError, AttributeError, ValueError):
        return False


def _takes_key(function: Callable[..., object]) -> bool:
    found = inspect.signature(function).parameters.values()
    return any(p.name == IDEMPOTENCY_KEY and p.kind is not p.POSITIONAL_ONLY for p in found)


def _check_call(name: str, key: str, work: Work) -> None:
    also = {IDEMPOTENCY_KEY: key} if _takes_key(work.function) else {}
    try:
        inspect.signature(work.function).bind(*work.args, **work.kwargs, **also)
    except TypeError as error:  # its text names parameters, no values
        raise TypeError(f"{name}: {error}") from None


def _check(value: object, where: str, deepest: int) -> None:
    if deepest == 0:
        raise ValueError(f"{where} is nested more than {_MAX_DEPTH} deep")
    if type(value) is list:
        for item in value:
            _check(item, where, deepest - 1)
    elif type(value) is dict:
        for name, item in value.items():
            if type(name) is not str:
                raise TypeError(f"{where} has a {type(name).__name__} for a key, JSON has strings")
            _check(item, where, deepest - 1)
    elif type(value) is float and not math.isfinite(value):
        raise ValueError(f"{where} holds a number that JSON does not have")
    elif type(value) not in (str, int, float, bool, type(None)):
        raise TypeError(
            f"{where} holds a {type(value).__name__}; durable work takes what JSON has: str, int, "
            "float, bool, None, list, dict"
        )
