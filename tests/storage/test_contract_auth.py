"""The contract of nonce counts and failures, over all backends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from receiver.auth.throttle import BLOCK_AFTER, BLOCK_TIME, FAILURE_LIFE, FailureRecord
from receiver.storage.protocols import AuthStore
from tests.storage.stage import NOW, Backend, Closes

Open = Callable[[], AuthStore]


@pytest.fixture
def open_auth(backend: Backend, closing_all: list[Closes]) -> Open:
    """Opens the store as one more worker does."""

    def open_one() -> AuthStore:
        store = backend.auth()
        closing_all.append(store)
        return store

    return open_one


async def test_a_count_is_good_once_in_any_order_and_with_gaps(open_auth: Open) -> None:
    store = open_auth()
    counts = [2, 1, 5, 3, 4, 3, 40, 39, 0, 0, 2, 41]
    good = [await store.use("n", count, NOW, NOW) for count in counts]
    assert good == [True] * 5 + [False] + [True] * 3 + [False] * 2 + [True]


async def test_nonces_are_counted_separately(open_auth: Open) -> None:
    store = open_auth()
    assert [await store.use(nonce, 1, NOW, NOW) for nonce in "abab"] == [True, True, False, False]


async def test_the_highest_count_is_accepted_once(open_auth: Open) -> None:
    store = open_auth()
    assert await store.use("n", 0xFFFFFFFF, NOW, NOW)
    assert not await store.use("n", 0xFFFFFFFF, NOW, NOW)


async def test_a_count_that_one_worker_used_is_refused_by_another(open_auth: Open) -> None:
    one, other = open_auth(), open_auth()
    assert await one.use("n", 1, NOW, NOW)
    assert not await other.use("n", 1, NOW + 299, NOW + 299)
    assert await other.use("n", 2, NOW, NOW)
    assert not await one.use("n", 2, NOW, NOW)


async def test_of_many_uses_at_once_exactly_one_succeeds(open_auth: Open) -> None:
    one, other = open_auth(), open_auth()
    for count in range(20):
        uses = [store.use("n", count, NOW, NOW) for store in (one, other) for _ in range(4)]
        assert sum(await asyncio.gather(*uses)) == 1


async def test_failures_are_counted_over_all_workers(open_auth: Open) -> None:
    one, other = open_auth(), open_auth()
    failing = [store.failed("k", NOW) for store in (one, other) for _ in range(BLOCK_AFTER // 2)]
    found = await asyncio.gather(*failing)
    assert sorted(record.failures for record in found) == list(range(1, BLOCK_AFTER + 1))
    for number, store in enumerate((one, other), 1):
        assert await store.failed("k", NOW) == FailureRecord(BLOCK_AFTER + number, NOW)
        assert await store.failed("another", NOW) == FailureRecord(number, NOW)


async def test_times_keep_their_fraction(open_auth: Open) -> None:
    store = open_auth()
    assert await store.failed("k", NOW + 0.123456) == FailureRecord(1, NOW + 0.123456)


async def test_failures_expire(open_auth: Open) -> None:
    store = open_auth()
    await store.failed("k", NOW)
    assert await store.failed("k", NOW + FAILURE_LIFE - 1) == FailureRecord(
        2, NOW + FAILURE_LIFE - 1
    )
    later = NOW + 2 * FAILURE_LIFE - 1
    assert await store.failed("k", later) == FailureRecord(1, later)


async def test_failures_in_the_future_are_not_counted(open_auth: Open) -> None:
    store = open_auth()
    await store.failed("k", NOW)
    assert await store.failed("k", NOW - BLOCK_TIME) == FailureRecord(2, NOW - BLOCK_TIME)
    assert await store.failed("k", NOW - 3 * BLOCK_TIME) == FailureRecord(1, NOW - 3 * BLOCK_TIME)


async def test_reach_changes_nothing(open_auth: Open) -> None:
    one, other = open_auth(), open_auth()
    assert await one.use("n", 1, NOW, NOW)
    await one.failed("k", NOW)
    await other.reach()
    assert not await other.use("n", 1, NOW, NOW)
    assert await other.use("n", 2, NOW, NOW)
    assert await other.failed("k", NOW) == FailureRecord(2, NOW)


async def test_keys_are_data(open_auth: Open) -> None:
    store = open_auth()
    keys = ["8000/pick 192.0.2.1", "'; drop table failures; --", "a b", "{x}", "ü", ""]
    for number, key in enumerate(keys, 1):
        for _ in range(number):
            await store.failed(key, NOW)
    assert [(await store.failed(key, NOW)).failures for key in keys] == [2, 3, 4, 5, 6, 7]
