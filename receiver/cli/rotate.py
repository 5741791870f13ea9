"""``receiver rotate``: new credentials for all action URLs, while calls continue."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from receiver.app import Receiver
from receiver.cli.common import (
    app_argument,
    client,
    coloured,
    json_option,
    load_app,
    unchecked_option,
)
from receiver.cli.each_pbx import over_pbxs, pbx_option, registration_settings
from receiver.cli.progress import Progress, result_as_json, say, status_of
from receiver.cli.progress_bar import progress_bar
from receiver.registration import acceptance, rotation
from receiver.registration.changes import Plan
from receiver.registration.probe import protocol_at
from receiver.registration.registrar import Result
from receiver.registration.render import render, what


@click.command()
@app_argument
@pbx_option
@json_option
@click.option("--finish", is_flag=True, help="Check that all are moved; print the next step.")
@unchecked_option
def rotate(target: str, only: str | None, machine: bool, finish: bool, unchecked: bool) -> None:
    """Give all action URLs of APP new credentials, with no call refused.

    A service with RECEIVER_EPOCH=n (1 by default) accepts the credentials of epochs n and n+1.

    \b
    1. receiver rotate APP            moves the PBX from n to n+1; if interrupted, run it again
    2. receiver rotate APP --finish   checks that every action URL has n+1
    3. set RECEIVER_EPOCH=n+1 for the service and for this command, restart the service:
       from then on the credentials of n are refused.

    Before anything is changed the service is tested, at its public URL, with n+1.
    """
    app = load_app(target)

    def one(label: str) -> tuple[dict[str, Any], int]:
        epoch = app.settings.epoch + 1
        found = asyncio.run(_plan(app, label, finish, unchecked, machine))
        progress = Progress(len(found.each("update")), machine)
        result = progress.run(_rotate(app, found, finish, progress))
        moved, all = len(result.done), found.each("update", "unchanged")
        if finish:
            say(
                machine,
                f"{what(all)} checked: all have the credentials of epoch {epoch}.",
            )
        else:
            of = f"{len(all)} ({what(all)})" if found.event_urls else what(all)
            say(machine, f"{moved} of {of} moved, all are now at epoch {epoch}.")
        data = {"epoch": epoch, "finished": finish, **result_as_json(found, result)}
        return data, status_of(found, 0)

    over_pbxs(app, only, machine, one)
    say(machine, _next(app, only, target, app.settings.epoch + 1, finish))


def _next(app: Receiver, only: str | None, target: str, epoch: int, finish: bool) -> str:
    """Return the next step after a success; all PBXs of an app have one epoch."""
    if not finish:
        return f"Then: receiver rotate {target} --finish"
    others = [label or '""' for label in app.pbxs if only not in (None, label)]
    before = f", once --finish ended well for the PBXs {', '.join(others)} too," if others else ""
    return (
        f"Now{before} set RECEIVER_EPOCH={epoch} for the service and for this command, and restart "
        f"the service: the credentials of epoch {epoch - 1} are then refused."
    )


async def _plan(app: Receiver, label: str, finish: bool, unchecked: bool, machine: bool) -> Plan:
    settings = registration_settings(app, label)
    async with client(settings) as pbx:
        found = await rotation.plan_rotation(
            pbx,
            app,
            settings.public_url,
            settings.secret,
            settings.epoch,
            Progress().reading,
            pbx=label,
            events=app.event_endpoint(label),
        )
        if not machine and not finish:
            click.echo(coloured(render(found, only_pending=True)))
        if found.pending and not unchecked:
            with progress_bar("action URLs probed") as progress:
                await acceptance.check(
                    found,
                    settings.secret,
                    settings.epoch,
                    protocol=protocol_at,
                    progress=progress,
                )
        return found


async def _rotate(app: Receiver, found: Plan, finish: bool, progress: Progress) -> Result:
    work = rotation.finish if finish else rotation.rotate
    async with client(app.settings_for(found.pbx)) as pbx:
        return await work(pbx, found, progress.change)
