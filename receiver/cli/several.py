"""One command over every PBX that an app is for, one after the other.

Rule 1: with one PBX nothing is different from before there could be several.
Rule 2: trouble with one keeps no other from its turn; it is told at once, and the exit status is 1.
Rule 3: 1 (an error) beats 2 (something is to be changed), and that beats 0.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from receiver.app import Receiver
from receiver.errors import LoadError, ReceiverError, SettingsError
from receiver.settings import own_prefix

Work = Callable[[str], tuple[dict[str, Any], int]]
"""Does a command for the PBX of a label; gives what ``--json`` prints, and the exit status."""

pbx_option = click.option(
    "--pbx",
    "only",
    metavar="LABEL",
    help='Only this one of several PBXs, as in Ivr("8000", pbx="north"); "" has no label.',
)


def over_pbxs(app: Receiver, only: str | None, machine: bool, work: Work) -> None:
    """Do ``work`` for each PBX that ``app`` is for.

    Parameters:
        app: the declarations.
        only: the label of the one PBX to do it for; None for all.
        machine: print what ``work`` gives as JSON: an object for one PBX, a list for several.
        work: see `Work`; it prints what is for people.

    Raises:
        LoadError: the app is for no PBX of that label.
        ReceiverError: of ``work``, if there is one PBX.
        SystemExit: the exit status is not 0.
    """
    labels = chosen(app, only)
    if len(labels) == 1:
        data, status = work(labels[0])
        if machine:
            click.echo(json.dumps(data, indent=2))
    else:
        status = _one_by_one(app, labels, machine, work)
    if status:
        raise SystemExit(status)


def title(app: Receiver, label: str) -> str:
    """What a PBX is called; with its URL, if the settings have one."""
    name = f"PBX {label or 'without a label'}"
    url = app.settings_for(label).pbx_url
    return f"{name}, {url}" if url else name


def chosen(app: Receiver, only: str | None) -> tuple[str, ...]:
    """The labels that ``--pbx`` leaves.

    Raises:
        LoadError: the app is for no PBX of that label.
    """
    if only is None:
        return app.pbxs
    if only in app.pbxs:
        return (only,)
    there = ", ".join(label or '""' for label in app.pbxs)
    raise LoadError(f"the app declares no IVR on a PBX {only!r}: there are {there}")


def _one_by_one(app: Receiver, labels: tuple[str, ...], machine: bool, work: Work) -> int:
    _ = app.settings  # what is wrong for all is said once
    made: list[dict[str, Any]] = []
    statuses: set[int] = set()
    try:
        for label in labels:
            data, status = _one(app, label, machine, work)
            made.append({"pbx": label, **data})
            statuses.add(status)
    finally:  # a no at one PBX ends it all: what was done before is told nevertheless
        if machine:
            click.echo(json.dumps({"pbxs": made}, indent=2))
    return next((status for status in (1, 2) if status in statuses), 0)


def _one(app: Receiver, label: str, machine: bool, work: Work) -> tuple[dict[str, Any], int]:
    try:
        if not machine:
            click.secho(title(app, label), bold=True)
        return work(label)
    except ReceiverError as error:
        own = f" ({own_prefix(label)}… counts for this one only)" if label else ""
        hint = own if isinstance(error, SettingsError) else ""
        click.echo(f"Error: PBX {label or 'without a label'}: {error}{hint}", err=True)
        return {"error": str(error)}, 1
