"""``receiver dev``: the app, reloaded on change, a simulated PBX, and a phone in the browser."""

from __future__ import annotations

import asyncio
import html
import os
import sys
import tempfile
import threading
import webbrowser
from datetime import datetime
from pathlib import Path

import click

from receiver.cli.common import app_argument, client
from receiver.errors import SettingsError
from receiver.registration.plans import SYMBOLS

_COLOURS = {SYMBOLS["create"]: "green", SYMBOLS["update"]: "yellow", SYMBOLS["delete"]: "red"}


@click.command()
@app_argument
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535))
@click.option("--pbx", is_flag=True, help="Begin with a copy of the real PBX, which is only read.")
@click.option("--no-open", is_flag=True, help="Do not open the console in a browser.")
def dev(target: str, port: int, pbx: bool, no_open: bool) -> None:
    """Develop APP: a simulated PBX, a phone and a view of each callback in the browser.

    APP is loaded anew and registered anew on every change of its code; calls in progress go on.
    The real PBX's settings are needed for --pbx alone.
    """
    if sys.platform == "win32":  # pragma: no cover
        raise SettingsError("receiver dev wants a system with signals and inherited sockets")
    from receiver.dev import session  # noqa: PLC0415 - an extra, and slow to import

    def tell(url: str, service: str) -> None:
        click.secho(f"The console: {url}", bold=True)
        click.secho(f"{target} on {service}; Ctrl-C ends both", dim=True)
        if not no_open and _has_display():
            page = _leading_to(url, Path(own))
            threading.Thread(target=webbrowser.open, args=(page.as_uri(),), daemon=True).start()

    told = session.Told(tell, _tell_state, _tell_copied)
    with tempfile.TemporaryDirectory(prefix="receiver-dev-") as own:
        asyncio.run(session.develop(target, port=port, real=client if pbx else None, told=told))


def _leading_to(url: str, folder: Path) -> Path:
    """A page in our own folder that leads there: a command line can be read by everybody here."""
    page = folder / "console.html"
    page.touch(mode=0o600)
    page.write_text(
        '<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
        f'<meta http-equiv="refresh" content="0; url={html.escape(url)}"><title>Console</title>'
    )
    return page


def _tell_state(state: object) -> None:
    from receiver.dev.reloading import State  # noqa: PLC0415 - an extra

    assert isinstance(state, State)  # noqa: S101 - for the type checker
    now = f"{datetime.now():%H:%M:%S}"
    colour = {"starting": None, "running": "green", "broken": "red"}[state.state]
    took = f" ({state.seconds:.1f} s)" if state.seconds else ""
    first, *more = state.text.splitlines()
    click.echo(f"{now} {click.style(state.state, fg=colour)}: {first}{took}")
    for rest in more:
        click.echo(rest)
    if state.state == "broken" and state.serves:
        click.echo("  The version before it goes on answering.")
    for change in state.changes:
        click.secho(f"  {change}", fg=_COLOURS.get(change[:1]))


def _tell_copied(label: str, copied: object) -> None:
    click.echo(f"copied from the PBX{f' {label}' if label else ''}: {copied}")


def _has_display() -> bool:
    if sys.platform == "darwin":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
