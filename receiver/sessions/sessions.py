"""One writer at a time for what each call remembers.

Rule 1: who comes second waits, until its own time is up and no longer. However many wait in one
        process, one of them asks the shelf.
Rule 2: what changed is saved at a normal end, all of it or nothing; after an error in between
        nothing is. A save that is refused or gets lost is told: `SessionLost`.
Rule 3: whatever happens on the way, the lock is given back, by a task that has an owner and tries
        again while the lease would last.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from secrets import token_hex
from typing import TypeVar

from receiver.sessions.keys import Key
from receiver.sessions.session import Session, SessionLost
from receiver.sessions.shelf import LEASE, Shelf
from receiver.shared.patience import CLOSING, LIMIT, PAUSE, NotAsked, Patience, StoreError

POLL = 0.02
"""Seconds until a lock that another process may have is asked for again."""

_OUT_OF_ORDER = "the store of sessions is out of order"

T = TypeVar("T")


class Sessions:
    """What calls remember, on a `Shelf`.

    Parameters:
        shelf: of this process alone, or a shared one.
        patience: with a shared one.
        again: seconds until a lock that could not be given back is tried again.
    """

    def __init__(
        self, shelf: Shelf, patience: Patience | None = None, *, again: float = PAUSE
    ) -> None:
        self._shelf = shelf
        self._patience = patience
        self._again = again
        self._queues: dict[str, deque[asyncio.Event]] = {}  # of those who came second or later
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self, key: Key | None, *, until: float) -> AsyncIterator[Session]:
        """The session at ``key``, for whom enters and nobody else.

        A handler that opens the one it has already waits for itself, until its time is up.

        Parameters:
            key: None for a call that nothing tells from others, which remembers nothing.
            until: the loop's time after which it is not waited for any more. A question to the
                shelf that is under way then may take the rest of its `LIMIT`.

        Raises:
            SessionLost: at the start it could not be had in time, or the shelf is out of order; at
                the end a change could not be saved, for the shelf is out of order or the
                session was held for more than `LEASE` seconds.
            SessionError, TypeError: at the end: what `Session.change` finds.
        """
        if key is None:
            yield Session()
            return
        token = token_hex(8)
        stored = await self._take(key, token, until)
        try:
            session = Session(stored)
            yield session
            change = session.change()
        except BaseException:
            # With as much patience as for a save, but after that without us.
            await asyncio.wait({self._give_back(key, token)}, timeout=LIMIT)
            raise
        await self._give(key, token, change)

    async def close(self) -> None:
        """Give back what is still held, connections and threads; raises nothing."""
        if tasks := set(self._tasks):
            _, late = await asyncio.wait(tasks, timeout=CLOSING)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._patience is None:
            await self._shelf.close()
        else:
            await self._patience.close(self._shelf.close)

    async def _take(self, key: Key, token: str, until: float) -> bytes:
        if key.name not in self._queues:
            stored = await self._try(key, token)
            if stored is not None:
                return stored
        return await self._take_in_turn(key, token, until)

    async def _take_in_turn(self, key: Key, token: str, until: float) -> bytes:
        """The first in the queue asks when it is woken, and now and then; the others wait."""
        time = asyncio.get_running_loop().time
        turn = asyncio.Event()
        queue = self._queues.setdefault(key.name, deque())
        queue.append(turn)
        try:
            while (left := until - time()) > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left, POLL) if queue[0] is turn else left):
                        await turn.wait()
                turn.clear()
                if queue[0] is turn:
                    stored = await self._try(key, token)
                    if stored is not None:
                        return stored
            raise SessionLost("another callback of the same call has the session")
        finally:
            queue.remove(turn)
            if queue:
                queue[0].set()
            else:
                del self._queues[key.name]

    async def _try(self, key: Key, token: str) -> bytes | None:
        """What is stored; None while somebody else has it."""
        try:
            return await self._ask(lambda: self._shelf.take(key.name, token, key.life))
        except NotAsked:
            raise SessionLost(_OUT_OF_ORDER) from None
        except BaseException as error:
            self._give_back(key, token)  # which it may have got without hearing of it
            if isinstance(error, StoreError):
                raise SessionLost(_OUT_OF_ORDER) from None
            raise

    async def _give(self, key: Key, token: str, change: bytes | None) -> None:
        try:
            held = await self._ask(lambda: self._shelf.give(key.name, token, change, key.life))
        except BaseException as error:
            self._give_back(key, token)
            if not isinstance(error, StoreError):
                raise
            if change is not None:
                raise SessionLost(_OUT_OF_ORDER) from None
            return
        self._wake(key)
        if change is not None and not held:
            raise SessionLost(f"the session was held for more than {LEASE:.0f} seconds")

    def _give_back(self, key: Key, token: str) -> asyncio.Task[None]:
        task = asyncio.create_task(self._release(key, token))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _release(self, key: Key, token: str) -> None:
        time = asyncio.get_running_loop().time
        end = time() + LEASE
        while time() < end:
            try:
                await self._ask(lambda: self._shelf.give(key.name, token, None, key.life))
            except StoreError:
                await asyncio.sleep(self._again)
            else:
                self._wake(key)
                return

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        return await (question() if self._patience is None else self._patience.ask(question))

    def _wake(self, key: Key) -> None:
        if queue := self._queues.get(key.name):
            queue[0].set()
