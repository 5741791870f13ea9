"""``receiver doctor``: is everything between the caller and the handler in order?"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict

import click

from receiver import doctor as doctors
from receiver.app import Receiver
from receiver.cli.common import app_argument, client, load_app
from receiver.cli.registering import json_option
from receiver.doctor import Case
from receiver.probing import Finding, make_courier

_LEVELS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "fault": ("FAULT", "red")}


@click.command()
@app_argument
@json_option
def doctor(target: str, machine: bool) -> None:
    """Look at the PBX and at the service as the PBX sees it; say what is wrong and its cure.

    Each action is asked at its public URL with exactly what the PBX would send, marked so that no
    handler runs. Nothing is changed. Exits with 1 if there is a fault. Run it near the PBX: it sees
    the way to the service from the machine that it runs on.
    """
    findings = asyncio.run(_examine(load_app(target), machine))
    faults = sum(finding.level == "fault" for finding in findings)
    warnings = sum(finding.level == "warning" for finding in findings)
    if machine:
        data = {"healthy": not faults, "findings": [asdict(finding) for finding in findings]}
        click.echo(json.dumps(data, indent=2))
    else:
        click.echo(f"{faults} faults, {warnings} warnings, {len(findings)} things looked at.")
    if faults:
        raise SystemExit(1)


async def _examine(app: Receiver, machine: bool) -> tuple[Finding, ...]:
    settings = app.settings.need("public_url")
    case = Case(tuple(app), settings.public_url, settings.secret, settings.epoch, settings.margin)
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
