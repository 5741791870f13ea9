"""``receiver console``: where the console in production is, and its password."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import click

from receiver.app import Receiver
from receiver.cli.common import app_argument, load_app
from receiver.cli.watching import TELLING, WORKER
from receiver.console.login import DOOR
from receiver.operators.tokens import token
from receiver.serving.working import Channel, inherited
from receiver.telemetry import logs


@click.command()
@app_argument
@click.option(TELLING, type=int, hidden=True)
@click.option(WORKER, nargs=3, type=int, hidden=True)
def console(target: str, telling: int | None, as_worker: tuple[int, int, int] | None) -> None:
    """Print where the console of a running APP is, and its password: keep that to yourself."""
    app = load_app(target)
    if as_worker and telling is not None:
        _show(app, target, telling, as_worker)
        return
    settings = app.settings
    if not settings.console:
        click.echo("Warning: there is none before RECEIVER_CONSOLE=true", err=True)
    address = settings.console or "127.0.0.1:8001"
    public = urlsplit(settings.public_url)
    click.echo(f"http://{address}/")
    if public.scheme == "https":
        click.echo(f"or where a proxy at https://{public.netloc} passes it on")
    click.echo(f"password: {token(DOOR, settings.secret, settings.epoch).reveal()}")


def _show(app: Receiver, target: str, telling: int, place: tuple[int, int, int]) -> None:
    """Be the process that shows it."""
    from receiver.console.live import show  # noqa: PLC0415 - slow to import

    _, descriptor, channel = place
    settings = app.settings
    context = click.get_current_context()
    context.with_resource(logs.written(settings.log_format, settings.log_caller_data))
    with inherited(descriptor) as listener, socket.socket(fileno=telling) as end:
        end.set_inheritable(False)
        show(app, target, listener, end, Channel(channel))
