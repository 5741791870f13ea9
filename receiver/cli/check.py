"""``receiver check``: list what an app declares."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import click

from receiver.app import Receiver
from receiver.cli.arguments import app_argument, json_option
from receiver.config.load_app import load_app
from receiver.declarations.actions import Action
from receiver.declarations.announcement import Announcement
from receiver.declarations.desired_ivr import DesiredIvr
from receiver.declarations.fallbacks import Fallback
from receiver.declarations.introspection import first_fallback
from receiver.declarations.ivr import desired_ivrs
from receiver.errors import SettingsError
from receiver.registration.lints import declared
from receiver.replies import is_reply
from receiver.text import counted, short


@click.command()
@app_argument
@json_option
def check(target: str, machine: bool) -> None:
    """Load APP and list what it declares; nothing is sent anywhere.

    Missing or wrong settings are listed and do not change the exit status: only serving APP needs
    them.
    """
    app = load_app(target)
    ivrs: list[DesiredIvr] = []
    for label in app.pbxs:
        if found := desired_ivrs(app.ivrs, label):
            from receiver.registration.ivr_changes import prepare  # noqa: PLC0415 - slow to import

            ivrs += prepare(found)  # raises where a prompt is missing or cannot be played
    warnings = list(declared(app, app.number_formats(), ivrs))
    problems = _problems_of_settings(app)
    if machine:
        actions = list(map(_as_object, app))
        data = {"actions": actions, "warnings": warnings, "settings_problems": problems}
        click.echo(json.dumps(data, indent=2))
        return
    for line in describe(app, app.fallbacks):
        click.echo(line)
    for one in app.ivrs:
        if isinstance(one, Announcement):
            click.echo(f"announcement {one.number}  {short(one.words)}  then {one.then.words}")
    for warning in warnings:
        click.echo(f"Warning: {warning}")
    total = f"{counted(len(list(app)), 'action')} on {counted(len(app.ivrs), 'IVR')}"
    click.echo(f"{total}. The declarations are valid.")
    for problem in problems:
        click.echo(f"Before it can be served: {problem}")


def _problems_of_settings(app: Receiver) -> list[str]:
    try:
        _ = app.starlette
    except SettingsError as error:
        return list(error.problems)
    return []


def _as_object(action: Action) -> dict[str, object]:
    return {
        "name": action.name,
        "was": action.was or None,
        "pbx": action.pbx or None,
        "ivr": action.ivr,
        "kind": action.kind,
        "mask": str(action.mask),
        "method": action.method,
        "auth": action.auth,
        "request_timeout": action.request_timeout,
        "fallback": _fallback(action),
        "enabled": action.enabled,
        "where": action.where,
    }


def _fallback(action: Action) -> str | None:
    """Return the fallback, such as ``222`` or ``hang up``; None if the action declares none."""
    return None if action.fallback is None else _words(action.fallback)


def _words(fallback: Fallback) -> str:
    return fallback.words if is_reply(fallback) else "a function"


def describe(actions: Iterable[Action], fallbacks: Mapping[str, Fallback]) -> list[str]:
    """Return a line for each action, with the fallback that counts: its own, the IVR's, the app's.

    Parameters:
        actions: of an app.
        fallbacks: the app's, by the label of a PBX; ``""`` is for all others.
    """
    rows = [
        (
            action.identity,
            action.kind,
            action.mask.short,
            action.method,
            action.auth or "no authentication",
            f"{action.request_timeout} s",
            f"fallback {_words(first_fallback(action, fallbacks))}",
            "" if action.enabled else "switched off",
            f"renamed from {action.was}" if action.was else "",
        )
        for action in actions
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
