"""The guide as pages of the console: links, and Markdown that means harm."""

from __future__ import annotations

import re

import httpx
import pytest

from receiver.console.feed import Feed
from receiver.console.guide import list_topics
from receiver.console.guide_page import guide_html, guide_route, to_html
from receiver.console.web import PAGE, make_console

TOPICS = [one for group in list_topics().values() for one in group]
HOST = "127.0.0.1:8080"


@pytest.mark.parametrize("topic", [one.name for one in TOPICS])
def test_each_page_lists_all_and_links_only_to_pages_that_exist(topic: str) -> None:
    html = guide_html(PAGE, topic)
    linked = re.findall(r'href="guide\?topic=([^"#]+)', html)
    assert {one.name for one in TOPICS} == set(linked)
    assert re.findall(r'<a href="guide\?topic=([^"]+)" aria-current="page"', html) == [topic]
    assert "<!-- " not in html.partition("<main")[2]
    assert "{{" not in html
    assert "<style" not in html
    assert not re.search(r"\sstyle=|<script", html)


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("[one](sessions.md)", '<p><a href="guide?topic=sessions">one</a></p>'),
        ("[one](sessions.md#a-part)", '<p><a href="guide?topic=sessions#a-part">one</a></p>'),
        ("[one](#a-part)", '<p><a href="#a-part">one</a></p>'),
        ("[one](../../examples/a.py) more", "<p>one more</p>"),
        ("[one](javascript:alert)", "<p>[one](javascript:alert)</p>"),
        ("[one](file:///etc/passwd)", "<p>[one](file:///etc/passwd)</p>"),
        ("[*one*](x/y.md) and [two](sessions.md)", None),
        ("# Before and after the answer", None),
        ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"),
        ('"><img src=x onerror=alert(1)>', None),
    ],
)
def test_markdown_becomes_html_whose_links_are_served(markdown: str, html: str | None) -> None:
    found = to_html(markdown).strip()
    if html is not None:
        assert found == html
    assert not re.search(r"<(script|img)", found)


def test_links_to_other_sites_open_a_new_tab() -> None:
    html = to_html("[docs](https://www.example.com/?a=1&b=2)")
    assert 'href="https://www.example.com/?a=1&amp;b=2"' in html
    assert 'target="_blank" rel="noopener noreferrer"' in html


def test_headings_have_the_anchors_that_links_name() -> None:
    assert to_html("## Jobs after the answer!").strip() == (
        '<h2 id="jobs-after-the-answer">Jobs after the answer!</h2>'
    )
    assert to_html("[*one*](x/y.md) and [two](sessions.md)").strip() == (
        '<p><em>one</em> and <a href="guide?topic=sessions">two</a></p>'
    )


def test_tables_and_code_can_be_scrolled_by_keyboard() -> None:
    html = to_html("| a | b |\n|---|--:|\n| 1 | 2 |\n\n```python\nx = 1 < 2\n```\n")
    assert '<table tabindex="0">' in html
    assert '<td class="number">2</td>' in html
    assert 'tabindex="0"' in html.partition("</table>")[2]
    assert "x = 1 &lt; 2" in html


async def test_the_route_serves_the_guide_under_the_policy_of_the_console() -> None:
    console = make_console(
        Feed({"mode": "dev"}, start=0), hosts={HOST}, token="t" * 32, more=[guide_route(PAGE)]
    )
    transport = httpx.ASGITransport(console)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as browser:
        first = await browser.get("/guide")
        assert first.status_code == 200
        assert "default-src 'none'" in first.headers["content-security-policy"]
        assert f"<title>{TOPICS[0].title} · receiver guide</title>" in first.text
        other = await browser.get("/guide", params={"topic": "sessions"})
        assert 'aria-current="page"' in other.text
        for wrong in ("sesions", "../settings", "<script>"):
            lacking = await browser.get("/guide", params={"topic": wrong})
            assert lacking.status_code == 404
            assert "the guide has no page" in lacking.json()["error"]


async def test_a_console_in_production_has_no_guide() -> None:
    console = make_console(Feed({"mode": "live"}, start=0), hosts={HOST}, token="t" * 32)
    transport = httpx.ASGITransport(console)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as browser:
        assert (await browser.get("/guide")).status_code == 404
