"""``receiver serve``: the parent of the processes that answer callbacks.

It imports little, because only the workers load the app. Without POSIX, as on Windows, there is a
single process, which answers callbacks itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from receiver.cli.arguments import app_argument
from receiver.cli.serve_options import PUBLISHER, Listen, WorkerArguments, log_format
from receiver.errors import ReceiverError, SettingsError
from receiver.observability import log_setup
from receiver.observability.metrics import USER_FOLDER
from receiver.server import sockets
from receiver.server.handover import Handover
from receiver.server.supervisor import MIB, Supervisor
from receiver.server.worker import WORKER, Program, resident
from receiver.settings import PREFIX, Settings

log = logging.getLogger("receiver")

_CONSOLE_SETTING = f"{PREFIX}CONSOLE, as in {PREFIX}CONSOLE=127.0.0.1:8002"


@click.command()
@app_argument
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@click.option(
    "--uds",
    type=click.Path(path_type=Path),
    help="Unix socket to listen on instead, for its owner and group (mode 660).",
)
@click.option("--fd", type=click.IntRange(0), help="Descriptor of a listening socket.")
@click.option("--certfile", type=click.Path(path_type=Path), help="Certificate chain, in PEM.")
@click.option("--keyfile", type=click.Path(path_type=Path), help="Its key, if in another file.")
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Processes that answer; several need a POSIX system.",
)
@click.option(
    "--notice",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 60),
    help="Seconds to keep answering after a stop signal, while /ready returns 503.",
)
@click.option(
    "--keep-alive",
    default=5,
    show_default=True,
    type=click.IntRange(1, 3600),
    help="Seconds for which an idle connection stays open.",
)
@click.option(PUBLISHER, type=int, hidden=True)
@click.option(WORKER, "worker", nargs=3, type=int, hidden=True)
def serve(
    target: str,
    workers: int,
    publisher: int | None,
    worker: WorkerArguments | None,
    **options: Any,
) -> None:
    """Serve APP: answer the callbacks of the PBX.

    SIGHUP reloads the code and the certificate without a lost call, SIGTERM stops (POSIX).
    """
    for name in ("receiver", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.INFO)
    form = log_format()
    try:
        _serve(target, workers, publisher, worker, Listen(**options))
    except ReceiverError as error:
        if form == "text":
            raise  # it is printed
        with log_setup.written(form):
            for problem in error.problems if isinstance(error, SettingsError) else (error,):
                log.error("%s", problem)
        raise click.exceptions.Exit(error.exit_code) from None


def _serve(
    target: str,
    workers: int,
    publisher: int | None,
    worker: WorkerArguments | None,
    listen: Listen,
) -> None:
    listen.check()
    if not worker and sockets.IS_POSIX:
        _supervise(target, listen, workers, Settings.read())
    if not worker:
        _refuse_several(workers, Settings.read())
    from receiver.cli import serve_worker  # noqa: PLC0415 - slow to import; the parent does not need it

    serve_worker.serve(target, listen, worker, publisher)


def _refuse_several(workers: int, settings: Settings) -> None:
    if workers > 1 or settings.guard or settings.console or settings.worker_memory:
        raise SettingsError(
            "--workers, RECEIVER_GUARD, RECEIVER_CONSOLE and RECEIVER_WORKER_MEMORY need Linux, "
            "macOS or another POSIX system: workers inherit sockets"
        )


def _supervise(target: str, listen: Listen, workers: int, settings: Settings) -> NoReturn:
    """Run the workers until SIGINT or SIGTERM."""
    with ExitStack() as stack:
        stack.enter_context(log_setup.written(settings.log_format))
        listen.certificate()  # an unreadable one is reported before a worker starts
        environ = stack.enter_context(_shared(settings, workers))
        environ["WEB_CONCURRENCY"] = str(workers)  # for limits that the workers divide among them
        listener = stack.enter_context(listen.bind())
        if listen.uds:
            stack.callback(listen.uds.unlink, missing_ok=True)
        beside, publishers, further = _beside(stack, settings, target, listener, environ)
        options = [part for end in publishers for part in (PUBLISHER, str(end.fileno()))]
        command = [*_program(), "serve", target, *listen.for_worker(), *options, WORKER]
        handover = Handover.make() if workers > 1 else None
        url = listen.url(listener) + (f" with {workers} workers" if workers > 1 else "")
        max_memory = settings.worker_memory * MIB
        if max_memory and not resident(os.getpid()):
            log.warning("RECEIVER_WORKER_MEMORY has no effect: this system has no /proc")
        supervisor = Supervisor(
            Program(command, listener, environ, handover, publishers).start,
            workers,
            beside=[one.start for one in beside],
            notice=listen.notice,
            max_memory=max_memory,
        )
        ready = f"serving on {url}{further}"
        status = asyncio.run(supervisor.run(lambda: log.info(ready), listener.close))
    raise click.exceptions.Exit(status)


def _program() -> list[str]:
    """Return the command that starts this program."""
    # Modules in the folder of this command must not hide this package; see ``python -P``.
    here = sys.path[:1] in ([""], [os.getcwd()])
    return [sys.executable, *(() if here else ("-P",)), "-m", "receiver"]


def _beside(
    stack: ExitStack,
    settings: Settings,
    target: str,
    listener: socket.socket,
    environ: dict[str, str],
) -> tuple[list[Program], list[socket.socket], str]:
    """Return the guard and the console, the workers' sockets to them, and a text for the log."""
    guard = Program([*_program(), "guard", target, WORKER], listener, environ)
    beside = [guard] if settings.guard else []
    if not settings.console:
        return beside, [], ""
    from receiver.recording.publisher import make_sockets  # noqa: PLC0415 - slow to import

    host, _, port = settings.console.rpartition(":")
    host = host.strip("[]")
    shown = stack.enter_context(sockets.bind(host, int(port), _CONSOLE_SETTING))
    workers, console = map(stack.enter_context, make_sockets())
    command = [*_program(), "console", target, PUBLISHER, str(console.fileno()), WORKER]
    url = sockets.url_of(shown, host, tls=False)
    text = f"; the console: {url}/, its password: receiver console {target}"
    return [*beside, Program(command, shown, environ, None, [console])], [workers], text


@contextmanager
def _shared(settings: Settings, workers: int) -> Iterator[dict[str, str]]:
    """Yield environment variables for a shared store and metrics folders that are not configured.

    A single worker keeps both in its memory, which is faster.
    """
    if not (workers > 1 or settings.guard or settings.worker_memory or settings.console):
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="receiver-") as folder:  # readable by its owner only
        os.mkdir(os.path.join(folder, "user"))
        user_metrics = os.environ.get(USER_FOLDER) or not settings.metrics
        yield {
            name: os.path.join(folder, path)
            for name, path, given in (
                (f"{PREFIX}STORE", "store.sqlite", settings.store),
                (f"{PREFIX}METRICS_FOLDER", "", settings.metrics_folder),
                (USER_FOLDER, "user", user_metrics),
            )
            if not given
        }
