"""``receiver handlers`` and ``receiver schema``: what a configuration file may say here."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator

import click

from receiver.cli.resources_output import echo_json, json_option
from receiver.configuration import shapes
from receiver.configuration.catalogue import GROUPS, Entry, installed
from receiver.configuration.options import Option
from receiver.configuration.schema import options_as_json, schema, shown
from receiver.errors import LoadError
from receiver.printable import line

_WIDTH = 96


@click.command()
@click.argument("names", metavar="NAME…", nargs=-1)
@json_option
def handlers(names: tuple[str, ...], machine: bool) -> None:
    """List the handlers and connectors that are installed, with their options; or those named.

    A configuration file uses them by these names: handler = "menu". One that is broken is listed
    with the reason.
    """
    entries = [one for one in _all() if not names or one.name in names]
    if unknown := set(names) - {entry.name for entry in entries}:
        raise LoadError(f"nothing is installed as {line(min(unknown))!r}: see receiver handlers")
    if machine:
        echo_json([_json(entry) for entry in entries])
        return
    for entry in entries:
        click.echo("\n".join(_lines(entry)) + "\n")


@click.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of configuration files, for editors.

    receiver schema > receiver.schema.json, and as the first line of the file
    #:schema ./receiver.schema.json
    """
    click.echo(json.dumps(schema(_all()), indent=2, ensure_ascii=False))


def _all() -> list[Entry]:
    return [entry for kind in GROUPS for entry in installed(kind).values()]


def _json(entry: Entry) -> dict[str, object]:
    maker = entry.maker
    return {
        "name": entry.name,
        "kind": entry.kind,
        "value": entry.value,
        "wheel": entry.wheel,
        "about": maker.about if maker else "",
        "options": options_as_json(maker.options) if maker and not entry.is_itself else [],
        "example": example(entry),
        "broken": entry.reason or None,
    }


def _lines(entry: Entry) -> Iterator[str]:
    kind = "" if entry.kind == "handler" else f", a {entry.kind}"
    yield click.style(entry.name, bold=True) + f"{kind}  ({entry.value}, {entry.wheel})"
    if entry.maker is None:
        yield click.style(f"  broken: {line(entry.reason)}", fg="red")
        return
    if entry.maker.about:
        yield f"  {line(entry.maker.about)}"
    for option in () if entry.is_itself else entry.maker.options.values():
        if option.shape is not None:
            yield from _option(option, option.shape)
    yield ""
    yield textwrap.indent(example(entry), "    ")


def _option(option: Option, shape: shapes.Shape) -> Iterator[str]:
    default = "" if option.required else shown(option.default)
    need = ", needed" if option.required else ""
    need = need or ("" if default in ("", None, []) else f", by default {json.dumps(default)}")
    yield f"  {option.name}: {shape.words}{need}"
    about = line(option.about)
    yield from textwrap.wrap(about, _WIDTH, initial_indent="      ", subsequent_indent="      ")


def example(entry: Entry) -> str:
    """The body of a table that uses it: from its docstring, or else with what it needs."""
    if entry.maker is None:
        return ""
    if entry.maker.example:
        return entry.maker.example
    needed = () if entry.is_itself else entry.maker.options.values()
    rows = [f"{one.name} = {_sample(one.shape)}" for one in needed if one.required]
    return "\n".join((f'{entry.kind} = "{entry.name}"', *rows))


def _sample(shape: shapes.Shape | None) -> str:
    """A value of that shape, as TOML."""
    match shape:
        case shapes.Either():
            return _sample(shape.shapes[0])
        case shapes.Choice():
            return json.dumps(shape.values[0])
        case shapes.ListOf():
            return f"[{_sample(shape.item)}]"
        case shapes.Row():
            return f"[{', '.join(map(_sample, shape.items))}]"
        case shapes.TableOf():
            return f"{{1 = {_sample(shape.value)}}}"
        case shapes.Leads():
            return '"222"'
        case shapes.Part():
            return '{use = "…"}'
        case shapes.Scalar():
            return {"boolean": "true", "integer": "1", "number": "1.5"}.get(shape.name, '"…"')
        case _:
            return '"…"'
