"""Find the destinations that an action names: ``Forward("222")`` in the code of its handler, or a
reply in an attribute; and those of its fallback.

Rule 1: only literal values are found; a destination that a handler computes is not. So this is a
        hint, and never an error.
Rule 2: the number of examined objects is limited, and none of them is called.
"""

from __future__ import annotations

import ast
import functools
import inspect
import os
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from types import FunctionType, MethodType
from typing import NamedTuple

from receiver.declarations.actions import Action
from receiver.declarations.fallbacks import Fallback
from receiver.errors import ReplyError
from receiver.execution.kinds import code_of
from receiver.replies import KINDS, BaseReply, Repeat, Reply, is_reply

MAX_OBJECTS = 300
"""Maximum number of objects examined for one handler."""


class Declared(NamedTuple):
    """The destinations that one action names.

    Attributes:
        names: by its handler.
        fallback: by its first fallback.
    """

    names: tuple[str, ...]
    fallback: tuple[str, ...]


def declared(actions: Iterable[Action], fallbacks: Mapping[str, Fallback]) -> dict[str, Declared]:
    """Return the destinations that each of ``actions`` names, by its identity.

    Parameters:
        actions: of an app.
        fallbacks: the app's, by the label of a PBX; ``""`` is for all others.
    """
    found = {}
    for one in actions:
        fallback = first_fallback(one, fallbacks)
        found[one.identity] = Declared(named(one.handler), named(fallback))
    return found


def first_fallback(action: Action, fallbacks: Mapping[str, Fallback]) -> Fallback:
    """Return the first fallback of an action: its own, its IVR's or the app's, as in `declared`."""
    of_app = fallbacks.get(action.pbx, fallbacks.get("", Repeat()))
    chain = (action.fallback, action.ivr_fallback, of_app)
    return next(fallback for fallback in chain if fallback is not None)


_PLAIN = (str, bytes, int, float, type, type(None))


def named(handler: Callable[..., object] | Reply) -> tuple[str, ...]:
    """Return the destinations that a handler or a fallback names, the first ones first."""
    seen: dict[int, object] = {}
    waiting: list[object] = [handler]
    found: dict[str, None] = {}
    while waiting and len(seen) < MAX_OBJECTS:
        one = waiting.pop(0)
        if isinstance(one, _PLAIN) or id(one) in seen:
            continue
        seen[id(one)] = one
        if is_reply(one):
            found[one.words] = None
        elif isinstance(one, FunctionType):
            found.update((reply.words, None) for reply in _in_code(one))
            waiting += _closed_over(one)
        else:
            waiting += _parts(one)
    return tuple(found)


def _parts(one: object) -> Iterator[object]:
    if isinstance(one, MethodType):
        yield from (one.__func__, one.__self__)
    elif isinstance(one, functools.partial):
        yield one.func
    elif isinstance(one, Mapping):
        yield from list(one.values())[:MAX_OBJECTS]
    elif isinstance(one, list | tuple | set | frozenset):
        yield from list(one)[:MAX_OBJECTS]
    elif not inspect.ismodule(one):
        yield from list(getattr(one, "__dict__", {}).values())
        slots = (name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ()))
        yield from (getattr(one, name) for name in slots if hasattr(one, name))
        if callable(one):
            yield getattr(type(one).__call__, "__func__", type(one).__call__)


def _closed_over(function: FunctionType) -> Iterator[object]:
    yield getattr(function, "__wrapped__", None)
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # it is empty yet
            continue


def _in_code(function: FunctionType) -> Iterator[Reply]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, ValueError):  # no source, or a piece of an expression
        return
    # A decorator's fallback is not the handler's.
    body = getattr(tree.body[0], "body", tree.body) if tree.body else []
    for part in body if isinstance(body, list) else [body]:
        for node in ast.walk(part):
            if isinstance(node, ast.Call) and (reply := _reply(node, function)):
                yield reply


def _reply(node: ast.Call, function: FunctionType) -> Reply | None:
    if isinstance(node.func, ast.Name):
        kind = function.__globals__.get(node.func.id)
    else:
        named = {one.__name__: one for one in KINDS.values()}
        kind = named.get(getattr(node.func, "attr", ""))
    if isinstance(kind, type) and issubclass(kind, BaseReply):
        match node.args:
            case [] if not kind.has_target():
                return kind.of()
            case [ast.Constant(value=str(text))] if kind.has_target():
                with suppress(ReplyError):
                    return kind.of(text)
            case [ast.Name(id=name)] if kind.has_target():
                number = getattr(function.__globals__.get(name), "number", None)
                if isinstance(number, str):  # of an Ivr or an Announcement
                    with suppress(ReplyError):
                        return kind.of(number)
    return None


def from_here(file: str) -> str:
    """Return ``file`` relative to the working directory, if it is below it."""
    here = os.path.join(os.getcwd(), "")
    return file.removeprefix(here)


def source_location(handler: Callable[..., object], where: str) -> tuple[str, str]:
    """Return the name of a handler, as in ``app.pick``, and its place, as in ``app.py:6``."""
    module = str(getattr(handler, "__module__", "")).partition(" of ")[0]
    name = getattr(handler, "__qualname__", type(handler).__qualname__)
    code = code_of(handler)
    place = f"{code.co_filename}:{code.co_firstlineno}" if code else where
    return f"{module}.{name}".lstrip("."), from_here(place)
