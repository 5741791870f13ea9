"""The kind of a handler, determined from its code.

Rule 1: a plain function may block: it is called in a thread.
Rule 2: an async function gets a task, which can be cancelled when it is late.
Rule 3: an async function without any ``await`` cannot wait, so there is nothing to cancel: it is
        called directly, in the task of the request. A new task would cost more than the handler.
Rule 4: the kind is determined from the code that will run. Wrappers, proxies and compiled functions
        have other code, or none: they get a task.
"""

from __future__ import annotations

import dis
import functools
import inspect
from collections.abc import Callable
from types import CodeType, FunctionType, MethodType
from typing import Literal

Manner = Literal["thread", "task", "at once"]

_WAITS = dis.opmap["YIELD_VALUE"]  # part of every await, async for and async with


def manner_of(handler: Callable[..., object]) -> Manner:
    """Return how to call ``handler``."""
    if not is_async(handler):
        return "thread"
    function = _function_of(handler)
    if function is None or not function.__code__.co_flags & inspect.CO_COROUTINE:
        return "task"  # it claims to be async, but its code is unknown
    return "task" if _WAITS in function.__code__.co_code[::2] else "at once"


def _function_of(handler: object) -> FunctionType | None:
    """Return the function that runs when ``handler`` is called, if that is certain."""
    while type(handler) is functools.partial:
        handler = handler.func
    if type(handler) is MethodType:
        handler = handler.__func__
    elif type(handler) is not FunctionType and not isinstance(handler, type):
        handler = inspect.getattr_static(type(handler), "__call__", None)
    return handler if type(handler) is FunctionType else None


def is_async(function: Callable[..., object]) -> bool:
    """Return whether calling ``function`` returns a coroutine, also for partials and objects."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object may have an async __call__
    )


def code_of(handler: object) -> CodeType | None:
    """Return the code object of a handler, also of a partial or an object, for the log."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    for function in (handler, getattr(handler, "__call__", None)):  # noqa: B004
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        if isinstance(code, CodeType):
            return code
    return None
