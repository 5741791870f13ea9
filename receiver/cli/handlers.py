"""``receiver handlers`` and ``receiver schema``: what a configuration file may contain."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

import click

from receiver.cli.common import json_option
from receiver.cli.resources_output import echo_json
from receiver.config import types
from receiver.config.catalogue import GROUPS, Entry, installed
from receiver.config.json_schema import options_as_json, schema, shown
from receiver.config.options import Option
from receiver.errors import LoadError
from receiver.text import line

_WIDTH = 96
_SAMPLES = {
    bool: "true",
    int: "1",
    float: "1.5",
    types.ReplyValue: '"222"',
    types.ThenValue: '"222"',
    types.RuleValue: '"222"',
    types.MenuRuleValue: '"222"',
    types.ConnectorValue: '{use = "…"}',
}


@click.command()
@click.argument("names", metavar="NAME…", nargs=-1)
@json_option
def handlers(names: tuple[str, ...], machine: bool) -> None:
    """List the installed handlers, connectors and values with their options, or only those named.

    A configuration file uses these names: handler = "menu". A broken one is listed with the reason.
    """
    entries = [one for one in _listed() if not names or one.name in names]
    if unknown := set(names) - {entry.name for entry in entries}:
        raise LoadError(
            f"no handler or connector {line(min(unknown))!r} is installed: run receiver handlers "
            "for a list"
        )
    if machine:
        echo_json([_json(entry) for entry in entries])
        return
    for entry in entries:
        click.echo("\n".join(_lines(entry)) + "\n")


@click.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of configuration files, for editors.

    Save it with receiver schema > receiver.schema.json and make
    #:schema ./receiver.schema.json the first line of the file.
    """
    click.echo(json.dumps(schema(_all()), indent=2, ensure_ascii=False))


def _all() -> list[Entry]:
    return [entry for kind in GROUPS for entry in installed(kind).values()]


def _listed() -> list[Entry]:
    return [*_all(), *installed("value").values()]


def _json(entry: Entry) -> dict[str, object]:
    signature = entry.signature
    return {
        "name": entry.name,
        "kind": entry.kind,
        "value": entry.value,
        "distribution": entry.distribution,
        "about": signature.about if signature else "",
        "options": options_as_json(signature.options) if signature and not entry.is_handler else [],
        "example": example(entry),
        "broken": entry.reason or None,
    }


def _lines(entry: Entry) -> Iterator[str]:
    kind = "" if entry.kind == "handler" else f", a {entry.kind}"
    home = ", ".join(filter(None, (entry.value, entry.distribution)))
    yield click.style(entry.name, bold=True) + f"{kind}  ({home})"
    if entry.signature is None:
        yield click.style(f"  broken: {line(entry.reason)}", fg="red")
        return
    if entry.signature.about:
        yield f"  {line(entry.signature.about)}"
    for option in () if entry.is_handler else entry.signature.options.values():
        if option.type is not None:
            yield from _option(option)
    yield ""
    yield textwrap.indent(example(entry), "    ")


def _option(option: Option) -> Iterator[str]:
    default = "" if option.required else shown(option.default)
    need = ", required" if option.required else ""
    need = need or ("" if default in ("", None, []) else f", default {json.dumps(default)}")
    yield f"  {option.name}: {types.in_words(option.type)}{need}"
    about = line(option.about)
    yield from textwrap.wrap(about, _WIDTH, initial_indent="      ", subsequent_indent="      ")


def example(entry: Entry) -> str:
    """Return the body of a table for ``entry``: of its docstring, or with required options."""
    if entry.signature is None:
        return ""
    if entry.signature.example:
        return entry.signature.example
    needed = () if entry.is_handler else entry.signature.options.values()
    rows = [f"{one.name} = {_sample(one.type)}" for one in needed if one.required]
    return "\n".join((f'{entry.kind} = "{entry.name}"', *rows))


def _sample(kind: Any) -> str:
    """Return a value of a type, as TOML."""
    kind = types.members_of(kind)[0]
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _sample(args[0])
    if origin is Literal:
        return json.dumps(args[0])
    if origin is dict:
        return f"{{1 = {_sample(args[1])}}}"
    if origin is not None:
        return f"[{', '.join(_sample(item) for item in args if item is not ...)}]"
    return _SAMPLES.get(kind, '"…"')
