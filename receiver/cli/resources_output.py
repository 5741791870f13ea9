"""What the PBX has, for people and for programs: tables, JSON, a progress bar.

Rule 1: no secret is printed: not a PIN, password or token, nor the values of headers, nor what an
        URL carries besides its path.
Rule 2: on a terminal there is colour and what does not fit is folded; into a pipe go plain lines.
Rule 3: what the PBX says cannot move a terminal's cursor.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from receiver.pbx.fields import is_blank, shapes

MASK = "***"

_STYLES = {"ONLINE": "green", "OFFLINE": "red", "yes": "green", "no": "dim", MASK: "dim"}

json_option = click.option("--json", "machine", is_flag=True, help="Print JSON, for programs.")


def public(item: msgspec.Struct) -> dict[str, Any]:
    """``item`` with its keys on the wire, and with its secrets masked; what is blank is None."""
    return {
        key: _public(key, shape.kind, getattr(item, shape.name)) for key, shape in _shapes(item)
    }


def echo_json(data: object) -> None:
    """``data`` as JSON, in ASCII."""
    click.echo(json.dumps(data, indent=2))


def echo_table(columns: Sequence[str], items: Iterable[msgspec.Struct]) -> None:
    """A line for each item; ``columns`` are names of its attributes."""
    rows = [
        tuple(_cell(public(item).get(key, getattr(item, key))) for key in columns) for item in items
    ]
    echo_rows([column.replace("_", " ") for column in columns], rows)


def echo_record(item: msgspec.Struct) -> None:
    """A line for each field that says something, with dots into objects."""
    echo_rows((), list(_flat(public(item), "")))


@contextmanager
def progress_bar(what: str, total: int | None = None) -> Iterator[Callable[[int, int], None]]:
    """Gives what has to be told how far it is; shows it, if there is a terminal to show it on."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(file=sys.stderr)) as bar:
        task = bar.add_task(_line(what), total=total)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def render(headings: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    """A table in colour, as wide as the console at most."""
    table = Table(box=None, show_header=bool(headings), header_style="bold", pad_edge=False)
    for number in range(max(map(len, [headings, *rows]))):
        heading = headings[number] if headings else ""
        first = not headings and number == 0
        table.add_column(heading, style="cyan" if first else "", no_wrap=first, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    console.print(table)


def echo_rows(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A line for each row, below the headings if there are any."""
    if not rows:
        click.echo("There are none.", err=True)
    elif sys.stdout.isatty():
        render(headings, rows, Console(file=sys.stdout, highlight=False))
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
