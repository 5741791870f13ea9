"""The contract of leases, over the backends that several processes share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from receiver.storage.leases import HeldLease
from receiver.storage.protocols import Lease
from tests.storage.stage import SHARED, Backend, Closes, wait_for

pytestmark = SHARED

LIFE = 20.0
Open = Callable[[], Lease]


@pytest.fixture
def open_lease(backend: Backend, closing_all: list[Closes]) -> Open:
    """Opens the same lease as one more worker does."""

    def open_one() -> Lease:
        lease = backend.lease("https://ivr.example.com")
        closing_all.append(lease)
        return lease

    return open_one


async def test_one_of_many_workers_holds_a_lease(open_lease: Open) -> None:
    many = [open_lease() for _ in range(8)]
    for _ in range(3):  # and renews it
        taken = await asyncio.gather(*(lease.take(LIFE) for lease in many))
        assert taken.count(True) == 1
    holder = many[taken.index(True)]
    others = [lease for lease in many if lease is not holder]
    for lease in others:
        await lease.leave()  # they do not hold it
    assert not await others[0].take(LIFE)
    await holder.leave()
    assert await others[0].take(LIFE)
    assert not await holder.take(LIFE)


async def test_a_lease_expires(open_lease: Open) -> None:
    one, other = open_lease(), open_lease()
    assert await one.take(0.2)
    assert not await other.take(LIFE)
    await wait_for(other, LIFE)
    assert not await one.take(LIFE)


async def test_a_hold_follows_the_lease(open_lease: Open) -> None:
    one, other = HeldLease(open_lease()), HeldLease(open_lease())
    await one.renew()
    await other.renew()
    assert (one.held, other.held) == (True, False)
    await one.end()
    await other.renew()
    assert (one.held, other.held) == (False, True)
