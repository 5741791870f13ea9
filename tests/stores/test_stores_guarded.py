"""A shared store that fails, and no callback with it."""

from __future__ import annotations

import asyncio

import pytest

from receiver.auth.throttle import SHUT, SHUT_AFTER, Standing
from receiver.shared.patience import PAUSE
from receiver.stores import Memory
from receiver.stores.guarded import CROWD, Guarded
from tests.shared_stage import Clock
from tests.stores.conftest import FAILURES, LIFE, NOW, Guard, back, lines, out, use

ALL = frozenset({"use", "failed", "standing", "reach"})
OF_FAILURES = frozenset({"failed", "standing"})


class Shared(Memory):
    """A shared store that fails as it is told to, and counts the questions."""

    def __init__(self) -> None:
        super().__init__(life=LIFE)
        self.asked = 0
        self.reached = asyncio.Event()
        self.error: Exception | None = None
        self.bad = ALL  # the questions that end in the error
        self.stuck: asyncio.Event | None = None

    async def _ask(self, question: str) -> None:
        self.asked += 1
        self.reached.set()
        if self.stuck is not None:
            await self.stuck.wait()
        if self.error is not None and question in self.bad:
            raise self.error

    async def use(self, nonce: str, count: int, made: float, now: float) -> bool:
        await self._ask("use")
        return await super().use(nonce, count, made, now)

    async def failed(self, key: str, now: float) -> Standing:
        await self._ask("failed")
        return await super().failed(key, now)

    async def standing(self, key: str, now: float) -> Standing:
        await self._ask("standing")
        return await super().standing(key, now)

    async def reach(self) -> None:
        await self._ask("reach")

    async def close(self) -> None:
        if self.error is not None:
            raise self.error


@pytest.fixture
def shared() -> Shared:
    return Shared()


async def test_a_repeat_that_is_known_needs_no_question(shared: Shared, guard: Guard) -> None:
    store = guard(shared)
    assert [await use(store, 1) for _ in range(3)] == [True, False, False]
    assert shared.asked == 1


async def test_one_who_is_known_to_wait_needs_no_question(shared: Shared, guard: Guard) -> None:
    one, other = guard(shared), guard(shared)
    for _ in range(SHUT_AFTER):
        await one.failed("k", NOW)
    asked = shared.asked
    assert (await one.standing("k", NOW)).wait(NOW) == SHUT
    assert shared.asked == asked
    for _ in range(3):
        assert (await other.standing("k", NOW)).wait(NOW) == SHUT
    assert shared.asked == asked + 1


async def test_what_the_others_saw_is_known_through_an_outage(shared: Shared, guard: Guard) -> None:
    one, other = guard(shared), guard(shared)
    for _ in range(SHUT_AFTER):
        await one.failed("k", NOW)
    assert (await other.failed("k", NOW)).failures == SHUT_AFTER + 1
    shared.error = OSError()
    assert (await other.failed("k", NOW + 1)).failures == SHUT_AFTER + 2
    assert (await other.standing("k", NOW + 1)).wait(NOW + 1) == SHUT


async def test_what_happened_in_an_outage_counts_after_it(
    shared: Shared, guard: Guard, clock: Clock
) -> None:
    store = guard(shared)
    shared.error = OSError()
    for _ in range(SHUT_AFTER):
        await store.failed("k", NOW)
    shared.error = None
    clock.time = PAUSE
    assert (await store.failed("k", NOW + SHUT)).wait(NOW + SHUT) == SHUT


async def test_who_never_failed_takes_no_room(shared: Shared, guard: Guard) -> None:
    store = guard(shared)
    assert await store.standing("k", NOW) == Standing()
    assert not store._memory._standings


