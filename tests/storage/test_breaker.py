"""The log lines of an outage, and how often they are repeated."""

from __future__ import annotations

import pytest

from receiver.storage.breaker import OPEN_TIME, REMINDER_INTERVAL, CircuitBreaker, StoreError
from tests.clock import Clock
from tests.storage.conftest import NOW, lines

OUT = "ERROR the store is unavailable (OSError): falling back"
BACK = "WARNING the store is back"


async def bad() -> None:
    raise OSError


async def good() -> None:
    pass


async def test_a_long_outage_is_logged_again(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store = CircuitBreaker("the store", "falling back", clock)
    said: list[int] = []
    for time in range(0, int(2 * REMINDER_INTERVAL) + 1, int(OPEN_TIME)):
        clock.now = NOW + time
        with pytest.raises(StoreError):
            await store.request(bad)
        said += [time] if len(lines(caplog)) > len(said) else []
    assert said == [0, REMINDER_INTERVAL, 2 * REMINDER_INTERVAL]
    assert lines(caplog) == [OUT] * 3


async def test_each_outage_is_logged_at_once(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store = CircuitBreaker("the store", "falling back", clock)
    for _ in range(2):
        with pytest.raises(StoreError):
            await store.request(bad)
        clock.now += OPEN_TIME
        await store.request(good)
    assert lines(caplog) == [OUT, BACK] * 2
