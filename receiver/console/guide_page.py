"""The guide in the console of ``receiver dev``: its Markdown as pages of HTML.

Rule 1: the Markdown is that of `receiver.console.guide`; HTML in it is shown as text.
Rule 2: a link to another page stays in the console, one to another site opens a new tab, and any
        other link is text: the files of the project are not served.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from receiver.console.guide import TopicError, list_topics, read_page
from receiver.console.pages import page_of

_PAGE = re.compile(r"([a-z0-9_-]+)\.md(#.*)?")
_NO_SLUG = re.compile(r"[^a-z0-9]+")


def guide_route(folder: Path) -> Route:
    """Return the route of the guide.

    Parameters:
        folder: of the files of the console's page.
    """

    async def endpoint(request: Request) -> Response:
        topics = [one.name for group in list_topics().values() for one in group]
        try:
            html = guide_html(folder, request.query_params.get("topic") or topics[0])
        except TopicError as error:
            raise HTTPException(404, str(error)) from None
        return Response(html, media_type="text/html")

    return Route("/guide", endpoint)


def guide_html(folder: Path, topic: str) -> str:
    """Return a page of the guide, with the list of all pages.

    Parameters:
        folder: of the files of the console's page.
        topic: the name of the page.

    Raises:
        TopicError: the guide has no such page.
    """
    article = to_html(read_page(topic))
    titles = {one.name: one.title for group in list_topics().values() for one in group}
    values = {"title": escape(titles[topic]), "contents": _contents(topic), "article": article}
    return page_of(folder, "guide.html", **values)


def to_html(markdown: str) -> str:
    """Return Markdown (CommonMark and tables) as HTML, with links as rule 2 has them."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    for heading, text in pairwise(tokens):
        if heading.type == "heading_open":
            heading.attrSet("id", _NO_SLUG.sub("-", text.content.lower()).strip("-"))
    for token in tokens:
        token.children = token.children and list(_linked(token.children))
        if token.type in ("fence", "code_block", "table_open"):
            token.attrSet("tabindex", "0")  # a wide one scrolls
        if "right" in str(token.attrs.pop("style", "")):  # the policy forbids style attributes
            token.attrSet("class", "number")
    return str(parser.renderer.render(tokens, parser.options, {}))


def _linked(tokens: list[Token]) -> Iterator[Token]:
    """Yield the tokens of a line with their links replaced, or left out."""
    is_link = False
    for token in tokens:
        if token.type == "link_open":
            attributes = _link(str(token.attrs.get("href", "")))
            is_link = bool(attributes)
            token.attrs.update(attributes)
        if is_link or not token.type.startswith("link_"):
            yield token


def _link(target: str) -> Mapping[str, str]:
    """Return the attributes of a link; none if its target is not served."""
    if target.startswith(("https://", "http://")):
        return {"href": target, "target": "_blank", "rel": "noopener noreferrer"}
    if target.startswith("#"):
        return {"href": target}
    found = _PAGE.fullmatch(target)
    return {"href": f"guide?topic={found[1]}{found[2] or ''}"} if found else {}


def _contents(current: str) -> str:
    parts = []
    for group, topics in list_topics().items():
        parts.append(f"<h2>{escape(group)}</h2>\n<ul>")
        for name, title, _ in topics:
            mark = ' aria-current="page"' if name == current else ""
            parts.append(f'<li><a href="guide?topic={name}"{mark}>{escape(title)}</a></li>')
        parts.append("</ul>")
    return "\n".join(parts)
