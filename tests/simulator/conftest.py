"""A clock and a client of the simulated PBX's REST API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from receiver.simulator.api import Api
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """A client of ``api``, a fixture of the module, with the token ``fixed``."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(api),
        base_url="http://pbx/api",
        headers={"Authorization": "Bearer fixed"},
    ) as client:
        yield client
