"""A flood of bad requests leaves nothing in memory; `tests.bench.flood` sends a larger one."""

from pathlib import Path

import pytest

from tests.bench.flood import flood

REQUESTS = 60_000
"""With fewer, some 3 MB that the service takes once on Python 3.13 would look like growth."""

LEFT = 400
"""Bytes for each request of the last quarter that the allocator may keep.

A request that is not freed, with its exchange, has 2,300.
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="looks into /proc")
def test_memory_is_flat_in_a_flood_of_bad_requests() -> None:
    found = flood("memory", REQUESTS, 32, listed=False)
    assert not found.let_in
    assert found.statuses.total() >= REQUESTS
    assert found.watched.growth < LEFT * REQUESTS / 4
