"""The bounds of nonce counts and failures in memory."""

from __future__ import annotations

from receiver.auth.throttle import FAILURE_LIFE, FailureRecord
from receiver.storage.memory import MemoryAuth
from tests.storage.conftest import NOW


async def test_a_flood_of_addresses_evicts_the_idle_ones() -> None:
    store = MemoryAuth(life=300, max_sources=10)
    for key in ("idle", "busy"):
        await store.failed(key, NOW)
    for n in range(1000):
        await store.failed(f"flood {n}", NOW + n / 1000)
        await store.failed("busy", NOW + n / 1000)
    assert len(store._records) == 10
    assert (await store.failed("busy", NOW + 1)).failures == 1002
    assert await store.failed("idle", NOW + 1) == FailureRecord(1, NOW + 1)


async def test_expired_failures_are_deleted() -> None:
    store = MemoryAuth(life=300)
    for n in range(100):
        await store.failed(str(n), NOW)
    await store.failed("later", NOW + FAILURE_LIFE)
    assert list(store._records) == ["later"]


async def test_failures_of_another_worker_are_merged() -> None:
    store = MemoryAuth(life=300)
    await store.failed("k", NOW)
    assert store.learn("k", FailureRecord(30, NOW - 5), NOW) == FailureRecord(30, NOW)
    assert await store.failed("k", NOW) == FailureRecord(31, NOW)
