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
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import getrandbits
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

    def open(self, key: Key | None, *, until: float) -> Opened:
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
        return Opened(self, key, until)

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

    async def take(self, key: Key, token: str, until: float) -> bytes:
        """What is stored, for the one with ``token``; parameters and errors as for `open`."""
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
            self.give_back(key, token)  # which it may have got without hearing of it
            if isinstance(error, StoreError):
                raise SessionLost(_OUT_OF_ORDER) from None
            raise

    async def give(self, key: Key, token: str, change: bytes | None) -> None:
        """Save ``change``, which is None for none, and let the next one have it."""
        try:
            held = await self._ask(lambda: self._shelf.give(key.name, token, change, key.life))
        except BaseException as error:
            self.give_back(key, token)
            if not isinstance(error, StoreError):
                raise
            if change is not None:
                raise SessionLost(_OUT_OF_ORDER) from None
            return
        self._wake(key)
        if change is not None and not held:
            raise SessionLost(f"the session was held for more than {LEASE:.0f} seconds")

    def give_back(self, key: Key, token: str) -> asyncio.Task[None]:
        """Let the next one have it, with nothing changed; tries again while that may help."""
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


class Opened:
    """A session from the beginning to the end of an ``async with``, see `Sessions.open`.

    A generator with `contextlib.asynccontextmanager` would take 8 µs more of every callback.
    """

    __slots__ = ("_key", "_session", "_sessions", "_token", "_until")

    def __init__(self, sessions: Sessions, key: Key | None, until: float) -> None:
        self._sessions = sessions
        self._key = key
        self._until = until
        self._token = f"{getrandbits(64):016x}"  # it tells holders apart, and opens nothing
        self._session = Session()

    async def __aenter__(self) -> Session:
        if self._key is None:
            return self._session
        stored = await self._sessions.take(self._key, self._token, self._until)
        try:
            self._session = Session(stored)
        except BaseException:
            await self._give_back(self._key)
            raise
        return self._session

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._key is None:
            return
        if error is not None:
            await self._give_back(self._key)
            return
        try:
            change = self._session.change()
        except BaseException:
            await self._give_back(self._key)
            raise
        await self._sessions.give(self._key, self._token, change)

    async def _give_back(self, key: Key) -> None:
        """With as much patience as for a save, but after that without us."""
        await asyncio.wait({self._sessions.give_back(key, self._token)}, timeout=LIMIT)
