"""What the tests of the connectors share."""

from collections.abc import AsyncIterator

import pytest

from tests.handlers.crm.connected import CRMS, Stage, staged


@pytest.fixture(params=CRMS)
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """Each CRM in turn."""
    fake, connect = CRMS[request.param]
    async with staged(fake(), connect) as one:
        yield one
