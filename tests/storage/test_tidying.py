"""Rows that a file deletes, and replays that stay refused nevertheless."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from receiver.auth.throttle import FAILURE_LIFE, FailureRecord
from receiver.storage.sqlite import SqliteAuth
from receiver.storage.sqlite_file import TIDY_INTERVAL
from tests.storage.conftest import NOW


def rows(path: Path, table: str) -> int:
    file = f"{path}.failures" if table == "failures" else path
    with closing(sqlite3.connect(file)) as connection:
        (found,) = connection.execute(f"select count(*) from {table}").fetchone()  # noqa: S608
        assert isinstance(found, int)
        return found


async def test_expired_rows_are_deleted(path: Path, make: Callable[..., SqliteAuth]) -> None:
    store = make()
    for n in range(TIDY_INTERVAL):
        await store.use("old", n, NOW, NOW)
        await store.failed(str(n), NOW)
    for n in range(TIDY_INTERVAL):
        await store.use("new", n, NOW + 361, NOW + 361)
        await store.failed("new", NOW + 361)
    assert rows(path, "used") == TIDY_INTERVAL
    assert rows(path, "failures") == 1


async def test_rows_are_bounded_and_evicted_counts_are_refused(
    path: Path, make: Callable[..., SqliteAuth]
) -> None:
    store = make(max_counts=50)
    for n in range(500):
        assert await store.use(str(n), 1, NOW + n / 100, NOW + 10)
    assert rows(path, "used") <= 50 + TIDY_INTERVAL
    again = [await store.use(str(n), 1, NOW + n / 100, NOW + 10) for n in range(500)]
    assert not any(again)


async def test_the_counts_of_one_nonce_are_bounded(
    path: Path, make: Callable[..., SqliteAuth]
) -> None:
    store = make(max_counts=50)
    good = [await store.use("n", n, NOW, NOW) for n in range(500)]
    assert good[:TIDY_INTERVAL] == [True] * TIDY_INTERVAL
    assert not any(good[TIDY_INTERVAL:])
    assert rows(path, "used") == 0
    assert await store.use("another", 1, NOW + 1, NOW + 1)


async def test_a_clock_set_back_refuses_no_new_nonce(
    make: Callable[..., SqliteAuth],
) -> None:
    store = make(max_counts=10)
    for n in range(2 * TIDY_INTERVAL):
        await store.use(str(n), 1, NOW, NOW)
    assert not await store.use("back", 1, NOW - 30, NOW - 30)
    assert await store.use("back", 1, NOW - 3600, NOW - 3600)
    for n in range(2 * TIDY_INTERVAL):
        await store.use(str(n), 1, NOW - 3599, NOW - 3599)
    assert not await store.use("back", 1, NOW - 3600, NOW - 3599)  # it was evicted since


async def test_a_clock_that_ran_ahead_accepts_no_replay(
    path: Path, make: Callable[..., SqliteAuth]
) -> None:
    store = make()
    assert await store.use("used", 1, NOW, NOW)
    for n in range(TIDY_INTERVAL):
        await store.use("ahead", n, NOW + 3600, NOW + 3600)
    assert rows(path, "used") == TIDY_INTERVAL  # it was deleted for its age
    assert not await store.use("used", 1, NOW, NOW + 10)
    assert await store.use("new", 1, NOW + 10, NOW + 10)


async def test_expiry_does_not_lower_the_floor(make: Callable[..., SqliteAuth]) -> None:
    store = make(max_counts=10)
    for n in range(2 * TIDY_INTERVAL):
        await store.use(str(n), 1, NOW + 100, NOW + 100)  # the floor rises to that
    assert await store.use("set back", 1, NOW, NOW)
    for _ in range(TIDY_INTERVAL):
        await store.use("later", 1, NOW + 390, NOW + 390)
    assert not await store.use("0", 1, NOW + 100, NOW + 390)


async def test_reach_deletes_nothing(path: Path, make: Callable[..., SqliteAuth]) -> None:
    store = make()
    for n in range(50):
        await store.use("n", n, NOW, NOW)
    await make(max_counts=10).reach()
    assert rows(path, "used") == 50


async def test_a_flood_of_addresses_evicts_the_idle_ones(
    path: Path, make: Callable[..., SqliteAuth]
) -> None:
    store = make(max_sources=50)
    for key in ("idle", "busy"):
        await store.failed(key, NOW)
    for n in range(500):
        await store.failed(f"flood {n}", NOW + n / 1000)
        await store.failed("busy", NOW + n / 1000)
    assert rows(path, "failures") <= 50 + TIDY_INTERVAL
    assert (await store.failed("busy", NOW + 1)).failures == 502
    assert await store.failed("idle", NOW + 1) == FailureRecord(1, NOW + 1)


async def test_failures_far_in_the_future_are_deleted(
    path: Path, make: Callable[..., SqliteAuth]
) -> None:
    store = make()
    await store.failed("k", NOW + FAILURE_LIFE)
    for _ in range(TIDY_INTERVAL):
        await store.failed("new", NOW)
    assert rows(path, "failures") == 1