@pytest.mark.parametrize("error", [OSError("a secret"), ValueError("a secret"), KeyError("secret")])
async def test_whatever_it_raises_a_call_is_taken_once(
    shared: Shared, guard: Guard, clock: Clock, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    store = guard(shared)
    shared.error = error
    assert [await use(store, count) for count in (1, 1, 2)] == [True, False, True]
    assert await store.failed("k", NOW) == await store.standing("k", NOW) == Standing(1, NOW)
    assert shared.asked == 2  # the other three were spared
    clock.time = PAUSE
    assert await use(store, 3)
    assert await use(store, 4)
    assert shared.asked == 3
    shared.error = None
    clock.time = 2 * PAUSE
    assert [await use(store, count) for count in (5, 6)] == [True, True]
    assert await store.standing("k", NOW) == Standing(1, NOW)
    assert shared.asked == 6
    kind = type(error).__name__
    assert lines(caplog) == [out(kind), out(kind, FAILURES), back(), back(FAILURES)]


async def test_an_outage_of_failures_lets_no_replay_in(
    shared: Shared, guard: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = guard(shared), guard(shared)
    shared.error, shared.bad = OSError(), OF_FAILURES
    for store in (one, other):
        await store.failed("k", NOW)
    assert [await use(store, 1) for store in (one, other)] == [True, False]
    assert lines(caplog) == [out("OSError", FAILURES)] * 2


async def test_an_outage_of_counts_forgets_no_failure(
    shared: Shared, guard: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = guard(shared), guard(shared)
    shared.error, shared.bad = OSError(), ALL - OF_FAILURES
    assert [await use(store, 1) for store in (one, other)] == [True, True]  # the price
    assert [(await store.failed("k", NOW)).failures for store in (one, other)] == [1, 2]
    assert lines(caplog) == [out("OSError")] * 2


async def test_what_is_wrong_at_the_start_is_said_and_nothing_more(
    shared: Shared, guard: Guard, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store = guard(shared)
    await store.reach()
    assert shared.asked == 1
    assert not lines(caplog)
    shared.error = OSError("a secret")
    await store.reach()
    assert lines(caplog) == [out("OSError")]
    shared.error = None
    clock.time = PAUSE
    assert await use(store, 1)
    assert lines(caplog) == [out("OSError"), back()]


async def test_only_one_tries_whether_it_is_back(
    shared: Shared, guard: Guard, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store = guard(shared)
    shared.error = OSError()
    await use(store, 0)
    clock.time = PAUSE
    shared.stuck = asyncio.Event()
    shared.error = None
    assert all(await asyncio.gather(*(use(store, count) for count in range(1, 20))))
    assert shared.asked == 2
    assert lines(caplog) == [out("OSError")]


async def test_many_late_answers_are_one_outage(
    shared: Shared, guard: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    store = guard(shared)
    shared.stuck = asyncio.Event()
    assert all(await asyncio.gather(*(use(store, count) for count in range(20))))
    assert shared.asked == 20
    assert lines(caplog) == [out("TimeoutError")]


async def test_an_answer_asked_for_before_the_outage_does_not_end_it(
    shared: Shared, guard: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    store = guard(shared)
    shared.stuck = asyncio.Event()
    early = asyncio.create_task(store.use("n", 1, NOW, NOW))
    await shared.reached.wait()
    stuck, shared.stuck, shared.error = shared.stuck, None, OSError()
    await use(store, 2)
    shared.error = None
    stuck.set()
    assert await early
    assert await use(store, 3)
    assert shared.asked == 2
    assert lines(caplog) == [out("OSError")]


async def test_a_flood_of_failures_leaves_room_for_those_who_know_the_password(
    shared: Shared, guard: Guard
) -> None:
    store = guard(shared)
    shared.stuck = asyncio.Event()
    for count in range(2):  # the second time shows that the first left nothing behind
        shared.asked = 0
        flood = [asyncio.create_task(store.failed(str(n), NOW)) for n in range(2 * CROWD)]
        call = asyncio.create_task(store.use("n", count, NOW, NOW))
        found = await asyncio.gather(*flood[CROWD:])
        assert all(standing == Standing(found[0].failures, NOW) for standing in found)
        shared.stuck.set()
        await asyncio.gather(*flood, call)
        assert shared.asked == CROWD + 1
        shared.stuck.clear()


async def test_a_sender_that_leaves_is_no_outage(
    shared: Shared, guard: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    store = guard(shared)
    shared.stuck = asyncio.Event()
    task = asyncio.create_task(store.use("n", 1, NOW, NOW))
    await shared.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    shared.stuck = None
    assert await use(store, 2)
    assert shared.asked == 2
    assert not lines(caplog)


async def test_the_end_raises_nothing(shared: Shared, caplog: pytest.LogCaptureFixture) -> None:
    shared.error = OSError("a secret")
    await Guarded(shared, "Kind", Memory(life=LIFE)).close()
    assert lines(caplog) == ["WARNING the shared store (Kind) did not close: OSError"]


async def test_the_clock_is_the_event_loops_by_default(shared: Shared) -> None:
    store = Guarded(shared, "Kind", Memory(life=LIFE))
    shared.error = OSError()
    assert [await use(store, count) for count in range(3)] == [True] * 3
    assert shared.asked == 1
