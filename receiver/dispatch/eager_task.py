"""Eager tasks: run a coroutine up to its first await immediately; most handlers end there.

Rule 1: a coroutine that does not wait costs no iteration of the event loop and no timer.
Rule 2: a coroutine that waits runs in one task and one context from its first step to its last, so
        ``asyncio.timeout`` and similar functions work.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import types
from collections.abc import Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Steps = Coroutine[Any, None, T]


@dataclass(slots=True, eq=False)
class EagerTask(Generic[T]):
    """A coroutine that was started eagerly in a new task, or the result of one from `ended`.

    Attributes:
        task: ends as the coroutine does; before Python 3.12 one iteration of the loop later if the
            coroutine did not wait.
    """

    task: asyncio.Task[T] = field(init=False)
    _ended: bool = False
    _error: BaseException | None = None
    _result: Any = None

    def done(self) -> bool:
        return self._ended or self.task.done()

    def result(self) -> T:
        """Return what the coroutine returned, or raise what it raised."""
        if not self._ended:
            return self.task.result()
        if self._error is not None:
            raise self._error
        result: T = self._result
        return result

    async def keep(self, coroutine: Steps[T]) -> T:
        """Return what ``coroutine`` returns, also if its first step cancels the task.

        A handler may cancel all tasks.
        """
        result = await coroutine
        if not hasattr(self, "task"):
            self._ended, self._result = True, result
        return result

    async def run(self, coroutine: Steps[T]) -> T:
        """Run ``coroutine``, with a pause after its first step, where the task continues it."""
        try:
            waits_for = coroutine.send(None)
        except StopIteration as end:
            self._ended, self._result = True, end.value
        except BaseException as error:
            self._ended, self._error = True, error
        thrown: asyncio.CancelledError | None = None
        try:
            await _pause()
        except asyncio.CancelledError as error:  # before the task has taken a step
            thrown = error
        if self._ended:
            return self.result()
        return await go_on(coroutine, waits_for, thrown)


def ended(result: T) -> EagerTask[T]:
    """Return the `EagerTask` of a coroutine that returned ``result`` without awaiting."""
    begun: EagerTask[T] = EagerTask()
    begun._ended, begun._result = True, result
    return begun


def begin(coroutine: Steps[T], loop: asyncio.AbstractEventLoop) -> EagerTask[T]:
    """Start ``coroutine`` eagerly in a new task.

    Since Python 3.12 asyncio has eager tasks; for older versions this uses its internal functions.

    Parameters:
        loop: the running event loop.
    """
    begun: EagerTask[T] = EagerTask()
    context = contextvars.copy_context()
    if sys.version_info >= (3, 12):
        begun.task = asyncio.Task(
            begun.keep(coroutine), loop=loop, context=context, eager_start=True
        )
        return begun
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
    """Return the result of ``coroutine`` before a deadline; a timer is only made if it awaits.

    Parameters:
        due: in the event loop's time.
        coroutine: runs in the calling task.

    Raises:
        TimeoutError: it waited until ``due``.
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    async with asyncio.timeout_at(due):
        return await go_on(coroutine, waits_for)


@types.coroutine
def _pause() -> Generator[None, None, None]:
    yield


@types.coroutine
def go_on(
    coroutine: Steps[T], waits_for: object, thrown: BaseException | None = None
) -> Generator[Any, None, T]:
    """Await a coroutine that was started, by the expansion of ``yield from`` in PEP 380.

    Parameters:
        waits_for: the result of its last step.
        thrown: an exception to throw into it instead.
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
