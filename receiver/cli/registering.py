"""``receiver plan``, ``drift``, ``apply`` and ``destroy``: the action URLs on the PBX."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click

from receiver.app import Receiver
from receiver.cli.common import app_argument, client, coloured, load_app
from receiver.cli.several import over_pbxs, pbx_option
from receiver.errors import ReceiverError, RegistrationError
from receiver.receptionists import ReceptionistChange
from receiver.registration import registrar
from receiver.registration.plans import SYMBOLS, Change, Plan
from receiver.registration.printout import as_json, change_as_json, render
from receiver.registration.registrar import Result

PENDING = 2
"""Exit status of ``plan --exit-code`` and of ``drift`` if something is to be changed."""

json_option = click.option("--json", "machine", is_flag=True, help="Print JSON, for programs.")
take_over_option = click.option(
    "--take-over",
    is_flag=True,
    help="Let an action URL of a declared name that points elsewhere point here (same id).",
)
force_option = click.option(
    "--force-credentials",
    is_flag=True,
    help="Send credentials again where the PBX does not let them be read, after a change of "
    "RECEIVER_SECRET or RECEIVER_EPOCH.",
)


@click.command()
@app_argument
@pbx_option
@json_option
@click.option(
    "--exit-code",
    is_flag=True,
    help="Exit with 2 if something is to be changed, with 1 on any error.",
)
@take_over_option
@force_option
def plan(
    target: str,
    only: str | None,
    machine: bool,
    exit_code: bool,
    take_over: bool,
    force_credentials: bool,
) -> None:
    """Show what apply would change on the PBX; nothing is changed.

    Warnings tell of numbers that may not do what was meant, each with an example.
    """

    def one(label: str) -> tuple[dict[str, Any], int]:
        found = asyncio.run(_plan(app, label, take_over, force_credentials))
        say(machine, render(found))
        return as_json(found), PENDING if exit_code and found.pending else 0

    with _errors_exit_with_one(exit_code):
        app = load_app(target)
        over_pbxs(app, only, machine, one)


@click.command()
@app_argument
@pbx_option
@json_option
def drift(target: str, only: str | None, machine: bool) -> None:
    """Show only what differs from APP on the PBX: plan --exit-code without the rest.

    Exits with 0 if nothing differs, with 2 if something does, with 1 if that could not be found
    out.
    """

    def one(label: str) -> tuple[dict[str, Any], int]:
        found = asyncio.run(_plan(app, label))
        say(machine, render(found, only_pending=True))
        return as_json(found, only_pending=True), PENDING if found.pending else 0

    with _errors_exit_with_one():
        app = load_app(target)
        over_pbxs(app, only, machine, one)


@click.command()
@app_argument
@pbx_option
@json_option
@click.option("--allow-deletes", is_flag=True, help="Delete what is ours and not declared.")
@take_over_option
@force_option
def apply(
    target: str,
    only: str | None,
    machine: bool,
    allow_deletes: bool,
    take_over: bool,
    force_credentials: bool,
) -> None:
    """Make the action URLs on the PBX what APP declares. Those of others are left alone.

    What is only created or updated asks nothing; deletes need --allow-deletes, or a yes. What
    replaces something is in place before the old one goes. Stopped anywhere, run it again.
    """
    app = load_app(target)

    def one(label: str) -> tuple[dict[str, Any], int]:
        found = asyncio.run(_plan(app, label, take_over, force_credentials))
        say(machine, render(found))
        deletes, allowed = found.of("delete"), allow_deletes
        if deletes and not allowed and not found.of("blocked"):
            allowed = ask(f"Delete {len(deletes)} action URLs?", "--allow-deletes", found)
            _check_unchanged(found, asyncio.run(_plan(app, label, take_over, force_credentials)))
        result = asyncio.run(_apply(app, found, allowed, machine))
        if made := len(result.receptionists) + len(result.done):
            say(machine, f"{made} changes made and read back.")
        return result_as_json(found, result), 0

    over_pbxs(app, only, machine, one)


@click.command()
@app_argument
@pbx_option
@json_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def destroy(target: str, only: str | None, machine: bool, yes: bool) -> None:
    """Delete all action URLs on the PBX that point to this service."""
    app = load_app(target)

    def one(label: str) -> tuple[dict[str, Any], int]:
        found = asyncio.run(_plan_destroy(app, label))
        say(machine, render(found))
        deletes = found.of("delete")
        if deletes and not yes:
            if not ask(f"Delete {len(deletes)} action URLs?", "--yes", found):
                raise click.Abort
            _check_unchanged(found, asyncio.run(_plan_destroy(app, label)))
        result = asyncio.run(_apply(app, found, True, machine))
        if deletes:
            say(machine, f"{len(result.done)} action URLs deleted.")
        return result_as_json(found, result), 0

    over_pbxs(app, only, machine, one)


@contextmanager
def _errors_exit_with_one(wanted: bool = True) -> Iterator[None]:
    """Where 2 stands for a difference, no error has it."""
    try:
        yield
    except ReceiverError as error:
        if wanted:
            error.exit_code = 1
        raise


def say(machine: bool, text: str) -> None:
    """Print for people; stdout may belong to a program."""
    if not machine:
        click.echo(coloured(text))


def result_as_json(found: Plan, result: Result) -> dict[str, Any]:
    """What was planned, and what was done of it."""
    return {
        "plan": as_json(found),
        "done": [change_as_json(change) for change in result.done],
        "receptionists": [change_as_json(one) for one in result.receptionists],
        "left": [change_as_json(change) for change in result.left],
    }


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody sits there."""
    return stream.isatty()


