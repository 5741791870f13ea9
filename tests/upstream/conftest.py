"""Fixtures of the tests of `receiver.upstream`."""

from collections.abc import AsyncIterator

import pytest

from tests.upstream.stage import Clock, Crm


@pytest.fixture
async def crm() -> AsyncIterator[Crm]:
    """A CRM whose answers tests put into ``crm.script``."""
    crm = Crm()
    await crm.start()
    yield crm
    await crm.stop()


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)
