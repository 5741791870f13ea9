"""The real ``receiver dev`` in a real browser: a call by mouse, and new code during a call."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from receiver.cli.dev import _redirect_page
from tests.console.geometry import no_violation
from tests.console.tab import Tab
from tests.dev.dev_process import Dev

pytestmark = pytest.mark.asyncio(loop_scope="session")

APP = """
import logging
from receiver import Call, Forward, Ivr, Receiver, Reply

log = logging.getLogger("app")
sales = Ivr("8000", name="Sales", dtmf_interval=1)

@sales.dtmf("1;22", auth="digest", fallback=Forward("0"))
async def pick(call: Call) -> Reply:
    log.info("picked by %s", call.caller_name)
    return Forward("222")

app = Receiver(sales)
"""


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    (tmp_path / "app.py").write_text(APP)
    dev = Dev(tmp_path)
    dev.until_service("running")
    yield dev
    dev.stop(signal.SIGKILL)


async def test_from_dial_to_forward_and_new_code_during_a_call(dev: Dev, tab: Tab) -> None:
    await tab.page.goto(dev.opened)
    await expect(tab.at("#connection")).to_have_text("connected")
    await tab.dial("22")
    await tab.shown("ended")
    await expect(tab.at(".display-state")).to_have_text("forwarded to 222")
    await tab.at("#ladder summary").click()
    sheet = tab.at("#ladder .sheet")
    await expect(sheet).to_contain_text("picked by")
    await expect(sheet).to_contain_text("Digest")

    await tab.dial()
    await tab.shown("prompt")
    dev.write('"222"', '"333"')
    dev.until_service("running", "app.py changed")
    await tab.at('[data-press="1"]').click()
    await tab.shown("ended")
    await expect(tab.at(".display-state")).to_have_text("forwarded to 333")

    await tab.dial()
    await tab.shown("prompt")
    dev.write("return Forward", "return Forward(")
    dev.until_service("broken")
    await expect(tab.page.locator("body")).to_contain_text("app.py:11")
    await tab.at('[data-press="1"]').click()
    await tab.shown("ended")
    await expect(tab.at(".display-state")).to_have_text("forwarded to 333")


async def test_the_first_view_says_what_to_press_and_what_was_registered(
    dev: Dev, tab: Tab
) -> None:
    await tab.page.goto(dev.opened)
    await expect(tab.at(".first-step")).to_have_text("Press Call, then 1.")
    await expect(tab.at(".display-prompt")).to_have_text("Press Call, then 1")
    await expect(tab.at("#valid-keys")).to_have_text("Valid keys: 1; 22")
    await expect(tab.at("#service-head")).to_have_text("app:app is loaded: 2 added on the PBX")
    dev.write('"1;22"', '"1;22;100-199"')
    await expect(tab.at("#service-head")).to_contain_text('⚠ 8000/pick matches "1" and "100"')
    await expect(tab.at("#service")).to_have_attribute("data-state", "warning")
    await expect(tab.at(".first-step")).to_have_text("Press Call, then 22.")
    await tab.at("#service-head").click()
    await expect(tab.at(".changes [data-mark=changed]")).to_contain_text("action 8000/pick")
    await expect(tab.at(".changes [data-mark=warning]")).to_contain_text("Warning: 8000/pick")


async def test_keys_that_no_action_takes_show_what_to_declare_here_and_in_the_terminal(
    dev: Dev, tab: Tab
) -> None:
    await tab.page.goto(dev.opened)
    await tab.dial("8")
    shown = tab.at("#ladder .missing")
    await expect(shown).to_contain_text('@ivr.dtmf("8")')
    await expect(shown).to_contain_text('mask = "8"')
    await expect(tab.at(".display-verdict")).to_contain_text("No action takes these keys")
    assert dev.until_printed(r"(\S+): no action takes these keys; to declare one:") == "8000"
    printed = dev.until_printed(r'(?s)    @ivr\.dtmf\("8"\)\n(.*?)\n\n')
    assert printed == '    async def key_8(call: Call) -> Reply:\n        return Forward("222")'


async def test_the_guide_is_a_tab(dev: Dev, tab: Tab) -> None:
    await tab.page.goto(dev.opened)
    await tab.at("#guide-link").click()
    await expect(tab.at("main h1")).to_be_visible()
    await no_violation(tab)
    pages = tab.at("#pages a")
    await pages.last.click()
    await expect(pages.last).to_have_attribute("aria-current", "page")
    await tab.page.get_by_role("link", name="Console", exact=True).click()
    await expect(tab.at("#connection")).to_have_text("connected")


async def test_without_the_token_a_page_says_where_it_is(dev: Dev, tab: Tab) -> None:
    answer = await tab.page.goto(dev.url)
    assert answer is not None
    assert answer.status == 401
    await expect(tab.at("main")).to_contain_text("Open the whole URL that receiver dev printed")
    tab.logged.clear()  # of the status


async def test_the_token_is_left_behind(dev: Dev, tab: Tab, tmp_path: Path) -> None:
    page = _redirect_page(dev.opened, tmp_path)
    await tab.page.goto(
        page.as_uri()
    )  # from there the cookie must come along, which is a strict one
    await expect(tab.at("#connection")).to_have_text("connected")
    assert "token" not in tab.page.url
    token = dev.opened.partition("?token=")[2]
    assert [url for url in tab.requested if token in url] == [dev.opened]
    assert [one for one in tab.sent if token in str(one.get("referer"))] == []
    assert await tab.page.evaluate("document.cookie") == ""


async def test_a_page_of_an_earlier_start_says_so(dev: Dev, tab: Tab) -> None:
    await tab.page.goto(dev.opened)
    await expect(tab.at("#connection")).to_have_text("connected")
    dev.stop()
    port = dev.url.rstrip("/").rpartition(":")[2]
    other = await asyncio.to_thread(Dev, dev.folder, "--port", port)
    try:
        await expect(tab.at("#notice")).to_contain_text("Open the URL that receiver dev printed")
    finally:
        other.stop(signal.SIGKILL)
    await tab.page.goto("about:blank")  # it stops asking
    tab.logged.clear()  # of what the browser asked meanwhile
