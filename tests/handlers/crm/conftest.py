"""What the tests of the connectors share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from receiver.serving.server import running
from tests.handlers.crm.connected import CRMS, Stage
from tests.handlers.crm.faking import Stand


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stands() -> AsyncIterator[dict[str, tuple[Stand, str]]]:
    """A server for each CRM, which starts only once."""
    async with AsyncExitStack() as stack:
        started = {}
        for name in CRMS:
            stand = Stand()
            started[name] = stand, await stack.enter_async_context(running(stand))
        yield started


@pytest.fixture
def staged(stands: dict[str, tuple[Stand, str]]) -> Iterator[Callable[[str], Stage]]:
    """A new fake of the CRM of that name, and its connector."""
    fakes = []

    def put(name: str) -> Stage:
        make, connect = CRMS[name]
        stand, url = stands[name]
        stand.fake = make()
        fakes.append(stand.fake)
        return Stage(stand.fake, url, connect)

    yield put
    for fake in fakes:
        fake.released.set()


@pytest.fixture(params=CRMS)
def stage(request: pytest.FixtureRequest, staged: Callable[[str], Stage]) -> Stage:
    """Each CRM in turn."""
    return staged(request.param)
