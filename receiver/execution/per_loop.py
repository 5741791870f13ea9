"""Resources of an event loop: created on first use, closed when the loop ends.

Connections and tasks belong to one loop, but a handler's client is made at import, before a loop
exists. Nothing has to be closed explicitly: a started asynchronous generator is closed by its
loop's shutdown (`asyncio.loop.shutdown_asyncgens`), which `asyncio.run`, uvicorn and
pytest-asyncio call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One ``T`` for each event loop.

    Parameters:
        make: creates the resource; called in the running loop.
        close: closes the resource, when the loop ends or at `aclose`.
    """

    def __init__(self, make: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> None:
        self._make = make
        self._close = close
        self._lives: dict[asyncio.AbstractEventLoop, tuple[T, AsyncGenerator[None, None]]] = {}

    def here(self) -> T:
        """Return the resource of the running loop."""
        loop = asyncio.get_running_loop()
        life = self._lives.get(loop)
        return self._begin(loop) if life is None else life[0]

    async def aclose(self) -> None:
        """Close the resource of the running loop; the next use creates a new one."""
        life = self._lives.get(asyncio.get_running_loop())
        if life is not None:
            await life[1].aclose()

    def _begin(self, loop: asyncio.AbstractEventLoop) -> T:
        thing = self._make()
        life = self._live(loop, thing)
        with suppress(StopIteration):
            life.__anext__().send(None)  # up to its yield; nothing before it waits
        self._lives[loop] = thing, life
        return thing

    async def _live(self, loop: asyncio.AbstractEventLoop, thing: T) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._lives.pop(loop, None)
            await self._close(thing)
