"""``receiver doctor``: is everything between the caller and the handler in order?

Rule 1: it only reads and asks; nothing is changed, no handler runs.
Rule 2: one fault hides no other: what can be looked at all the same is looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from receiver.actions import Action
from receiver.errors import PbxError, PbxForbidden, PbxUnauthorized
from receiver.pbx.client import PbxClient
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.printable import line
from receiver.registration import plans
from receiver.registration.carrying import together
from receiver.registration.drift import is_ahead
from receiver.registration.plans import Change
from receiver.registration.probing import Finding, probe
from receiver.registration.registrar import Found, read_found
from receiver.registration.wanting import Wanted, wanted
from receiver.secrets import Secret
from receiver.simulator.delivery import Courier

AT_ONCE = 4
"""Action URLs that are asked at once: not so many that they make each other slow."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be examined.

    Attributes:
        actions: the declarations.
        base: the public URL of the service.
        secret: the service's.
        epoch: the service's.
        margin: seconds that the way to the service and back may take.
        pbx: the label of the PBX; actions for another one are passed over.
    """

    actions: tuple[Action, ...]
    base: str
    secret: Secret
    epoch: int = 1
    margin: float = 0.5
    pbx: str = ""


async def examine(
    case: Case,
    client: PbxClient,
    courier: Courier,
    *,
    now: Callable[[], float] = time.time,
    seen: Callable[[Finding], None] = lambda finding: None,
) -> tuple[Finding, ...]:
    """Look at the PBX, then at the service from outside.

    Parameters:
        case: what is to be examined.
        client: of the PBX.
        courier: carries what the PBX would send; see `receiver.registration.probing.make_courier`.
        now: seconds since the epoch.
        seen: is given each finding at once.

    Raises:
        DeclarationError: a URL becomes longer than the PBX takes.
    """
    wants = wanted(case.actions, case.base, case.secret, case.epoch, pbx=case.pbx)
    report = _Report(seen)
    found = await _examine_pbx(wants, case, client, report)
    await _examine_service(_as_found(wants, found), found, case, courier, now, report)
    return tuple(report.findings)


class _Report:
    def __init__(self, seen: Callable[[Finding], None]) -> None:
        self.findings: list[Finding] = []
        self._seen = seen

    def add(self, finding: Finding) -> None:
        self.findings.append(finding)
        self._seen(finding)


# the PBX -------------------------------------------------------------------------------------


async def _examine_pbx(
    wants: Sequence[Wanted], case: Case, client: PbxClient, report: _Report
) -> Found:
    try:
        found = await read_found(client)
    except PbxError as error:
        known = isinstance(error, PbxUnauthorized | PbxForbidden)
        text = "does not let us in" if known else "cannot be read"
        report.add(Finding("fault", f"PBX {client.url}", text, str(error)))
        return ()
    report.add(Finding("ok", f"PBX {client.url}", f"reachable, token good, {len(found)} IVRs"))
    here = {ivr.extension_number: ivr for ivr, _ in found}
    for number in dict.fromkeys(item.ivr for item in wants):
        if number in here:
            report.add(await _status(here[number], client))
        else:
            cure = "correct the number, or create the IVR on the PBX"
            report.add(Finding("fault", f"IVR {number}", "is not on the PBX", cure))
    there = [item for item in wants if item.ivr in here]
    for change in plans.plan(there, found, case.base, pbx=case.pbx).changes:
        if change.op not in ("keep", "foreign"):
            report.add(_drift(change))
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


def _drift(change: Change) -> Finding:
    subject = f"{change.ivr.extension_number}/{line(change.action.name)}"
    if change.op == "blocked":
        return Finding("fault", subject, "cannot be registered", change.reason)
    if change.op == "delete":
        text = f"is on the PBX, but {change.reason}"
        return Finding("warning", subject, text, "receiver apply --allow-deletes")
    text = (
        "is not on the PBX"
        if change.op == "create"
        else "is not as declared: " + ", ".join(map(str, change.differences))
    )
    return Finding("fault", subject, text, "receiver apply")


# the service ---------------------------------------------------------------------------------


def _as_found(wants: Iterable[Wanted], found: Found) -> list[Wanted]:
    """What the PBX sends: during a rotation it may have the credentials of the next epoch."""
    there: dict[tuple[str, str], ActionUrl] = {
        (ivr.extension_number, item.name): item for ivr, items in found for item in items
    }

    def choose(item: Wanted) -> Wanted:
        on_pbx = there.get((item.ivr, item.action.name))
        if item.coming is None or on_pbx is None:
            return item
        ahead = is_ahead(on_pbx, item.action, item.coming, hidden=False)
        return replace(item, action=item.coming) if ahead else item

    return [choose(item) for item in wants]


async def _examine_service(
    wants: Sequence[Wanted],
    found: Found,
    case: Case,
    courier: Courier,
    now: Callable[[], float],
    report: _Report,
) -> None:
    ivrs = {ivr.extension_number: ivr for ivr, _ in found}

    async def one(item: Wanted) -> None:
        ivr = ivrs.get(item.ivr) or IvrSummary(id="", extension_number=item.ivr)
        margin = case.margin
        report.add(await probe(item, ivr, case.secret, courier, margin=margin, now=now()))

    for start in range(0, len(wants), AT_ONCE):
        await together(one(item) for item in wants[start : start + AT_ONCE])
