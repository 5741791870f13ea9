"""What the log says of an outage, and how often."""

from __future__ import annotations

import pytest

from receiver.shared.patience import PAUSE, REMIND, Patience, StoreError
from tests.shared_stage import Clock
from tests.stores.conftest import NOW, lines

OUT = "ERROR the place is out of order (OSError): a pity"
BACK = "WARNING the place is back"


async def bad() -> None:
    raise OSError


async def good() -> None:
    pass


async def test_an_outage_that_lasts_is_said_again_and_again(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    place = Patience("the place", "a pity", clock)
    said: list[int] = []
    for time in range(0, int(2 * REMIND) + 1, int(PAUSE)):
        clock.time = NOW + time
        with pytest.raises(StoreError):
            await place.ask(bad)
        said += [time] if len(lines(caplog)) > len(said) else []
    assert said == [0, REMIND, 2 * REMIND]
    assert lines(caplog) == [OUT] * 3


async def test_each_outage_is_said_at_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    place = Patience("the place", "a pity", clock)
    for _ in range(2):
        with pytest.raises(StoreError):
            await place.ask(bad)
        clock.time += PAUSE
        await place.ask(good)
    assert lines(caplog) == [OUT, BACK] * 2
