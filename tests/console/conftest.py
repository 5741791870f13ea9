"""One browser for all tests of the page, and for each test a page whose log must stay clean."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

from tests.console.stage import Console, Stage

WATCH = """addEventListener("securitypolicyviolation",
    (event) => console.error("CSP: " + event.violatedDirective + " " + event.blockedURI))"""
PATIENCE = 30_000  # milliseconds; for what takes a moment on a machine with nothing else to do


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(program: Callable[[str], str]) -> AsyncIterator[Browser]:
    path = program("chromium")
    async with async_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--mute-audio"]
        browser = await playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        await browser.close()


class Tab:
    """A page, what it asked for, and what the browser had to say about it.

    Attributes:
        asked: the URLs it requested, in their order.
        said: errors and warnings of the browser's log; a test may clear what it caused on purpose.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []
        self.said: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.said.append(f"uncaught: {error}"))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.said.append(message.text)

    def _request(self, request: Request) -> None:
        self.asked.append(request.url)


@pytest_asyncio.fixture(loop_scope="session")
async def tab(browser: Browser) -> AsyncIterator[Tab]:
    """An empty page in a profile of its own; its browser's log must be clean in the end."""
    context = await browser.new_context(
        viewport={"width": 1440, "height": 900}, reduced_motion="reduce", locale="en-GB"
    )
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    await page.add_init_script(WATCH)
    tab = Tab(page)
    yield tab
    await context.close()
    assert tab.said == []


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
