"""The console in production in a real browser, beside a real ``receiver serve``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import expect

from receiver.callbacks.operator_access import operator_token
from receiver.console.security import TOKEN_NAME
from receiver.credentials import Secret
from tests.console.geometry import assert_in_order, no_violation
from tests.console.tab import Tab
from tests.served import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "6d0f2c9ab17e4583f4c8d25e90ab3716"
PASSWORD = operator_token(TOKEN_NAME, Secret(SECRET), 1).reveal()
APP = """
from receiver import Call, Forward, Ivr, Receiver, Repeat, Reply

sales = Ivr("8000", name="Sales")

@sales.dtmf("1;22;1000-1999", auth=None, fallback=Forward("0"))
async def pick(call: Call) -> Reply:
    if call.digits == "1":
        raise KeyError("no owner")
    return Forward("222") if call.digits == "22" else Repeat()

@sales.dtmf("4711", auth=None, sensitive=True)
async def pin(call: Call) -> Reply:
    return Forward("333")

app = Receiver(sales)
"""
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    (tmp_path / "app.py").write_text(APP)
    environ = {
        "RECEIVER_SECRET": SECRET,
        "RECEIVER_CONSOLE": "127.0.0.1:0",
        "RECEIVER_LOG_CALLER_DATA": "true",
    }
    service = Service.begin(tmp_path, "app:app", "--workers 2", environ)
    service.wait(2)
    yield service
    service.end()


async def ask(service: Service, digits: str, session: str, action: str = "pick") -> None:
    fields = {
        "from": "+4930123456",
        "to": "8000",
        "input": digits,
        "from_name": SCRIPT,
        "account_name": "Sales",
        "session_id": session,
    }
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as pbx:
        answer = await pbx.post(f"/action/8000/{action}", json=fields)
        assert answer.status_code == 200


async def photograph(tab: Tab, pictures: Path) -> None:
    for theme, width in (("light", 1440), ("dark", 1440), ("light", 390)):
        await tab.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        await tab.page.set_viewport_size({"width": width, "height": 900})
        await assert_in_order(tab)
        await tab.page.screenshot(path=pictures / f"real-{theme}-{width}.png", full_page=True)
    await tab.page.set_viewport_size({"width": 1440, "height": 900})


async def sign_in(service: Service, tab: Tab) -> None:
    """Open the console and sign in."""
    [url] = service.until(r"the console: (http://\S+)/,")
    await tab.page.goto(f"{url}/")
    await tab.at("#password").fill(f" {PASSWORD} ")
    await tab.page.keyboard.press("Enter")
    await expect(tab.at("#connection")).to_have_text("connected")


async def test_a_wrong_password_is_refused_and_the_right_one_opens_the_console(
    service: Service, tab: Tab, pictures: Path
) -> None:
    [url] = service.until(r"the console: (http://\S+)/,")
    await tab.page.goto(f"{url}/")
    await expect(tab.at("#password")).to_be_focused()
    await no_violation(tab)
    await tab.page.screenshot(path=pictures / "login-light-1440.png")
    await tab.page.keyboard.type("ein falsches Paßwort")
    await tab.page.keyboard.press("Enter")
    await expect(tab.at("#trouble")).to_contain_text("wrong password")
    assert len(tab.logged) == 1  # the browser's own line on the 401
    tab.logged.clear()
    await sign_in(service, tab)
    await expect(tab.at("#phone")).to_be_hidden()
    await expect(tab.at("#registration")).to_contain_text("Not compared")
    await expect(tab.at("#ladder")).to_have_text(re.compile("^Choose a call from the list"))


async def test_calls_are_shown_as_they_come_and_sensitive_digits_never(
    service: Service, tab: Tab, pictures: Path
) -> None:
    await sign_in(service, tab)
    await ask(service, "22", "one")
    await expect(tab.at("#calls-count")).to_have_text("1 call")
    row = tab.at("#list [role=option]").first
    await expect(row).to_contain_text(SCRIPT)  # a name like any other
    await row.click()
    await expect(tab.at("#ladder")).to_contain_text("forwarded to 222")
    await expect(tab.at("#ladder")).to_contain_text("app.pick (app.py:6)")

    await ask(service, "1500", "two")  # the prompt is repeated …
    await expect(tab.at("#calls-count")).to_have_text("2 calls")
    await row.click()
    await expect(tab.at("#ladder")).to_contain_text("1500")
    await ask(service, "1", "two")  # the call continues, with any worker
    await expect(tab.at("#ladder")).to_contain_text("forwarded to 0")
    await ask(service, "4711", "three", "pin")
    await expect(tab.at("#calls-count")).to_have_text("3 calls")
    await row.click()
    await expect(tab.at("#ladder")).to_contain_text("<4>")
    assert "4711" not in await tab.at("#ladder").inner_text()

    await expect(tab.at("#totals")).to_contain_text("4, of them 1 by the fallback")
    flow = tab.at("#flow")
    await expect(flow).to_contain_text("8000 Sales")
    await expect(flow.locator("li", has_text="222")).to_contain_text("1×")
    await expect(flow).to_contain_text("lead nowhere")
    assert "4711" not in await tab.page.content()
    await no_violation(tab)
    await photograph(tab, pictures)


async def test_the_cookie_of_a_session_that_was_signed_out_opens_nothing(
    service: Service, tab: Tab
) -> None:
    await sign_in(service, tab)
    every = await tab.page.context.cookies()  # of the consoles at all ports
    name = f"receiver-console-{urlsplit(tab.page.url).port}"
    cookies = [one for one in every if one.get("name") == name]
    assert [(one["httpOnly"], one["sameSite"]) for one in cookies] == [(True, "Strict")]
    await tab.at("#logout").click()
    await expect(tab.at("#password")).to_be_visible()
    await tab.page.context.add_cookies(cookies)  # type: ignore[arg-type]
    await tab.page.reload()
    await expect(tab.at("#password")).to_be_visible()


async def test_signed_out_elsewhere(service: Service, tab: Tab) -> None:
    await sign_in(service, tab)
    other = await tab.page.context.new_page()
    await other.goto(tab.page.url.partition("#")[0])
    await other.locator("#logout").click()
    await expect(other.locator("#password")).to_be_visible()
    await expect(tab.at("#notice")).to_contain_text("You are signed out")
    tab.logged.clear()  # the browser's own line on the 401
