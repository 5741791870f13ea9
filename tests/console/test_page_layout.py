"""The page in four sizes, light and dark: nothing overlaps, overflows or moves, in any state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from copy import deepcopy
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.console import canned
from tests.console.geometry import assert_in_order, box_of, ring_of
from tests.console.stage import Stage
from tests.console.tab import Tab

pytestmark = pytest.mark.asyncio(loop_scope="session")

SIZES = [(1280, 720), (1440, 900), (1920, 1080), (390, 844)]
FIXED = ("#display", "#dial", "#keypad", "#tabs", "#call", "#faults", "#calls")
DROPS = {"slow": 0, "network": "drop", "password": "right", "crm": "ok"}
WARNING = (
    'Warning: 8000/pick matches "1" and "1000": a caller who enters the longer one too slowly gets '
    "the shorter one"
)
CHANGES = ("+ IVR 8000", "+ action 8000/pick", "~ action 8000/vip: mask: 1** → 10*", WARNING)
PRESS = """(keys) => {
  for (const key of keys) document.querySelector(`[data-press="${key}"]`).click();
}"""
LONG = "forward_the_important_callers_to_their_owner_in_the_customer_database"


@pytest_asyncio.fixture(loop_scope="session", params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def sized(request: pytest.FixtureRequest, tab: Tab) -> AsyncIterator[Tab]:
    """A tab of one of the sizes."""
    width, height = request.param
    await tab.page.set_viewport_size({"width": width, "height": height})
    yield tab
    await tab.page.emulate_media(color_scheme="light")


async def look(tab: Tab, pictures: Path, name: str) -> None:
    """Check the geometry, and take a picture in each theme."""
    await assert_in_order(tab)
    size = tab.page.viewport_size
    assert size is not None
    for theme in ("light", "dark"):
        await tab.page.emulate_media(color_scheme=theme)
        await tab.page.screenshot(path=pictures / f"{name}-{size['width']}-{theme}.png")


async def look_at_call(tab: Tab, pictures: Path, name: str) -> None:
    """The same for the phone and the call, which a narrow screen has behind two tabs."""
    await look(tab, pictures, name)
    if await tab.at("#tabs").is_visible():
        await tab.part("call")
        await look(tab, pictures, f"{name}-call")
        await tab.part("phone")


async def test_every_kind_of_call_is_in_order_and_the_display_keeps_its_height(
    sized: Tab, stage: Stage, pictures: Path
) -> None:
    stage.console.gap = 0.5
    await sized.open(stage)
    await look_at_call(sized, pictures, "first")
    display = await box_of(sized, "#display")
    for name, keys, text in (
        ("answered", "22", "forwarded to 222"),
        ("raised", "1", "the handler raised"),
        ("late", "4", "late: the fallback answered"),
        ("repeated", "1500", "the prompt is repeated"),
        ("unmatched", "8", "No action takes these keys."),
        ("failed", "22", "failed: no answer within 2 s"),
    ):
        if name == "failed":
            stage.console.set("faults", DROPS)
        await sized.dial()
        await sized.page.evaluate(PRESS, list(keys))  # at once, within the digit gap
        await expect(sized.at("#ladder")).to_contain_text(text)
        await look_at_call(sized, pictures, name)
        assert await box_of(sized, "#display") == display, name
        if await sized.at("#hangup").get_attribute("aria-disabled") == "false":
            await sized.at("#hangup").click()
            await sized.shown("ended")


async def test_long_texts_leave_the_display_as_it_is(sized: Tab, stage: Stage) -> None:
    stage.console.gap = 600.0
    prompt = {"text": "Welcome to Sales. " * 40, "audio": None}
    stage.console.parts["ivrs"][0] |= {"prompt": prompt, "name": LONG}
    stage.console.parts["ivrs"][0]["actions"][0]["mask"] = ";".join(map(str, range(100, 200)))
    await sized.open(stage)
    display = await box_of(sized, "#display")
    await sized.dial("1234567890*#" * 2)
    await expect(sized.at(".display-keys")).to_have_text("…234567890*#")
    await assert_in_order(sized)
    assert await box_of(sized, "#display") == display
    assert (await box_of(sized, "#valid-keys"))["height"] < 45  # two lines


async def test_a_banner_moves_nothing(sized: Tab, stage: Stage, pictures: Path) -> None:
    await sized.open(stage)
    visible = [one for one in FIXED if await sized.at(one).is_visible()]
    before = [await box_of(sized, one) for one in visible]
    for name, service in (
        ("changes", canned.service("running", "app.py changed", CHANGES[:3])),
        ("warning", canned.service("running", "app.py changed", CHANGES)),
        ("broken", canned.service("broken", "app.py:6: SyntaxError\n" + "    import (\n" * 40)),
    ):
        stage.console.set("service", service)
        await expect(sized.at("#service")).to_have_attribute(
            "data-state", "running" if name == "changes" else name
        )
        assert [await box_of(sized, one) for one in visible] == before, name
        await look(sized, pictures, name)
    await expect(sized.at("#service pre")).to_be_visible()  # an error opens automatically
    await sized.at("#service-head").focus()
    await sized.page.keyboard.press("Escape")
    await expect(sized.at("#service pre")).to_be_hidden()
    await stage.stop()
    await expect(sized.at("#notice")).to_contain_text("does not answer")
    assert [await box_of(sized, one) for one in visible] == before
    await look(sized, pictures, "lost")
    await stage.start()
    await expect(sized.at("#connection")).to_have_text("connected")
    sized.logged.clear()  # the browser's lines on the lost connection


async def test_a_focus_ring_overlaps_no_key(sized: Tab, stage: Stage, pictures: Path) -> None:
    await sized.open(stage)
    await sized.at("#call-button").focus()
    await sized.page.keyboard.press("Enter")
    await expect(sized.at("#keypad")).to_be_focused()
    ring = await ring_of(sized, "#keypad")
    assert ring["shown"]
    for box in [await box.bounding_box() for box in await sized.at(".key").all()]:
        assert box is not None
        assert box["x"] >= ring["inner"]["left"]
        assert box["y"] >= ring["inner"]["top"]
        assert box["x"] + box["width"] <= ring["inner"]["right"]
        assert box["y"] + box["height"] <= ring["inner"]["bottom"]
    valid, guide = await box_of(sized, "#valid-keys"), await box_of(sized, "#guide")
    assert valid["y"] + valid["height"] <= ring["outer"]["top"]
    assert guide["y"] >= ring["outer"]["bottom"]
    await sized.page.keyboard.press("Tab")
    key = await ring_of(sized, ".key")
    assert key["shown"]
    assert await sized.at(".key").first.evaluate(
        "(key) => key.getBoundingClientRect().right"
    ) == pytest.approx(key["outer"]["right"])  # within its border


async def test_the_console_in_production_is_in_order(
    sized: Tab, live_stage: Stage, pictures: Path
) -> None:
    console = live_stage.console
    console.parts["title"] = f"a_package.{LONG}:app"
    ivr = deepcopy(console.parts["flow"]["ivrs"][0])
    ivr["inputs"][0] |= {
        "mask": ";".join(map(str, range(1000, 1100))),
        "handler": f"app.{LONG} (app/handlers/{LONG}.py:210)",
        "declared": [f"{LONG}() (fallback)", "222"],
    }
    ivr["name"] = LONG
    console.parts["flow"]["ivrs"].append(ivr)
    console.parts["registration"]["text"] = f"no answer from https://{LONG}.example.com:8900/api"
    console.parts["registration"]["lines"].append(f"~ update 8000/{LONG}: mask: {'1' * 200}")
    for _ in range(40):
        console.add_masked_call()
    for call in console.calls.values():
        names = {"handler": f"app.{LONG} (app/handlers/{LONG}.py:210)", "action": f"8000/{LONG}"}
        call["steps"][-1]["callback"] |= names
    await sized.open(live_stage)
    size = sized.page.viewport_size
    is_narrow = size is not None and size["width"] < 500
    await expect(sized.at("#tabs")).to_be_visible(visible=is_narrow)
    if not is_narrow:
        await look(sized, pictures, "live")
        return
    for part in ("calls", "call", "totals", "registration", "flow"):
        await sized.part(part)
        await expect(sized.at(f"#{part}")).to_be_visible()
        await expect(sized.at("main > :visible")).to_have_count(1)
        for details in await sized.at(f"#{part} summary").all():
            await details.click()
        await look(sized, pictures, f"live-{part}")


async def test_charts_have_axes(sized: Tab, live_stage: Stage) -> None:
    await sized.open(live_stage)
    await sized.part("totals")
    for chart, marks in ((0, ["30", "0"]), (1, ["100 %", "50 %", "0 %"])):
        plot = sized.at(".plot").nth(chart)
        await expect(plot.locator(".axis-y span")).to_have_text(marks)
        times = await plot.locator(".axis-x span").all_inner_texts()
        assert len(times) == 3
        assert all(len(time) == 5 for time in times), times
    line = await box_of(sized, ".deadline-line")
    mark = await sized.at(".plot").nth(1).locator(".axis-y span").first.bounding_box()
    assert mark is not None
    assert abs(mark["y"] + mark["height"] / 2 - line["y"]) < 3  # at the line of the deadline
