"""Which destinations an action names: ``Forward("222")`` in its handler, or a reply that it holds;
and where its fallback leads.

Rule 1: only what stands there as a value is told; what a handler computes is not. So this is a
        hint for people, and never an error.
Rule 2: what is looked at is bounded, and none of it is called.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType, MethodType
from typing import NamedTuple

from receiver.actions import Action
from receiver.console.flowmap import words
from receiver.errors import ReplyError
from receiver.ladders import Fallback
from receiver.replies import Forward, Hangup, Repeat, Reply

MOST = 300
"""Things that are looked at, of one handler."""


class Declared(NamedTuple):
    """What one action names.

    Attributes:
        names: by its handler.
        fallback: by the first rung of its ladder of fallbacks.
    """

    names: tuple[str, ...]
    fallback: tuple[str, ...]


def declared(actions: Iterable[Action], fallbacks: Mapping[str, Fallback]) -> dict[str, Declared]:
    """What each of ``actions`` names, by its identity.

    Parameters:
        actions: of an app.
        fallbacks: the app's, by the label of a PBX; ``""`` is for all others.
    """
    found = {}
    for one in actions:
        of_app = fallbacks.get(one.pbx, fallbacks.get("", Repeat()))
        rungs = (one.fallback, one.ivr_fallback, of_app)
        first = next(rung for rung in rungs if rung is not None)
        found[one.identity] = Declared(named(one.handler), named(first))
    return found


_PLAIN = (str, bytes, int, float, type, type(None))


def named(handler: Callable[..., object] | Reply) -> tuple[str, ...]:
    """The destinations that a handler, or a fallback, names, in their order."""
    seen: dict[int, object] = {}
    waiting: list[object] = [handler]
    found: dict[str, None] = {}
    while waiting and len(seen) < MOST:
        one = waiting.pop(0)
        if isinstance(one, _PLAIN) or id(one) in seen:
            continue
        seen[id(one)] = one
        if isinstance(one, Reply):
            found[words(one)] = None
        elif isinstance(one, FunctionType):
            found.update(dict.fromkeys(map(words, _in_code(one))))
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
        yield from list(one.values())[:MOST]
    elif isinstance(one, list | tuple | set | frozenset):
        yield from list(one)[:MOST]
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
    made = {"Forward": Forward, "Hangup": Hangup, "Repeat": Repeat}
    if isinstance(node.func, ast.Name):
        kind = function.__globals__.get(node.func.id)
    else:
        kind = made.get(getattr(node.func, "attr", ""))
    match kind, node.args:
        case made_kind, [] if made_kind in (Hangup, Repeat):
            return Hangup() if made_kind is Hangup else Repeat()
        case made_kind, [ast.Constant(value=str(text))] if made_kind is Forward:
            try:
                return Forward(text)
            except ReplyError:
                return None
    return None
