"""The sessions of all calls: one writer at a time for each.

Rule 1: a second callback waits, but not past its deadline. Of the waiting callbacks of a process,
        one polls the store.
Rule 2: changes are saved at a normal end, all or nothing; after an error none are. A save that is
        refused or lost raises `SessionLost`.
Rule 3: the lock is always released, by a task that retries until the lease would have expired.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from random import getrandbits
from typing import Any, TypeVar

from receiver.call_context import Unopened
from receiver.dispatch.session import Session, SessionLost
from receiver.dispatch.session_key import Key
from receiver.execution.to_thread import LoopUnavailable, in_loop
from receiver.storage.breaker import (
    CLOSE_TIMEOUT,
    OPEN_TIME,
    REQUEST_TIMEOUT,
    CircuitBreaker,
    CircuitOpenError,
    StoreError,
)
from receiver.storage.memory import MemorySessions
from receiver.storage.protocols import SESSION_LEASE, SessionStore

POLL = 0.02
"""Seconds until a lock that another process may have is tried again."""

_UNAVAILABLE = "the session store is unavailable"

T = TypeVar("T")

log = logging.getLogger("receiver")


class Sessions:
    """The sessions of calls in a `SessionStore`.

    Parameters:
        store: of this process alone, or a shared one.
        breaker: of a shared store.
        again: seconds until the release of a lock is retried.
        poll: see `POLL`.
        thread_wait: seconds beyond its deadline that a thread waits for the event loop.
    """

    def __init__(
        self,
        store: SessionStore,
        breaker: CircuitBreaker | None = None,
        *,
        again: float = OPEN_TIME,
        poll: float = POLL,
        thread_wait: float = 1.0,
        close_timeout: float = CLOSE_TIMEOUT,
    ) -> None:
        self._store = store
        self._breaker = breaker
        self._again, self._poll, self._close_timeout = again, poll, close_timeout
        self.limit = breaker.limit if breaker else REQUEST_TIMEOUT
        self.thread_wait = thread_wait
        self._memory = store if breaker is None and isinstance(store, MemorySessions) else None
        self._queues: dict[str, deque[asyncio.Event]] = {}  # of the waiting callbacks
        self._tasks: set[asyncio.Task[None]] = set()

    def open(
        self,
        key: Key | None,
        *,
        until: float,
        loop: asyncio.AbstractEventLoop | None = None,
        thread: int = 0,
    ) -> OpenSession:
        """Return the session at ``key``, for one callback at a time.

        A handler that opens a session twice waits for itself, until its deadline.

        Parameters:
            key: None for a call that cannot be distinguished from others: its session is not kept.
            until: the time limit for waiting, in the loop's time. A request to the store that is
                in progress then may take the rest of its `REQUEST_TIMEOUT`.
            loop: the event loop, which does the work for ``with`` in another thread.
            thread: that of ``loop``.

        Raises:
            SessionLost: at the start it was not free in time, or the store is unavailable; at
                the end a change could not be saved, for the store is unavailable or the
                session was held for more than `SESSION_LEASE` seconds.
            SessionError, TypeError: at the end: what `Session.change` finds.
        """
        return OpenSession(self, key, until, loop, thread)

    async def close(self) -> None:
        """Release locks, connections and threads; never raises."""
        if tasks := set(self._tasks):
            _, late = await asyncio.wait(tasks, timeout=self._close_timeout)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._breaker is None:
            await self._store.close()
        else:
            await self._breaker.close(self._store.close)

    async def acquire(self, key: Key, token: str, until: float) -> bytes:
        """Lock and return a session for ``token``; parameters and errors as for `open`."""
        if key.name not in self._queues:
            stored = await self._try(key, token)
            if stored is not None:
                return stored
        return await self._acquire_in_turn(key, token, until)

    async def _acquire_in_turn(self, key: Key, token: str, until: float) -> bytes:
        """The first in the queue polls, and is woken at a release; the others wait."""
        time = asyncio.get_running_loop().time
        turn = asyncio.Event()
        queue = self._queues.setdefault(key.name, deque())
        queue.append(turn)
        try:
            while (left := until - time()) > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left, self._poll) if queue[0] is turn else left):
                        await turn.wait()
                turn.clear()
                if queue[0] is turn and (stored := await self._try(key, token)) is not None:
                    return stored
            raise SessionLost("another callback of the same call has the session")
        finally:
            queue.remove(turn)
            if queue:
                queue[0].set()
            else:
                del self._queues[key.name]

    async def _try(self, key: Key, token: str) -> bytes | None:
        """Return the stored session; None while another callback has it."""
        try:
            return await self._call(lambda: self._store.acquire(key.name, token, key.life))
        except CircuitOpenError:
            raise SessionLost(_UNAVAILABLE) from None
        except BaseException as error:
            self.release_later(key, token)  # the store may have locked it without an answer
            if isinstance(error, StoreError):
                raise SessionLost(_UNAVAILABLE) from None
            raise

    async def release(self, key: Key, token: str, change: bytes | None) -> None:
        """Save ``change``, None for no change, and release the lock."""
        try:
            held = await self._call(lambda: self._store.release(key.name, token, change, key.life))
        except BaseException as error:
            self.release_later(key, token)
            if not isinstance(error, StoreError):
                raise
            if change is not None:
                raise SessionLost(_UNAVAILABLE) from None
            return
        self._on_release(key, change, held)

    def acquire_now(self, key: Key, token: str) -> bytes | None:
        """Do the same as `acquire` without waiting; return None if it would have to wait."""
        if self._memory is None or key.name in self._queues:
            return None
        return self._memory.acquire_now(key.name, token, key.life)

    def release_now(self, key: Key, token: str, change: bytes | None) -> bool:
        """Do the same as `release` without waiting; return False if it would have to wait."""
        if self._memory is None:
            return False
        self._on_release(key, change, self._memory.release_now(key.name, token, change, key.life))
        return True

    def _on_release(self, key: Key, change: bytes | None, held: bool) -> None:
        if self._queues:
            self._wake(key)
        if change is not None and not held:
            raise SessionLost(f"the session was held for more than {SESSION_LEASE:.0f} seconds")

    def release_later(self, key: Key, token: str) -> asyncio.Task[None]:
        """Release the lock without a change; retries while the store may recover."""
        task = asyncio.create_task(self._retry_release(key, token))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _retry_release(self, key: Key, token: str) -> None:
        time = asyncio.get_running_loop().time
        end = time() + SESSION_LEASE
        while time() < end:
            try:
                await self._call(lambda: self._store.release(key.name, token, None, key.life))
            except StoreError:
                await asyncio.sleep(self._again)
            else:
                self._wake(key)
                return

    async def _call(self, question: Callable[[], Awaitable[T]]) -> T:
        return await (question() if self._breaker is None else self._breaker.request(question))

    def _wake(self, key: Key) -> None:
        if queue := self._queues.get(key.name):
            queue[0].set()


class OpenSession(Unopened):
    """A session from the beginning to the end of an ``async with``, see `Sessions.open`.

    In another thread than the event loop's, such as that of a plain handler, it is a ``with``.

    A generator with `contextlib.asynccontextmanager` would take 8 µs more of every callback.
    """

    __slots__ = ("_key", "_loop", "_session", "_sessions", "_thread", "_token", "_until")

    def __init__(
        self,
        sessions: Sessions,
        key: Key | None,
        until: float,
        loop: asyncio.AbstractEventLoop | None,
        thread: int,
    ) -> None:
        self._sessions = sessions
        self._key = key
        self._until = until
        self._loop = loop
        self._thread = thread
        self._token = f"{getrandbits(64):x}"  # it tells holders apart, and opens nothing
        self._session: Session

    async def __aenter__(self) -> Session:
        if self._key is None:
            self._session = Session()
            return self._session
        stored = self._sessions.acquire_now(self._key, self._token)
        if stored is None:
            stored = await self._sessions.acquire(self._key, self._token, self._until)
        try:
            self._session = Session(stored)
        except SessionLost:
            # Something else wrote it. Without it the next callback gets a new session.
            log.error("a session in the store cannot be decoded, something else wrote it: removed")
            with suppress(SessionLost):
                await self._sessions.release(self._key, self._token, b"")
            raise
        except BaseException:
            await self._release(self._key)
            raise
        return self._session

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._key is None:
            return
        if error is not None:
            await self._release(self._key)
            return
        try:
            change = self._session.change()
        except BaseException:
            await self._release(self._key)
            raise
        if not self._sessions.release_now(self._key, self._token, change):
            await self._sessions.release(self._key, self._token, change)

    def __enter__(self) -> Session:
        """Raises:
        SessionLost: as at ``async with``; or the event loop is blocked or has ended.
        RuntimeError: this is the event loop's own thread, which must not wait.
        """
        return self._in_loop(self.__aenter__)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._in_loop(partial(self.__aexit__, kind, error, trace))

    def _in_loop(self, step: Callable[[], Coroutine[Any, Any, T]]) -> T:
        loop = self._loop
        if loop is None or threading.get_ident() == self._thread:
            raise RuntimeError("in an async def write: async with call.session() as session")
        left = max(self._until - loop.time(), 0.0)
        try:
            return in_loop(loop, step(), left + self._sessions.thread_wait)
        except LoopUnavailable as error:
            raise SessionLost(str(error)) from None

    async def _release(self, key: Key) -> None:
        """Wait for the release as long as for a save, then release in the background."""
        sessions = self._sessions
        await asyncio.wait({sessions.release_later(key, self._token)}, timeout=sessions.limit)
