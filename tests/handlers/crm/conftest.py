"""Fixtures of the tests of connectors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from receiver.server.uvicorn_server import running
from tests.handlers.crm.connected import CRMS, Stage
from tests.handlers.crm.faking import FakeServer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers() -> AsyncIterator[dict[str, tuple[FakeServer, str]]]:
    """Start one server for each CRM."""
    async with AsyncExitStack() as stack:
        started = {}
        for name in CRMS:
            server = FakeServer()
            started[name] = server, await stack.enter_async_context(running(server))
        yield started


@pytest.fixture
def staged(servers: dict[str, tuple[FakeServer, str]]) -> Iterator[Callable[[str], Stage]]:
    """Return a function that creates a fake of a CRM and its connector."""
    fakes = []

    def put(name: str) -> Stage:
        make, connect = CRMS[name]
        server, url = servers[name]
        server.fake = make()
        fakes.append(server.fake)
        return Stage(server.fake, url, connect)

    yield put
    for fake in fakes:
        fake.released.set()


@pytest.fixture(params=CRMS)
def stage(request: pytest.FixtureRequest, staged: Callable[[str], Stage]) -> Stage:
    """Each CRM in turn."""
    return staged(request.param)
