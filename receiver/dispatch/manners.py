"""In which manner a handler is asked, as its own code tells.

Rule 1: a plain function may block: it is asked in a thread.
Rule 2: an async one gets a task, which can be cancelled when it is late.
Rule 3: an async one without any ``await`` cannot wait, so there would be nothing to cancel: it is
        asked at once, without the task, which costs more than all that such a handler does.
"""

from __future__ import annotations

import dis
import functools
import inspect
from collections.abc import Callable
from types import CodeType
from typing import Literal

Manner = Literal["thread", "task", "at once"]

_WAITS = dis.opmap["YIELD_VALUE"]  # part of every await, async for and async with


def manner_of(handler: Callable[..., object]) -> Manner:
    """The manner in which ``handler`` is to be asked."""
    if not is_async(handler):
        return "thread"
    code = code_of(handler)
    if code is None or not code.co_flags & inspect.CO_COROUTINE:
        return "task"  # it says of itself that it is async, and who knows what it returns
    return "task" if _WAITS in code.co_code[::2] else "at once"


def is_async(function: Callable[..., object]) -> bool:
    """Whether calling ``function`` gives a coroutine, also for partials and objects."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object may have an async __call__
    )


def code_of(handler: object) -> CodeType | None:
    """The code that runs when ``handler`` is called: a function, a partial or an object."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    for function in (handler, getattr(handler, "__call__", None)):  # noqa: B004
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        if type(code) is CodeType:  # what an AsyncMock has only looks like it
            found: CodeType = code
            return found
    return None
