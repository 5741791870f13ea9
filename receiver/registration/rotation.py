"""New credentials for all action URLs, while calls go on.

Rule 1: there is no state but the PBX's action URLs and ``RECEIVER_EPOCH``. A service of epoch n
        accepts the credentials of n and of n+1; nobody has those of n+1 before `rotate` gives them
        to the PBX, so to accept them early opens no door.
Rule 2: `rotate` moves the PBX from n to n+1, one action URL after the other; stopped anywhere, the
        same command goes on. `plan` and `apply` leave in peace what is at n+1 already.
Rule 3: `finish` ends well only if every action URL has n+1. What the PBX does not let be read is
        sent once more. Then ``RECEIVER_EPOCH=n+1`` retires n.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from receiver.actions import Action
from receiver.errors import RegistrationError
from receiver.pbx.client import PbxClient
from receiver.registration import plans
from receiver.registration.drift import UNREADABLE
from receiver.registration.plans import Change, Plan
from receiver.registration.probing import Finding, make_courier, probe
from receiver.registration.registrar import Reading, Result, apply, read_found
from receiver.registration.wanting import wanted
from receiver.secrets import Secret
from receiver.simulator.delivery import Courier


async def plan_rotation(
    client: PbxClient,
    actions: Iterable[Action],
    base: str,
    secret: Secret,
    epoch: int,
    reading: Reading = lambda done, all: None,
    *,
    pbx: str = "",
) -> Plan:
    """What has to change on the PBX for all credentials to be of the epoch after ``epoch``.

    Parameters:
        client: of the PBX.
        actions: the declarations.
        base: the public URL of this service.
        secret: the service's.
        epoch: the service's, which accepts the next one too.
        reading: is told how far the reading is.
        pbx: the label of the PBX; actions for another one are passed over.

    Raises:
        RegistrationError: the action URLs are not as declared: that comes first.
        DeclarationError, PbxError: as for `receiver.registration.registrar.make_plan`.
    """
    actions = tuple(actions)
    found = await read_found(client, reading)
    before = plans.plan(wanted(actions, base, secret, epoch, pbx=pbx), found, base, pbx=pbx)
    undone = [one for one in before.pending if one.op != "delete" or one.reason == plans.TWICE]
    if blocked := before.of("blocked"):
        raise RegistrationError(f"nothing was rotated: {blocked[0].reason}")
    if undone:
        raise RegistrationError(
            f"nothing was rotated: {len(undone)} action URLs are not as declared ({undone[0]}"
            f"{', …' if undone[1:] else ''}); run receiver apply first"
        )
    next_ones = wanted(actions, base, secret, epoch + 1, lenient=False, pbx=pbx)
    after = plans.plan(next_ones, found, base, certain=True, pbx=pbx)
    return replace(after, changes=after.of("update", "keep"))


async def rotate(
    client: PbxClient, plan: Plan, progress: Callable[[Change], None] = lambda change: None
) -> Result:
    """Carry out what `plan_rotation` made; errors as for `registrar.apply`."""
    return await apply(client, plan, allow_deletes=False, progress=progress)


async def finish(
    client: PbxClient, plan: Plan, progress: Callable[[Change], None] = lambda change: None
) -> Result:
    """Make sure that every action URL has the credentials of ``plan``.

    Raises:
        RegistrationError: one surely has not, so the old ones cannot be retired.
        PbxError: as for `receiver.registration.registrar.apply`.
    """
    old = [change for change in plan.of("update") if not only_unreadable(change)]
    if old:
        raise RegistrationError(
            f"the rotation is not at its end: {len(old)} action URLs have older credentials "
            f"({', '.join(str(one).removeprefix('update ') for one in old[:3])}"
            f"{', …' if old[3:] else ''}); run receiver rotate first"
        )
    return await rotate(client, plan, progress)


async def ask_service(
    plan: Plan, secret: Secret, courier: Courier | None = None, *, now: float | None = None
) -> Finding | None:
    """Whether the service accepts what `rotate` would give the PBX; None if there is nothing new.

    One action URL is asked for all, marked so that no handler runs.

    Parameters:
        plan: of `plan_rotation`.
        secret: the service's.
        courier: carries the request; by default over the network.
        now: seconds since the epoch, by default those of the clock.
    """
    change = next(iter(plan.of("update")), None)
    if change is None:
        return None
    item = next(one for one in plan.wanted if one.action.url == change.action.url)
    moment = time.time() if now is None else now
    # How long it takes is a matter for receiver doctor.
    margin = float(item.action.request_timeout)
    courier = courier or make_courier()
    return await probe(item, change.ivr, secret, courier, margin=margin, now=moment)


def only_unreadable(change: Change) -> bool:
    """Whether nothing is known to differ: the PBX only does not let the credentials be read."""
    return all(item.before == UNREADABLE for item in change.differences)
