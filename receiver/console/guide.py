"""The pages of the guide: Markdown files in the folder ``receiver/guide``.

Rule 1: a page begins with its title as a heading, and a paragraph that introduces it.
Rule 2: HTML comments are instructions for the tests, which run the page's examples; `read_page`
        removes them.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from importlib.resources import files
from typing import NamedTuple

from receiver.errors import ReceiverError
from receiver.text import short

GROUPS = {
    "Start": (
        "tutorial",
        "declaring",
        "prompts",
        "sessions",
        "events",
        "handlers",
        "files",
        "dev",
        "testing",
    ),
    "CRMs": ("crm", "hubspot", "zoho", "odoo", "salesforce", "pipedrive", "rest"),
    "Register": ("ivrs", "registration", "security"),
    "Run": ("running", "failover", "console", "metrics", "replay", "troubleshooting", "upgrading"),
    "Reference": ("commands", "settings", "speed"),
}
"""The names of the pages, in the order in which they are listed."""

_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
_HEAD = re.compile(r"# (.+)\n+((?:.+\n)+)")


class TopicError(ReceiverError):
    """The guide has no page of that name."""

    exit_code = 2


class Topic(NamedTuple):
    """A page of the guide, as listed.

    Attributes:
        name: the argument of ``receiver guide``, and the name of the file.
        title: the first heading.
        summary: the first paragraph, on one line.
    """

    name: str
    title: str
    summary: str


def list_topics() -> dict[str, list[Topic]]:
    """Return the pages by group, in the order in which they are listed."""
    return {group: [_topic(name) for name in names] for group, names in GROUPS.items()}


def read_page(name: str) -> str:
    """Return the Markdown of a page.

    Raises:
        TopicError: there is no page ``name``; the text names the most similar ones.
    """
    names = [name for group in GROUPS.values() for name in group]
    if name not in names:
        near = get_close_matches(name.lower()[:100], names, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "receiver guide lists all"
        raise TopicError(f"the guide has no page {short(name)!r}: {hint}")
    text = (files("receiver") / "guide" / f"{name}.md").read_text(encoding="utf-8")
    return _COMMENT.sub("", text)


def _topic(name: str) -> Topic:
    head = _HEAD.match(read_page(name))
    if head is None:
        raise ValueError(f"{name}.md does not begin with a title and a paragraph")
    return Topic(name, head[1], " ".join(head[2].split()))
