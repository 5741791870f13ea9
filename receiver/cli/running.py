"""``receiver serve`` and ``receiver check``: run the service, or look at what it declares."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import click

from receiver.app import Receiver
from receiver.cli.common import app_argument, describe, load_app
from receiver.cli.watching import TELLING, WORKER, posts
from receiver.console.telling import lay
from receiver.errors import SettingsError
from receiver.functions.manners import code_of
from receiver.registration.lints import declared
from receiver.registration.reception import prepare
from receiver.serving import listening
from receiver.serving import server as serving
from receiver.serving.supervising import MIB, supervise
from receiver.serving.watchdog import Watchdog
from receiver.serving.working import Channel, Program, inherited
from receiver.settings import PREFIX, Settings
from receiver.telemetry import logs

log = logging.getLogger("receiver")


@click.command()
@app_argument
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@click.option("--certfile", type=click.Path(path_type=Path), help="Certificate chain, in PEM.")
@click.option("--keyfile", type=click.Path(path_type=Path), help="Its key, if in another file.")
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Processes on the port; with several, SIGHUP reloads the code without a lost call.",
)
@click.option(
    "--notice",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 60),
    help="Seconds to serve on after a signal to stop, while /ready says no.",
)
@click.option(TELLING, type=int, hidden=True)
@click.option(WORKER, nargs=3, type=int, hidden=True)
def serve(
    target: str,
    host: str,
    port: int,
    certfile: Path | None,
    keyfile: Path | None,
    workers: int,
    notice: float,
    telling: int | None,
    as_worker: tuple[int, int, int] | None,
) -> None:
    """Serve APP: answer the callbacks of the PBX."""
    if keyfile and not certfile:
        raise SettingsError("--keyfile is the key of a certificate: name that with --certfile")
    for name in ("receiver", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.INFO)
    wanted = Settings.read()
    several = workers > 1 or wanted.guard or wanted.worker_memory or wanted.console
    if several and not as_worker:
        _serve_with(wanted, workers, target, host, port, certfile, keyfile, notice)
    app = load_app(target)
    tls = listening.secured(certfile, keyfile) if certfile else None
    if telling is not None:
        app.tell(socket.socket(fileno=telling))
    _ = app.starlette  # what is wrong is said before anything listens
    settings = app.settings
    click.get_current_context().with_resource(
        logs.written(settings.log_format, settings.log_caller_data)
    )
    number, descriptor, channel = as_worker or (1, 0, 0)
    if number == 1:
        _say_what_matters(app, target, host, secure=bool(tls))
        _check_beside(app, wanted)
    watchdog = Watchdog({code: a.identity for a in app if (code := code_of(a.handler))})
    if not as_worker:
        serving.serve(app, host, port, tls, watchdog=watchdog, notice=notice)
        return
    if not app.settings.store:
        log.warning("the workers share nothing: the app has settings of its own, without a store")
    with inherited(descriptor) as listener:
        ours = Channel(channel)
        config = serving.configure(app)
        server = serving.Server(config, tls, watchdog, ours.beat, notice, ours.passage)
        serving.serve_on(listener, server)


def _serve_with(
    settings: Settings,
    workers: int,
    target: str,
    host: str,
    port: int,
    certfile: Path | None,
    keyfile: Path | None,
    notice: float,
) -> NoReturn:
    """Be the parent of so many processes."""
    if sys.platform == "win32":  # pragma: no cover
        raise SettingsError(
            "--workers, RECEIVER_GUARD, RECEIVER_CONSOLE and RECEIVER_WORKER_MEMORY want a system "
            "with signals and inherited sockets"
        )
    options = {"--host": host, "--certfile": certfile, "--keyfile": keyfile, "--notice": notice}
    given = [str(part) for option in options.items() if option[1] is not None for part in option]
    with ExitStack() as stack:
        environ = stack.enter_context(_shared_store(settings))
        environ["WEB_CONCURRENCY"] = str(workers)  # for whatever has only its share of something
        listener = stack.enter_context(listening.bind(host, port))
        beside, told, further = _company(stack, settings, target, listener)
        telling = [part for end in told for part in (TELLING, str(end.fileno()))]
        command = [*_program(), "serve", target, *given, *telling, WORKER]
        url = listening.url_of(listener, host, tls=bool(certfile))
        status = supervise(
            Program(command, listener, told),
            workers,
            environ,
            beside=beside,
            notice=notice,
            most_memory=settings.worker_memory * MIB,
            serving=lambda: log.info("serving on %s with %d workers%s", url, workers, further),
        )
    raise click.exceptions.Exit(status)


def _program() -> list[str]:
    """This program, to be started again."""
    # What was found beside this command must not hide this package; see ``python -P``.
    here = sys.path[:1] in ([""], [os.getcwd()])
    return [sys.executable, *(() if here else ("-P",)), "-m", "receiver"]


def _company(
    stack: ExitStack, settings: Settings, target: str, listener: socket.socket
) -> tuple[list[Program], list[socket.socket], str]:
    """What runs beside the workers, their ends of the sockets to it, and what is said of it."""
    guard = Program([*_program(), "guard", target, WORKER], listener)
    beside = [guard] if settings.guard else []
    if not settings.console:
        return beside, [], ""
    host, _, port = settings.console.rpartition(":")
    host = host.strip("[]")
    shown = stack.enter_context(listening.bind(host, int(port)))
    workers, console = map(stack.enter_context, lay())
    command = [*_program(), "console", target, TELLING, str(console.fileno()), WORKER]
    url = listening.url_of(shown, host, tls=False)
    said = f"; the console: {url}/, its password: receiver console {target}"
    return [*beside, Program(command, shown, [console])], [workers], said


@contextmanager
def _shared_store(settings: Settings) -> Iterator[dict[str, str]]:
    """The variables that name what the workers share, where nobody has named it."""
    with tempfile.TemporaryDirectory(prefix="receiver-") as folder:  # for its owner only
        yield {
            name: os.path.join(folder, path)
            for name, path, given in (
                (f"{PREFIX}STORE", "store.sqlite", settings.store),
                (f"{PREFIX}METRICS_FOLDER", "", settings.metrics_folder),
            )
            if not given
        }


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


def _say_what_matters(app: Receiver, target: str, host: str, *, secure: bool) -> None:
    _warn_of_open_actions(app)
    if not secure and in_the_open(host, (app.settings_for(pbx).public_url for pbx in app.pbxs)):
        log.warning(
            "callbacks, credentials and what callers key in travel unencrypted: serve with "
            "--certfile, or behind a proxy with TLS"
        )
    log.info("%d actions, to be registered with: receiver apply %s", len(list(app)), target)


def _check_beside(app: Receiver, wanted: Settings) -> None:
    """Say now what would be wrong with what runs beside the workers."""
    if wanted.guard:
        posts(app, app.pbxs)
    for name in ("guard", "console"):
        if getattr(app.settings, name) and not getattr(wanted, name):
            log.warning(
                "no %s runs: the app's own settings want one, but it is the variable %s%s that has "
                "serve start it",
                *(name, PREFIX, name.upper()),
            )


def _warn_of_open_actions(app: Receiver) -> None:
    """Also on the loopback: a proxy may stand before it."""
    names = [
        action.identity
        for action in app
        if not (action.auth or action.secret_header)
        and not app.settings_for(action.pbx).allowed_sources
    ]
    if names:
        log.warning(
            "anybody who can send a request may ask %s: auth=None wants secret_header= or "
            "RECEIVER_ALLOWED_SOURCES",
            ", ".join(names),
        )


def in_the_open(host: str, public_urls: Iterable[str]) -> bool:
    """Whether callbacks without TLS may cross a network that is not one's own.

    Parameters:
        host: the address to listen on.
        public_urls: where the PBXs reach this service; empty where that is not known.
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
    """An address or a name that does not lead out of one's own network."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local", ".internal"))
