"""The list of calls stays quick with ten thousand of them, and works from the keyboard."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.console import canned
from tests.console.stage import Stage
from tests.console.tab import Tab

pytestmark = pytest.mark.asyncio(loop_scope="session")

MANY = 10_000


async def test_ten_thousand_calls(tab: Tab, stage: Stage) -> None:
    stage.console.add_calls(MANY)
    await tab.open(stage)
    await expect(tab.at("#calls-count")).to_have_text("200 calls and older")
    # A filter looks through those that are still on the server, too.
    await tab.at("#filter").press_sequentially("+4930000007 priya")
    await expect(tab.at("#calls-count")).to_have_text("0 of 10,000 calls")
    await tab.at("#filter").fill("+4930000007 jörg")
    await expect(tab.at("#list [role=option]")).to_have_count(1)
    await expect(tab.at("#list")).to_contain_text("+4930000007 Jörg Müller")

    await tab.at("#filter").press("Escape")
    await expect(tab.at("#calls-count")).to_have_text("10,000 calls")
    await tab.page.keyboard.press("ArrowDown")
    await tab.page.keyboard.press("End")
    row = tab.at("#list [aria-selected=true]")
    await expect(row).to_have_attribute("aria-posinset", str(MANY))
    await expect(row).to_be_in_viewport()
    await expect(tab.at("#call-head")).to_contain_text("+4930000001")
    assert await tab.at("#list [role=option]").count() < 60
    assert await tab.page.evaluate("document.querySelectorAll('*').length") < 1000
    active = await tab.at("#list").get_attribute("aria-activedescendant")
    assert active == await row.get_attribute("id")


async def test_those_that_are_not_well(tab: Tab, stage: Stage) -> None:
    stage.console.add_calls(100)
    await tab.open(stage)
    await tab.at("#problems").check()
    # Every tenth raised; every fiftieth failed instead.
    await expect(tab.at("#calls-count")).to_have_text("10 of 100 calls")
    await tab.at("#filter").fill("failed")
    await expect(tab.at("#calls-count")).to_have_text("2 of 100 calls")


async def test_new_calls_do_not_move_what_is_being_read(tab: Tab, stage: Stage) -> None:
    stage.console.add_calls(150)
    await tab.open(stage)
    await tab.at("#list").evaluate("(list) => { list.scrollTop = 50 * list.scrollHeight / 150; }")
    read = tab.at('#list [aria-posinset="53"]')
    await expect(read).to_contain_text("+4930000098")
    before = await read.bounding_box()
    stage.console.add_calls(1)
    newest = canned.summary(stage.console.calls["call-151"])
    stage.console.tell({"type": "call", "call": newest})
    moved = tab.at('#list [aria-posinset="54"]')
    await expect(moved).to_contain_text("+4930000098")
    assert await moved.bounding_box() == before


async def test_a_removed_call_is_reported(tab: Tab, stage: Stage) -> None:
    stage.console.add_calls(3)
    await tab.page.goto(f"{stage.url}#call=call-77")
    await expect(tab.at("#ladder")).to_have_text("The console no longer has this call.")
    await tab.at("#list [role=option]").nth(1).click()
    await expect(tab.at("#call-head")).to_contain_text("+4930000002")
    assert tab.page.url.endswith("#call=call-2")
