"""``receiver doctor``: find what is wrong between the caller and the handler, with its cure.

Rule 1: it only reads and asks; nothing is changed, no handler runs.
Rule 2: one fault hides no other: every check that is still possible is made.
Rule 3: settings come first, then the PBX and the way to the service, then the registration. Where
        the service refuses what this command sends, no cure changes the action URLs: they may be
        right, and this command wrong.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from receiver.credentials import Secret
from receiver.declarations.actions import Action
from receiver.errors import PbxError, PbxForbidden, PbxUnauthorized
from receiver.masks import Mask
from receiver.pbx.callback_client import CallbackClient
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.pbx.pbx_client import PbxClient
from receiver.phone_numbers.numbers import NumberFormat
from receiver.registration import lints, plans
from receiver.registration.changes import Change
from receiver.registration.compare import is_ahead
from receiver.registration.concurrency import together
from receiver.registration.desired import DesiredActionUrl, desired_action_urls
from receiver.registration.diagnosis import NUMBER
from receiver.registration.ownership import owner_mark
from receiver.registration.probe import Finding, FindProtocol, Level, find_trouble, probe
from receiver.registration.reachability import Address, doubt
from receiver.registration.registrar import Actual, read_actual
from receiver.registration.urls import parse
from receiver.text import counted, line

Resolve = Callable[[str], Awaitable[Sequence[Address]]]
"""Find the addresses of a host; none if it is not known."""

AT_ONCE = 4
"""The number of action URLs that are probed at the same time; more would slow each other."""


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
    """

    actions: tuple[Action, ...]
    base: str
    secret: Secret
    epoch: int = 1
    margin: float = 0.5
    pbx: str = ""
    number_format: NumberFormat = "automatic"


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
        callbacks: sends callbacks as the PBX does, see
            `receiver.registration.probe.make_callback_client`.
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
    found = await _examine_pbx(wants, client, report)
    for finding in _callers(wants, case.number_format):
        report.add(finding)

    ivrs = {ivr.extension_number: ivr for ivr, _ in found or ()}

    async def ask(item: DesiredActionUrl) -> Finding:
        ivr = ivrs.get(item.ivr) or IvrSummary(id="", extension_number=item.ivr)
        more: dict[str, Any] = {"margin": case.margin, "now": now(), "epoch": case.epoch}
        return await probe(item, ivr, case.secret, callbacks, protocol=protocol, **more)

    refused = await _examine_service(_as_found(wants, found or ()), ask, report)
    if not refused:
        refused = await _examine_epoch(wants, case, callbacks, now(), report)
    if found is not None:
        _examine_registration(wants, found, case, refused, report)
    return tuple(report.findings)


class _Report:
    def __init__(self, seen: Callable[[Finding], None]) -> None:
        self.findings: list[Finding] = []
        self._seen = seen

    def add(self, finding: Finding) -> None:
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


def _callers(wants: Iterable[DesiredActionUrl], number_format: NumberFormat) -> Iterator[Finding]:
    """Yield how the trunk writes callers' numbers, and the masks that do not fit it."""
    rows = [
        lints.Row(f"{item.ivr}/{item.action.name}", item.action.type, Mask.parse(item.action.mask))
        for item in wants
        if item.action.enabled and item.action.type == "CALLER"
    ]
    cure = "set RECEIVER_NUMBER_FORMAT, or write the mask as the trunk writes numbers"
    for text in lints.callers(rows, number_format):
        yield Finding("warning", "callers' numbers", text, cure)
    if number_format != "automatic":
        yield Finding("ok", "callers' numbers", f"the trunk writes them as {number_format}")
    elif any("+" in row.mask.short for row in rows):
        text = "masks have a +, and whether the trunk sends one is not set"
        yield Finding("ok", "callers' numbers", text, "set RECEIVER_NUMBER_FORMAT")


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


def _as_found(wants: Iterable[DesiredActionUrl], found: Actual) -> list[DesiredActionUrl]:
    """Return what the PBX sends: during a rotation it may have the credentials of the next epoch.

    An action that was renamed is checked at its former path too, until ``apply`` has moved it.
    """
    there: dict[tuple[str, str], ActionUrl] = {
        (ivr.extension_number, item.name): item for ivr, items in found for item in items
    }

    def choose(item: DesiredActionUrl) -> DesiredActionUrl:
        on_pbx = there.get((item.ivr, item.action.name))
        if item.coming is None or on_pbx is None:
            return item
        ahead = is_ahead(on_pbx, item.action, item.coming, hidden=False)
        return replace(item, action=item.coming) if ahead else item

    moving = {
        item: item.was for item in wants if item.was and (item.ivr, item.was.action.name) in there
    }
    return [choose(one) for item in wants for one in (item, moving.get(item)) if one is not None]


async def _examine_service(
    wants: Sequence[DesiredActionUrl],
    ask: Callable[[DesiredActionUrl], Awaitable[Finding]],
    report: _Report,
) -> bool:
    """Whether the service refused, or did not answer, for one of the action URLs."""
    refused = False

    async def one(item: DesiredActionUrl) -> None:
        nonlocal refused
        finding = await ask(item)
        refused = refused or finding.level == "fault"
        report.add(finding)

    for start in range(0, len(wants), AT_ONCE):
        await together(one(item) for item in wants[start : start + AT_ONCE])
    return refused


async def _examine_epoch(
    wants: Sequence[DesiredActionUrl],
    case: Case,
    callbacks: CallbackClient,
    now: float,
    report: _Report,
) -> bool:
    """Return whether the service is an epoch behind: it accepts this one, and not the next."""
    item = next((one for one in wants if one.coming is not None), None)
    if item is None or item.coming is None:
        return False
    ivr = IvrSummary(id="", extension_number=item.ivr)
    item = replace(item, action=item.coming)
    trouble = await find_trouble(item, ivr, case.secret, callbacks, now=now, epoch=case.epoch)
    if trouble is None or trouble.setting != NUMBER:
        return False
    report.add(Finding("fault", NUMBER, trouble.text, trouble.cure, setting=NUMBER))
    return True


# the registration ----------------------------------------------------------------------------


def _examine_registration(
    wants: Sequence[DesiredActionUrl], found: Actual, case: Case, refused: bool, report: _Report
) -> None:
    here = {ivr.extension_number for ivr, _ in found}
    there = [item for item in wants if item.ivr in here]
    owner = owner_mark(case.secret, case.pbx)
    for change in plans.plan(there, found, case.base, pbx=case.pbx, owner=owner).changes:
        if change.op == "unmanaged" and change.reason:
            report.add(Finding("warning", _subject(change), "is not managed", change.reason))
        elif change.op not in ("unchanged", "unmanaged"):
            report.add(_drift(change, refused))


def _subject(change: Change[ActionUrl]) -> str:
    return f"{change.ivr.extension_number}/{line(change.resource.name)}"


def _drift(change: Change[ActionUrl], refused: bool) -> Finding:
    """Return the finding of a difference; if the service refused, registering is not the cure."""
    subject, first = (
        _subject(change),
        "first fix the service as described above, then run doctor again",
    )
    if change.op == "blocked":
        return Finding("fault", subject, "cannot be registered", change.reason)
    if change.op == "delete":
        text = f"is on the PBX, but {change.reason}"
        cure = "if nothing else needs it: receiver apply --allow-deletes"
        return Finding("warning", subject, text, first if refused else cure)
    text = (
        "is not on the PBX"
        if change.op == "create"
        else "is not as declared: " + ", ".join(map(str, change.differences))
    )
    return Finding("fault", subject, text, first if refused else "receiver apply")
