"""What every store does, whoever shares it."""

from __future__ import annotations

import asyncio

import pytest

from receiver.auth.throttle import FORGET, SHUT, SHUT_AFTER, Standing
from tests.stores.conftest import NOW, Open

ALL = pytest.mark.parametrize("open_shared", ["memory", "sqlite", "redis"], indirect=True)


@ALL
async def test_a_count_is_good_once_in_any_order_and_with_gaps(open_shared: Open) -> None:
    store = open_shared()
    counts = [2, 1, 5, 3, 4, 3, 40, 39, 0, 0, 2, 41]
    good = [await store.use("n", count, NOW, NOW) for count in counts]
    assert good == [True] * 5 + [False] + [True] * 3 + [False] * 2 + [True]


@ALL
async def test_each_nonce_counts_for_itself(open_shared: Open) -> None:
    store = open_shared()
    assert [await store.use(nonce, 1, NOW, NOW) for nonce in "abab"] == [True, True, False, False]


@ALL
async def test_the_highest_count_of_all(open_shared: Open) -> None:
    store = open_shared()
    assert await store.use("n", 0xFFFFFFFF, NOW, NOW)
    assert not await store.use("n", 0xFFFFFFFF, NOW, NOW)


@ALL
async def test_what_one_worker_used_up_another_refuses(open_shared: Open) -> None:
    one, other = open_shared(), open_shared()
    assert await one.use("n", 1, NOW, NOW)
    assert not await other.use("n", 1, NOW + 299, NOW + 299)
    assert await other.use("n", 2, NOW, NOW)
    assert not await one.use("n", 2, NOW, NOW)


@ALL
async def test_of_many_at_once_exactly_one_is_let_in(open_shared: Open) -> None:
    one, other = open_shared(), open_shared()
    for count in range(20):
        uses = [store.use("n", count, NOW, NOW) for store in (one, other) for _ in range(4)]
        assert sum(await asyncio.gather(*uses)) == 1


@ALL
async def test_failures_are_added_up_over_all_workers(open_shared: Open) -> None:
    one, other = open_shared(), open_shared()
    failing = [store.failed("k", NOW) for store in (one, other) for _ in range(SHUT_AFTER // 2)]
    found = await asyncio.gather(*failing)
    assert sorted(standing.failures for standing in found) == list(range(1, SHUT_AFTER + 1))
    for store in (one, other):
        assert await store.standing("k", NOW) == Standing(SHUT_AFTER, NOW)
        assert await store.standing("another", NOW) == Standing()


@ALL
async def test_times_are_kept_to_the_fraction(open_shared: Open) -> None:
    store = open_shared()
    assert await store.failed("k", NOW + 0.123456) == Standing(1, NOW + 0.123456)
    assert await store.standing("k", NOW + 1) == Standing(1, NOW + 0.123456)


@ALL
async def test_failures_are_forgotten(open_shared: Open) -> None:
    store = open_shared()
    await store.failed("k", NOW)
    assert await store.standing("k", NOW + FORGET - 1) == Standing(1, NOW)
    assert await store.standing("k", NOW + FORGET) == Standing()
    assert await store.failed("k", NOW + FORGET) == Standing(1, NOW + FORGET)


@ALL
async def test_failures_of_a_time_to_come_are_none(open_shared: Open) -> None:
    store = open_shared()
    await store.failed("k", NOW)
    assert await store.failed("k", NOW - SHUT) == Standing(2, NOW - SHUT)
    assert await store.standing("k", NOW - 3 * SHUT) == Standing()
    assert await store.failed("k", NOW - 3 * SHUT) == Standing(1, NOW - 3 * SHUT)


@ALL
async def test_the_question_at_the_start_changes_nothing(open_shared: Open) -> None:
    one, other = open_shared(), open_shared()
    assert await one.use("n", 1, NOW, NOW)
    await one.failed("k", NOW)
    await other.reach()
    assert not await other.use("n", 1, NOW, NOW)
    assert await other.use("n", 2, NOW, NOW)
    assert await other.standing("k", NOW) == Standing(1, NOW)


@ALL
async def test_keys_are_data(open_shared: Open) -> None:
    store = open_shared()
    keys = ["8000/pick 192.0.2.1", "'; drop table failures; --", "a b", "{x}", "ü", ""]
    for number, key in enumerate(keys, 1):
        for _ in range(number):
            await store.failed(key, NOW)
    assert [(await store.standing(key, NOW)).failures for key in keys] == [1, 2, 3, 4, 5, 6]
