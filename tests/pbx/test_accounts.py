"""The check of the PBX account, which ``/ready`` reports."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import httpx
import pytest

from receiver import Secret, Settings
from receiver.errors import SettingsError
from receiver.pbx.accounts import CHECK_INTERVAL, Accounts, token_source
from receiver.pbx.pbx_client import PbxClient
from tests.clock import Clock
from tests.simulated_pbx import TOKEN, Stage
from tests.support import SECRET, Counted, make_app

GOOD = Settings(secret=SECRET, pbx_url="http://localhost", pbx_token=Secret(TOKEN), guard=True)
NONE = Settings(secret=SECRET, pbx_url="http://localhost", guard=True)


class World:
    """A PBX, the accounts on it, and a clock."""

    def __init__(self, *settings: Settings) -> None:
        self.stage = Stage("8000")
        self.clock = Clock(100.0)
        self.asked = 0
        self.status = 200
        self.accounts = Accounts(settings, make=self.make, clock=self.clock)

    def make(self, settings: Settings) -> PbxClient:
        async def no_sleep(seconds: float) -> None: ...

        transport = httpx.MockTransport(self.answer)
        return PbxClient(
            settings.pbx_url, token_source(settings), transport=transport, sleep=no_sleep
        )

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.status != 200:
            return httpx.Response(self.status)
        return await self.stage.transport.handle_async_request(request)

    async def later(self) -> bool | None:
        """Return the state after the next check."""
        self.clock.now += CHECK_INTERVAL
        await self.accounts.good()
        assert self.accounts._check._task is not None
        await self.accounts._check._task
        return await self.accounts.good()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World(GOOD)
    yield world
    await world.accounts.close()


async def test_a_status_does_not_wait_and_a_check_is_valid_for_a_minute(world: World) -> None:
    assert await world.accounts.good() is None
    assert await world.later() is True
    assert [await world.accounts.good() for _ in range(50)] == [True] * 50
    world.clock.now += CHECK_INTERVAL - 1
    assert await world.accounts.good()
    assert world.asked == 1


async def test_a_refused_account_is_logged_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    found = []
    for status in (200, 401, 401, 503, 200, 200):
        world.status = status
        found.append(await world.later())
    assert found == [True, False, False, False, True, True]
    said = [(r.levelno, r.getMessage()) for r in caplog.records if r.name == "receiver"]
    assert [level for level, _ in said] == [logging.ERROR, logging.WARNING]
    assert "failover cannot switch action URLs: the PBX did not accept the token" in said[0][1]


async def test_without_an_account_no_request_is_sent() -> None:
    world = World(NONE)
    assert await world.accounts.good() is None
    assert (world.asked, world.accounts._check._task) == (0, None)
    await world.accounts.close()


async def test_closing_cancels_a_running_check(world: World) -> None:
    begun = asyncio.Event()

    async def hang(request: httpx.Request) -> httpx.Response:
        begun.set()
        return await asyncio.Event().wait()  # type: ignore[return-value]

    world.answer = hang  # type: ignore[method-assign]
    await world.accounts.good()
    await begun.wait()
    world.clock.now += CHECK_INTERVAL
    assert await world.accounts.good() is None
    await world.accounts.close()


def test_how_to_sign_in() -> None:
    name = Settings(pbx_url="http://localhost", pbx_username="admin", pbx_password=Secret("secret"))
    assert type(token_source(GOOD)).__name__ == "GivenToken"
    assert type(token_source(name)).__name__ == "Login"
    for settings, missing in ((NONE, "RECEIVER_PBX_TOKEN"), (Settings(), "RECEIVER_PBX_URL")):
        with pytest.raises(SettingsError, match=missing):
            token_source(settings)


@pytest.mark.parametrize("guard", [True, False])
async def test_a_pbx_that_is_down_is_reported_and_does_not_fail_readiness(guard: bool) -> None:
    """A service without a guard does not need the PBX."""
    settings = Settings(
        secret=SECRET, pbx_url="http://127.0.0.1:9", pbx_token=Secret(TOKEN), guard=guard
    )
    app = make_app(Counted(), settings)
    lifespan = app.starlette.router.lifespan_context(app.starlette)
    transport = httpx.ASGITransport(app)
    async with lifespan, httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        found = await client.get("/ready")
        assert (found.status_code, "pbx" in found.json()) == (200, False)
        while guard and "pbx" not in found.json():
            await asyncio.sleep(0.1)
            found = await client.get("/ready")
    assert found.status_code == 200
    assert found.json().get("pbx") is (False if guard else None)
