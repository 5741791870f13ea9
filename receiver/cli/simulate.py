"""``receiver simulate``: the simulated PBX alone, for any client of its REST API.

Rule 1: every option has the default of `receiver.simulator.behaviour.Behaviour`.
Rule 2: errors in the options are reported before the port is opened.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import Any, TypeVar, get_args, get_type_hints

import click
from starlette.types import ASGIApp

from receiver.credentials import Secret
from receiver.errors import SettingsError
from receiver.server.sockets import bind, url_of
from receiver.server.uvicorn_server import Server, configure, serve_on
from receiver.simulator.api import make_api
from receiver.simulator.behaviour import Behaviour
from receiver.simulator.fault_plan import FaultPlan, PlannedFault
from receiver.simulator.logins import Account
from receiver.simulator.model import Pbx
from receiver.simulator.validation import ApiError

F = TypeVar("F", bound=Callable[..., Any])

_DEFAULT = Behaviour()
_TYPES = get_type_hints(Behaviour)


def _switch(name: str, text: str, flag: str = "") -> Callable[[F], F]:
    """Return the option for a switch of the behaviour with a choice of values."""
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
    """Return the option for a switch of the behaviour that is a number."""
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
@click.option("--token", default="", help="An access token that never expires.")
@click.option("--username", default="", help="The user name of an account that can sign in.")
@click.option("--password", default="", help="Its password.")
@click.option("--domain", default="", help="Its SIP domain; empty for a system administrator.")
@click.option("--ivr", "ivrs", multiple=True, help="An IVR to create: 8000 or 8000=Sales.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    help='Such as "POST /ivrs/*/action_urls 2 cut-after"; ** is any path.',
)
@_switch("version", "The release of the API.")
@_switch("blanks", "How fields without a value are returned.")
@_switch("nulls", "How null in a request is treated.")
@_switch("secrets", "How passwords, tokens and PINs are returned.")
@_switch("ids", "The form of ids.")
@_switch("skip_origin", "The number of the first item for skip.", "--skip-origin")
@_switch("update", "Whether an update keeps the fields that it leaves out.")
@_switch("digests", "The form of an upload's digest.")
@_switch("finish_key", "How # after digits is treated.", "--finish-key")
@_switch("created", "The status of a create.")
@_switch("appended", "The status of a chunk of an upload.")
@_switch("destroyed", "The status of a destroy.")
@_number("token_life", "Lifetime of an access token in seconds.", 1, "--token-life")
@_number("rate", "Requests answered per minute; 0 for no limit.", 0)
@_number("quota", "How many IVRs can be created.", 0)
@click.option(
    "--pin-length",
    nargs=2,
    type=click.IntRange(1, 64),
    default=_DEFAULT.pin_length,
    show_default=True,
    metavar="MIN MAX",
    help="Digits of a DISA PIN by the tenant's policy (since 22.3; before that 6 to 10).",
)
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
        raise SettingsError("an account needs both --username and --password")
    if switches["pin_length"][0] > switches["pin_length"][1]:
        raise SettingsError("--pin-length needs the minimum first, as in --pin-length 4 10")
    plan = FaultPlan(*(PlannedFault.parse(text) for text in faults))
    pbx = _pbx(_behaviour(switches), ivrs)
    accounts = [Account(username, Secret(password), domain)] if username else []
    generated = "" if token or accounts else secrets.token_urlsafe(24)
    api = make_api(pbx, token=token or generated, accounts=accounts, faults=plan)
    for line in _summary(host, port, generated, pbx):
        click.echo(line)
    for name in ("receiver", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.INFO)
    serve(api, host, port)


def _behaviour(switches: dict[str, Any]) -> Behaviour:
    """Return the behaviour for the options, of which those with a choice of numbers are text."""
    for name, text in switches.items():
        switches[name] = next((v for v in get_args(_TYPES[name]) if str(v) == text), text)
    return Behaviour(**switches)


def _pbx(behaviour: Behaviour, ivrs: tuple[str, ...]) -> Pbx:
    pbx = Pbx(behaviour)
    for text in ivrs:
        number, _, name = text.partition("=")
        try:
            pbx.add_ivr(number, name)
        except ApiError as fault:
            raise SettingsError(f'--ivr "{text}": {fault.message}') from None
    return pbx


def _summary(host: str, port: int, generated: str, pbx: Pbx) -> list[str]:
    """Return the settings of a client; a port that the system chooses is in the log."""
    address = f"[{host}]" if ":" in host else host
    lines = [f"RECEIVER_PBX_URL=http://{address}:{port}"] if port else []
    if generated:
        lines.append(f"RECEIVER_PBX_TOKEN={generated}  # generated, valid until this process ends")
    behaviour = pbx.behaviour
    numbers = ", ".join(ivr["extension_number"] for ivr in pbx.ivrs) or "none"
    return [*lines, f"A simulated PBX {behaviour.version}, tenant {pbx.tenant}, IVRs: {numbers}"]


def serve(app: ASGIApp, host: str, port: int) -> None:
    """Serve ``app`` until SIGINT or SIGTERM.

    Raises:
        SettingsError: the address cannot be bound.
        ReceiverError: the app did not start.
    """
    with bind(host, port) as listener:
        logging.getLogger("receiver").info("serving on %s", url_of(listener, host, tls=False))
        serve_on(listener, Server(configure(app)))
