"""Run plain functions in threads, from an event loop, and coroutines in the loop, from a thread.

Rule 1: the threads are those of `receiver.execution.thread_pool`: daemons, one pool
        for each loop, ended with it.
Rule 2: an exception of the function is raised where its result is awaited; a full pool raises
        `Unavailable` at once.
Rule 3: a thread never waits for an event loop without a limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from queue import Full
from typing import Any, TypeVar

from receiver.errors import Unavailable
from receiver.execution.guarded_call import Failed, attempt
from receiver.execution.per_loop import PerLoop
from receiver.execution.thread_pool import Threads

T = TypeVar("T")


async def _close(threads: Threads) -> None:
    threads.close()


_pools: PerLoop[Threads] = PerLoop(Threads, _close)


def begin(function: Callable[..., T], *args: object) -> Future[T | Failed]:
    """Run ``function(*args)`` in a thread, also if the caller is cancelled.

    Raises:
        Unavailable: all threads are busy and the queue is full.
    """
    run: Callable[..., Any] = attempt
    try:
        return _pools.here().submit(run, function, *args)
    except Full:
        raise Unavailable("all threads for plain functions are busy") from None


async def in_thread(function: Callable[..., T], *args: object) -> T:
    """Return the result of ``function(*args)`` in a thread; raise its exception.

    Raises:
        Unavailable: as for `begin`.
    """
    result = await asyncio.wrap_future(begin(function, *args))
    if isinstance(result, Failed):
        raise result.error
    return result


class LoopUnavailable(Exception):
    """The event loop did not run a coroutine; the text says why."""


def in_loop(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T], seconds: float
) -> T:
    """Return what ``coroutine`` returns in ``loop``, or raise what it raises; called in a thread.

    Parameters:
        loop: runs in another thread.
        coroutine: cancelled if it does not end in time.
        seconds: the time limit.

    Raises:
        LoopUnavailable: the loop is closed, or does not answer in time.
    """
    try:
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    except RuntimeError:  # the loop is closed
        coroutine.close()
        raise LoopUnavailable("the service has ended") from None
    try:
        return future.result(seconds)
    except TimeoutError:
        if not future.cancel():
            raise  # by the coroutine itself
        raise LoopUnavailable("the event loop is blocked") from None
