"""What the commands share: the app they are about, colours."""

from __future__ import annotations

from collections.abc import Iterable

import click

from receiver.actions import Action
from receiver.apps import load_app
from receiver.pbx.accounts import client
from receiver.registration.plans import SYMBOLS

__all__ = ["app_argument", "client", "coloured", "describe", "load_app"]

_COLOURS = {
    SYMBOLS["create"]: "green",
    SYMBOLS["update"]: "yellow",
    SYMBOLS["delete"]: "red",
    SYMBOLS["blocked"]: "red",
}

app_argument = click.argument("target", metavar="APP")


def coloured(printout: str) -> str:
    """A plan's printout with its lines in the colour of what they announce."""
    return "\n".join(
        click.style(line, fg=_COLOURS.get(line.lstrip()[:1])) for line in printout.splitlines()
    )


def describe(actions: Iterable[Action]) -> list[str]:
    """A line for each action."""
    rows = [
        (
            action.identity,
            action.kind,
            str(action.mask),
            action.method,
            action.auth or "no authentication",
            f"{action.request_timeout} s",
            f"fallback {action.fallback}" if action.fallback is not None else "",
            "" if action.enabled else "switched off",
        )
        for action in actions
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
