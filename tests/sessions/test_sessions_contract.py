"""What all sessions do, wherever they lie."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, cast

import pytest

from receiver.secrets import Secret
from receiver.sessions import Key, SessionError, SessionLost, Sessions, key_of
from receiver.sessions.session import MOST
from receiver.sessions.shelf import LEASE
from tests.sessions.conftest import KEY, Place, Workers, add_one, count, soon, stored

pytestmark = pytest.mark.parametrize("place", ["memory", "sqlite", "redis"], indirect=True)

LIFE = KEY.life


@pytest.fixture
def one(place: Place, workers: Workers) -> Sessions:
    return workers.on(place.shelf())


@pytest.fixture
def other(place: Place, workers: Workers) -> Sessions:
    return workers.on(place.shelf())


class Held:
    """A callback that has a session until it is told to end."""

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


async def test_what_one_worker_puts_in_another_finds(one: Sessions, other: Sessions) -> None:
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


async def test_what_was_put_in_is_a_copy(one: Sessions) -> None:
    tried: list[str] = []
    async with one.open(KEY, until=soon()) as session:
        session["tried"] = tried
        tried.append("1")
    tried.append("2")
    assert await stored(one) == {"tried": ["1"]}


async def test_each_key_has_its_own(one: Sessions) -> None:
    await add_one(one)
    assert await stored(one, Key("another call")) == {}
    assert await stored(one) == {"count": 1}


async def test_hostile_callers_get_their_own_and_leave_no_trace_in_a_name(
    one: Sessions, place: Place
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
    names = place.names()
    assert len(names) == 2 * len(odd)
    assert not [name for name in names for text in odd if text in name or "4711" in name]


async def test_without_a_key_nothing_is_remembered(one: Sessions, place: Place) -> None:
    async with (
        one.open(None, until=soon()) as session,
        one.open(None, until=soon()) as stranger,  # waits for nobody
    ):
        session["count"] = 1
        assert not stranger
    assert place.names() == []


async def test_reading_what_is_not_there_leaves_nothing(one: Sessions, place: Place) -> None:
    assert await stored(one) == {}
    with pytest.raises(KeyError):
        async with one.open(KEY, until=soon()) as session:
            assert session["language"]
    assert place.names() == []


async def test_what_is_emptied_is_gone(one: Sessions, place: Place) -> None:
    await add_one(one)
    assert len(place.names()) == 1
    async with one.open(KEY, until=soon()) as session:
        session.clear()
    assert place.names() == []


async def test_an_error_leaves_what_was(one: Sessions, other: Sessions) -> None:
    await add_one(one)
    with pytest.raises(ZeroDivisionError):
        async with one.open(KEY, until=soon()) as session:
            session["count"] = 1 / 0
    with pytest.raises(ZeroDivisionError):
        async with one.open(KEY, until=soon()) as session:
            session.update({"more": 1, "count": 1 / (len(session) - 1)})
    assert await stored(other) == {"count": 1}


async def test_too_much_or_the_wrong_thing_leaves_what_was(one: Sessions) -> None:
    await add_one(one)
    with pytest.raises(SessionError):
        async with one.open(KEY, until=soon()) as session:
            session["text"] = "x" * MOST
    with pytest.raises(TypeError):
        async with one.open(KEY, until=soon()) as session:
            cast("list[Any]", session.setdefault("tried", [])).append(())
    assert await stored(one) == {"count": 1}


async def test_it_is_forgotten_some_time_after_its_last_use(one: Sessions, place: Place) -> None:
    await add_one(one)
    for _ in range(3):  # a callback that only reads is a use
        place.go_on(LIFE - 1)
        assert await stored(one) == {"count": 1}
    place.go_on(LIFE)
    assert await stored(one) == {}


async def test_each_key_has_its_own_life(one: Sessions, place: Place) -> None:
    short = Key("short", 60.0)
    for key in (KEY, short):
        await add_one(one, key)
    place.go_on(60)
    assert [await stored(one, key) for key in (short, KEY)] == [{}, {"count": 1}]


async def test_what_somebody_has_is_not_forgotten_meanwhile(one: Sessions, place: Place) -> None:
    key = Key("brief", 2.0)
    await add_one(one, key)
    async with one.open(key, until=soon()):
        place.go_on(LEASE - 1)
    place.go_on(1)
    assert await stored(one, key) == {"count": 1}


async def test_no_update_is_lost(one: Sessions, other: Sessions) -> None:
    await asyncio.gather(*(add_one(sessions) for sessions in (one, other) for _ in range(20)))
    assert await stored(one) == {"count": 40}


async def test_who_comes_second_waits_for_the_first(one: Sessions, other: Sessions) -> None:
    first = await hold(one)
    waiting = [asyncio.create_task(stored(sessions)) for sessions in (one, other)]
    with pytest.raises(SessionLost, match="another callback of the same call"):
        async with other.open(KEY, until=soon(0.05)):
            pytest.fail("two at once")
    assert not any(task.done() for task in waiting)
    await first.end()
    assert await asyncio.gather(*waiting) == [{"count": 1}, {"count": 1}]


async def test_who_waits_in_the_same_process_is_woken(
    one: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.sessions.sessions.POLL", 30.0)
    first = await hold(one)
    waiting = [asyncio.create_task(add_one(one)) for _ in range(3)]
    await asyncio.wait(waiting, timeout=0.05)
    await first.end()
    async with asyncio.timeout(10):
        await asyncio.gather(*waiting)
    assert await stored(one) == {"count": 4}


async def test_who_comes_too_late_gets_what_is_free_and_waits_for_nothing(
    one: Sessions, other: Sessions
) -> None:
    await add_one(one)
    async with other.open(KEY, until=soon(-1)) as session:
        assert session
        with pytest.raises(SessionLost):
            async with one.open(KEY, until=soon(-1)):
                pytest.fail("two at once")


async def test_other_calls_wait_for_nobody(one: Sessions) -> None:
    first = await hold(one)
    assert await stored(one, Key("another call")) == {}
    await first.end()


async def test_a_cancelled_callback_gives_back_and_saves_nothing(
    one: Sessions, other: Sessions
) -> None:
    first = await hold(one)
    first.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first.task
    assert await stored(other) == {}


async def test_who_is_cancelled_while_it_waits_takes_nothing(
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


async def test_the_lock_of_a_dead_holder_ends(one: Sessions, place: Place) -> None:
    await add_one(one)
    dead = place.shelf()
    assert await dead.take(KEY.name, "dead", LIFE)
    for seconds in (0, LEASE - 1):
        place.go_on(seconds)
        with pytest.raises(SessionLost):
            async with one.open(KEY, until=soon(0)):
                pytest.fail("two at once")
    place.go_on(1)
    await add_one(one)
    assert await stored(one) == {"count": 2}
    assert not await dead.give(KEY.name, "dead", b"{}", LIFE)
    await dead.close()


async def test_the_forgotten_and_the_locks_of_the_dead_take_no_room(
    one: Sessions, place: Place
) -> None:
    await add_one(one, Key("forgotten"))
    dead = place.shelf()
    for name in "abc":
        await dead.take(name, name, LIFE)
    assert len(place.names()) == 4
    place.go_on(LIFE)
    for _ in range(100):  # a file is tidied now and then
        await add_one(one)
    assert len(place.names()) == 1
    await dead.close()


async def test_who_held_it_too_long_overwrites_nothing(
    one: Sessions, other: Sessions, place: Place
) -> None:
    slow = await hold(one)
    place.go_on(LEASE)
    await add_one(other)
    await add_one(other)
    with pytest.raises(SessionLost, match="held for more than 40 seconds"):
        await slow.end()
    assert await stored(other) == {"count": 2}


async def test_nor_if_nobody_else_came(one: Sessions, place: Place) -> None:
    slow = await hold(one)
    place.go_on(LEASE)
    with pytest.raises(SessionLost, match="held for more than 40 seconds"):
        await slow.end()
    assert await stored(one) == {}


async def test_who_held_it_too_long_and_only_read_lost_nothing(
    one: Sessions, other: Sessions, place: Place
) -> None:
    slow = await hold(one, change=False)
    place.go_on(LEASE)
    await add_one(other)
    await slow.end()
    assert await stored(other) == {"count": 1}


async def test_who_held_it_too_long_frees_no_other_ones_lock(
    one: Sessions, other: Sessions, place: Place
) -> None:
    slow = await hold(one)
    place.go_on(LEASE)
    second = await hold(other)
    with pytest.raises(SessionLost):
        await slow.end()
    with pytest.raises(SessionLost):
        async with one.open(KEY, until=soon(0)):
            pytest.fail("two at once")
    await second.end()
    assert await stored(one) == {"count": 1}


async def test_what_is_damaged_is_told_and_given_back(one: Sessions, place: Place) -> None:
    shelf = place.shelf()
    await shelf.take(KEY.name, "token", LIFE)
    assert await shelf.give(KEY.name, "token", b"no JSON", LIFE)
    for _ in range(2):
        with pytest.raises(SessionLost, match="is no session"):
            async with one.open(KEY, until=soon(0.05)):
                pytest.fail("it was read")
    await shelf.close()
