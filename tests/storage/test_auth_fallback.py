"""A shared store that fails: callbacks are answered from per-worker memory."""

from __future__ import annotations

import asyncio

import pytest

from receiver.auth.throttle import BLOCK_AFTER, BLOCK_TIME, FailureRecord
from receiver.observability.metrics import COUNTS, OUTAGES
from receiver.storage.auth_fallback import MAX_FAILURE_REQUESTS, AuthFallback
from receiver.storage.breaker import OPEN_TIME
from receiver.storage.memory import MemoryAuth
from tests.clock import Clock
from tests.storage.conftest import FAILURES, LIFE, NOW, Guard, back, lines, out, use

ALL = frozenset({"use", "failed", "reach"})
OF_FAILURES = frozenset({"failed"})


class Shared(MemoryAuth):
    """A shared store that raises `error` or waits for `stuck`, and counts the requests."""

    def __init__(self) -> None:
        super().__init__(life=LIFE)
        self.requests = 0
        self.reached = asyncio.Event()
        self.error: Exception | None = None
        self.bad = ALL  # the requests that raise the error
        self.stuck: asyncio.Event | None = None

    async def _count(self, question: str) -> None:
        self.requests += 1
        self.reached.set()
        if self.stuck is not None:
            await self.stuck.wait()
        if self.error is not None and question in self.bad:
            raise self.error

    async def use(self, nonce: str, count: int, made: float, now: float) -> bool:
        await self._count("use")
        return await super().use(nonce, count, made, now)

    async def failed(self, key: str, now: float) -> FailureRecord:
        await self._count("failed")
        return await super().failed(key, now)

    async def reach(self) -> None:
        await self._count("reach")

    async def close(self) -> None:
        if self.error is not None:
            raise self.error


@pytest.fixture
def shared() -> Shared:
    return Shared()


async def test_a_known_replay_is_refused_without_a_request(shared: Shared, guard: Guard) -> None:
    store = guard(shared)
    assert [await use(store, 1) for _ in range(3)] == [True, False, False]
    assert shared.requests == 1


async def test_failures_that_other_workers_counted_are_kept_in_an_outage(
    shared: Shared, guard: Guard
) -> None:
    one, other = guard(shared), guard(shared)
    for _ in range(BLOCK_AFTER):
        await one.failed("k", NOW)
    assert (await other.failed("k", NOW)).failures == BLOCK_AFTER + 1
    shared.error = OSError()
    assert (await other.failed("k", NOW + 1)).failures == BLOCK_AFTER + 2
    assert (await other.failed("k", NOW + 1)).retry_after() == BLOCK_TIME


async def test_failures_of_an_outage_count_after_it(
    shared: Shared, guard: Guard, clock: Clock
) -> None:
    store = guard(shared)
    shared.error = OSError()
    for _ in range(BLOCK_AFTER):
        await store.failed("k", NOW)
    shared.error = None
    clock.now = OPEN_TIME
    assert (await store.failed("k", NOW + BLOCK_TIME)).retry_after() == BLOCK_TIME


