"""The contract of the leases that sessions are held under, over all backends."""

from __future__ import annotations

import pytest

from receiver.dispatch.sessions import Key, SessionLost, Sessions
from receiver.storage.protocols import SESSION_LEASE
from tests.storage.session_workers import KEY, Workers, add_one, hold, soon, stored
from tests.storage.stage import Backend

LIFE = KEY.life


@pytest.fixture
def one(backend: Backend, workers: Workers) -> Sessions:
    return workers.on(backend.sessions())


@pytest.fixture
def other(backend: Backend, workers: Workers) -> Sessions:
    return workers.on(backend.sessions())


async def test_the_lock_of_a_dead_holder_expires(one: Sessions, backend: Backend) -> None:
    await add_one(one)
    dead = backend.sessions()
    assert await dead.acquire(KEY.name, "dead", LIFE)
    for seconds in (0, SESSION_LEASE - 1):
        backend.advance(seconds)
        with pytest.raises(SessionLost):
            async with one.open(KEY, until=soon(0)):
                pytest.fail("two at once")
    backend.advance(1)
    await add_one(one)
    assert await stored(one) == {"count": 2}
    assert not await dead.release(KEY.name, "dead", b"{}", LIFE)
    await dead.close()


async def test_expired_sessions_and_locks_are_deleted(one: Sessions, backend: Backend) -> None:
    await add_one(one, Key("forgotten"))
    dead = backend.sessions()
    for name in "abc":
        await dead.acquire(name, name, LIFE)
    assert len(backend.session_names()) == 4
    backend.advance(LIFE)
    for _ in range(100):  # a file is tidied now and then
        await add_one(one)
    assert len(backend.session_names()) == 1
    await dead.close()


async def test_a_write_after_the_lease_is_refused(
    one: Sessions, other: Sessions, backend: Backend
) -> None:
    slow = await hold(one)
    backend.advance(SESSION_LEASE)
    await add_one(other)
    await add_one(other)
    with pytest.raises(SessionLost, match="held for more than 40 seconds"):
        await slow.end()
    assert await stored(other) == {"count": 2}


async def test_a_write_after_the_lease_is_refused_without_a_next_holder(
    one: Sessions, backend: Backend
) -> None:
    slow = await hold(one)
    backend.advance(SESSION_LEASE)
    with pytest.raises(SessionLost, match="held for more than 40 seconds"):
        await slow.end()
    assert await stored(one) == {}


async def test_a_read_only_holder_may_exceed_the_lease(
    one: Sessions, other: Sessions, backend: Backend
) -> None:
    slow = await hold(one, change=False)
    backend.advance(SESSION_LEASE)
    await add_one(other)
    await slow.end()
    assert await stored(other) == {"count": 1}


async def test_a_late_holder_does_not_release_the_next_holders_lock(
    one: Sessions, other: Sessions, backend: Backend
) -> None:
    slow = await hold(one)
    backend.advance(SESSION_LEASE)
    second = await hold(other)
    with pytest.raises(SessionLost):
        await slow.end()
    with pytest.raises(SessionLost):
        async with one.open(KEY, until=soon(0)):
            pytest.fail("two at once")
    await second.end()
    assert await stored(one) == {"count": 1}
