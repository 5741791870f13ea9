"""What the tests with real clients share."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from receiver.serving import running
from tests.interop.senders import Sender
from tests.interop.senders.scripts import close_all
from tests.interop.stage import Stage, Wire
from tests.support import Counted, make_app


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


@asynccontextmanager
async def set_up() -> AsyncIterator[Stage]:
    handler = Counted()
    wire = Wire(make_app(handler))
    async with running(wire) as url:
        yield Stage(url, handler, wire)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_stage() -> AsyncIterator[Stage]:
    async with set_up() as stage:
        yield stage


@pytest.fixture
def stage(one_stage: Stage) -> Iterator[Stage]:
    """A service that nobody called yet, as far as can be seen."""
    yield one_stage
    one_stage.handler.calls.clear()
    one_stage.wire.seen.clear()


@pytest_asyncio.fixture(loop_scope="module")
async def new_stage() -> AsyncIterator[Stage]:
    """A service of the test's own, for one that turns its clock."""
    async with set_up() as stage:
        yield stage
