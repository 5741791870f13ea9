"""Sessions of several workers, for tests of each backend and of outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest

from receiver.dispatch.session_manager import POLL
from receiver.dispatch.sessions import Key, Session, SessionLost, Sessions
from receiver.storage.breaker import CLOSE_TIMEOUT, OPEN_TIME, CircuitBreaker
from receiver.storage.protocols import SessionStore
from tests.clock import Clock
from tests.stores import LATEST, SHORT

KEY = Key("a call", 3600.0)


class Workers:
    """Opens the sessions of workers, and closes them at the end of the test."""

    def __init__(self) -> None:
        self._made: list[Sessions] = []

    def on(
        self,
        store: SessionStore,
        clock: Clock | None = None,
        *,
        poll: float = POLL,
        close_timeout: float = CLOSE_TIMEOUT,
    ) -> Sessions:
        """Open the sessions of one more worker; with a clock, behind a circuit breaker."""
        breaker = CircuitBreaker("the store", "no session", clock, limit=SHORT) if clock else None
        made = Sessions(store, breaker, again=0.01, poll=poll, close_timeout=close_timeout)
        self._made.append(made)
        return self._made[-1]

    async def close(self) -> None:
        for sessions in self._made:
            await sessions.close()


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    workers = Workers()
    yield workers
    await workers.close()


def soon(seconds: float = 30.0) -> float:
    """Return a deadline; no test that passes waits for the default."""
    return asyncio.get_running_loop().time() + seconds


async def stored(sessions: Sessions, key: Key = KEY) -> dict[str, object]:
    async with sessions.open(key, until=soon()) as session:
        return dict(session)


async def add_one(sessions: Sessions, key: Key = KEY) -> None:
    async with sessions.open(key, until=soon()) as session:
        count(session)
        await asyncio.sleep(0)


def count(session: Session) -> None:
    session["count"] = session.read("count", 0) + 1


OUT = r"^the session store is unavailable$"

T = TypeVar("T")


async def quick(question: Awaitable[T]) -> T:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    try:
        return await question
    finally:
        assert loop.time() - begin < LATEST


async def lost(sessions: Sessions) -> None:
    with pytest.raises(SessionLost, match=OUT):
        await quick(add_one(sessions))


async def change(sessions: Sessions, meanwhile: Callable[[Session], None]) -> None:
    async with sessions.open(KEY, until=soon()) as session:
        count(session)
        meanwhile(session)


async def settle(sessions: Sessions, clock: Clock) -> None:
    """Advance the clock until all locks are released."""
    while sessions._tasks:
        clock.now += OPEN_TIME
        await asyncio.wait(sessions._tasks, timeout=0.01)


class Held:
    """A callback that holds a session until `end`."""

    def __init__(self, sessions: Sessions, *, change: bool = True) -> None:
        self._sessions = sessions
        self._change = change
        self.has_it = asyncio.Event()
        self._end = asyncio.Event()
        self.task = asyncio.create_task(self._hold())

    async def _hold(self) -> None:
        async with self._sessions.open(KEY, until=soon()) as session:
            self.has_it.set()
            await self._end.wait()
            if self._change:
                count(session)

    async def end(self) -> None:
        self._end.set()
        await self.task


async def hold(sessions: Sessions, *, change: bool = True) -> Held:
    held = Held(sessions, change=change)
    await held.has_it.wait()
    return held
