"""The output of resources: tables and JSON.

Rule 1: no secret is printed: no PIN, password or token, no values of headers, no user info, query
        or fragment of a URL.
Rule 2: on a terminal a table has colours and folds long cells; in a pipe it is plain lines.
Rule 3: texts of the PBX cannot move a terminal's cursor.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from receiver.pbx.fields import is_blank, shapes

MASK = "***"

_STYLES = {"ONLINE": "green", "OFFLINE": "red", "yes": "green", "no": "dim", MASK: "dim"}


def public(item: msgspec.Struct) -> dict[str, Any]:
    """Return ``item`` with its JSON keys, masked secrets, and None for blank fields."""
    return {
        key: _public(key, shape.kind, getattr(item, shape.name)) for key, shape in _shapes(item)
    }


def echo_json(data: object) -> None:
    """Print ``data`` as JSON, in ASCII."""
    click.echo(json.dumps(data, indent=2))


def echo_table(columns: Sequence[str], items: Iterable[msgspec.Struct]) -> None:
    """Print a line for each item; ``columns`` are names of its attributes."""
    rows = [
        tuple(_cell(public(item).get(key, getattr(item, key))) for key in columns) for item in items
    ]
    echo_rows([column.replace("_", " ") for column in columns], rows)


def echo_record(item: msgspec.Struct) -> None:
    """Print a line for each field with a value, with the path of nested ones."""
    echo_rows((), list(_flat(public(item), "")))


def render(headings: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    """Print a table in colour, at most as wide as the console."""
    table = Table(box=None, show_header=bool(headings), header_style="bold", pad_edge=False)
    for number in range(max(map(len, [headings, *rows]))):
        heading = headings[number] if headings else ""
        first = not headings and number == 0
        table.add_column(heading, style="cyan" if first else "", no_wrap=first, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    console.print(table)


def echo_rows(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a line for each row, below the headings, if given."""
    if not rows:
        click.echo("None found.", err=True)
    elif sys.stdout.isatty():
        # With NO_COLOR rich leaves out colours, and keeps bold and dim.
        colours: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
        render(headings, rows, Console(file=sys.stdout, color_system=colours, highlight=False))
    else:
        lines = [headings, *rows] if headings else rows
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            click.echo("  ".join(cells).rstrip())


def _shapes(item: msgspec.Struct) -> Iterable[tuple[str, Any]]:
    return shapes(type(item)).items()


def _public(key: str, kind: str, value: Any) -> Any:
    if is_blank(value):
        return None
    if kind == "secret":
        return MASK
    if kind == "object":
        return public(value)
    if kind == "list":
        return [public(part) for part in value]
    if key == "headers":
        return "&".join(f"{pair.partition(':')[0]}:{MASK}" for pair in value.split("&"))
    return _shown_url(value) if key == "url" else value


def _shown_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    host = f"{MASK}@{parts.netloc.rpartition('@')[2]}" if "@" in parts.netloc else parts.netloc
    query, fragment = MASK if parts.query else "", MASK if parts.fragment else ""
    return parts._replace(netloc=host, query=query, fragment=fragment).geturl()


def _flat(data: Mapping[str, Any], at: str) -> Iterator[tuple[str, str]]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{at}{key}.")
        elif isinstance(value, list):
            for number, part in enumerate(value):
                yield from _flat(part, f"{at}{key}[{number}].")
        elif value is not None:
            yield f"{at}{key}", _cell(value)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else _line(str(value))


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
