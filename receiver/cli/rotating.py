"""``receiver rotate``: new credentials for all action URLs, while calls go on."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from receiver.app import Receiver
from receiver.cli.common import app_argument, client, coloured, load_app
from receiver.cli.registering import Progress, json_option, result_as_json, say
from receiver.cli.several import over_pbxs, pbx_option
from receiver.errors import RegistrationError
from receiver.registration import rotation
from receiver.registration.plans import Plan
from receiver.registration.printout import render
from receiver.registration.probing import Finding
from receiver.registration.registrar import Result


@click.command()
@app_argument
@pbx_option
@json_option
@click.option("--finish", is_flag=True, help="Make sure that all are moved; say how to go on.")
@click.option(
    "--unchecked", is_flag=True, help="Do not ask the service first; it is not reachable from here."
)
def rotate(target: str, only: str | None, machine: bool, finish: bool, unchecked: bool) -> None:
    """Give all action URLs of APP new credentials, with no call refused.

    A service with RECEIVER_EPOCH=n (1 by default) accepts the credentials of epochs n and n+1.

    \b
    1. receiver rotate APP            moves the PBX from n to n+1; stopped anywhere, run it again
    2. receiver rotate APP --finish   makes sure that every action URL has n+1
    3. set RECEIVER_EPOCH=n+1 for the service and for this command, restart the service:
       from then on the credentials of n are refused.

    Before anything is changed the service is asked, at its public URL, whether it accepts n+1.
    """
    app = load_app(target)
    epoch = app.settings.epoch + 1

    def one(label: str) -> tuple[dict[str, Any], int]:
        found, result = asyncio.run(_rotate(app, label, finish, unchecked, machine))
        moved, all = len(result.done), len(found.changes)
        if finish:
            say(machine, f"All {all} action URLs have the credentials of epoch {epoch}.")
        else:
            say(machine, f"{moved} of {all} action URLs moved, all are now at epoch {epoch}.")
        return {"epoch": epoch, "finished": finish, **result_as_json(found, result)}, 0

    over_pbxs(app, only, machine, one)
    say(machine, _next(app, only, target, epoch, finish))


def _next(app: Receiver, only: str | None, target: str, epoch: int, finish: bool) -> str:
    """What to do now that all went well; the epoch is one for all PBXs of an app."""
    if not finish:
        return f"Then: receiver rotate {target} --finish"
    others = [label or '""' for label in app.pbxs if only not in (None, label)]
    before = f", once --finish ended well for the PBXs {', '.join(others)} too," if others else ""
    return (
        f"Now{before} set RECEIVER_EPOCH={epoch} for the service and for this command, and restart "
        f"the service: the credentials of epoch {epoch - 1} are then refused."
    )


async def _rotate(
    app: Receiver, label: str, finish: bool, unchecked: bool, machine: bool
) -> tuple[Plan, Result]:
    settings = app.settings_for(label).need("public_url")
    async with client(settings) as pbx:
        found = await rotation.plan_rotation(
            pbx,
            app,
            settings.public_url,
            settings.secret,
            settings.epoch,
            Progress().reading,
            pbx=label,
        )
        if not machine and not finish:
            click.echo(coloured(render(found, only_pending=True)))
        if found.pending and not unchecked:
            _check(await rotation.ask_service(found, settings.secret))
        progress = Progress(len(found.pending), machine).change
        work = rotation.finish if finish else rotation.rotate
        return found, await work(pbx, found, progress)


def _check(finding: Finding | None) -> None:
    """Nothing is moved to what the service would refuse.

    Raises:
        RegistrationError: the service refuses it, or cannot be asked.
    """
    if finding is not None and finding.level == "fault":
        raise RegistrationError(
            f"nothing was rotated, for {finding.subject} with its new credentials: {finding.text}; "
            f"{finding.cure}. If the service cannot be reached from here: --unchecked"
        )
