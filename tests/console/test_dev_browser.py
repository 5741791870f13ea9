"""The real ``receiver dev`` in a real browser: a call by mouse, and new code during a call."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

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
    await tab.page.goto(dev.url)
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
