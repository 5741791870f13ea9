"""``receiver rotate``: new credentials for all action URLs, while calls go on."""

from __future__ import annotations

import asyncio
import json

import click

from receiver import rotation
from receiver.app import Receiver
from receiver.cli.common import app_argument, client, coloured, load_app
from receiver.cli.registering import Progress, json_option, result_as_json
from receiver.errors import RegistrationError
from receiver.plans import Plan
from receiver.printout import render
from receiver.probing import Finding
from receiver.registration import Result


@click.command()
@app_argument
@json_option
@click.option("--finish", is_flag=True, help="Make sure that all are moved; say how to go on.")
@click.option(
    "--unchecked", is_flag=True, help="Do not ask the service first; it is not reachable from here."
)
def rotate(target: str, machine: bool, finish: bool, unchecked: bool) -> None:
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
    found, result = asyncio.run(_rotate(app, finish, unchecked, machine))
    epoch = app.settings.epoch + 1
    if machine:
        more = {"epoch": epoch, "finished": finish}
        click.echo(json.dumps({**more, **result_as_json(found, result)}, indent=2))
    elif finish:
        click.echo(f"All {len(found.changes)} action URLs have the credentials of epoch {epoch}.")
        click.echo(
            f"Now set RECEIVER_EPOCH={epoch} for the service and for this command, and restart "
            f"the service: the credentials of epoch {epoch - 1} are then refused."
        )
    else:
        click.echo(f"{len(result.done)} of {len(found.changes)} action URLs moved, all are now at")
        click.echo(f"epoch {epoch}. Then: receiver rotate {target} --finish")


async def _rotate(
    app: Receiver, finish: bool, unchecked: bool, machine: bool
) -> tuple[Plan, Result]:
    settings = app.settings.need("public_url")
    async with client(settings) as pbx:
        found = await rotation.plan_rotation(
            pbx,
            app,
            settings.public_url,
            settings.secret,
            settings.epoch,
            Progress().reading,
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
