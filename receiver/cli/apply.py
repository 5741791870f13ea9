"""``receiver apply`` and ``destroy``: change the action URLs on the PBX."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import click

from receiver.app import Receiver
from receiver.cli.common import (
    app_argument,
    client,
    complete_path,
    force_option,
    json_option,
    load_app,
    moved_option,
    take_over_events_option,
    take_over_option,
    unchecked_option,
)
from receiver.cli.each_pbx import over_pbxs, pbx_option, registration_settings
from receiver.cli.exit_status import DELETES_LEFT
from receiver.cli.plan import make_plan
from receiver.cli.progress import Progress, result_as_json, say, status_of, tell_left
from receiver.cli.progress_bar import is_terminal, progress_bar
from receiver.errors import LoadError, ReceiverError, RegistrationError, SettingsError
from receiver.registration import acceptance, plan_file, registrar
from receiver.registration.changes import Plan
from receiver.registration.event_urls import desired_event_state
from receiver.registration.ownership import owner_mark
from receiver.registration.plan_file import PlanFile, PlanOptions
from receiver.registration.probe import protocol_at
from receiver.registration.registrar import Result
from receiver.registration.render import reasons, render, what
from receiver.settings import Settings
from receiver.text import counted


@click.command()
@click.argument("target", metavar="APP|FILE", shell_complete=complete_path)
@pbx_option
@json_option
@click.option(
    "--allow-deletes",
    is_flag=True,
    help="Delete action URLs of this service that are not declared.",
)
@take_over_option
@take_over_events_option
@moved_option
@force_option
@unchecked_option
def apply(
    target: str,
    only: str | None,
    machine: bool,
    allow_deletes: bool,
    take_over: bool,
    take_over_events: bool,
    former: str,
    force_credentials: bool,
    unchecked: bool,
) -> None:
    """Create, update and delete action URLs on the PBX as APP declares; unmanaged ones stay.

    Before credentials or URLs change, the running service is tested at its public URL; if it does
    not accept them, nothing is changed. Creates and updates need no confirmation; deletes need
    --allow-deletes, or a yes. A replacement is created before the old action URL is deleted. Where
    handlers of events are declared, the tenant's event URL is set too. If apply is interrupted, run
    it again.

    FILE is a plan that receiver plan --out wrote. Exactly its changes are made, deletes included,
    without a question. If the PBX, declarations or settings have changed since, or the file was
    edited, nothing is done. Only the options --json and --unchecked are accepted with it.
    """
    options = PlanOptions(take_over, force_credentials, former, take_over_events)
    if plan_file.is_possible(Path(target)) and os.path.isfile(target):
        if only is not None or allow_deletes or options != PlanOptions():
            raise SettingsError(f"{target} is a plan: it accepts only --json and --unchecked")
        _apply_file(target, machine, unchecked)
        return
    app = load_app(target)

    def one(label: str) -> tuple[dict[str, Any], int]:
        found = make_plan(app, label, options)
        say(machine, render(found))
        _check(app, found, unchecked)
        allowed, interactive = allow_deletes, is_terminal(sys.stdin)
        if found.each("delete") and not allowed and interactive and not found.each("blocked"):
            allowed = confirm_plan(_question(found), "--allow-deletes", found)
            _check_unchanged(found, make_plan(app, label, options))
        result = _apply(app, found, allowed, machine)
        _report(result, target, former, machine)
        left = DELETES_LEFT if result.left and not interactive else 0
        return result_as_json(found, result), status_of(found, left)

    over_pbxs(app, only, machine, one)


def _question(found: Plan) -> str:
    return f"Delete {what(found.each('delete'))}?"


def _apply_file(name: str, machine: bool, unchecked: bool) -> None:
    """Make the changes of a saved plan; nothing, unless those of all its PBXs can be made.

    Raises:
        LoadError: the file is not a plan.
        RegistrationError: a plan is no longer the current one; nothing was done.
    """
    try:
        content = plan_file.decode(Path(name).read_bytes(), name)
    except OSError as error:
        raise LoadError(f"{name} cannot be read: {error.strerror}") from None
    plan_file.check_seal(content, Settings.read().secret)
    saved = {one.pbx: one for one in content.plans}
    app = load_app(content.app)
    if len(saved) != 1 and set(saved) != set(app.pbxs):
        raise RegistrationError("nothing was done: the app now declares IVRs on other PBXs")

    only = next(iter(saved)) if len(saved) == 1 else None
    plans = _current(app, content, unchecked)

    def one(label: str) -> tuple[dict[str, Any], int]:
        found = plans[label]
        say(machine, render(found, only_pending=True))
        result = _apply(app, found, True, machine)
        _report(result, content.app, content.options.moved_from, machine)
        return result_as_json(found, result), status_of(found, 0)

    over_pbxs(app, only, machine, one)


def _current(app: Receiver, content: PlanFile, unchecked: bool) -> dict[str, Plan]:
    """Return the current plan of each PBX: the saved one, whose credentials the service accepts.

    Raises:
        RegistrationError: one of them is not.
        ReceiverError: see `receiver.cli.plan.make_plan`.
    """
    plans, refused = dict[str, Plan](), list[str]()
    for saved in content.plans:
        try:
            found = make_plan(app, saved.pbx, content.options)
            plan_file.check(saved, found, app.settings.secret)
            _check(app, found, unchecked)
            plans[saved.pbx] = found
        except ReceiverError as error:
            if len(content.plans) == 1:
                raise
            refused.append(f"PBX {saved.pbx or 'without a label'}: {error}")
    if refused:
        raise RegistrationError("\n".join(("nothing was done at any PBX:", *refused)))
    return plans


@click.command()
@app_argument
@pbx_option
@json_option
@moved_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def destroy(target: str, only: str | None, machine: bool, former: str, yes: bool) -> None:
    """Delete all action URLs that point to this service, and disable its event URL."""
    app = load_app(target)

    def one(label: str) -> tuple[dict[str, Any], int]:
        found = asyncio.run(_plan_destroy(app, label, former))
        say(machine, render(found))
        deletes = found.each("delete")
        if deletes and not yes:
            if not confirm_plan(_question(found), "--yes", found):
                raise click.Abort
            _check_unchanged(found, asyncio.run(_plan_destroy(app, label, former)))
        result = _apply(app, found, True, machine)
        if deletes:
            say(machine, f"{what(result.done)} deleted.")
        left = [change for change in found.each("unmanaged") if change.reason]
        if left:
            click.echo(f"Error: {what(left)} left: {reasons(left)}", err=True)
        return result_as_json(found, result), 1 if left else 0

    over_pbxs(app, only, machine, one)


def _check(app: Receiver, found: Plan, unchecked: bool) -> None:
    """Test whether the service accepts the credentials of the plan, unless nothing is to be sent.

    Raises:
        RegistrationError: it does not.
    """
    if unchecked or found.each("blocked"):
        return
    settings, epoch = app.settings_for(found.pbx), app.settings.epoch
    with progress_bar("action URLs probed") as progress:
        asyncio.run(
            acceptance.check(found, settings.secret, epoch, protocol=protocol_at, progress=progress)
        )


async def _plan_destroy(app: Receiver, label: str, former: str) -> Plan:
    settings = registration_settings(app, label)
    with progress_bar("reading IVRs") as reading:
        async with client(settings) as pbx:
            return await registrar.plan_destroy(
                pbx,
                settings.public_url,
                reading,
                pbx=label,
                owner=owner_mark(settings.secret, label),
                former=former,
                event_url=desired_event_state(
                    None,
                    settings.public_url,
                    settings.secret,
                    settings.epoch,
                    pbx=label,
                    former=former,
                ),
            )


def _apply(app: Receiver, found: Plan, allow_deletes: bool, machine: bool) -> Result:
    undone = found.each("missing") if allow_deletes else found.each("missing", "delete")
    shown = Progress(len(found.pending) - len(undone), machine)

    async def work() -> Result:
        tell = shown.change
        async with client(app.settings_for(found.pbx)) as pbx:
            return await registrar.apply(pbx, found, allow_deletes=allow_deletes, progress=tell)

    return shown.run(work())


def _report(result: Result, target: str, former: str, machine: bool) -> None:
    if made := len(result.done):
        say(machine, f"{counted(made, 'change')} made and read back.")
    if result.left:
        tell_left(result, target, former)


def confirm_plan(question: str, option: str, shown: Plan) -> bool:
    """A yes at the terminal; what it is about was shown before, or is shown on stderr now.

    Raises:
        SettingsError: there is no terminal; the text names the option to use instead.
    """
    if not is_terminal(sys.stdin):
        raise SettingsError(
            f"nothing was changed: {question[0].lower()}{question[1:-1]} needs a yes at a "
            f"terminal, or {option}"
        )
    if not is_terminal(sys.stdout):
        click.echo(render(shown, only_pending=True), err=True)
    return click.confirm(question, err=True)


def _check_unchanged(shown: Plan, now: Plan) -> None:
    """Check that the confirmed plan is still the current one.

    Raises:
        RegistrationError: the PBX was changed meanwhile.
    """
    if shown.all != now.all:
        raise RegistrationError(
            "nothing was done: the PBX was changed while this command waited for the answer; run "
            "the same command again and look at the new plan"
        )
