"""Fixtures of the tests of the ready-made handlers."""

from collections.abc import AsyncIterator

import pytest

from receiver.upstream import reload
from tests.upstream.stage import Crm


@pytest.fixture(autouse=True)
def changes_are_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at each call, and time enough for it however busy the machine is."""
    monkeypatch.setattr(reload, "CHECK_INTERVAL", 0.0)
    monkeypatch.setattr(reload, "MAX_WAIT", 30.0)


@pytest.fixture
async def other() -> AsyncIterator[Crm]:
    """Another HTTP service, which answers as ``other.script`` says."""
    service = Crm()
    await service.start()
    yield service
    await service.stop()
