"""The phone in the browser: calls by mouse and by keyboard, faults, and callers who mean harm."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.console import canned
from tests.console.geometry import box_of
from tests.console.stage import Stage
from tests.console.tab import Tab

pytestmark = pytest.mark.asyncio(loop_scope="session")

HEARD = """window.heard = [];
const make = OscillatorNode;
window.OscillatorNode = class extends make {
  constructor(context, options) { super(context, options); heard.push(options.frequency); }
};"""
HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror="alert(1)">')


async def test_call_by_mouse(tab: Tab, stage: Stage) -> None:
    await tab.open(stage)
    await tab.dial("22")
    await tab.shown("ended")
    await expect(tab.at(".display-state")).to_have_text("forwarded to 222")
    await expect(tab.at("#call-button")).to_have_attribute("aria-disabled", "false")

    ladder = tab.at("#ladder .steps > li")
    await expect(ladder.last).to_contain_text("forwarded to 222")
    arrows = tab.at("#ladder .callback .arrow")
    assert await arrows.all_inner_texts() == [
        "PBX to Service:\nPOST /action/8000/pick",
        "Service to PBX:\n401 a challenge",
        "PBX to Service:\nPOST /action/8000/pick, with the proof",
        "Service to CRM:\nGET crm.example.com/people?number=***",
        "CRM to Service:\n200 in 391 ms",
        "Service to PBX:\n200 call 222",
    ]
    await tab.at("#ladder summary").click()
    sheet = tab.at("#ladder .sheet")
    await expect(sheet).to_contain_text('WWW-Authenticate: Digest realm="receiver"')
    await expect(sheet).to_contain_text("the CRM took its time")
    await expect(sheet.get_by_role("row", name="Handler")).to_contain_text("480 ms")
    await expect(tab.at("#list [aria-selected=true]")).to_contain_text("forwarded to 222")


async def test_the_first_view_says_what_to_press(tab: Tab, stage: Stage) -> None:
    await tab.open(stage)
    await expect(tab.at(".first-step")).to_have_text("Press Call, then 22.")
    await expect(tab.at("#valid-keys")).to_have_text("Valid keys: 1; 22; 1000-1999; 9")
    await tab.at("#ivr").select_option(label="8100 Support")
    step = "Enter caller +49301234567, press Call"
    await expect(tab.at(".first-step")).to_have_text(f"{step}.")
    await expect(tab.at(".display-prompt")).to_have_text(step)
    await tab.at("#caller").fill("+49301234567")
    await expect(tab.at(".first-step")).to_have_text("Press Call.")
    stage.console.set("ivrs", [])
    await expect(tab.at("#ladder")).to_have_text(re.compile("^Each callback is shown here"))


async def test_there_is_a_lane_for_a_crm_only_if_it_was_asked(tab: Tab, stage: Stage) -> None:
    await tab.open(stage)
    await tab.dial("1")
    await expect(tab.at(".exception")).to_be_visible()
    assert await tab.at(".heads b").all_inner_texts() == ["Caller", "PBX", "Service"]
    await tab.dial("22")
    await expect(tab.at("#ladder .verdict")).to_have_text("forwarded to 222")
    assert await tab.at(".heads b").all_inner_texts() == ["Caller", "PBX", "Service", "CRM"]
    lanes = [(await box_of(tab, f".lanes i:nth-child({n})"))["x"] for n in (2, 3, 4)]
    for arrow, (start, end) in {0: (0, 1), 3: (1, 2)}.items():
        shaft = await tab.at(".callback .shaft").nth(arrow).bounding_box()
        assert shaft is not None
        assert shaft["x"] == pytest.approx(lanes[start], abs=1.5)
        assert shaft["x"] + shaft["width"] == pytest.approx(lanes[end], abs=1.5)


async def test_calls_with_problems_are_explained(tab: Tab, stage: Stage) -> None:
    await tab.open(stage)
    await tab.dial("1")
    row = tab.at("#list [role=option]").first
    await expect(row).to_contain_text("forwarded to 0 (raised)")
    await expect(row).to_contain_text("1 %")
    legend = "answered fallback failed active %: the slowest answer’s share of its deadline"
    await expect(tab.at(".legend")).to_have_text(legend)


async def test_keys_that_nothing_takes_show_what_to_declare(tab: Tab, stage: Stage) -> None:
    await tab.open(stage)
    await tab.dial("8")
    shown = tab.at("#ladder .missing pre")
    await expect(shown.first).to_have_text(canned.MISSING["python"])
    await expect(shown.last).to_have_text(canned.MISSING["toml"])
    await expect(tab.at("#announcer")).to_contain_text("No action takes these keys")


async def test_call_by_keyboard_alone(tab: Tab, stage: Stage) -> None:
    await tab.open(stage)
    keyboard = tab.page.keyboard
    for _ in range(20):
        await keyboard.press("Tab")
        if await tab.page.evaluate("document.activeElement.id") == "caller":
            break
    await keyboard.press("Control+A")
    await keyboard.type("2022")
    await keyboard.press("Tab")
    await keyboard.press("Control+A")
    await keyboard.type("Bea")
    await keyboard.press("Enter")
    await expect(tab.at("#keypad")).to_be_focused()
    await keyboard.type("22")
    await tab.shown("ended")
    await expect(tab.at("#call-head")).to_have_text("2022 Bea to 8000 Sales")
    await expect(tab.at("#announcer")).to_contain_text("Call ended: forwarded to 222.")
    assert stage.console.posted[0][1] == {"ivr": "8000", "caller": "2022", "name": "Bea"}

    await keyboard.press("c")
    await tab.shown("prompt")
    await keyboard.press("h")
    await expect(tab.at(".display-state")).to_have_text("the caller hung up")
    await keyboard.press("l")
    await keyboard.press("ArrowDown")
    await expect(tab.at("#list [aria-selected=true]")).to_contain_text("2022 Bea")
    await expect(tab.at("#call-title")).to_contain_text("forwarded to 222")
    await keyboard.press("Enter")
    await expect(tab.at("#call")).to_be_focused()


async def test_short_cuts_keep_out_of_text_and_can_be_switched_off(tab: Tab, stage: Stage) -> None:
    await tab.open(stage)
    await tab.at("#caller").fill("")
    await tab.page.keyboard.type("c1?")
    await expect(tab.at("#caller")).to_have_value("c1?")
    await tab.at("#help-open").click()
    await tab.at("#shortcuts").uncheck()
    await tab.page.keyboard.press("Escape")
    await tab.page.keyboard.press("?")
    await expect(tab.at("#help")).to_be_hidden()
    await tab.page.keyboard.press("c")
    assert stage.console.posted == []


async def test_the_gap_counts_down_beside_the_prompt(tab: Tab, stage: Stage) -> None:
    stage.console.gap = 600.0
    await tab.open(stage)
    await tab.dial()
    await expect(tab.at(".display-prompt")).to_contain_text("Welcome to Sales.")
    await expect(tab.at(".countdown")).to_contain_text("until no input")
    await tab.at('[data-press="#"]').click()
    await tab.shown("gap")
    await expect(tab.at(".display-keys")).to_have_text("#")
    await expect(tab.at(".countdown")).to_contain_text("until the keys count as entered")
    await tab.at("#hangup").click()
    await tab.shown("ended")
    await expect(tab.at(".countdown")).to_be_hidden()


async def test_keys_sound_as_on_a_phone_unless_muted(tab: Tab, stage: Stage) -> None:
    await tab.page.add_init_script(HEARD)
    await tab.open(stage)
    for key in "1#":
        await tab.at(f'[data-press="{key}"]').click()
    assert await tab.page.evaluate("heard") == [697, 1209, 941, 1477]
    await tab.at("#mute").click()
    await expect(tab.at("#mute")).to_have_attribute("aria-pressed", "true")
    await tab.at('[data-press="5"]').click()
    assert await tab.page.evaluate("heard.length") == 4


async def test_faults(tab: Tab, stage: Stage) -> None:
    await tab.open(stage)
    await tab.page.get_by_role("radio", name="wrong").check()
    await expect(tab.at("#faults")).to_have_attribute("data-on", "true")
    assert stage.console.parts["faults"]["password"] == "wrong"
    await tab.dial("22")
    await expect(tab.at(".display-verdict")).to_have_text(
        "Callback failed: the service answered 401"
    )
    await expect(tab.at("#ladder .verdict")).to_have_text(
        "failed: the service answered 401"
        "The PBX then: not documented; here the call stays at the prompt"
    )

    await tab.at("#slow").focus()
    await tab.page.keyboard.press("End")
    await expect(tab.at("#faults output")).to_have_text("10.0 s")
    await tab.page.get_by_role("button", name="End all faults").click()
    await expect(tab.at("#faults")).to_have_attribute("data-on", "false")
    await expect(tab.at("#slow")).to_have_value("0")
    for key in "22":
        await tab.at(f'[data-press="{key}"]').click()
    await tab.shown("ended")
    assert [body for path, body in stage.console.posted if path == "/faults"] == [
        {"password": "wrong"},
        {"slow": 10},
        {"slow": 0, "network": "ok", "password": "right", "crm": "ok"},
    ]


async def test_an_exception_is_shown_with_its_place(tab: Tab, stage: Stage) -> None:
    await tab.open(stage)
    await tab.dial("1")
    await expect(tab.at(".exception .place")).to_have_text("app.py:7 in pick")
    await expect(tab.at(".exception")).to_contain_text("return Forward(OWNERS[call.digits])")
    await expect(tab.at(".verdict")).to_contain_text("the handler raised: the fallback answered")


async def test_a_call_that_blocks_the_event_loop_is_shown_with_its_place(
    tab: Tab, stage: Stage
) -> None:
    await tab.open(stage)
    await tab.dial("1")
    await expect(tab.at(".blocking-call .place")).to_have_text("app.py:6")
    await expect(tab.at(".blocking-call")).to_contain_text("requests.get in pick blocked")


async def test_the_pbx_is_set_from_the_page(tab: Tab, stage: Stage) -> None:
    await tab.open(stage)
    await tab.at("#ivr").select_option(label="8100 Support")
    await tab.at("#night").check()
    await expect(tab.at("#guide")).to_contain_text("Night mode is on.")
    await tab.at("#clock").fill("2026-12-24T18:30")
    await expect(tab.page.get_by_role("button", name="Real time")).to_have_attribute(
        "aria-pressed", "false"
    )
    assert stage.console.posted[-2:] == [
        ("/pbx/night", {"ivr": "north/8100", "on": True}),
        ("/pbx/clock", {"at": "2026-12-24T18:30"}),
    ]


async def test_code_that_changes_in_mid_call(tab: Tab, stage: Stage) -> None:
    await tab.open(stage)
    await tab.dial()
    place = "app.py:6: SyntaxError: '(' was never closed"
    stage.console.set("service", canned.service("broken", place))
    await expect(tab.at("#service")).to_contain_text(place)
    await expect(tab.at("#announcer")).to_contain_text("The service is broken.")
    stage.console.set("service", canned.service("running", "", ("+ action 8000/vip",)))
    await expect(tab.at("#service .changes")).to_have_text("+added: action 8000/vip")
    for key in "22":
        await tab.at(f'[data-press="{key}"]').click()
    await tab.shown("ended")


async def test_a_reload_keeps_the_call_on_the_phone(tab: Tab, stage: Stage) -> None:
    await tab.open(stage)
    await tab.dial()
    await tab.page.reload()
    await tab.shown("prompt")
    await tab.at("#hangup").click()
    await expect(tab.at(".display-state")).to_have_text("the caller hung up")


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_caller_may_be_called_what_he_likes(tab: Tab, stage: Stage, name: str) -> None:
    said: list[str] = []
    tab.page.on("dialog", lambda dialog: said.append(dialog.message))
    stage.console.parts["ivrs"][0] |= {"name": name, "prompt": {"text": name, "audio": None}}
    stage.console.add_calls(3, name=name)
    await tab.open(stage)
    await tab.at("#name").fill(name)
    await tab.dial("1")
    await expect(tab.at("#call-head")).to_contain_text(f"101 {name}")
    await expect(tab.at("#list [role=option]").last).to_contain_text(name)
    await expect(tab.at(".exception")).to_be_visible()
    assert await tab.at("body img, body script").count() == 0
    assert said == []
