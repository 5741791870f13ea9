"""The layout of a page in numbers: overlapping texts, overflow, and positions of its parts."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import FloatRect

from tests.console.tab import Tab

# The texts that can be seen, line by line, as far as no ancestor clips them. What lies above the
# page on purpose is left out: details of the service, the notice, and heads that stay in place.
OVERLAPS = """(above) => {
  const clipped = (box, element) => {
    let {left, top, right, bottom} = box;
    for (let one = element; one; one = one.parentElement) {
      if (getComputedStyle(one).overflow === "visible") continue;
      const edge = one.getBoundingClientRect();
      left = Math.max(left, edge.left), right = Math.min(right, edge.right);
      top = Math.max(top, edge.top), bottom = Math.min(bottom, edge.bottom);
    }
    return {left, top, right, bottom};
  };
  const lines = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode, parent = text.parentElement;
    if (!text.data.trim() || !parent.checkVisibility() || parent.closest(above)) continue;
    const range = document.createRange();
    range.selectNodeContents(text);
    for (const box of range.getClientRects()) {
      const {left, top, right, bottom} = clipped(box, parent);
      if (right - left > 1 && bottom - top > 1) lines.push({left, top, right, bottom, text});
    }
  }
  const found = [];
  lines.forEach((one, i) => {
    for (const other of lines.slice(i + 1)) {
      if (one.text === other.text) continue;
      const wide = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const high = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      if (wide > 1 && high > 4) found.push(`${one.text.data} × ${other.text.data}`);
    }
  });
  return found;
}"""
ABOVE = ".sr, .skip, .service-body, .notice, .heads, .bar, dialog, select"

SIDEWAYS = """() => {
  const wide = document.documentElement.clientWidth;
  const over = (one) => one.checkVisibility() && one.getBoundingClientRect().right > wide + 1;
  const name = (one) => `${one.tagName}.${one.className.baseVal ?? one.className}`;
  const hidden = (one) => one.closest(".sr, .skip, table, pre");
  return [...document.querySelectorAll("body *")]
    .filter((one) => !hidden(one) && over(one)).map(name)
    .concat(document.documentElement.scrollWidth > wide ? ["the document"] : []);
}"""

OUTSIDE = """(box) => {
  const edge = box.getBoundingClientRect();
  const out = ({left, top, right, bottom}) =>
    left < edge.left || right > edge.right || top < edge.top || bottom > edge.bottom;
  return [...box.children]
    .filter((one) => one.checkVisibility() && out(one.getBoundingClientRect()))
    .map((one) => `${one.className}: ${one.textContent}`);
}"""

RING = """(box) => {
  const {left, top, right, bottom} = box.getBoundingClientRect();
  const {outlineStyle, outlineOffset, outlineWidth} = getComputedStyle(box);
  const inner = parseFloat(outlineOffset), outer = inner + parseFloat(outlineWidth);
  const by = (edge) =>
    ({left: left - edge, top: top - edge, right: right + edge, bottom: bottom + edge});
  return {shown: outlineStyle !== "none", inner: by(inner), outer: by(outer)};
}"""


async def assert_in_order(tab: Tab) -> None:
    """No text overlaps another, nothing is cut off at the side, and the display holds its texts."""
    overlaps = await tab.page.evaluate(OVERLAPS, ABOVE)
    assert not overlaps, overlaps
    sideways = await tab.page.evaluate(SIDEWAYS)
    assert not sideways, sideways
    display = tab.at("#display")
    if await display.is_visible():
        outside = await display.evaluate(OUTSIDE)
        assert not outside, outside


async def no_violation(tab: Tab) -> None:
    """Check that axe finds no violation, and that the page does not scroll sideways."""
    found = await Axe().run(tab.page)
    assert found.violations_count == 0, found.generate_report()
    sideways = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await tab.page.evaluate(sideways) == 0


async def box_of(tab: Tab, selector: str) -> FloatRect:
    """Return the position and size of an element."""
    box = await tab.at(selector).bounding_box()
    assert box is not None, selector
    return box


async def ring_of(tab: Tab, selector: str) -> dict[str, Any]:
    """Return the edges of an element's focus ring: ``inner`` and ``outer``."""
    found: dict[str, Any] = await tab.at(selector).first.evaluate(RING)
    return found