@pytest.mark.parametrize("error", [OSError("a secret"), ValueError("a secret"), KeyError("secret")])
async def test_any_error_falls_back_and_a_count_is_used_once(
    shared: Shared, guard: Guard, clock: Clock, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    store = guard(shared)
    shared.error = error
    assert [await use(store, count) for count in (1, 1, 2)] == [True, False, True]
    assert [(await store.failed("k", NOW)).failures for _ in range(2)] == [1, 2]
    assert shared.requests == 2  # the other three requests were not made
    clock.now = OPEN_TIME
    assert await use(store, 3)
    assert await use(store, 4)
    assert shared.requests == 3
    shared.error = None
    clock.now = 2 * OPEN_TIME
    assert [await use(store, count) for count in (5, 6)] == [True, True]
    assert await store.failed("k", NOW) == FailureRecord(3, NOW)
    assert shared.requests == 6
    kind = type(error).__name__
    assert lines(caplog) == [out(kind), out(kind, FAILURES), back(), back(FAILURES)]


async def test_an_outage_of_failures_accepts_no_replay(
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


async def test_an_outage_at_the_start_is_logged_once(
    shared: Shared, guard: Guard, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store = guard(shared)
    await store.reach()
    assert shared.requests == 1
    assert not lines(caplog)
    shared.error = OSError("a secret")
    await store.reach()
    assert lines(caplog) == [out("OSError")]
    shared.error = None
    clock.now = OPEN_TIME
    assert await use(store, 1)
    assert lines(caplog) == [out("OSError"), back()]


async def test_one_request_probes_the_store_after_an_outage(
    shared: Shared, guard: Guard, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store = guard(shared)
    shared.error = OSError()
    await use(store, 0)
    clock.now = OPEN_TIME
    shared.stuck = asyncio.Event()
    shared.error = None
    assert all(await asyncio.gather(*(use(store, count) for count in range(1, 20))))
    assert shared.requests == 2
    assert lines(caplog) == [out("OSError")]


async def test_many_late_answers_are_logged_as_one_outage(
    shared: Shared, guard: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    store = guard(shared)
    shared.stuck = asyncio.Event()
    assert all(await asyncio.gather(*(use(store, count) for count in range(20))))
    assert shared.requests == 20
    assert lines(caplog) == [out("TimeoutError")]


async def test_the_answer_to_an_earlier_request_does_not_end_the_outage(
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
    assert shared.requests == 2
    assert lines(caplog) == [out("OSError")]


async def test_a_flood_of_failures_delays_no_client_with_the_password(
    shared: Shared, guard: Guard
) -> None:
    store = guard(shared)
    shared.stuck = asyncio.Event()
    for count in range(2):  # the second round shows that the first left no state
        shared.requests = 0
        keys = map(str, range(2 * MAX_FAILURE_REQUESTS))
        flood = [asyncio.create_task(store.failed(key, NOW)) for key in keys]
        call = asyncio.create_task(store.use("n", count, NOW, NOW))
        found = await asyncio.gather(*flood[MAX_FAILURE_REQUESTS:])
        assert all(record == FailureRecord(found[0].failures, NOW) for record in found)
        shared.stuck.set()
        await asyncio.gather(*flood, call)
        assert shared.requests == MAX_FAILURE_REQUESTS + 1
        shared.stuck.clear()


async def test_a_cancelled_request_is_no_outage(
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
    assert shared.requests == 2
    assert not lines(caplog)


async def test_closing_raises_nothing(shared: Shared, caplog: pytest.LogCaptureFixture) -> None:
    shared.error = OSError("a secret")
    await AuthFallback(shared, "Kind", MemoryAuth(life=LIFE)).close()
    assert lines(caplog) == ["WARNING the shared store (Kind) did not close: OSError"]


async def test_the_default_clock_is_that_of_the_event_loop(shared: Shared) -> None:
    store = AuthFallback(shared, "Kind", MemoryAuth(life=LIFE))
    shared.error = OSError()
    assert [await use(store, count) for count in range(3)] == [True] * 3
    assert shared.requests == 1


async def test_each_outage_is_counted_in_the_metrics(
    shared: Shared, guard: Guard, clock: Clock
) -> None:
    (count,) = COUNTS.cell(OUTAGES, ("Kind",))
    store = guard(shared)
    shared.error = OSError()
    await store.reach()
    for number in range(3):
        await store.use("n", number, NOW, NOW)  # the store is not asked
    assert COUNTS.cell(OUTAGES, ("Kind",)) == [count + 1]
    clock.now = OPEN_TIME
    await store.use("n", 3, NOW, NOW)
    await store.failed("k", NOW)
    assert COUNTS.cell(OUTAGES, ("Kind",)) == [count + 3]
