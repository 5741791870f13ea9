"""Fixtures of the tests of the ready-made handlers."""

from collections.abc import AsyncIterator

import pytest

from tests.upstream.stage import Crm


@pytest.fixture
async def other() -> AsyncIterator[Crm]:
    """Another HTTP service, which answers as ``other.script`` says."""
    service = Crm()
    await service.start()
    yield service
    await service.stop()
