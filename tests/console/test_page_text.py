"""Invisible and right-to-left characters of callers and of the PBX, in a real browser."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.async_api import expect

from tests.console.stage import Stage
from tests.console.tab import Tab

pytestmark = pytest.mark.asyncio(loop_scope="session")

INVISIBLE = "\u202e\u2066\u200f\u200b\x1b\u3164\ufeff\U000e0041"
"""Overrides and isolates the direction, a mark, no width, a terminal's escape, blanks, a tag."""

ESCAPED = r"\u202e\u2066\u200f\u200b\x1b\u3164\ufeff\U000e0041"
NAME = f"Sales{INVISIBLE}0008"
SHOWN = f"Sales{ESCAPED}0008"
HEBREW = "\u05e9\u05dc\u05d5\u05dd"
ALL_TEXTS = """() => {
  const texts = [document.title];
  for (const element of document.querySelectorAll("*")) {
    texts.push(...[...element.attributes].map((one) => one.value));
    if (element.tagName !== "SCRIPT") texts.push(...[...element.childNodes].map(
      (child) => child.nodeType === Node.TEXT_NODE ? child.data : ""));
  }
  return texts.join(" ");
}"""
LEFT_OF = """(element, word) => {
  const text = element.firstChild, range = document.createRange();
  const from = text.data.indexOf(word);
  range.setStart(text, from);
  range.setEnd(text, from + word.length);
  return range.getBoundingClientRect().left;
}"""


def spoiled(value: Any, key: str = "") -> Any:
    """Return ``value`` with `NAME` in the place of each text that the PBX may have written."""
    if isinstance(value, dict):
        return {name: spoiled(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [spoiled(one, key) for one in value]
    names = ("name", "text", "keys", "office", "lines", "declared", "to", "fallback", "nowhere")
    return NAME if isinstance(value, str) and key in names else value


async def nothing_invisible(tab: Tab) -> None:
    texts: str = await tab.page.evaluate(ALL_TEXTS)
    assert SHOWN in texts
    assert [one for one in INVISIBLE if one in texts] == []


async def test_invisible_characters_are_escaped_on_the_phone(tab: Tab, stage: Stage) -> None:
    console = stage.console
    console.parts["ivrs"] = spoiled(console.parts["ivrs"])
    console.add_calls(3, name=NAME)
    await tab.open(stage)
    await expect(tab.at("#guide h3")).to_have_text(f"8000 {SHOWN}")
    await expect(tab.at("#ivr option").first).to_have_text(f"8000 {SHOWN}")
    await tab.at("#name").fill(NAME)
    await tab.dial("22")
    await tab.shown("ended")
    await expect(tab.at("#call-head")).to_have_text(f"101 {SHOWN} to 8000 {SHOWN}")
    await expect(tab.at("#list [role=option]").last).to_contain_text(SHOWN)
    console.set("service", {**console.parts["service"], "text": NAME, "changes": [f"+ {NAME}"]})
    await expect(tab.at("#service .changes")).to_contain_text(SHOWN)
    await tab.at("#name").fill("")
    await nothing_invisible(tab)


async def test_the_escapes_of_an_answers_json_stay_escaped(tab: Tab, stage: Stage) -> None:
    stage.console.add_calls(1)
    (call,) = stage.console.calls.values()
    (*_, answer) = call["steps"][-1]["callback"]["exchanges"]
    answer["response_body"] = json.dumps({"action": "call", "destination": NAME})
    await tab.open(stage)
    await expect(tab.at("#ladder .arrow").last).to_contain_text(f"200 call {SHOWN}")
    await nothing_invisible(tab)


async def test_invisible_characters_are_escaped_in_production(tab: Tab, live_stage: Stage) -> None:
    console = live_stage.console
    console.parts |= spoiled(console.parts)
    console.add_calls(3, name=NAME)
    await tab.open(live_stage)
    await expect(tab.at("#flow caption").first).to_have_text(f"8000 {SHOWN}")
    await expect(tab.at("#registration li").first).to_have_text(SHOWN)
    await nothing_invisible(tab)


async def test_a_right_to_left_name_does_not_reorder_the_numbers_beside_it(
    tab: Tab, stage: Stage
) -> None:
    await tab.open(stage)
    service = {**stage.console.parts["service"], "text": HEBREW, "changes": ["+ a", "+ b", "~ c"]}
    stage.console.set("service", service)
    head = tab.at("#service-head")
    await expect(head).to_contain_text("2 added, 1 changed")
    name, number = [await head.evaluate(LEFT_OF, word) for word in (HEBREW, "2 added")]
    assert name < number


async def test_letters_of_any_script_and_emoji_stay(tab: Tab, stage: Stage) -> None:
    name = "Zoë 王 \u260e\ufe0f \U0001f600"
    stage.console.add_calls(1, name=name)
    await tab.open(stage)
    await expect(tab.at("#list [role=option]").first).to_contain_text(name)
