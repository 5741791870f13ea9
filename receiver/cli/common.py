"""What the commands share: the app they are about, the client of the PBX, colours."""

from __future__ import annotations

from collections.abc import Iterable

import click

from receiver.actions import Action
from receiver.apps import load_app
from receiver.errors import SettingsError
from receiver.pbx.client import PbxClient
from receiver.pbx.tokens import GivenToken, Login, TokenSource
from receiver.plans import SYMBOLS
from receiver.settings import Settings

__all__ = ["app_argument", "client", "coloured", "describe", "load_app"]

_COLOURS = {
    SYMBOLS["create"]: "green",
    SYMBOLS["update"]: "yellow",
    SYMBOLS["delete"]: "red",
    SYMBOLS["blocked"]: "red",
}

app_argument = click.argument("target", metavar="APP")


def client(settings: Settings) -> PbxClient:
    """A client of the PBX that the settings name.

    Raises:
        SettingsError: they do not say which PBX, or how to sign in.
    """
    settings.need("pbx_url")
    if not settings.pbx_token and not (settings.pbx_username and settings.pbx_password):
        raise SettingsError(
            "the PBX needs a token or an account: set RECEIVER_PBX_TOKEN, or "
            "RECEIVER_PBX_USERNAME and RECEIVER_PBX_PASSWORD (and RECEIVER_PBX_DOMAIN, the "
            "tenant's SIP domain)"
        )
    tokens: TokenSource
    if settings.pbx_token:
        tokens = GivenToken(settings.pbx_token)
    else:
        tokens = Login(settings.pbx_username, settings.pbx_password, settings.pbx_domain)
    return PbxClient(settings.pbx_url, tokens, ca=settings.pbx_ca, insecure=settings.pbx_insecure)


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
