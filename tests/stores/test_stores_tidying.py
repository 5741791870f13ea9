"""What a shared file forgets, and that nobody gets in again by that."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from receiver.auth.throttle import FORGET, Standing
from receiver.shared.file import TIDY
from receiver.stores.sqlite import Sqlite
from tests.stores.conftest import NOW


def rows(path: Path, table: str) -> int:
    file = f"{path}.failures" if table == "failures" else path
    with closing(sqlite3.connect(file)) as connection:
        (found,) = connection.execute(f"select count(*) from {table}").fetchone()  # noqa: S608
        assert isinstance(found, int)
        return found


async def test_what_is_too_old_is_removed(path: Path, make: Callable[..., Sqlite]) -> None:
    store = make()
    for n in range(TIDY):
        await store.use("old", n, NOW, NOW)
        await store.failed(str(n), NOW)
    for n in range(TIDY):
        await store.use("new", n, NOW + 361, NOW + 361)
        await store.standing("new", NOW + 361)
    assert rows(path, "used") == TIDY
    assert rows(path, "failures") == 0


async def test_rows_are_bounded_and_counts_pushed_out_are_refused(
    path: Path, make: Callable[..., Sqlite]
) -> None:
    store = make(most_counts=50)
    for n in range(500):
        assert await store.use(str(n), 1, NOW + n / 100, NOW + 10)
    assert rows(path, "used") <= 50 + TIDY
    again = [await store.use(str(n), 1, NOW + n / 100, NOW + 10) for n in range(500)]
    assert not any(again)


async def test_one_nonce_with_ever_more_counts_is_bounded_too(
    path: Path, make: Callable[..., Sqlite]
) -> None:
    store = make(most_counts=50)
    good = [await store.use("n", n, NOW, NOW) for n in range(500)]
    assert good[:TIDY] == [True] * TIDY
    assert not any(good[TIDY:])
    assert rows(path, "used") == 0
    assert await store.use("another", 1, NOW + 1, NOW + 1)


async def test_a_clock_that_was_set_back_refuses_no_new_nonce(make: Callable[..., Sqlite]) -> None:
    store = make(most_counts=10)
    for n in range(2 * TIDY):
        await store.use(str(n), 1, NOW, NOW)
    assert not await store.use("back", 1, NOW - 30, NOW - 30)
    assert await store.use("back", 1, NOW - 3600, NOW - 3600)
    for n in range(2 * TIDY):
        await store.use(str(n), 1, NOW - 3599, NOW - 3599)
    assert not await store.use("back", 1, NOW - 3600, NOW - 3599)  # it was pushed out since


async def test_a_clock_that_ran_ahead_lets_no_replay_in(
    path: Path, make: Callable[..., Sqlite]
) -> None:
    store = make()
    assert await store.use("used", 1, NOW, NOW)
    for n in range(TIDY):
        await store.use("ahead", n, NOW + 3600, NOW + 3600)
    assert rows(path, "used") == TIDY  # it was deleted for its age
    assert not await store.use("used", 1, NOW, NOW + 10)
    assert await store.use("new", 1, NOW + 10, NOW + 10)


async def test_what_goes_by_age_lowers_no_floor(make: Callable[..., Sqlite]) -> None:
    store = make(most_counts=10)
    for n in range(2 * TIDY):
        await store.use(str(n), 1, NOW + 100, NOW + 100)  # the floor rises to that
    assert await store.use("set back", 1, NOW, NOW)
    for _ in range(TIDY):
        await store.use("later", 1, NOW + 390, NOW + 390)
    assert not await store.use("0", 1, NOW + 100, NOW + 390)


async def test_the_question_at_the_start_tidies_nothing(
    path: Path, make: Callable[..., Sqlite]
) -> None:
    store = make()
    for n in range(50):
        await store.use("n", n, NOW, NOW)
    await make(most_counts=10).reach()
    assert rows(path, "used") == 50


async def test_a_flood_of_sources_pushes_out_the_idle_ones(
    path: Path, make: Callable[..., Sqlite]
) -> None:
    store = make(most_sources=50)
    for key in ("idle", "busy"):
        await store.failed(key, NOW)
    for n in range(500):
        await store.failed(f"flood {n}", NOW + n / 1000)
        await store.failed("busy", NOW + n / 1000)
    assert rows(path, "failures") <= 50 + TIDY
    assert (await store.standing("busy", NOW + 1)).failures == 501
    assert await store.standing("idle", NOW + 1) == Standing()


async def test_failures_far_ahead_take_no_room(path: Path, make: Callable[..., Sqlite]) -> None:
    store = make()
    await store.failed("k", NOW + FORGET)
    for _ in range(TIDY):
        await store.standing("k", NOW)
    assert rows(path, "failures") == 0
