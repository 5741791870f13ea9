"""Replace the credentials of all action URLs without interrupting calls.

Rule 1: the only state is that of the PBX's action URLs and ``RECEIVER_EPOCH``. A service of epoch n
        accepts the credentials of n and of n+1; no client has those of n+1 before `rotate` stores
        them on the PBX, so accepting them early is safe.
Rule 2: `rotate` moves the PBX from n to n+1, one action URL after the other; interrupted at any
        moment, the same command can be repeated. `plan` and `apply` do not change what is at n+1.
Rule 3: `finish` succeeds only if every action URL has n+1. What the PBX does not return is sent
        once more. Then ``RECEIVER_EPOCH=n+1`` retires n.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from receiver.credentials import Secret
from receiver.declarations.actions import Action
from receiver.declarations.event_actions import EventEndpoint
from receiver.errors import RegistrationError
from receiver.pbx.pbx_client import PbxClient
from receiver.registration import plans
from receiver.registration.actual_state import Reading, read_actual
from receiver.registration.changes import UNREADABLE, Change, Plan, Resource
from receiver.registration.desired import desired_action_urls
from receiver.registration.event_urls import desired_event_state
from receiver.registration.ownership import owner_mark
from receiver.registration.plan_requests import Progress
from receiver.registration.registrar import Result, apply
from receiver.registration.render import listed, named, reasons, what


async def plan_rotation(
    client: PbxClient,
    actions: Iterable[Action],
    base: str,
    secret: Secret,
    epoch: int,
    reading: Reading = lambda done, all: None,
    *,
    pbx: str = "",
    events: EventEndpoint | None = None,
) -> Plan:
    """Return the plan that moves all credentials to the epoch after ``epoch``.

    Parameters:
        client: of the PBX.
        actions: the declarations.
        base: the public URL of this service.
        secret: the service's.
        epoch: the service's, which accepts the next one too.
        reading: see `receiver.registration.actual_state.Reading`.
        pbx: the label of the PBX; actions for another one are skipped.
        events: the event URL of the PBX, as declared; None if none is.

    Raises:
        RegistrationError: the action URLs are not as declared: that comes first.
        DeclarationError, PbxError: as for `receiver.registration.registrar.make_plan`.
    """
    actions = tuple(actions)
    actual_urls = await read_actual(client, reading)
    owner = owner_mark(secret, pbx)
    want = desired_action_urls(actions, base, secret, epoch, pbx=pbx)
    before = plans.plan(want, actual_urls, base, pbx=pbx, owner=owner)
    actual = await client.tenant.event_url() if events else None
    now = desired_event_state(events, base, secret, epoch, pbx=pbx)
    before = plans.with_event_url(before, now, actual)
    _check_as_declared(before)
    next_ones = desired_action_urls(actions, base, secret, epoch + 1, lenient=False, pbx=pbx)
    after = plans.plan(next_ones, actual_urls, base, certain=True, pbx=pbx, owner=owner)
    after = replace(after, changes=after.of("update", "unchanged", "missing"))
    coming = desired_event_state(events, base, secret, epoch + 1, lenient=False, pbx=pbx)
    return plans.with_event_url(after, coming, actual, certain=True)


def _check_as_declared(before: Plan) -> None:
    """Raise a RegistrationError if something but deletes is left to do."""
    done = ("delete", "missing")
    undone = [one for one in before.pending if one.op not in done or one.reason == plans.DUPLICATE]
    if blocked := before.each("blocked"):
        raise RegistrationError(f"nothing was rotated, for {reasons(blocked)}")
    if undone:
        raise RegistrationError(
            f"nothing was rotated: {what(undone)} not as declared "
            f"({listed(undone)}); {_setting_first(undone)}run receiver apply first"
        )


def _setting_first(undone: Iterable[Change[Resource]]) -> str:
    """Return the question after the setting that may differ from the service's; empty if none."""
    fields = {item.field for one in undone for item in one.differences}
    if "owner" in fields:
        return "is RECEIVER_SECRET that of the service? If it is, "
    if fields & {"token", "username", "password"}:
        return "is RECEIVER_EPOCH that of the service? If it is, "
    return ""


async def rotate(
    client: PbxClient,
    plan: Plan,
    progress: Progress = lambda change: None,
) -> Result:
    """Apply the plan of `plan_rotation`; errors as for `registrar.apply`."""
    return await apply(client, plan, allow_deletes=False, progress=progress)


async def finish(
    client: PbxClient,
    plan: Plan,
    progress: Progress = lambda change: None,
) -> Result:
    """Make sure that every action URL has the credentials of ``plan``.

    Raises:
        RegistrationError: one has older ones, so these cannot be retired.
        PbxError: as for `receiver.registration.registrar.apply`.
    """
    old = [change for change in plan.each("update") if not only_unreadable(change)]
    if old:
        raise RegistrationError(
            f"the rotation is not at its end: {what(old)} with older "
            f"credentials ({named(old)}); run receiver rotate first"
        )
    return await rotate(client, plan, progress)


def only_unreadable(change: Change[Resource]) -> bool:
    """Return whether the only differences are credentials that the PBX hides."""
    return all(item.before == UNREADABLE for item in change.differences)
