"""One worker of ``receiver serve``: load the app, log warnings, answer callbacks."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

import click

from receiver.app import Receiver
from receiver.cli.certificate import Certificate
from receiver.cli.guards import guard_configs
from receiver.cli.serve_options import Listen, WorkerArguments, log_format
from receiver.config.load_app import load_app
from receiver.execution.kinds import code_of
from receiver.observability import log_setup, standard_streams
from receiver.server import sockets
from receiver.server.uvicorn_server import Server, configure, serve_on
from receiver.server.watchdog import Watchdog
from receiver.server.worker import Channel, inherited
from receiver.settings import PREFIX, Settings
from receiver.text import counted

log = logging.getLogger("receiver")


def serve(
    target: str, listen: Listen, worker: WorkerArguments | None, publisher: int | None
) -> None:
    """Load the app and serve it until a signal, or the parent process, stops the server.

    Parameters:
        target: the app, as ``module:name``.
        listen: the options of the socket.
        worker: number, listener and channel from the parent; None without a parent.
        publisher: the descriptor of the socket to the console.

    Raises:
        ReceiverError: the app cannot be loaded, or the address cannot be used.
    """
    context = click.get_current_context()
    context.with_resource(standard_streams.printed())
    number, descriptor, parent = worker or (1, 0, 0)
    listener = context.with_resource(inherited(descriptor)) if worker else None
    if listener is not None:  # before the app's code can fork
        sockets.close_in_children(listener)
    channel = Channel(parent) if worker else None
    with log_setup.written(log_format()):
        app = load_app(target)
        certificate = listen.certificate()
        if publisher is not None:
            app.publish_to(socket.socket(fileno=publisher))
        _ = app.starlette  # errors of the declarations are raised before the port is opened
    settings = app.settings
    context.with_resource(log_setup.written(settings.log_format, settings.log_caller_data))
    if number == 1:
        _report(app, target, listen.host, secure=certificate is not None)
        _check_guard_and_console(app, Settings.read())
    if listener is None:
        listener = context.with_resource(listen.bind())
        log.info("serving on %s", listen.url(listener))
    if channel is not None and channel.handover is not None and not settings.store:
        log.warning("the workers share no store: the app has separate settings, without a store")
    serve_on(listener, _server(app, listen, certificate, channel))


def _server(
    app: Receiver, listen: Listen, certificate: Certificate | None, channel: Channel | None
) -> Server:
    """Return the server of ``app``; it also watches the certificate and sends heartbeats."""

    async def beside(server: Server) -> None:
        if channel is not None:
            channel.send_heartbeat()
        async with asyncio.TaskGroup() as tasks:
            if channel is not None:
                tasks.create_task(channel.beat(server))
            if certificate is not None:
                tasks.create_task(certificate.watch())

    handlers = {code: a.identity for a in app if (code := code_of(a.handler))}
    return Server(
        configure(app, keep_alive=listen.keep_alive),
        certificate.context if certificate else None,
        Watchdog(handlers, handover=app.settings.handover),
        beside,
        listen.notice,
        channel.handover if channel else None,
        is_worker=channel is not None,
    )


def _report(app: Receiver, target: str, host: str, *, secure: bool) -> None:
    _warn_of_open_actions(app)
    if not secure and crosses_public_network(
        host, (app.settings_for(pbx).public_url for pbx in app.pbxs)
    ):
        log.warning(
            "callbacks are not encrypted, including credentials and callers' digits: serve with "
            "--certfile, or behind a proxy with TLS"
        )
    log.info(
        "%s, to be registered with: receiver apply %s", counted(len(list(app)), "action"), target
    )


def _check_guard_and_console(app: Receiver, environment: Settings) -> None:
    """Raise the errors of a guard, and warn where the app and the environment differ."""
    if environment.guard:
        guard_configs(app, app.pbxs)
    for name in ("guard", "console"):
        if getattr(app.settings, name) and not getattr(environment, name):
            log.warning(
                "no %s runs: the app's settings ask for one, but serve starts it only if the "
                "variable %s%s is set",
                *(name, PREFIX, name.upper()),
            )


def _warn_of_open_actions(app: Receiver) -> None:
    """Warn of actions without authentication; also on loopback, which a proxy may forward to."""
    names = [
        action.identity
        for action in app
        if not (action.auth or action.secret_header)
        and not app.settings_for(action.pbx).allowed_sources
    ]
    if names:
        log.warning(
            "every client can call %s: auth=None needs secret_header= or RECEIVER_ALLOWED_SOURCES",
            ", ".join(names),
        )


def crosses_public_network(host: str, public_urls: Iterable[str]) -> bool:
    """Return whether callbacks without TLS may cross a public network.

    Parameters:
        host: the address to listen on.
        public_urls: of this service, for each PBX; empty if unknown.
    """
    split = [urlsplit(url) for url in public_urls]
    if any(url.scheme == "http" and not _is_private(url.hostname or "") for url in split):
        return True
    if any(url.scheme == "https" for url in split):
        return False  # a proxy speaks TLS
    try:
        address = ipaddress.ip_address(host or "0.0.0.0")  # noqa: S104 - what it means
    except ValueError:
        return False
    return address.is_global or address.is_unspecified


def _is_private(host: str) -> bool:
    """Return whether an address or a host name is in a private network."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local", ".internal"))
