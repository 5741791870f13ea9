"""One browser for all tests of the page, and for each test a page whose log must stay clean."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, async_playwright

from tests.console.stage import Console, Stage
from tests.console.tab import PATIENCE, WATCH, Tab


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(program: Callable[[str], str]) -> AsyncIterator[BrowserContext]:
    """Started once; what one test leaves in it no other sees, since their servers' ports differ."""
    path = program("chromium")
    async with async_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--mute-audio"]
        chromium = await playwright.chromium.launch(
            executable_path=path, args=arguments, timeout=PATIENCE
        )
        context = await chromium.new_context(reduced_motion="reduce", locale="en-GB")
        await context.add_init_script(WATCH)
        yield context
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="session")
async def tab(browser: BrowserContext, stage: Stage, live_stage: Stage) -> AsyncIterator[Tab]:
    """An empty page; what the browser's log says of it must be nothing in the end.

    It is closed before the servers are, whose end it would complain of.
    """
    page = await browser.new_page()
    await page.set_viewport_size({"width": 1440, "height": 900})
    tab = Tab(page)
    yield tab
    await page.close()
    assert tab.logged == []


@pytest_asyncio.fixture(loop_scope="session")
async def stage() -> AsyncIterator[Stage]:
    """The console of a developer."""
    async with Stage(Console()) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="session")
async def live_stage() -> AsyncIterator[Stage]:
    """The console on real traffic."""
    async with Stage(Console("live")) as stage:
        yield stage


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """The folder for screenshots: CONSOLE_SCREENSHOTS, where CI keeps them, or pytest's."""
    folder = Path(os.environ.get("CONSOLE_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
