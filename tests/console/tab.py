"""A page in the browser, as the tests of the console hold it."""

from __future__ import annotations

from playwright.async_api import ConsoleMessage, Locator, Page, Request, expect

from tests.console.stage import Stage

WATCH = """addEventListener("securitypolicyviolation",
    (event) => console.error("CSP: " + event.violatedDirective + " " + event.blockedURI))"""
PATIENCE = 120_000  # milliseconds; for what takes a moment on a machine with nothing else to do


expect.set_options(timeout=PATIENCE)


class Tab:
    """A page, its requests, and the browser's log of it.

    Attributes:
        requested: the URLs it requested, in their order.
        sent: the headers of each.
        logged: errors and warnings of the browser's log; a test clears those that it expects.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        page.set_default_timeout(PATIENCE)  # also of navigation
        self.requested: list[str] = []
        self.sent: list[dict[str, str]] = []
        self.logged: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.logged.append(f"uncaught: {error}"))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.logged.append(message.text)

    def _request(self, request: Request) -> None:
        self.requested.append(request.url)
        self.sent.append(request.headers)

    def at(self, selector: str) -> Locator:
        return self.page.locator(selector)

    async def open(self, stage: Stage) -> None:
        """Load the console and wait until it follows the events."""
        await self.page.goto(stage.url)
        await expect(self.at("#connection")).to_have_text("connected")

    async def dial(self, keys: str = "") -> None:
        """Dial with the mouse what the form says, and press these keys on the keypad."""
        await self.at("#call-button").click()
        await expect(self.at("#hangup")).to_have_attribute("aria-disabled", "false")
        for key in keys:
            await self.at(f'[data-press="{key}"]').click()

    async def part(self, name: str) -> None:
        """Show a part of the console, which a narrow screen has behind a tab."""
        tab = self.at(f'#tabs a[href="#{name}"]')
        if await tab.is_visible():
            await tab.click()

    async def shown(self, state: str) -> None:
        """Wait until the display shows a call in this state."""
        await expect(self.at("#display")).to_have_attribute("data-state", state)
