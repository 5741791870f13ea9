"""Sessions whose store fails: callbacks get an error in time, and locks are released later."""

from __future__ import annotations

import asyncio
import threading

import pytest

from receiver.dispatch.session_manager import POLL
from receiver.dispatch.sessions import Session, SessionLost, Sessions
from receiver.storage.breaker import OPEN_TIME
from receiver.storage.memory import MemorySessions
from tests.clock import Clock
from tests.storage.conftest import lines
from tests.storage.session_workers import (
    KEY,
    OUT,
    Workers,
    add_one,
    change,
    lost,
    quick,
    settle,
    soon,
    stored,
    workers,
)
from tests.stores import clock

__all__ = ["clock", "workers"]  # fixtures

BACK = "WARNING the store is back"


class Frail(MemorySessions):
    """A store that fails or answers late, before or after it did its work."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.late = 0  # this many requests are carried out and never answered
        self.broken = 0  # this many requests fail
        self.reached = asyncio.Event()

    async def _hinder(self) -> None:
        self.reached.set()
        if self.late:
            self.late -= 1
            await asyncio.Event().wait()
        if self.broken:
            self.broken -= 1
            raise OSError("4711")

    async def acquire(self, name: str, token: str, life: float) -> bytes | None:
        self.asked += 1
        data = await super().acquire(name, token, life)
        await self._hinder()
        return data

    async def release(self, name: str, token: str, data: bytes | None, life: float) -> bool:
        self.asked += 1
        if self.broken:
            await self._hinder()
        good = await super().release(name, token, data, life)
        await self._hinder()
        return good


@pytest.fixture
def frail() -> Frail:
    return Frail()


async def test_during_an_outage_the_store_is_not_asked(
    frail: Frail, workers: Workers, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    sessions = workers.on(frail, clock)
    frail.broken = 1
    for _ in range(5):
        await lost(sessions)
    assert frail.asked == 1
    assert len(sessions._tasks) == 1  # of the one request, which may have taken the lock
    clock.now = OPEN_TIME
    await add_one(sessions)
    assert lines(caplog) == ["ERROR the store is unavailable (OSError): no session", BACK]


@pytest.mark.parametrize("fault", ["late", "broken"])
async def test_a_lock_that_was_taken_without_an_answer_is_released(
    frail: Frail, workers: Workers, clock: Clock, fault: str
) -> None:
    sessions = workers.on(frail, clock)
    setattr(frail, fault, 1)
    await lost(sessions)
    assert frail._locks
    await settle(sessions, clock)
    assert not frail._locks
    await quick(add_one(sessions))


async def test_a_cancelled_callback_releases_its_lock(
    frail: Frail, workers: Workers, clock: Clock
) -> None:
    sessions = workers.on(frail, clock)
    frail.late = 1
    task = asyncio.create_task(add_one(sessions))
    await frail.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await stored(sessions) == {}


async def test_a_callback_cancelled_while_it_saves_releases_its_lock(
    frail: Frail, workers: Workers, clock: Clock
) -> None:
    sessions = workers.on(frail, clock)
    saving = asyncio.Event()

    def begin(session: Session) -> None:
        frail.reached = saving
        frail.late = 1

    task = asyncio.create_task(change(sessions, begin))
    await saving.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await settle(sessions, clock)
    assert not frail._locks


async def test_an_outage_at_the_end_raises_if_the_session_was_changed(
    frail: Frail, workers: Workers, clock: Clock
) -> None:
    sessions = workers.on(frail, clock)
    await add_one(sessions)
    with pytest.raises(SessionLost, match=OUT):
        await change(sessions, lambda session: setattr(frail, "broken", 1))
    await settle(sessions, clock)
    assert await stored(sessions) == {"count": 1}


async def test_an_outage_at_the_end_raises_nothing_if_the_session_was_only_read(
    frail: Frail, workers: Workers, clock: Clock
) -> None:
    sessions = workers.on(frail, clock)
    async with sessions.open(KEY, until=soon()):
        frail.broken = 1
    await settle(sessions, clock)
    assert not frail._locks


async def test_an_error_of_the_handler_is_raised_in_an_outage_too(
    frail: Frail, workers: Workers, clock: Clock
) -> None:
    sessions = workers.on(frail, clock)

    def fail(session: Session) -> None:
        frail.late = 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await quick(change(sessions, fail))
    await settle(sessions, clock)
    assert await stored(sessions) == {}


async def test_a_deadline_while_another_callback_holds_the_session_is_no_outage(
    frail: Frail, workers: Workers, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    sessions = workers.on(frail, clock)
    async with sessions.open(KEY, until=soon()):
        with pytest.raises(SessionLost, match="another callback"):
            async with sessions.open(KEY, until=soon(0)):
                pytest.fail("two at once")
    assert lines(caplog) == []


async def test_of_many_waiting_callbacks_one_polls_the_store(
    frail: Frail, workers: Workers, clock: Clock
) -> None:
    sessions = workers.on(frail, clock)
    async with sessions.open(KEY, until=soon()):
        waiting = [asyncio.create_task(add_one(sessions)) for _ in range(1000)]
        await asyncio.wait(waiting, timeout=0.1)
        asked, begin = frail.asked, asyncio.get_running_loop().time()
        await asyncio.wait(waiting, timeout=0.1)
        passed = asyncio.get_running_loop().time() - begin
        assert frail.asked - asked <= passed / POLL + 2
        for task in waiting[:990]:
            task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await stored(sessions) == {"count": 10}
    assert not sessions._queues


async def test_closing_waits_until_locks_are_released(frail: Frail, clock: Clock) -> None:
    workers = Workers()
    sessions = workers.on(frail, clock)
    task = asyncio.create_task(add_one(sessions))
    frail.late = 1
    await frail.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await workers.close()
    assert not frail._locks


async def test_closing_ends_in_an_outage_too(frail: Frail, clock: Clock) -> None:
    workers = Workers()
    sessions = workers.on(frail, clock, close_timeout=0.05)
    frail.broken = 10
    await lost(sessions)
    await quick(workers.close())
    assert not sessions._tasks


def test_a_thread_does_not_wait_for_a_blocked_event_loop() -> None:
    loop, unblock = asyncio.new_event_loop(), threading.Event()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    loop.call_soon_threadsafe(unblock.wait)
    sessions = Sessions(MemorySessions(), thread_wait=0.0)
    try:
        with (
            pytest.raises(SessionLost, match="the event loop is blocked"),
            sessions.open(KEY, until=0.0, loop=loop, thread=thread.ident or 0),
        ):
            pytest.fail("there is no session")
    finally:
        unblock.set()
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()  # after the other
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def test_a_thread_that_outlives_the_service_gets_no_session() -> None:
    sessions = Sessions(MemorySessions())
    loop = asyncio.new_event_loop()
    loop.close()
    with (
        pytest.raises(SessionLost, match="the service has ended"),
        sessions.open(KEY, until=0.0, loop=loop, thread=1),
    ):
        pytest.fail("there is no session")


@pytest.mark.parametrize("with_loop", [True, False])
async def test_with_in_the_event_loops_thread_names_the_cure(with_loop: bool) -> None:
    loop = asyncio.get_running_loop() if with_loop else None
    session = Sessions(MemorySessions()).open(
        KEY, until=0.0, loop=loop, thread=threading.get_ident()
    )
    with pytest.raises(RuntimeError, match=r"async with call\.session"), session:
        pytest.fail("there is no session")