class Progress:
    """Tells how far a command is: changes as lines, the reading as a counter at a terminal.

    Parameters:
        total: how many changes there will be.
        machine: whether stdout belongs to a program.
    """

    def __init__(self, total: int = 0, machine: bool = False) -> None:
        self._total = total
        self._machine = machine
        self._done = 0

    def reading(self, done: int, all: int) -> None:
        """So many of the IVRs have been read."""
        self._count(f"reading {done} of {all} IVRs", done == all)

    def change(self, change: Change | ReceptionistChange) -> None:
        """This change was made."""
        self._done += 1
        if not self._machine:
            self._wipe()
            click.echo(f"  {SYMBOLS[change.op]} {change} … done")
        self._count(f"{self._done} of {self._total} changes", self._done >= self._total)

    def _count(self, text: str, last: bool) -> None:
        if is_terminal(sys.stderr):
            self._wipe()
            if not last:
                click.echo(text, nl=False, err=True)

    def _wipe(self) -> None:
        if is_terminal(sys.stderr):
            click.echo("\r\x1b[K", nl=False, err=True)


async def _plan(app: Receiver, label: str, take_over: bool = False, certain: bool = False) -> Plan:
    settings = app.settings_for(label).need("public_url")
    async with client(settings) as pbx:
        return await registrar.make_plan(
            pbx,
            app,
            settings.public_url,
            settings.secret,
            settings.epoch,
            take_over=take_over,
            certain=certain,
            look=True,
            receptionists=app.receptionists(label),
            reading=Progress().reading,
            pbx=label,
        )


async def _plan_destroy(app: Receiver, label: str) -> Plan:
    settings = app.settings_for(label).need("public_url")
    async with client(settings) as pbx:
        reading = Progress().reading
        return await registrar.plan_destroy(pbx, settings.public_url, reading, pbx=label)


async def _apply(app: Receiver, found: Plan, allow_deletes: bool, machine: bool) -> Result:
    tell = Progress(len(found.pending), machine).change
    async with client(app.settings_for(found.pbx)) as pbx:
        return await registrar.apply(
            pbx, found, allow_deletes=allow_deletes, progress=tell, hired=tell
        )


def ask(question: str, option: str, shown: Plan) -> bool:
    """A yes at the terminal; what it is about was shown before, or is shown on stderr now.

    Raises:
        RegistrationError: there is no terminal; the text names the option to use instead.
    """
    if not is_terminal(sys.stdin):
        raise RegistrationError(
            f"nothing was changed: {question[0].lower()}{question[1:-1]} needs a yes at a "
            f"terminal, or {option}"
        )
    if not is_terminal(sys.stdout):
        click.echo(render(shown, only_pending=True), err=True)
    return click.confirm(question, err=True)


def _check_unchanged(shown: Plan, now: Plan) -> None:
    """The answer to a question counts for what was shown.

    Raises:
        RegistrationError: the PBX was changed while the question stood there.
    """
    if (shown.changes, shown.receptionists) != (now.changes, now.receptionists):
        raise RegistrationError(
            "nothing was changed: somebody changed the PBX while the question stood here; run the "
            "same command again and look at the new plan"
        )
