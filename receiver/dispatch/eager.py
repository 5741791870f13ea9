"""The first step of a coroutine is taken at once, for most never need a second one.

Rule 1: what does not wait costs no turn of the event loop and no timer.
Rule 2: nobody can tell from inside: from its first step to its last a coroutine that gets a task
        is in that task and in one context, so that ``asyncio.timeout`` and the like work.
"""

from __future__ import annotations

import asyncio
import contextvars
import types
from collections.abc import Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

Steps = Coroutine[Any, None, T]


@dataclass(slots=True, eq=False)
class Begun:
    """A coroutine that was begun in a task of its own, or what `ended` without one.

    Attributes:
        task: ends as the coroutine does, but a turn of the loop later where that ended at once.
    """

    task: asyncio.Task[object] = field(init=False)
    _ended: bool = False
    _cancelled: bool = False
    _result: object = None

    def done(self) -> bool:
        return self._ended or self.task.done()

    def result(self) -> object:
        """What it returned.

        Raises:
            asyncio.CancelledError: it raised that, or was cancelled.
        """
        if not self._ended:
            return self.task.result()
        if self._cancelled:
            raise asyncio.CancelledError
        return self._result

    async def run(self, coroutine: Steps[object]) -> object:
        """All of ``coroutine``, with a pause behind its first step: there the task takes over."""
        try:
            waits_for = coroutine.send(None)
        except StopIteration as end:
            self._ended, self._result = True, end.value
        except asyncio.CancelledError:
            self._ended = self._cancelled = True
        thrown: asyncio.CancelledError | None = None
        try:
            await _pause()
        except asyncio.CancelledError as error:  # before the task has taken a step
            thrown = error
        if self._ended:
            return self.result()
        return await _go_on(coroutine, waits_for, thrown)


def ended(result: object) -> Begun:
    """As if a coroutine had returned ``result`` in its first step."""
    begun = Begun()
    begun._ended, begun._result = True, result
    return begun


def begin(coroutine: Steps[object], loop: asyncio.AbstractEventLoop) -> Begun:
    """Give ``coroutine`` a task, and take its first step; called in a task of ``loop``.

    As the eager tasks of Python 3.12 do it, by the functions that asyncio has for that.

    Parameters:
        coroutine: raises nothing but `asyncio.CancelledError`.
        loop: the running event loop.
    """
    begun, context = Begun(), contextvars.copy_context()
    whole = begun.run(coroutine)
    begun.task = asyncio.Task(whole, loop=loop, context=context)
    outer = asyncio.current_task(loop)
    if outer is not None:
        asyncio._leave_task(loop, outer)
    asyncio._enter_task(loop, begun.task)
    try:
        context.run(whole.send, None)
    finally:
        asyncio._leave_task(loop, begun.task)
        if outer is not None:
            asyncio._enter_task(loop, outer)
    return begun


async def within(due: float, coroutine: Steps[T]) -> T:
    """What ``coroutine`` returns; there is a timer only if it has to wait.

    Parameters:
        due: in the event loop's time.
        coroutine: runs in the task that called.

    Raises:
        TimeoutError: it waited until ``due``.
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    async with asyncio.timeout_at(due):
        return await _go_on(coroutine, waits_for)


@types.coroutine
def _pause() -> Generator[None, None, None]:
    yield


@types.coroutine
def _go_on(
    coroutine: Steps[T], waits_for: object, thrown: BaseException | None = None
) -> Generator[Any, None, T]:
    """``await coroutine`` for one that was begun and waits, as PEP 380 spells it out.

    Parameters:
        waits_for: what its last step gave.
        thrown: what it gets instead of that.
    """
    while True:
        try:
            if thrown is None:
                yield waits_for
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:
            thrown = error
        try:
            waits_for = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
        except StopIteration as end:
            result: T = end.value
            return result
        thrown = None
