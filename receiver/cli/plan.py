"""``receiver plan`` and ``drift``: what would change on the PBX."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from receiver.app import Receiver
from receiver.cli.common import (
    app_argument,
    client,
    force_option,
    json_option,
    load_app,
    moved_option,
    take_over_events_option,
    take_over_option,
    write_file,
)
from receiver.cli.each_pbx import chosen, over_pbxs, pbx_option, registration_settings
from receiver.cli.exit_status import FINDING
from receiver.cli.progress import say, status_of
from receiver.cli.progress_bar import progress_bar
from receiver.console.registration_state import read_plan
from receiver.errors import ReceiverError, SettingsError
from receiver.registration import plan_file
from receiver.registration.changes import Plan
from receiver.registration.plan_file import PlanFile, PlanOptions, SavedPlan
from receiver.registration.render import as_json, render
from receiver.registration.voices import Voices
from receiver.settings import Settings

_ERROR = 2
"""Exit status of an error where 1 is a difference, as for diff(1)."""


@click.command()
@app_argument
@pbx_option
@json_option
@click.option(
    "--exit-code",
    is_flag=True,
    help="Exit with 1 if something is to be changed, with 2 on any error.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the plan to FILE too; receiver apply FILE makes exactly these changes.",
)
@take_over_option
@take_over_events_option
@moved_option
@force_option
def plan(
    target: str,
    only: str | None,
    machine: bool,
    exit_code: bool,
    out: Path | None,
    take_over: bool,
    take_over_events: bool,
    former: str,
    force_credentials: bool,
) -> None:
    """Show what apply would change on the PBX; nothing is changed.

    Warnings name numbers that may not have the intended effect, each with an example. With --out,
    the plan can be reviewed before receiver apply FILE makes its changes. The file contains no
    secrets; it is for this RECEIVER_SECRET only.
    """
    if out is not None and not plan_file.is_possible(out):
        raise SettingsError(
            f"--out {out}: this could be the name of an app; use a name such as changes.plan"
        )
    options = PlanOptions(take_over, force_credentials, former, take_over_events)
    saved: list[SavedPlan] = []

    def one(label: str) -> tuple[dict[str, Any], int]:
        with _errors_exit_with_two(exit_code):
            found = make_plan(app, label, options)
        say(machine, render(found))
        if out is not None:
            saved.append(plan_file.save(found, app.settings.secret))
        return as_json(found), status_of(found, FINDING if exit_code and found.pending else 0)

    app = load_app(target)
    try:
        over_pbxs(app, only, machine, one)
    finally:
        if out is not None and len(saved) == len(chosen(app, only)):
            seal = plan_file.seal(target, Settings.read().secret)
            content = PlanFile(target, options.saved, tuple(saved), seal)
            write_file(out, plan_file.encode(content), option="--out")
            say(machine, f"Saved. To make these changes: receiver apply {out}")


@click.command()
@app_argument
@pbx_option
@json_option
def drift(target: str, only: str | None, machine: bool) -> None:
    """Show only what differs from APP on the PBX: plan --exit-code without the rest."""

    def one(label: str) -> tuple[dict[str, Any], int]:
        with _errors_exit_with_two():
            found = make_plan(app, label, PlanOptions(), speaks=False)
        say(machine, render(found, only_pending=True))
        status = status_of(found, FINDING if found.pending else 0)
        return as_json(found, only_pending=True), status

    app = load_app(target)
    over_pbxs(app, only, machine, one)


@contextmanager
def _errors_exit_with_two(wanted: bool = True) -> Iterator[None]:
    """Turn the exit status 1 of an error into 2, because 1 means a difference."""
    try:
        yield
    except ReceiverError as error:
        if wanted:
            error.exit_code = _ERROR
        raise


def make_plan(app: Receiver, label: str, options: PlanOptions, *, speaks: bool = True) -> Plan:
    """Read the PBX with this label and return the plan for it; progress is shown on a terminal.

    ``speaks``: False makes no recordings of spoken prompts, so the plan cannot be applied.

    Raises:
        ReceiverError: see `receiver.registration.registrar.make_plan`.
    """
    settings = registration_settings(app, label)
    speak = Voices(settings).speak if speaks else None

    async def work() -> Plan:
        with progress_bar("reading IVRs") as reading:
            async with client(settings) as pbx:
                return await read_plan(
                    pbx, app, settings, label, options, look=True, reading=reading, speak=speak
                )

    return asyncio.run(work())
