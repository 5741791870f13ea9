"""The contract of sessions, over all backends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, cast

import pytest

from receiver.credentials import Secret
from receiver.dispatch.session import MAX_SIZE
from receiver.dispatch.sessions import Key, SessionError, SessionLost, Sessions, key_of
from receiver.storage.protocols import SESSION_LEASE
from tests.storage.session_workers import KEY, Workers, add_one, hold, soon, stored
from tests.storage.stage import Backend
from tests.stores import LONG

LIFE = KEY.life


@pytest.fixture
def one(backend: Backend, workers: Workers) -> Sessions:
    return workers.on(backend.sessions())


@pytest.fixture
def other(backend: Backend, workers: Workers) -> Sessions:
    return workers.on(backend.sessions())


async def test_workers_share_a_session(one: Sessions, other: Sessions) -> None:
    values: dict[str, Any] = {
        "attempts": 2,
        "rate": 2.0,
        "vip": True,
        "language": "dé\0\x1b",
        "customer": {"id": 2**64 - 1, "tags": ["a", None]},
    }
    async with one.open(KEY, until=soon()) as session:
        assert not session
        session.update(values)
    assert repr(await stored(other)) == repr(values)
    async with other.open(KEY, until=soon()) as session:
        session.read("customer", dict[str, Any]())["tags"].append("b")
        del session["vip"]
    assert (await stored(one))["customer"] == {"id": 2**64 - 1, "tags": ["a", None, "b"]}
    assert "vip" not in await stored(one)


async def test_stored_values_are_copies(one: Sessions) -> None:
    tried: list[str] = []
    async with one.open(KEY, until=soon()) as session:
        session["tried"] = tried
        tried.append("1")
    tried.append("2")
    assert await stored(one) == {"tried": ["1"]}


async def test_each_key_has_its_own_session(one: Sessions) -> None:
    await add_one(one)
    assert await stored(one, Key("another call")) == {}
    assert await stored(one) == {"count": 1}


async def test_hostile_callers_get_their_own_sessions_and_do_not_show_in_names(
    one: Sessions, backend: Backend
) -> None:
    odd = [
        "'; drop table sessions; --",
        "a\0b",
        "\r\nFLUSHALL\r\n",
        "{x}",
        "\ud800",
        "4711" * 16384,
    ]
    secret = Secret("a secret of the service")
    for number, text in enumerate(odd):
        by_id = key_of(text, "", "", text, secret=secret)
        by_number = key_of("", text, text, "", secret=secret)
        for key in (by_id, by_number):
            assert key is not None
            async with one.open(key, until=soon()) as session:
                assert not session
                session["number"] = number
            assert await stored(one, key) == {"number": number}
    names = backend.session_names()
    assert len(names) == 2 * len(odd)
    assert not [name for name in names for text in odd if text in name or "47114711" in name]


async def test_without_a_key_nothing_is_stored(one: Sessions, backend: Backend) -> None:
    async with (
        one.open(None, until=soon()) as session,
        one.open(None, until=soon()) as stranger,  # does not wait
    ):
        session["count"] = 1
        assert not stranger
    assert backend.session_names() == []


async def test_reading_an_empty_session_stores_nothing(one: Sessions, backend: Backend) -> None:
    assert await stored(one) == {}
    with pytest.raises(KeyError):
        async with one.open(KEY, until=soon()) as session:
            assert session["language"]
    assert backend.session_names() == []


async def test_an_emptied_session_is_deleted(one: Sessions, backend: Backend) -> None:
    await add_one(one)
    assert len(backend.session_names()) == 1
    async with one.open(KEY, until=soon()) as session:
        session.clear()
    assert backend.session_names() == []


async def test_an_error_discards_the_changes(one: Sessions, other: Sessions) -> None:
    await add_one(one)
    with pytest.raises(ZeroDivisionError):
        async with one.open(KEY, until=soon()) as session:
            session["count"] = 1 / 0
    with pytest.raises(ZeroDivisionError):
        async with one.open(KEY, until=soon()) as session:
            session.update({"more": 1, "count": 1 / (len(session) - 1)})
    assert await stored(other) == {"count": 1}


async def test_refused_values_discard_the_changes(one: Sessions) -> None:
    await add_one(one)
    with pytest.raises(SessionError):
        async with one.open(KEY, until=soon()) as session:
            session["text"] = "x" * MAX_SIZE
    with pytest.raises(TypeError):
        async with one.open(KEY, until=soon()) as session:
            cast("list[Any]", session.setdefault("tried", [])).append(())
    assert await stored(one) == {"count": 1}


async def test_a_session_expires_after_its_last_use(one: Sessions, backend: Backend) -> None:
    await add_one(one)
    for _ in range(3):  # a callback that only reads is a use
        backend.advance(LIFE - 1)
        assert await stored(one) == {"count": 1}
    backend.advance(LIFE)
    assert await stored(one) == {}


async def test_each_key_has_its_own_life(one: Sessions, backend: Backend) -> None:
    short = Key("short", 60.0)
    for key in (KEY, short):
        await add_one(one, key)
    backend.advance(60)
    assert [await stored(one, key) for key in (short, KEY)] == [{}, {"count": 1}]


async def test_a_held_session_does_not_expire(one: Sessions, backend: Backend) -> None:
    key = Key("brief", 2.0)
    await add_one(one, key)
    async with one.open(key, until=soon()):
        backend.advance(SESSION_LEASE - 1)
    backend.advance(1)
    assert await stored(one, key) == {"count": 1}


async def test_no_update_is_lost(one: Sessions, other: Sessions) -> None:
    await asyncio.gather(*(add_one(sessions) for sessions in (one, other) for _ in range(20)))
    assert await stored(one) == {"count": 40}


async def test_a_second_callback_waits_for_the_first(one: Sessions, other: Sessions) -> None:
    first = await hold(one)
    waiting = [asyncio.create_task(stored(sessions)) for sessions in (one, other)]
    with pytest.raises(SessionLost, match="another callback of the same call"):
        async with other.open(KEY, until=soon(0.05)):
            pytest.fail("two at once")
    assert not any(task.done() for task in waiting)
    await first.end()
    assert await asyncio.gather(*waiting) == [{"count": 1}, {"count": 1}]


async def test_a_waiting_callback_of_the_same_process_is_woken(
    backend: Backend, workers: Workers
) -> None:
    one = workers.on(backend.sessions(), poll=30.0)
    first = await hold(one)
    waiting = [asyncio.create_task(add_one(one)) for _ in range(3)]
    await asyncio.wait(waiting, timeout=0.05)
    await first.end()
    async with asyncio.timeout(LONG):
        await asyncio.gather(*waiting)
    assert await stored(one) == {"count": 4}


async def test_after_the_deadline_a_free_session_is_opened_and_a_held_one_is_not_waited_for(
    one: Sessions, other: Sessions
) -> None:
    await add_one(one)
    async with other.open(KEY, until=soon(-1)) as session:
        assert session
        with pytest.raises(SessionLost):
            async with one.open(KEY, until=soon(-1)):
                pytest.fail("two at once")


async def test_sessions_of_other_calls_are_not_waited_for(one: Sessions) -> None:
    first = await hold(one)
    assert await stored(one, Key("another call")) == {}
    await first.end()


async def test_a_cancelled_callback_releases_the_session_and_saves_nothing(
    one: Sessions, other: Sessions
) -> None:
    first = await hold(one)
    first.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first.task
    assert await stored(other) == {}


async def test_a_callback_cancelled_while_it_waits_takes_no_lock(
    one: Sessions, other: Sessions
) -> None:
    first = await hold(one)
    for _ in range(3):
        second = asyncio.create_task(stored(other))
        with suppress(TimeoutError):
            async with asyncio.timeout(0.03):
                await asyncio.shield(second)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
    with pytest.raises(SessionLost):
        async with other.open(KEY, until=soon(0)):
            pytest.fail("two at once")
    await first.end()
    assert await stored(other) == {"count": 1}
    assert not other._queues


@pytest.mark.parametrize("data", [b"no JSON", b'{"a":"\xff"}', b"[]", b"\xff"])
async def test_a_session_that_cannot_be_decoded_is_removed(
    one: Sessions, backend: Backend, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store = backend.sessions()
    await store.acquire(KEY.name, "token", LIFE)
    assert await store.release(KEY.name, "token", data, LIFE)
    with pytest.raises(SessionLost, match="the stored session of this call is invalid"):
        async with one.open(KEY, until=soon(0.05)):
            pytest.fail("it was read")
    assert await stored(one) == {}
    await add_one(one)
    assert await stored(one) == {"count": 1}
    assert caplog.messages == [
        "a session in the store cannot be decoded, something else wrote it: removed"
    ]
    await store.close()
