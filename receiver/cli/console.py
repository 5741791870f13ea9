"""``receiver console``: print the URL and the password of the production console."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import click

from receiver.app import Receiver
from receiver.callbacks.operator_access import operator_token
from receiver.cli.common import app_argument, load_app
from receiver.cli.serve_options import PUBLISHER, WorkerArguments
from receiver.console.security import TOKEN_NAME
from receiver.observability import log_setup
from receiver.server.worker import WORKER, Channel, inherited


@click.command()
@app_argument
@click.option(PUBLISHER, type=int, hidden=True)
@click.option(WORKER, nargs=3, type=int, hidden=True)
def console(target: str, publisher: int | None, as_worker: WorkerArguments | None) -> None:
    """Print the URL and the password of the console of a running APP."""
    app = load_app(target)
    if as_worker and publisher is not None:
        _show(app, target, publisher, as_worker)
        return
    settings = app.settings
    if not settings.console:
        click.echo("Warning: the console is off: set RECEIVER_CONSOLE=true", err=True)
    address = settings.console or "127.0.0.1:8001"
    public = urlsplit(settings.public_url)
    click.echo(f"http://{address}/")
    if public.scheme == "https":
        click.echo(f"or where a proxy forwards it at https://{public.netloc}")
    click.echo(f"password: {operator_token(TOKEN_NAME, settings.secret, settings.epoch).reveal()}")


def _show(app: Receiver, target: str, publisher: int, worker: WorkerArguments) -> None:
    """Serve the console, in the process that the supervisor starts for it."""
    from receiver.console.live import show  # noqa: PLC0415 - slow to import

    _, descriptor, channel = worker
    settings = app.settings
    context = click.get_current_context()
    context.with_resource(log_setup.written(settings.log_format, settings.log_caller_data))
    with inherited(descriptor) as listener, socket.socket(fileno=publisher) as end:
        end.set_inheritable(False)
        show(app, target, listener, end, Channel(channel))
