"""``receiver dial`` and ``receiver curl``: ask an action without a PBX."""

from __future__ import annotations

import asyncio
import json
import shlex
from urllib.parse import urlencode

import click

from receiver.actions import Action
from receiver.app import Receiver
from receiver.apps import place
from receiver.cli.common import app_argument, load_app
from receiver.cli.stage import set_stage
from receiver.errors import LoadError
from receiver.secrets import derive
from receiver.simulator.line import PhoneCall
from receiver.simulator.trace import Step, render

from_option = click.option(
    "--from", "caller", default="101", show_default=True, help="The caller's number."
)
name_option = click.option("--name", "caller_name", default="", help="The caller's name.")


@click.command()
@app_argument
@click.argument("ivr")
@from_option
@name_option
@click.option("--press", multiple=True, help="Digits to key in; again for each further prompt.")
def dial(target: str, ivr: str, caller: str, caller_name: str, press: tuple[str, ...]) -> None:
    """Call the extension IVR of a simulated PBX on which APP is registered.

    Where APP is for several PBXs, IVR is as in north/8000. Shows what goes over the wire and where
    the call ends. Exits with 1 if a callback failed.
    """
    app = load_app(target)
    call = asyncio.run(_dial(app, ivr, caller, caller_name, press))
    if any(step.outcome.kind == "failed" for step in call.steps):
        raise SystemExit(1)


async def _dial(
    app: Receiver, ivr: str, caller: str, caller_name: str, presses: tuple[str, ...]
) -> PhoneCall:
    label, number = place(app, ivr)
    async with set_stage(app, label) as stage:
        await stage.apply()
        call = await stage.line.dial(number, caller=caller, caller_name=caller_name)
        for step in call.steps:
            show(step)
        for digits in presses:
            if call.ended:
                click.echo(f"the call has ended: {len(digits)} more keys are not heard")
                break
            before = len(call.steps)
            await call.press(digits)
            for step in call.steps[before:]:
                show(step)
        return call


def show(step: Step) -> None:
    """Print what happened, the ending in colour."""
    if step.trigger == "arrival" and step.action is None and not step.rule:
        click.secho("the call arrives, the IVR plays its prompt", dim=True)
        return
    *lines, ending = render(step)
    for line in lines:
        click.echo(click.style(line, dim=line.startswith("  ")))
    click.secho(ending, fg="red" if step.outcome.kind == "failed" else "green")


@click.command()
@app_argument
@click.argument("name")
@from_option
@name_option
@click.option("--press", default=None, help="The digits keyed in; by default some that match.")
def curl(target: str, name: str, caller: str, caller_name: str, press: str | None) -> None:
    """Print the curl command that imitates the PBX for the action NAME (or IVR/NAME).

    It holds the credentials of that action: treat it like a password.
    """
    app = load_app(target)
    action = _find(app, name)
    digits = press if press is not None else action.mask.example if action.kind == "DTMF" else ""
    click.echo(shlex.join(_command(app, action, caller, caller_name, digits)))


def _find(app: Receiver, name: str) -> Action:
    found = [action for action in app if name in (action.name, action.identity)]
    if len(found) == 1:
        return found[0]
    there = ", ".join(action.identity for action in found or app)
    raise LoadError(f"{name!r} names {len(found)} actions; choose one of {there}")


def _command(
    app: Receiver, action: Action, caller: str, caller_name: str, digits: str
) -> list[str]:
    fields = {
        "session_id": "12345678",
        "from": caller,
        "to": action.ivr,
        "input": digits,
        "from_name": caller_name,
        "account_name": "Sales",
    }
    known = derive(app.settings.secret, action.identity, app.settings.epoch)
    login = f"{known.username}:{known.password.reveal()}"
    how = {
        "bearer": ["-H", f"Authorization: Bearer {known.token.reveal()}"],
        "basic": ["--basic", "-u", login],
        "digest": ["--digest", "-u", login],
        None: [],
    }[action.auth]
    headers = [
        part
        for key, value in action.sent_headers(known.key).items()
        for part in ("-H", f"{key}: {value}")
    ]
    url = action.url(app.settings_for(action.pbx).public_url or "http://127.0.0.1:8000")
    command = ["curl", "--max-time", str(action.request_timeout), *how, *headers]
    if action.method == "GET":
        return [*command, f"{url}?{urlencode(fields, errors='replace')}"]
    body = json.dumps(fields)
    return [*command, "-H", "Content-Type: application/json", "-d", body, url]
