"""Run several requests to a PBX at the same time, and beside those of other clients."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")

MAX_CONCURRENT = 8
"""The number of requests, or of groups of requests, that run at the same time."""


async def together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await all of ``work`` at the same time; the first error cancels the rest and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def for_each(
    items: Iterable[T], do: Callable[[T], Awaitable[None]], limit: int = MAX_CONCURRENT
) -> None:
    """Await ``do`` for each of ``items``, at most ``limit`` at the same time; errors as before."""
    gate = asyncio.Semaphore(limit)

    async def limited(item: T) -> None:
        async with gate:
            await do(item)

    await together(map(limited, items))


def random_delay(attempt: int) -> float:
    """Return the seconds until the next attempt, from 1: random, and longer after each.

    So clients that interfere with each other stop doing so.
    """
    return random.uniform(0.1, 0.5) * attempt  # noqa: S311
