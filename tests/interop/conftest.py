"""Fixtures of the tests with real clients."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio

from receiver.server.uvicorn_server import running
from tests.interop.senders import Sender
from tests.interop.senders.scripts import close_all
from tests.interop.stage import Stage, Wire


@pytest.fixture(scope="session")
def there() -> Callable[[Sender], Sender]:
    """Makes sure that what a sender needs is on the machine; where it is not CI fails."""

    def find(sender: Sender) -> Sender:
        for need in sender.needs:
            if not need.is_met():
                said = f"{need.name} is missing: {need.install}"
                pytest.fail(said) if os.environ.get("CI") else pytest.skip(said)
        return sender

    return find


@pytest.fixture(scope="session", autouse=True)
def scripts_end() -> Iterator[None]:
    yield
    close_all()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_stage() -> AsyncIterator[Stage]:
    wire = Wire()
    async with running(wire) as url:
        yield Stage(url, wire)


@pytest.fixture
def stage(one_stage: Stage) -> Stage:
    """A new service behind a server that is started once."""
    one_stage.wire.renew()
    return one_stage
