"""The store of one process: its bounds."""

from __future__ import annotations

from receiver.auth.throttle import FORGET, Standing
from receiver.stores import Memory
from tests.stores.conftest import NOW


async def test_a_flood_of_sources_pushes_out_the_idle_ones() -> None:
    store = Memory(life=300, most_sources=10)
    for key in ("idle", "busy"):
        await store.failed(key, NOW)
    for n in range(1000):
        await store.failed(f"flood {n}", NOW + n / 1000)
        await store.failed("busy", NOW + n / 1000)
    assert len(store._standings) == 10
    assert (await store.standing("busy", NOW + 1)).failures == 1001
    assert await store.standing("idle", NOW + 1) == Standing()


async def test_what_is_forgotten_takes_no_room() -> None:
    store = Memory(life=300)
    for n in range(100):
        await store.failed(str(n), NOW)
    await store.failed("later", NOW + FORGET)
    assert list(store._standings) == ["later"]


async def test_reading_leaves_no_trace() -> None:
    store = Memory(life=300)
    await store.standing("k", NOW)
    assert not store._standings


async def test_what_another_worker_saw_is_joined_to_the_own() -> None:
    store = Memory(life=300)
    await store.failed("k", NOW)
    assert store.learn("k", Standing(30, NOW - 5), NOW) == Standing(30, NOW)
    assert await store.standing("k", NOW) == Standing(30, NOW)
