"""A store of sessions that fails: told at once, nothing hangs, and all is well again by itself."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from receiver.sessions import Session, SessionLost, Sessions
from receiver.sessions.memory import Memory
from receiver.sessions.redis import Redis
from receiver.sessions.sessions import POLL
from receiver.sessions.sqlite import Sqlite
from receiver.shared.patience import PAUSE
from receiver.shared.server import ask
from tests.sessions.conftest import KEY, Workers, add_one, count, soon, stored
from tests.shared_stage import LATEST, Clock, Server

OUT = r"^the store of sessions is out of order$"

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
    """The store is asked again, until all locks are given back."""
    while sessions._tasks:
        clock.time += PAUSE
        await asyncio.wait(sessions._tasks, timeout=0.01)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [f"{r.levelname} {r.getMessage()}" for r in caplog.records if r.name == "receiver"]


BACK = "WARNING the shelf is back"


class Frail(Memory):
    """A shelf that fails or is late as it is told to, before or after it did its work."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.late = 0  # that many questions are carried out and never answered
        self.broken = 0  # that many questions fail
        self.reached = asyncio.Event()

    async def _hinder(self) -> None:
        self.reached.set()
        if self.late:
            self.late -= 1
            await asyncio.Event().wait()
        if self.broken:
            self.broken -= 1
            raise OSError("4711")

    async def take(self, name: str, token: str, life: float) -> bytes | None:
        self.asked += 1
        data = await super().take(name, token, life)
        await self._hinder()
        return data

    async def give(self, name: str, token: str, data: bytes | None, life: float) -> bool:
        self.asked += 1
        if self.broken:
            await self._hinder()
        good = await super().give(name, token, data, life)
        await self._hinder()
        return good


@pytest.fixture
def frail() -> Frail:
    return Frail()


