"""``receiver curl``: the callback of the PBX as a curl command."""

from __future__ import annotations

import json
import secrets
import shlex
from urllib.parse import urlencode

import click

from receiver.app import Receiver
from receiver.calls import Call
from receiver.cli.common import app_argument, load_app
from receiver.cli.dial import name_option
from receiver.credentials import derive
from receiver.declarations.actions import Action
from receiver.errors import LoadError
from receiver.text import short


@click.command()
@app_argument
@click.argument("name")
@click.option("--caller", default="101", show_default=True, help="The caller's number.")
@name_option
@click.option("--digits", default=None, help="The digits keyed in; by default matching ones.")
@click.option("--session", default=None, help="The id of the call; by default a random one.")
def curl(
    target: str,
    name: str,
    caller: str,
    caller_name: str,
    digits: str | None,
    session: str | None,
) -> None:
    """Print a curl command that sends the PBX's callback for the action NAME (or IVR/NAME).

    The command contains the credentials of the action: treat it like a password. Requests with one
    --session belong to one call, whose session (call.session()) they share.
    """
    app = load_app(target)
    action = _find(app, name)
    call = Call(
        caller=caller,
        caller_name=caller_name,
        ivr=action.ivr,
        ivr_name="Sales",
        digits=_digits(action) if digits is None else digits,
        session_id=str(secrets.randbelow(10**18)) if session is None else session,
    )
    click.echo(shlex.join(_command(app, action, call)))


def _digits(action: Action) -> str:
    """Return digits that the PBX would send to the action."""
    return action.mask.example if action.kind == "DTMF" else ""


def _find(app: Receiver, name: str) -> Action:
    found = [action for action in app if name in (action.name, action.identity)]
    if len(found) == 1:
        return found[0]
    choices = ", ".join(action.identity for action in found or app)
    if not choices:
        raise LoadError("this app declares no action")
    problem = "is the name of several actions" if found else "is the name of no action"
    raise LoadError(f"{short(name)!r} {problem}: choose one of {choices}")


def _command(app: Receiver, action: Action, call: Call) -> list[str]:
    fields = {
        "session_id": call.session_id,
        "from": call.caller,
        "to": call.ivr,
        "input": call.digits,
        "from_name": call.caller_name,
        "account_name": call.ivr_name,
    }
    known = derive(app.settings.secret, action.identity, app.settings.epoch)
    login = f"{known.username}:{known.password.reveal()}"
    credentials = {
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
    command = ["curl", "--max-time", str(action.request_timeout), *credentials, *headers]
    if action.method == "GET":
        return [*command, f"{url}?{urlencode(fields, errors='replace')}"]
    body = json.dumps(fields)
    return [*command, "-H", "Content-Type: application/json", "-d", body, url]
