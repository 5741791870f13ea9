"""The real ``receiver dev`` in a real browser: a call by mouse, and new code during a call."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from receiver.cli.developing import _leading_to
from tests.console.developing import Dev
from tests.console.tab import Tab

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


async def test_without_the_token_a_page_says_where_it_is(dev: Dev, tab: Tab) -> None:
    answer = await tab.page.goto(dev.url)
    assert answer is not None
    assert answer.status == 401
    await expect(tab.at("main")).to_contain_text("Open the URL that it printed")
    tab.said.clear()  # of the status


async def test_the_token_is_left_behind(dev: Dev, tab: Tab, tmp_path: Path) -> None:
    page = _leading_to(dev.opened, tmp_path)
    await tab.page.goto(
        page.as_uri()
    )  # from there the cookie must come along, which is a strict one
    await expect(tab.at("#connection")).to_have_text("connected")
    assert "token" not in tab.page.url
    token = dev.opened.partition("?token=")[2]
    assert [url for url in tab.asked if token in url] == [dev.opened]
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
    tab.said.clear()  # of what the browser asked meanwhile
