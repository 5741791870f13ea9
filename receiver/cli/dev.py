"""``receiver dev``: the app, reloaded on change, a simulated PBX, and a phone in the browser."""

from __future__ import annotations

import asyncio
import html
import os
import sys
import tempfile
import textwrap
import threading
import webbrowser
from datetime import datetime
from pathlib import Path

import click

from receiver.cli.common import app_argument, client
from receiver.declarations.missing_action import MissingAction
from receiver.registration.changes import SYMBOLS

_COLOURS = {SYMBOLS["create"]: "green", SYMBOLS["update"]: "yellow", SYMBOLS["delete"]: "red"}


@click.command()
@app_argument
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535))
@click.option("--pbx", is_flag=True, help="Start with a copy of the real PBX, which is only read.")
@click.option("--no-open", is_flag=True, help="Do not open the console in a browser.")
def dev(target: str, port: int, pbx: bool, no_open: bool) -> None:
    """Develop APP: a simulated PBX, a phone and a view of each callback in the browser.

    APP is reloaded and registered again on every change of its code; calls in progress continue.
    (On Windows, restart the command after a change.) The settings of the real PBX are needed for
    --pbx only.
    """
    from receiver.dev import develop  # noqa: PLC0415 - an extra, and slow to import

    def show_urls(url: str, service: str) -> None:
        click.secho(f"The console: {url}", bold=True)
        click.secho(f"{target} on {service}; Ctrl-C stops both", dim=True)
        if not no_open and _has_display():
            page = _redirect_page(url, Path(folder))
            threading.Thread(target=webbrowser.open, args=(page.as_uri(),), daemon=True).start()

    def show_missing(ivr: str, missing: MissingAction) -> None:
        text = missing.toml if target.endswith(".toml") else missing.python
        click.echo(f"{datetime.now():%H:%M:%S} {ivr}: no action takes these keys; to declare one:")
        click.echo(textwrap.indent(text, "    "))
        if missing.note:
            click.echo(f"  {missing.note}")

    terminal = develop.Terminal(show_urls, _show_state, _show_copied, show_missing)
    real = client if pbx else None
    with tempfile.TemporaryDirectory(prefix="receiver-dev-") as folder:
        asyncio.run(develop.develop(target, port=port, real=real, terminal=terminal))


def _redirect_page(url: str, folder: Path) -> Path:
    """Write a page that redirects to ``url``: other users can read a browser's command line."""
    page = folder / "console.html"
    page.touch(mode=0o600)
    page.write_text(
        '<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
        f'<meta http-equiv="refresh" content="0; url={html.escape(url)}"><title>Console</title>'
    )
    return page


def _show_state(state: object) -> None:
    from receiver.dev.service import State  # noqa: PLC0415 - an extra

    assert isinstance(state, State)  # noqa: S101 - for the type checker
    now = f"{datetime.now():%H:%M:%S}"
    colour = {"starting": None, "running": "green", "broken": "red"}[state.state]
    took = f" ({state.seconds:.1f} s)" if state.seconds else ""
    first, *more_lines = state.text.splitlines()
    click.echo(f"{now} {click.style(state.state, fg=colour)}: {first}{took}")
    for line in more_lines:
        click.echo(line)
    if state.state == "broken" and state.serves:
        click.echo("  The previous version keeps running.")
    for change in state.changes:
        warns = change.startswith("Warning: ")
        click.secho(f"  {change}", fg="yellow" if warns else _COLOURS.get(change[:1]))


def _show_copied(label: str, copied: object) -> None:
    click.echo(f"copied from the PBX{f' {label}' if label else ''}: {copied}")


def _has_display() -> bool:
    if sys.platform == "darwin":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
