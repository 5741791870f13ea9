"""Run a command for each PBX of an app, one after the other.

Rule 1: with one PBX the output has no headings and no labels.
Rule 2: an error of one PBX does not stop the others; it is printed immediately.
Rule 3: of the exit statuses of several PBXs the first of 2, 1, 3 (deletes are left) and 0 is used;
        see `receiver.cli.exit_status`.
Rule 4: all missing and wrong settings are listed at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import click

from receiver.app import Receiver
from receiver.errors import LoadError, ReceiverError, SettingsError
from receiver.settings import Settings, own_prefix

_PER_PBX = re.compile("RECEIVER_(PBX_|PUBLIC_URL|ALLOWED_SOURCES)")
"""Variables that may differ between PBXs."""

_NEEDED = ("public_url", "pbx_url", "pbx_account")
"""The settings that a registration requires."""

Work = Callable[[str], tuple[dict[str, Any], int]]
"""Runs a command for the PBX of a label; returns the data for ``--json`` and the exit status."""

pbx_option = click.option(
    "--pbx",
    "only",
    metavar="LABEL",
    help='Only the PBX with this label, as in Ivr("8000", pbx="north"); "" is the one without.',
)


def over_pbxs(app: Receiver, only: str | None, machine: bool, work: Work) -> None:
    """Run ``work`` for each PBX of ``app``.

    Parameters:
        app: the declarations.
        only: the label of a PBX; None for all.
        machine: print the data that ``work`` returns as JSON: an object for one PBX, a list for
            several.
        work: see `Work`; it prints the text for people.

    Raises:
        LoadError: the app has no PBX of that label.
        ReceiverError: of ``work``, if there is one PBX.
        SystemExit: the exit status is not 0.
    """
    labels = chosen(app, only)
    _check_common_settings(app, labels)
    if len(labels) == 1:
        data, status = work(labels[0])
        if machine:
            click.echo(json.dumps(data, indent=2))
    else:
        status = _one_by_one(app, labels, machine, work)
    if status:
        raise SystemExit(status)


def registration_settings(app: Receiver, label: str) -> Settings:
    """Return the settings of a PBX, which include all that a registration requires.

    Raises:
        SettingsError: some are missing or wrong; the text has a line for each.
    """
    return app.settings_for(label, *_NEEDED)


def _check_common_settings(app: Receiver, labels: tuple[str, ...]) -> None:
    """Raise SettingsError with the problems of all PBXs, if one of them concerns all."""
    try:
        _ = app.settings
    except SettingsError:
        found = [problem for label in labels for problem in _problems(app, label)]
        raise SettingsError(*dict.fromkeys(found)) from None


def _problems(app: Receiver, label: str) -> tuple[str, ...]:
    try:
        registration_settings(app, label)
    except SettingsError as error:
        return error.problems
    return ()


def title(app: Receiver, label: str) -> str:
    """Return the name of a PBX, with its URL if the settings have one."""
    name = f"PBX {label or 'without a label'}"
    url = app.settings_for(label).pbx_url
    return f"{name}, {url}" if url else name


def chosen(app: Receiver, only: str | None) -> tuple[str, ...]:
    """Return the labels that ``--pbx`` selects.

    Raises:
        LoadError: the app has no PBX of that label.
    """
    if only is None:
        return app.pbxs
    if only in app.pbxs:
        return (only,)
    known = ", ".join(label or '""' for label in app.pbxs)
    raise LoadError(f"the app declares no IVR on a PBX {only!r}: there are {known}")


def _one_by_one(app: Receiver, labels: tuple[str, ...], machine: bool, work: Work) -> int:
    made: list[dict[str, Any]] = []
    statuses: set[int] = set()
    try:
        for label in labels:
            data, status = _one(app, label, machine, work)
            made.append({"pbx": label, **data})
            statuses.add(status)
    finally:  # an error ends the command: print the results so far
        if machine:
            click.echo(json.dumps({"pbxs": made}, indent=2))
    return next((status for status in (2, 1, 3) if status in statuses), 0)


def _one(app: Receiver, label: str, machine: bool, work: Work) -> tuple[dict[str, Any], int]:
    try:
        if not machine:
            click.secho(title(app, label), bold=True)
        return work(label)
    except ReceiverError as error:
        own = f" ({own_prefix(label)}… applies to this one only)" if label else ""
        hint = own if isinstance(error, SettingsError) or _PER_PBX.search(str(error)) else ""
        for problem in str(error).splitlines():
            click.echo(f"Error: PBX {label or 'without a label'}: {problem}{hint}", err=True)
        return {"error": str(error)}, error.exit_code
