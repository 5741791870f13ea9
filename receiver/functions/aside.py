"""Plain functions, run in threads by whoever is in an event loop.

Rule 1: the threads are those of `receiver.functions.threads`: daemons of their own, one pool for
        each loop, ended with it.
Rule 2: what a function raised is raised where it is waited for; a full pool says so at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from queue import Full
from typing import Any, TypeVar

from receiver.errors import Unavailable
from receiver.functions.attempts import Failed, attempt
from receiver.functions.loops import PerLoop
from receiver.functions.threads import Threads

T = TypeVar("T")


async def _close(threads: Threads) -> None:
    threads.close()


_pools: PerLoop[Threads] = PerLoop(Threads, _close)


def begin(function: Callable[..., T], *args: object) -> Future[T | Failed]:
    """Run ``function(*args)`` in a thread, whatever becomes of whoever asked.

    Raises:
        Unavailable: all threads are busy, and as much as may wait is waiting.
    """
    run: Callable[..., Any] = attempt
    try:
        return _pools.here().submit(run, function, *args)
    except Full:
        raise Unavailable("all threads for plain functions are busy") from None


async def in_thread(function: Callable[..., T], *args: object) -> T:
    """What ``function(*args)`` returns, or raises, in a thread.

    Raises:
        Unavailable: as for `begin`.
    """
    result = await asyncio.wrap_future(begin(function, *args))
    if isinstance(result, Failed):
        raise result.error
    return result
