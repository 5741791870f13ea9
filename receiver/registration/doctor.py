"""``receiver doctor``: find what is wrong between the caller and the handler, with its cure.

Rule 1: it only reads and asks; nothing is changed, no handler runs.
Rule 2: one fault hides no other: every check that is still possible is made.
Rule 3: settings come first, then the PBX and the way to the service, then the registration. Where
        the service refuses what this command sends, no cure changes the action URLs: they may be
        right, and this command wrong.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from receiver.credentials import Secret
from receiver.declarations.actions import Action
from receiver.errors import PbxError, PbxForbidden, PbxUnauthorized
from receiver.pbx.callback_client import CallbackClient
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.pbx.models_events import EventUrl
from receiver.pbx.pbx_client import PbxClient
from receiver.phone_numbers.numbers import NumberFormat
from receiver.registration import findings, plans
from receiver.registration.acceptance import CONCURRENT_PROBES
from receiver.registration.actual_state import Actual, read_actual, read_event_url
from receiver.registration.changes import EVENT_URL, Plan
from receiver.registration.compare import carries, is_ahead
from receiver.registration.concurrency import for_each
from receiver.registration.desired import (
    DesiredActionUrl,
    DesiredEventUrl,
    desired_action_urls,
)
from receiver.registration.diagnosis import NUMBER
from receiver.registration.event_urls import as_action_url
from receiver.registration.findings import Finding, Level
from receiver.registration.ownership import owner_mark
from receiver.registration.probe import FindProtocol, find_trouble, probe
from receiver.registration.reachability import Address, doubt
from receiver.registration.urls import parse
from receiver.text import counted, line

Resolve = Callable[[str], Awaitable[Sequence[Address]]]
"""Find the addresses of a host; none if it is not known."""


@dataclass(frozen=True, slots=True)
class Case:
    """The service and the declarations to examine.

    Attributes:
        actions: the declarations.
        base: the public URL of the service.
        secret: the service's.
        epoch: the service's.
        margin: seconds that are kept for the network.
        pbx: the label of the PBX; actions for another one are skipped.
        number_format: how the PBX's trunk writes callers' numbers.
        event_url: the desired event URL of the PBX; None does not examine it.
    """

    actions: tuple[Action, ...]
    base: str
    secret: Secret
    epoch: int = 1
    margin: float = 0.5
    pbx: str = ""
    number_format: NumberFormat = "automatic"
    event_url: DesiredEventUrl | None = None


async def examine(
    case: Case,
    client: PbxClient,
    callbacks: CallbackClient,
    *,
    now: Callable[[], float] = time.time,
    seen: Callable[[Finding], None] = lambda finding: None,
    protocol: FindProtocol | None = None,
    addresses: Resolve | None = None,
) -> tuple[Finding, ...]:
    """Check the settings, the PBX, the service from outside, and the registration.

    Parameters:
        case: the service and its declarations.
        client: of the PBX.
        callbacks: sends callbacks as the PBX does, see `probe.make_callback_client`.
        now: seconds since the epoch.
        seen: called with each finding as it is made.
        protocol: see `receiver.registration.probe.probe`.
        addresses: looks up a host; None compares only addresses that are in the settings.

    Raises:
        DeclarationError: a URL becomes longer than the PBX accepts.
    """
    wants = desired_action_urls(case.actions, case.base, case.secret, case.epoch, pbx=case.pbx)
    report = _Report(seen)
    await _examine_settings(case, client, addresses, report)
    actual = await _examine_pbx(wants, client, report)
    event_url = None if actual is None else await _read_event_url(case, client, report)
    report.add(*findings.of_numbers(wants, case.number_format))
    probed = [*_as_on_pbx(wants, actual or ()), *_event_item(case.event_url, event_url)]
    send = partial(probe, margin=case.margin, epoch=case.epoch, protocol=protocol)
    ivrs = {ivr.extension_number: ivr for ivr, _ in actual or ()}

    async def probe_one(item: DesiredActionUrl) -> Finding:
        ivr = ivrs.get(item.ivr) or IvrSummary(id="", extension_number=item.ivr)
        return await send(item, ivr, case.secret, callbacks, now=now())

    refused = await _examine_service(probed, probe_one, report)
    if not refused:
        refused = await _examine_epoch(probed, case, callbacks, now(), report)
    if actual is not None:
        plan = _plan(case, wants, actual, event_url)
        report.add(*findings.of_registration(plan, refused=refused))
    return tuple(report.findings)


def _plan(
    case: Case, wants: Sequence[DesiredActionUrl], actual: Actual, event_url: EventUrl | None
) -> Plan:
    """Return the plan for the IVRs that are on the PBX; the others are reported already."""
    numbers, owner = {ivr.extension_number for ivr, _ in actual}, owner_mark(case.secret, case.pbx)
    wants = [item for item in wants if item.ivr in numbers]
    made = plans.plan(wants, actual, case.base, pbx=case.pbx, owner=owner)
    return plans.with_event_url(made, case.event_url, event_url)


class _Report:
    def __init__(self, seen: Callable[[Finding], None]) -> None:
        self.findings: list[Finding] = []
        self._seen = seen

    def add(self, *findings: Finding) -> None:
        for finding in findings:
            self.findings.append(finding)
            self._seen(finding)


# the settings --------------------------------------------------------------------------------


async def _examine_settings(
    case: Case, client: PbxClient, addresses: Resolve | None, report: _Report
) -> None:
    async def of(url: str) -> Sequence[Address]:
        location = parse(url)
        return await addresses(location.host) if addresses and location else ()

    pbx = str(client.url)
    found = doubt(case.base, pbx, await of(case.base), await of(pbx))
    if found is not None:
        level: Level = "fault" if found.certain else "warning"
        setting = "RECEIVER_PUBLIC_URL"
        report.add(Finding(level, setting, found.text, found.cure, setting=setting))


# the PBX -------------------------------------------------------------------------------------


async def _examine_pbx(
    wants: Sequence[DesiredActionUrl], client: PbxClient, report: _Report
) -> Actual | None:
    """Return the actual state of the PBX; None if it cannot be read."""
    try:
        found = await read_actual(client)
    except PbxError as error:
        known = isinstance(error, PbxUnauthorized | PbxForbidden)
        text = "refuses the account or token" if known else "cannot be read"
        report.add(Finding("fault", f"PBX {client.url}", text, str(error)))
        return None
    report.add(
        Finding("ok", f"PBX {client.url}", f"reachable, token good, {counted(len(found), 'IVR')}")
    )
    here = {ivr.extension_number: ivr for ivr, _ in found}
    for number in dict.fromkeys(item.ivr for item in wants):
        if number in here:
            report.add(await _status(here[number], client))
        else:
            cure = "correct the number, or create the IVR on the PBX"
            report.add(Finding("fault", f"IVR {number}", "is not on the PBX", cure))
    return found


async def _read_event_url(case: Case, client: PbxClient, report: _Report) -> EventUrl | None:
    """Return the event URL of the tenant; None if none is examined, or it cannot be read."""
    try:
        return await read_event_url(client, case.event_url)
    except PbxError as error:
        report.add(Finding("fault", EVENT_URL, "cannot be read from the PBX", str(error)))
        return None


async def _status(ivr: IvrSummary, client: PbxClient) -> Finding:
    subject = f"IVR {ivr.extension_number} {line(ivr.name)}".rstrip()
    try:
        status = await client.ivrs.status(ivr.id)
    except PbxError as error:
        return Finding("warning", subject, "its status cannot be read", str(error))
    if status.upper() == "ONLINE":
        return Finding("ok", subject, "online")
    cure = "look at the PBX: is the virtual receptionist's service running, the licence good?"
    return Finding("fault", subject, f"is {line(status).lower() or 'in no known state'}", cure)


# the service ---------------------------------------------------------------------------------


def _as_on_pbx(wants: Iterable[DesiredActionUrl], actual: Actual) -> list[DesiredActionUrl]:
    """Return what the PBX sends: during a rotation it may have the credentials of the next epoch.

    An action that was renamed is checked at its former path too, until ``apply`` has moved it.
    """
    by_name: dict[tuple[str, str], ActionUrl] = {
        (ivr.extension_number, item.name): item for ivr, items in actual for item in items
    }

    def choose(item: DesiredActionUrl) -> DesiredActionUrl:
        on_pbx = by_name.get((item.ivr, item.action.name))
        if item.coming is None or on_pbx is None:
            return item
        ahead = is_ahead(on_pbx, item.action, item.coming, hidden=False)
        return replace(item, action=item.coming) if ahead else item

    moving = {
        item: item.was for item in wants if item.was and (item.ivr, item.was.action.name) in by_name
    }
    return [choose(one) for item in wants for one in (item, moving.get(item)) if one is not None]


def _event_item(desired: DesiredEventUrl | None, actual: EventUrl | None) -> list[DesiredActionUrl]:
    """Return what the PBX sends events to, as for `_as_on_pbx`; empty if none is declared."""
    if desired is None or desired.url is None:
        return []
    coming = desired.coming
    ahead = coming is not None and actual is not None and carries(actual, coming)
    return [as_action_url(desired, coming if coming is not None and ahead else desired.url)]


async def _examine_service(
    items: Sequence[DesiredActionUrl],
    probe_one: Callable[[DesiredActionUrl], Awaitable[Finding]],
    report: _Report,
) -> bool:
    """Return whether the service refused one of the probes, or did not answer it."""
    refused = False

    async def one(item: DesiredActionUrl) -> None:
        nonlocal refused
        finding = await probe_one(item)
        refused = refused or finding.level == "fault"
        report.add(finding)

    await for_each(items, one, CONCURRENT_PROBES)
    return refused


async def _examine_epoch(
    items: Sequence[DesiredActionUrl],
    case: Case,
    callbacks: CallbackClient,
    now: float,
    report: _Report,
) -> bool:
    """Return whether the service is an epoch behind: it accepts this one, and not the next."""
    item = next((one for one in items if one.coming is not None), None)
    if item is None or item.coming is None:
        return False
    ivr = IvrSummary(id="", extension_number=item.ivr)
    item = replace(item, action=item.coming)
    trouble = await find_trouble(item, ivr, case.secret, callbacks, now=now, epoch=case.epoch)
    if trouble is None or trouble.setting != NUMBER:
        return False
    report.add(Finding("fault", NUMBER, trouble.text, trouble.cure, setting=NUMBER))
    return True
