"""``receiver guide``: print the guide."""

from __future__ import annotations

import io
import sys

import click

from receiver.console.guide import list_topics, read_page


@click.command()
@click.argument("topic", required=False)
def guide(topic: str | None) -> None:
    """Print the page TOPIC of the guide; without TOPIC, list the pages.

    On a terminal the page is formatted and shown in a pager; elsewhere its Markdown is printed.
    """
    if topic is None:
        click.echo(_contents())
    elif is_terminal():
        click.echo_via_pager(_formatted(read_page(topic)))
    else:
        click.echo(read_page(topic), nl=False)


def is_terminal() -> bool:
    """Return whether the output is a terminal."""
    return sys.stdout.isatty()


def _contents() -> str:
    groups = list_topics()
    width = max(len(topic.name) for topics in groups.values() for topic in topics)
    lines = ["receiver guide TOPIC prints a page:"]
    for group, topics in groups.items():
        lines += ["", click.style(group, bold=True)]
        lines += [f"  {topic.name.ljust(width)}  {topic.title}" for topic in topics]
    return "\n".join(lines)


def _formatted(markdown: str) -> str:
    """Return a page for the terminal, in its width up to 100 columns."""
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.markdown import Markdown  # noqa: PLC0415

    terminal = Console()
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        force_terminal=not terminal.no_color,
        color_system="standard",
        width=min(terminal.width, 100),
    )
    console.print(Markdown(markdown, hyperlinks=False, code_theme="ansi_dark"))
    return buffer.getvalue()
