"""``receiver doctor``: is everything between the caller and the handler in order?"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import click

from receiver.app import Receiver
from receiver.cli.common import app_argument, client, load_app
from receiver.cli.registering import json_option, say
from receiver.cli.several import over_pbxs, pbx_option
from receiver.registration import doctor as doctors
from receiver.registration.doctor import Case
from receiver.registration.probing import Finding, make_courier

_LEVELS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "fault": ("FAULT", "red")}


@click.command()
@app_argument
@pbx_option
@json_option
def doctor(target: str, only: str | None, machine: bool) -> None:
    """Look at the PBX and at the service as the PBX sees it; say what is wrong and its cure.

    Each action is asked at its public URL with exactly what the PBX would send, marked so that no
    handler runs. Nothing is changed. Exits with 1 if there is a fault. Run it near the PBX: it sees
    the way to the service from the machine that it runs on.
    """
    app = load_app(target)

    def one(label: str) -> tuple[dict[str, Any], int]:
        findings = asyncio.run(_examine(app, label, machine))
        faults = sum(finding.level == "fault" for finding in findings)
        warnings = sum(finding.level == "warning" for finding in findings)
        say(machine, f"{faults} faults, {warnings} warnings, {len(findings)} things looked at.")
        data = {"healthy": not faults, "findings": [asdict(finding) for finding in findings]}
        return data, 1 if faults else 0

    over_pbxs(app, only, machine, one)


async def _examine(app: Receiver, label: str, machine: bool) -> tuple[Finding, ...]:
    settings = app.settings_for(label).need("public_url")
    case = Case(
        tuple(app), settings.public_url, settings.secret, settings.epoch, settings.margin, label
    )
    async with client(settings) as pbx:
        if machine:
            return await doctors.examine(case, pbx, make_courier())
        return await doctors.examine(case, pbx, make_courier(), seen=_show)


def _show(finding: Finding) -> None:
    word, colour = _LEVELS[finding.level]
    mark = click.style(f"{word:8}", fg=colour)
    click.echo(f"{mark}{finding.subject}: {finding.text}")
    if finding.cure:
        click.echo(f"{'':10}-> {finding.cure}")
