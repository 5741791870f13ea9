"""``receiver serve`` and ``receiver check``: run the service, or look at what it declares."""

from __future__ import annotations

import ipaddress
import logging

import click

from receiver import serving
from receiver.app import Receiver
from receiver.cli.common import app_argument, describe, load_app
from receiver.errors import SettingsError
from receiver.lints import declared
from receiver.reception import prepare

log = logging.getLogger("receiver")


@click.command()
@app_argument
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
def serve(target: str, host: str, port: int) -> None:
    """Serve APP: answer the callbacks of the PBX."""
    app = load_app(target)
    _ = app.starlette  # what is wrong is said before anything listens
    for name in ("receiver", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.INFO)
    _warn(app, host)
    log.info("%d actions, to be registered with: receiver apply %s", len(list(app)), target)
    serving.serve(app, host, port)


@click.command()
@app_argument
def check(target: str) -> None:
    """Load APP and list what it declares; nothing is sent anywhere."""
    app = load_app(target)
    for label in app.pbxs:
        prepare(app.receptionists(label))  # are the recordings there, and can they be played?
    for line in describe(app):
        click.echo(line)
    for warning in declared(app):
        click.echo(f"Warning: {warning}")
    click.echo(f"{len(list(app))} actions on {len(app.ivrs)} IVRs. The declarations are good.")
    try:
        _ = app.starlette
    except SettingsError as error:
        click.echo(f"Before it can be served: {error}")


def _warn(app: Receiver, host: str) -> None:
    names = [action.identity for action in app if action.auth is None]
    if names and not _is_loopback(host):
        log.warning("anybody who reaches %s may ask %s: auth=None", host, ", ".join(names))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
