"""``receiver simulate``: the simulated PBX alone, for any client of its REST API.

Rule 1: every option has the default of `receiver.simulator.behaviour.Behaviour`.
Rule 2: what is wrong with the options is said before anything listens.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import Any, TypeVar, get_args, get_type_hints

import click

from receiver.errors import SettingsError
from receiver.secrets import Secret
from receiver.serving import server as serving
from receiver.simulator.api import make_api
from receiver.simulator.behaviour import Behaviour
from receiver.simulator.faults import Faults, Mishap
from receiver.simulator.logins import Account
from receiver.simulator.model import Pbx
from receiver.simulator.schema import Fault

F = TypeVar("F", bound=Callable[..., Any])

_DEFAULT = Behaviour()
_TYPES = get_type_hints(Behaviour)


def _switch(name: str, text: str, flag: str = "") -> Callable[[F], F]:
    """The option for a switch of the behaviour that has a choice of values."""
    values = [str(value) for value in get_args(_TYPES[name])]
    return click.option(
        flag or f"--{name}",
        name,
        type=click.Choice(values),
        default=str(getattr(_DEFAULT, name)),
        show_default=True,
        help=text,
    )


def _number(name: str, text: str, low: int, flag: str = "") -> Callable[[F], F]:
    """The option for a switch of the behaviour that is a number."""
    return click.option(
        flag or f"--{name}",
        name,
        type=click.IntRange(low),
        default=getattr(_DEFAULT, name),
        show_default=True,
        help=text,
    )


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8887, show_default=True, type=click.IntRange(0, 65535))
@click.option("--token", default="", help="An access token that is always good.")
@click.option("--username", default="", help="An account that may sign in.")
@click.option("--password", default="", help="Its password.")
@click.option("--domain", default="", help="Its tenant; none for a system administrator.")
@click.option("--ivr", "ivrs", multiple=True, help="An IVR to begin with: 8000 or 8000=Sales.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    help='Such as "POST /ivrs/*/action_urls 2 cut-after"; ** is any path.',
)
@_switch("version", "The release whose API it has.")
@_switch("blanks", "How fields without a value are given.")
@_switch("secrets", "How passwords, tokens and PINs are given.")
@_switch("ids", "What ids look like.")
@_switch("skip_origin", "The number of the first item for skip.", "--skip-origin")
@_switch("update", "Whether an update leaves the rest alone.")
@_switch("digests", "The form of an upload's digest.")
@_switch("created", "The status of a create.")
@_switch("appended", "The status of a chunk of an upload.")
@_switch("destroyed", "The status of a destroy.")
@_number("token_life", "Seconds for which an access token is good.", 1, "--token-life")
@_number("rate", "Requests answered in a minute; 0 for all.", 0)
@_number("quota", "IVRs that may be created.", 0)
def simulate(
    host: str,
    port: int,
    token: str,
    username: str,
    password: str,
    domain: str,
    ivrs: tuple[str, ...],
    faults: tuple[str, ...],
    **switches: Any,
) -> None:
    """Serve a simulated PBX, for any client of its REST API.

    Each --fault is METHOD PATH [N|every] KIND: refuse=503, delay=3, delay-after=3, cut-before,
    cut-after, cut-within, or garbage=text (empty, huge, truncated).
    """
    if bool(username) != bool(password):
        raise SettingsError("an account has both: give --username and --password, or neither")
    plan = Faults(*(Mishap.parse(text) for text in faults))
    pbx = _pbx(_behaviour(switches), ivrs)
    accounts = [Account(username, Secret(password), domain)] if username else []
    generated = "" if token or accounts else secrets.token_urlsafe(24)
    api = make_api(pbx, token=token or generated, accounts=accounts, faults=plan)
    for line in _summary(host, port, generated, pbx):
        click.echo(line)
    for name in ("receiver", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.INFO)
    serving.serve(api, host, port)


def _behaviour(switches: dict[str, Any]) -> Behaviour:
    """The behaviour for what the options say: those with a choice of numbers give text."""
    for name, text in switches.items():
        switches[name] = next((v for v in get_args(_TYPES[name]) if str(v) == text), text)
    return Behaviour(**switches)


def _pbx(behaviour: Behaviour, ivrs: tuple[str, ...]) -> Pbx:
    pbx = Pbx(behaviour)
    for text in ivrs:
        number, _, name = text.partition("=")
        data = {"name": name or f"Receptionist {number}", "extension_number": number}
        try:
            pbx.ivrs.create({**data, "enable_pin": False})
        except Fault as fault:
            raise SettingsError(f'--ivr "{text}": {fault.message}') from None
    return pbx


def _summary(host: str, port: int, generated: str, pbx: Pbx) -> list[str]:
    """What a client needs to know; a port that is still to be chosen stands in the log."""
    address = f"[{host}]" if ":" in host else host
    lines = [f"RECEIVER_PBX_URL=http://{address}:{port}"] if port else []
    if generated:
        lines.append(f"RECEIVER_PBX_TOKEN={generated}  # generated, good until this ends")
    behaviour = pbx.behaviour
    numbers = ", ".join(ivr["extension_number"] for ivr in pbx.ivrs) or "none"
    return [*lines, f"A simulated PBX {behaviour.version}, tenant {pbx.tenant}, IVRs: {numbers}"]
