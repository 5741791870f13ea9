"""``receiver plan``, ``apply`` and ``destroy``: the action URLs on the PBX."""

from __future__ import annotations

import asyncio
import json
import sys

import click

from receiver import registration
from receiver.app import Receiver
from receiver.cli.common import app_argument, client, coloured, load_app
from receiver.errors import RegistrationError
from receiver.plans import SYMBOLS, Change, Plan, as_json, render

PENDING = 2
"""Exit status of ``plan --exit-code`` if something is to be changed."""

as_json_option = click.option("--json", "machine", is_flag=True, help="Print JSON, for programs.")


@click.command()
@app_argument
@as_json_option
@click.option("--exit-code", is_flag=True, help="Exit with 2 if something is to be changed.")
def plan(target: str, machine: bool, exit_code: bool) -> None:
    """Show what apply would change on the PBX; nothing is changed."""
    found = asyncio.run(_plan(load_app(target)))
    click.echo(json.dumps(as_json(found), indent=2) if machine else coloured(render(found)))
    if exit_code and found.pending:
        raise SystemExit(PENDING)


@click.command()
@app_argument
@click.option("--allow-deletes", is_flag=True, help="Delete what is ours and not declared.")
def apply(target: str, allow_deletes: bool) -> None:
    """Make the action URLs on the PBX what APP declares. Those of others are left alone.

    What is only created or updated asks nothing; deletes need --allow-deletes, or a yes.
    """
    app = load_app(target)
    found = asyncio.run(_plan(app))
    click.echo(coloured(render(found)))
    deletes = found.of("delete")
    if deletes and not allow_deletes and not found.of("blocked"):
        allow_deletes = _ask(f"Delete {len(deletes)} action URLs?", "--allow-deletes")
    result = asyncio.run(_apply(app, found, allow_deletes))
    if result.done:
        click.echo(f"{len(result.done)} changes made and read back.")


@click.command()
@app_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
def destroy(target: str, yes: bool) -> None:
    """Delete all action URLs on the PBX that point to this service."""
    app = load_app(target)
    found = asyncio.run(_plan_destroy(app))
    click.echo(coloured(render(found)))
    deletes = found.of("delete")
    if not deletes:
        return
    if not yes and not _ask(f"Delete {len(deletes)} action URLs?", "--yes"):
        raise click.Abort
    result = asyncio.run(_apply(app, found, allow_deletes=True))
    click.echo(f"{len(result.done)} action URLs deleted.")


async def _plan(app: Receiver) -> Plan:
    settings = app.settings.need("public_url")
    async with client(settings) as pbx:
        return await registration.make_plan(pbx, app, settings.public_url, settings.secret)


async def _plan_destroy(app: Receiver) -> Plan:
    settings = app.settings.need("public_url")
    async with client(settings) as pbx:
        return await registration.plan_destroy(pbx, settings.public_url)


async def _apply(app: Receiver, found: Plan, allow_deletes: bool) -> registration.Result:
    def progress(change: Change) -> None:
        click.echo(f"  {SYMBOLS[change.op]} {change} … done")

    async with client(app.settings) as pbx:
        return await registration.apply(pbx, found, allow_deletes=allow_deletes, progress=progress)


def _ask(question: str, option: str) -> bool:
    """A yes at the terminal.

    Raises:
        RegistrationError: there is no terminal; the text names the option to use instead.
    """
    if not sys.stdin.isatty():
        raise RegistrationError(
            f"nothing was changed: {question[0].lower()}{question[1:-1]} needs a yes at a "
            f"terminal, or {option}"
        )
    return click.confirm(question)