async def test_while_it_is_out_of_order_it_is_left_in_peace(
    frail: Frail, workers: Workers, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    sessions = workers.on(frail, clock)
    frail.broken = 1
    for _ in range(5):
        await lost(sessions)
    assert frail.asked == 1
    assert len(sessions._tasks) == 1  # of the one question, which may have got the lock
    clock.time = PAUSE
    await add_one(sessions)
    assert lines(caplog) == ["ERROR the shelf is out of order (OSError): a pity", BACK]


@pytest.mark.parametrize("fault", ["late", "broken"])
async def test_a_lock_that_was_got_without_hearing_of_it_is_given_back(
    frail: Frail, workers: Workers, clock: Clock, fault: str
) -> None:
    sessions = workers.on(frail, clock)
    setattr(frail, fault, 1)
    await lost(sessions)
    assert frail._locks
    await settle(sessions, clock)
    assert not frail._locks
    await quick(add_one(sessions))


async def test_a_cancelled_callback_that_got_the_lock_gives_it_back(
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


async def test_a_callback_that_is_cancelled_while_it_saves_gives_the_lock_back(
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


async def test_an_outage_at_the_end_is_told_if_something_changed(
    frail: Frail, workers: Workers, clock: Clock
) -> None:
    sessions = workers.on(frail, clock)
    await add_one(sessions)
    with pytest.raises(SessionLost, match=OUT):
        await change(sessions, lambda session: setattr(frail, "broken", 1))
    await settle(sessions, clock)
    assert await stored(sessions) == {"count": 1}


async def test_and_is_no_loss_if_nothing_did(frail: Frail, workers: Workers, clock: Clock) -> None:
    sessions = workers.on(frail, clock)
    async with sessions.open(KEY, until=soon()):
        frail.broken = 1
    await settle(sessions, clock)
    assert not frail._locks


async def test_the_handlers_own_error_is_told_in_an_outage(
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


async def test_who_waits_in_vain_is_no_outage(
    frail: Frail, workers: Workers, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    sessions = workers.on(frail, clock)
    async with sessions.open(KEY, until=soon()):
        with pytest.raises(SessionLost, match="another callback"):
            async with sessions.open(KEY, until=soon(0)):
                pytest.fail("two at once")
    assert lines(caplog) == []


async def test_however_many_wait_one_of_them_asks(
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


async def test_the_end_waits_for_locks_to_be_given_back(frail: Frail, clock: Clock) -> None:
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


async def test_the_end_comes_in_an_outage_too(
    frail: Frail, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.sessions.sessions.CLOSING", 0.05)
    workers = Workers()
    sessions = workers.on(frail, clock)
    frail.broken = 10
    await lost(sessions)
    await quick(workers.close())
    assert not sessions._tasks


async def test_redis_killed_and_started_again(
    server: Server, workers: Workers, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    sessions = workers.on(Redis(server.url), clock)
    await add_one(sessions)
    with pytest.raises(SessionLost, match=OUT):
        await change(sessions, lambda session: server.kill())
    for _ in range(3):
        await lost(sessions)
    server.start()
    clock.time = PAUSE
    assert await stored(sessions) == {}  # what Redis forgot: it was told to save nothing
    await add_one(sessions)
    first, last = lines(caplog)
    assert first.startswith("ERROR the shelf is out of order (")
    assert last == BACK


async def test_what_redis_keeps_outlives_it(server: Server, workers: Workers, clock: Clock) -> None:
    options = ("--appendonly", "yes", "--appendfsync", "always")
    server.kill()
    server.start(*options)
    sessions = workers.on(Redis(server.url), clock)
    await add_one(sessions)
    server.kill()
    server.start(*options)
    assert await stored(workers.on(Redis(server.url))) == {"count": 1}


async def test_redis_paused(server: Server, workers: Workers, clock: Clock) -> None:
    sessions = workers.on(Redis(server.url), clock)
    await add_one(sessions)
    server.send(signal.SIGSTOP)
    await lost(sessions)  # but Redis gives the lock, as soon as it can
    server.send(signal.SIGCONT)
    clock.time = PAUSE
    for number in range(2, 20):
        await add_one(sessions)
        # An answer that belongs to an earlier question would show here.
        assert await stored(sessions) == {"count": number}


async def test_a_redis_that_runs_full(server: Server, workers: Workers, clock: Clock) -> None:
    server.kill()
    server.start("--maxmemory", "1", "--maxmemory-policy", "noeviction")
    sessions = workers.on(Redis(server.url), clock)
    await lost(sessions)
    await settle(sessions, clock)


async def test_a_cancellation_that_the_client_swallows_counts() -> None:
    reached = asyncio.Event()

    async def swallow() -> int:
        try:
            reached.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return 1
        return 0

    task = asyncio.create_task(ask(swallow()))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_file_locked_by_somebody(tmp_path: Path, workers: Workers, clock: Clock) -> None:
    path = tmp_path / "shared.db"
    sessions = workers.on(Sqlite(path), clock)
    await add_one(sessions)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        await lost(sessions)
        await lost(sessions)
        other.execute("rollback")
    clock.time = PAUSE
    await add_one(sessions)
    assert await stored(sessions) == {"count": 2}


async def test_a_file_that_vanished_is_made_anew(
    tmp_path: Path, workers: Workers, clock: Clock
) -> None:
    path = tmp_path / "shared.db"
    sessions = workers.on(Sqlite(path), clock)
    await add_one(sessions)
    path.unlink()
    await lost(sessions)
    clock.time = PAUSE
    await add_one(sessions)
    assert await stored(sessions) == {"count": 1}


async def test_a_full_disk(tmp_path: Path, workers: Workers, clock: Clock) -> None:
    shelf = Sqlite(tmp_path / "shared.db")
    sessions = workers.on(shelf, clock)
    await add_one(sessions)
    await shelf._file.ask(lambda c: c.execute("pragma max_page_count = 1").fetchall(), 0)
    with pytest.raises(SessionLost, match=OUT):
        async with sessions.open(KEY, until=soon()) as session:
            session["text"] = "x" * 10_000
    clock.time = PAUSE
    assert await stored(sessions) == {"count": 1}
