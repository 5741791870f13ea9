"""The output of a command that changes a PBX: text, changes as they are made, the result."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

import click

from receiver.cli import exit_status
from receiver.cli.common import coloured
from receiver.cli.progress_bar import ProgressBar
from receiver.registration.changes import SYMBOLS, Change, Plan, Resource
from receiver.registration.registrar import Result
from receiver.registration.render import as_json, change_as_json, listed, named, reasons, what
from receiver.registration.urls import parse

T = TypeVar("T")


def say(machine: bool, text: str) -> None:
    """Print a text, unless stdout is for a program."""
    if not machine:
        click.echo(coloured(text))


class Progress:
    """Prints the progress of a command: changes as lines, and a progress bar at a terminal.

    Parameters:
        total: the number of changes; 0 if it is not known.
        machine: whether stdout is for a program.
    """

    def __init__(self, total: int = 0, machine: bool = False) -> None:
        self._total = total
        self._machine = machine
        self._done: list[Change[Resource]] = []
        self._reading = ProgressBar("reading IVRs")
        self._changes = ProgressBar("changes made")

    def reading(self, done: int, all: int) -> None:
        """Show how many of the IVRs have been read."""
        self._show(self._reading, done, all)

    def change(self, change: Change[Resource]) -> None:
        """Print that a change was made."""
        self._done.append(change)
        if not self._machine:
            self._changes.clear()
            click.echo(f"  {SYMBOLS[change.op]} {change} … done")
        self._show(self._changes, len(self._done), self._total)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work``, which makes changes; after SIGINT or SIGTERM print which were made.

        Raises:
            Exit: it was interrupted; nothing is done at further PBXs either.
        """
        try:
            return asyncio.run(_until_sigterm(work))
        except KeyboardInterrupt:
            status = exit_status.INTERRUPTED
        except asyncio.CancelledError:
            status = exit_status.TERMINATED
        finally:
            self._reading.clear()
            self._changes.clear()
        of = f" of {self._total}" if self._total else ""
        done = f" ({listed(self._done)})" if self._done else ""
        click.echo(
            f"Interrupted after {len(self._done)}{of} changes{done}; the request in progress may "
            "have taken effect. Run the same command again to make the remaining changes.",
            err=True,
        )
        raise click.exceptions.Exit(status)

    def _show(self, bar: ProgressBar, done: int, total: int) -> None:
        if done >= total:
            bar.clear()
        else:
            bar.show(done, total)


async def _until_sigterm(work: Coroutine[Any, Any, T]) -> T:
    """Await ``work``; SIGTERM cancels it, as SIGINT does in `asyncio.run`."""
    task = asyncio.ensure_future(work)
    with contextlib.suppress(RuntimeError):  # Windows, or not the main thread
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


# the result -----------------------------------------------------------------------------------


def status_of(found: Plan, status: int) -> int:
    """Return the exit status of a command without errors: 1 if an IVR is missing."""
    missing = found.of("missing")
    if missing:
        click.echo(f"Error: {reasons(missing)}", err=True)
    return 1 if missing else status


def tell_left(result: Result, target: str, former: str) -> None:
    """Print the deletes that are left, and the command that makes them.

    Parameters:
        result: of an apply.
        target: names the app, as on the command line.
        former: the public URL that the service had before; empty if it has not moved.
    """
    # Without the option they would be unmanaged; `parse` removes user name and password.
    moved = f" --moved-from {shlex.quote(str(parse(former)))}" if former else ""
    click.echo(
        f"Left on the PBX: {what(result.left)} of this service to be deleted "
        f"({named(result.left)}); receiver apply {target}{moved} --allow-deletes deletes them.",
        err=True,
    )


def result_as_json(found: Plan, result: Result) -> dict[str, Any]:
    """Return the planned changes, and those that were made."""
    return {
        "plan": as_json(found),
        "done": [change_as_json(change) for change in result.done],
        "left": [change_as_json(change) for change in result.left],
    }
