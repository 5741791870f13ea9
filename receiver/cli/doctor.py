"""``receiver doctor``: check the way from the PBX to the handlers."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import asdict
from ipaddress import ip_address
from typing import Any

import click

from receiver.app import Receiver
from receiver.cli.common import app_argument, client, json_option, load_app
from receiver.cli.each_pbx import over_pbxs, pbx_option, registration_settings
from receiver.cli.exit_status import FINDING
from receiver.cli.progress import say
from receiver.registration import doctor as doctors
from receiver.registration.doctor import Case
from receiver.registration.event_urls import desired_event_state
from receiver.registration.findings import Finding
from receiver.registration.probe import make_callback_client, protocol_at
from receiver.registration.reachability import Address
from receiver.text import counted

_DNS_TIMEOUT = 3.0  # seconds

_LEVELS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "fault": ("FAULT", "red")}


@click.command()
@app_argument
@pbx_option
@json_option
def doctor(target: str, only: str | None, machine: bool) -> None:
    """Check the settings, the PBX, the service at its public URL, and the registration.

    Faults are printed with their cures. Each action gets a probe at its public URL: exactly the
    callback that the PBX would send, marked so that no handler runs. So does the event URL, if
    handlers of events are declared; no event is stored. Nothing is changed. Run it in the network
    of the PBX: it tests the connection from this machine to the service.
    """
    app = load_app(target)

    def one(label: str) -> tuple[dict[str, Any], int]:
        findings = asyncio.run(_examine(app, label, machine))
        faults = sum(finding.level == "fault" for finding in findings)
        warnings = sum(finding.level == "warning" for finding in findings)
        say(
            machine,
            ", ".join(
                (
                    counted(faults, "fault"),
                    counted(warnings, "warning"),
                    counted(len(findings), "check"),
                )
            )
            + ".",
        )
        data = {"healthy": not faults, "findings": [asdict(finding) for finding in findings]}
        return data, FINDING if faults else 0

    over_pbxs(app, only, machine, one)


async def _examine(app: Receiver, label: str, machine: bool) -> tuple[Finding, ...]:
    settings = registration_settings(app, label)
    case = Case(
        tuple(app),
        settings.public_url,
        settings.secret,
        settings.epoch,
        settings.margin,
        label,
        settings.number_format,
        desired_event_state(
            app.event_endpoint(label),
            settings.public_url,
            settings.secret,
            settings.epoch,
            pbx=label,
        ),
    )
    async with client(settings) as pbx:
        return await doctors.examine(
            case,
            pbx,
            make_callback_client(),
            seen=(lambda finding: None) if machine else _show,
            protocol=protocol_at,
            addresses=_addresses,
        )


async def _addresses(host: str) -> list[Address]:
    """Return the addresses to which this machine resolves a host name."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_DNS_TIMEOUT):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        return []
    return [ip_address(str(address[0]).partition("%")[0]) for *_, address in found]


def _show(finding: Finding) -> None:
    word, colour = _LEVELS[finding.level]
    mark = click.style(f"{word:8}", fg=colour)
    click.echo(f"{mark}{finding.subject}: {finding.text}")
    if finding.cure:
        click.echo(f"{'':10}-> {finding.cure}")
