"""Looks at PBXs now and then, for somebody who asks how they are and does not wait.

Rule 1: one look at a time, at most every so many seconds, and only while somebody asks.
Rule 2: a client of each PBX is kept, so that a refused password is not sent twice
        (`receiver.pbx.tokens`). It is made in a thread: reading certificates takes the time of some
        callbacks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Any

from receiver.pbx.client import PbxClient
from receiver.settings import Settings

_LEAVING = 1.0  # seconds for signing out


class Visits:
    """Owner of the looks, and of the clients that they want.

    Parameters:
        fresh: seconds for which an answer of a PBX is good.
        make: a client of a PBX.
        clock: seconds, by a clock that is never set.
    """

    def __init__(
        self,
        fresh: float,
        make: Callable[[Settings], PbxClient],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fresh = fresh
        self._make = make
        self._clock = clock
        self._clients: dict[object, PbxClient] = {}
        self._stack = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None
        self._again = float("-inf")

    def begin(self, look: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have ``look`` run, if it is time to."""
        idle = self._task is None or self._task.done()
        if idle and self._clock() >= self._again:
            self._again = self._clock() + self._fresh
            self._task = asyncio.create_task(look())

    async def client(self, which: object, settings: Settings) -> PbxClient:
        """The client of the PBX that is known as ``which``.

        Raises:
            ReceiverError: none can be made; the settings are wrong.
        """
        if which not in self._clients:
            made = await asyncio.to_thread(self._make, settings)
            self._clients[which] = await self._stack.enter_async_context(made)
        return self._clients[which]

    async def close(self) -> None:
        """Sign out, as far as the PBXs can be reached."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVING):
                await self._stack.aclose()
