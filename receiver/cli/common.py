"""Arguments, options and colours that several commands share."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from receiver.cli.arguments import app_argument, complete_path, json_option
from receiver.config.load_app import load_app
from receiver.errors import SettingsError
from receiver.pbx.accounts import client
from receiver.registration.changes import SYMBOLS
from receiver.registration.urls import parse

__all__ = ["app_argument", "client", "coloured", "complete_path", "json_option", "load_app"]

_COLOURS = {
    SYMBOLS["create"]: "green",
    SYMBOLS["update"]: "yellow",
    SYMBOLS["delete"]: "red",
    SYMBOLS["blocked"]: "red",
}

take_over_option = click.option(
    "--take-over",
    is_flag=True,
    help="Take over an action URL of a declared name that points elsewhere; it keeps its id.",
)
take_over_events_option = click.option(
    "--take-over-events",
    is_flag=True,
    help="Replace the tenant's event URL of another receiver; forward_to= keeps that informed.",
)
force_option = click.option(
    "--force-credentials",
    is_flag=True,
    help="Send credentials that the PBX does not return, after a change of RECEIVER_SECRET or "
    "RECEIVER_EPOCH.",
)


def _url(context: click.Context, option: click.Parameter, value: str) -> str:
    if value and parse(value) is None:
        raise click.BadParameter("is not a URL such as https://ivr.example.com/calls")
    return value


moved_option = click.option(
    "--moved-from",
    "former",
    default="",
    callback=_url,
    metavar="URL",
    help="The former public URL of this service; its action URLs and its event URL are moved.",
)
unchecked_option = click.option(
    "--unchecked",
    is_flag=True,
    help="Do not probe the service first: it is down or not reachable from here.",
)


def write_file(
    path: Path, data: bytes, *, option: str = "", mode: int = 0o600, replaces: bool = True
) -> None:
    """Write a file, whole or not at all; a device or a pipe is written to.

    Parameters:
        path: of the file; a link stays one.
        option: that names the file, for the error.
        mode: of a new file.
        replaces: whether there may be a file already.

    Raises:
        SettingsError: it cannot be written; an existing file is unchanged.
    """
    with whole_file(path, option=option, mode=mode, replaces=replaces) as file:
        file.write(data)


@contextmanager
def whole_file(
    path: Path, *, option: str = "", mode: int = 0o600, replaces: bool = True
) -> Iterator[IO[bytes]]:
    """Yield a file that takes the place of ``path`` at the end; errors as for `write_file`."""
    try:
        with _whole_file(path, mode, replaces) as file:
            yield file
    except OSError as error:
        name = f"{option} {path}".lstrip()
        raise SettingsError(f"{name} cannot be written: {error.strerror}") from None


@contextmanager
def _whole_file(path: Path, mode: int, replaces: bool) -> Iterator[IO[bytes]]:
    goal = Path(os.path.realpath(path))
    if os.path.exists(goal) and not replaces:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    if os.path.exists(goal) and not os.path.isfile(goal):
        with goal.open("wb") as device:
            yield device
        return
    part = goal.with_name(f"{goal.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            yield file
        part.replace(goal)
    finally:
        part.unlink(missing_ok=True)


def coloured(printout: str) -> str:
    """Return the text of a plan with each line in the colour of its operation."""
    return "\n".join(
        click.style(line, fg=_COLOURS.get(line.lstrip()[:1])) for line in printout.splitlines()
    )
