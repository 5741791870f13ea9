"""Properties of the whole page: one request, no markup, accessible, reconnects, layout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Route, expect

from receiver.console.pages import page_of
from tests.console import canned
from tests.console.geometry import no_violation
from tests.console.stage import PAGE, Console, Stage
from tests.console.tab import Tab

pytestmark = pytest.mark.asyncio(loop_scope="session")

Theme = Literal["light", "dark"]
VIEWS: list[tuple[Theme, int]] = [("light", 1440), ("dark", 1440), ("light", 360)]
NAMED = re.compile(r'(?:src|href)="(page/[^"]+)"')


async def look(tab: Tab, theme: Theme, width: int) -> None:
    await tab.page.emulate_media(color_scheme=theme)
    await tab.page.set_viewport_size({"width": width, "height": 900 if width > 400 else 740})


async def test_everything_comes_in_one_round(tab: Tab, stage: Stage) -> None:
    await tab.open(stage)
    named = NAMED.findall(page_of(PAGE, "index.html", token=""))
    assert sorted(named) == sorted(
        {f"page/{file.name}" for file in PAGE.iterdir()}
        - {"page/index.html", "page/head.html", "page/mark.svg", "page/token.html"}
        - {"page/login.html", "page/login.css", "page/login.js"}
        - {"page/guide.html", "page/guide.css"}
    )
    # Once each, nothing that the page does not name, nothing from elsewhere.
    wanted = ["", *named, "state", "events?after=0"]
    assert sorted(tab.requested) == sorted(stage.url + path for path in wanted)


async def test_no_script_reads_markup() -> None:
    for script in PAGE.glob("*.js"):
        found = re.findall(
            r"innerHTML|outerHTML|insertAdjacent|\.write\(|\beval\b", script.read_text()
        )
        assert found == [], script.name
    html = page_of(PAGE, "index.html", token="")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", html)


@pytest.mark.parametrize(("theme", "width"), VIEWS)
async def test_accessible_and_seen(
    tab: Tab, stage: Stage, pictures: Path, theme: Theme, width: int
) -> None:
    stage.console.add_calls(40)
    await look(tab, theme, width)
    await tab.open(stage)
    await tab.dial("22")
    await tab.shown("ended")
    await tab.part("call")
    await tab.page.screenshot(path=pictures / f"call-{theme}-{width}.png", full_page=True)
    await tab.at("#ladder summary").click()
    stage.console.set("service", canned.service("broken", "app.py:6: SyntaxError"))
    stage.console.set("faults", {"slow": 3, "network": "drop", "password": "wrong", "crm": "slow"})
    await expect(tab.at("#service pre")).to_be_visible()
    await expect(tab.at("#faults")).to_have_attribute("data-on", "true")
    await no_violation(tab)
    await tab.part("faults")
    await no_violation(tab)
    await tab.at("#service-head").click()
    await tab.part("phone")
    await tab.dial("1")
    await expect(tab.at("#ladder .verdict")).to_contain_text("failed")
    stage.console.set("faults", canned.dev_parts()["faults"])
    await tab.at('[data-press="1"]').click()
    await tab.part("call")
    await expect(tab.at(".exception")).to_be_visible()
    stage.console.set("service", canned.service("running", "", ("+ action 8000/a", "- b", "~ c")))
    await tab.at("#service-head").click()
    await expect(tab.at("#service .changes")).to_be_visible()
    await tab.page.screenshot(path=pictures / f"broken-{theme}-{width}.png", full_page=True)
    await no_violation(tab)


async def test_the_empty_page_and_the_help_are_accessible(tab: Tab, stage: Stage) -> None:
    await tab.open(stage)
    await no_violation(tab)
    await tab.at("#help-open").click()
    await no_violation(tab)


@pytest.mark.parametrize(("theme", "width"), VIEWS[1:])
async def test_live_traffic(
    tab: Tab, live_stage: Stage, pictures: Path, theme: Theme, width: int
) -> None:
    live_stage.console.add_masked_call()
    await look(tab, theme, width)
    await tab.open(live_stage)
    await expect(tab.at("#phone")).to_be_hidden()
    await expect(tab.at("#faults")).to_be_hidden()
    await tab.part("call")
    await expect(tab.at("#ladder .arrow")).to_have_count(2)
    await expect(tab.at("#ladder .verdict")).to_contain_text("the handler raised")
    await tab.part("totals")
    await expect(tab.at("#totals .lost")).to_contain_text("events that are not shown: 1,200. The")
    await tab.at("#totals summary").click()
    await expect(tab.at("#totals tbody tr")).to_have_count(60)
    await expect(tab.at("#registration")).to_contain_text("Differs from the PBX")
    flow = tab.at("#flow tbody tr")
    await expect(flow.first).to_contain_text("333 2× not declared")
    await expect(flow.nth(1)).to_contain_text("300 not seen")
    await expect(flow.nth(1)).to_contain_text("the prompt (fallback) not seen")
    await expect(flow.nth(2)).to_contain_text("lead nowhere")
    await expect(flow.last).to_have_text("announcementWe are closed now.222")
    await no_violation(tab)
    await tab.at("#totals summary").click()
    for part in ("registration", "flow", "calls"):
        await tab.part(part)
        await no_violation(tab)
    await tab.page.keyboard.press("1")  # there is no phone to press it on
    await tab.page.screenshot(path=pictures / f"live-{theme}-{width}.png", full_page=True)
    assert live_stage.console.posted == []


async def test_it_comes_back_with_the_server(tab: Tab, stage: Stage) -> None:
    stage.console.add_calls(3)
    await tab.open(stage)
    await tab.dial()
    await stage.stop()
    await expect(tab.at("#notice")).to_contain_text("does not answer")
    await tab.at("#call-button").focus()
    stage.console = Console()  # with another token, and without the calls
    await stage.start()
    await expect(tab.at("#connection")).to_have_text("connected")
    await expect(tab.at("#notice")).to_be_empty()
    await expect(tab.at("#calls-count")).to_have_text("0 calls")
    await tab.dial("22")
    await expect(tab.at(".display-state")).to_have_text("forwarded to 222")
    assert [text for text in tab.logged if "Failed to load resource" not in text] == []
    assert sum("403" in text for text in tab.logged) == 1  # the old token, renewed at once
    tab.logged.clear()


async def test_a_viewer_that_missed_too_much_reads_all_anew(tab: Tab, stage: Stage) -> None:
    await tab.open(stage)
    stage.console.add_calls(2)  # without an event
    stage.console.tell({"type": "reset"})
    await expect(tab.at("#calls-count")).to_have_text("2 calls")


async def test_a_refusal_is_said_beside_the_form(tab: Tab, stage: Stage) -> None:
    async def refuse(route: Route) -> None:
        await route.fulfill(status=409, json={"error": "The service is starting."})

    await tab.page.route("**/phone/dial", refuse)
    await tab.open(stage)
    await tab.at("#call-button").click()
    await expect(tab.at("#phone-error")).to_have_text("The service is starting.")
    assert len(tab.logged) == 1  # the browser's own line on the 409
    tab.logged.clear()
