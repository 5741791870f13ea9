"""Reads a PBX, plans, applies and verifies.

Rule 1: what `receiver.plans` calls foreign is never touched, and a plan with something blocked is
        refused before anything is sent.
Rule 2: creates and updates come first, deletes last, so that no caller falls between. Writes go
        one after the other; reads go eight at a time.
Rule 3: a failure at any moment leaves a state from which the same command goes on. A create whose
        answer was lost is looked up before it is sent again.
Rule 4: nothing is believed: what was applied is read back and compared.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from receiver import plans
from receiver.actions import Action
from receiver.drift import line, same_url
from receiver.errors import PbxError, PbxNotFound, RegistrationError
from receiver.pbx.client import PbxClient
from receiver.pbx.faults import may_have_happened
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.plans import Change, Plan
from receiver.secrets import Secret

READS = 8
"""How many reads are under way at once."""

Found = tuple[tuple[IvrSummary, tuple[ActionUrl, ...]], ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What an `apply` did.

    Attributes:
        done: the changes that were carried out, in order.
        left: deletes that were not allowed, and so are still to do.
        after: the plan that was made afterwards, to verify.
    """

    done: tuple[Change, ...]
    left: tuple[Change, ...]
    after: Plan


async def read_found(client: PbxClient) -> Found:
    """All IVRs of the PBX with all of their action URLs.

    Raises:
        PbxError: see `receiver.pbx.client`.
    """
    return await _read([ivr async for ivr in client.list_ivrs()], client)


async def make_plan(
    client: PbxClient, actions: Iterable[Action], base: str, secret: Secret, epoch: int = 1
) -> Plan:
    """What has to change on the PBX, read now; nothing is changed.

    Parameters:
        client: of the PBX.
        actions: the declarations.
        base: the public URL of this service.
        secret: the service's, from which the credentials are derived.
        epoch: counts rotations of the credentials, from 1.

    Raises:
        DeclarationError: a URL becomes longer than the PBX takes.
        RegistrationError: an IVR is not on the PBX.
        PbxError: the PBX could not be read.
    """
    wanted = plans.wanted(actions, base, secret, epoch)  # fails before anything is sent
    return plans.plan(wanted, await read_found(client), base)


async def plan_destroy(client: PbxClient, base: str) -> Plan:
    """The plan that deletes everything ours on all IVRs; errors as for `read_found`."""
    return plans.plan((), await read_found(client), base)


async def destroy(
    client: PbxClient, base: str, progress: Callable[[Change], None] = lambda change: None
) -> Result:
    """Delete everything ours on all IVRs; parameters and errors as for `apply`."""
    plan = await plan_destroy(client, base)
    return await apply(client, plan, allow_deletes=True, progress=progress)


async def apply(
    client: PbxClient,
    plan: Plan,
    *,
    allow_deletes: bool,
    progress: Callable[[Change], None] = lambda change: None,
) -> Result:
    """Carry ``plan`` out, read back, and compare.

    Parameters:
        client: of the PBX that the plan was made for.
        plan: of `make_plan` or `plan_destroy`.
        allow_deletes: False leaves the deletes of the plan undone.
        progress: is given each change once it is done.

    Raises:
        RegistrationError: something is blocked (nothing was sent); a request failed (the text says
            what was done before); or the PBX did not take a field (the text names it).
    """
    if blocked := plan.of("blocked"):
        reasons = "; ".join(f"{change.action.name!r}: {change.reason}" for change in blocked)
        raise RegistrationError(f"nothing was changed, for {reasons}")
    deletes = plan.of("delete")
    steps = plan.of("create", "update") + (deletes if allow_deletes else ())
    left = () if allow_deletes else deletes
    if not steps:
        return Result((), left, plan)
    done: list[Change] = []
    for step in steps:
        try:
            await _carry_out(client, step)
        except PbxError as error:
            raise RegistrationError(_failure(error, step, done, len(steps))) from error
        done.append(step)
        progress(step)
    after = await _verify(client, plan, allow_deletes)
    return Result(tuple(done), left, after)


async def _carry_out(client: PbxClient, change: Change) -> None:
    ivr, action = change.ivr.id, change.action
    if change.op == "create":
        await _create(client, ivr, action)
    elif change.op == "update":
        await client.update_action_url(ivr, action, clear=change.clear)
    else:
        # If somebody else was quicker, it is gone, which is what we want.
        with contextlib.suppress(PbxNotFound):
            await client.destroy_action_url(ivr, action.id)


async def _create(client: PbxClient, ivr: str, action: ActionUrl) -> None:
    try:
        await client.create_action_url(ivr, action)
    except PbxError as error:
        if not may_have_happened(error):
            raise
        there = await client.list_action_urls(ivr)
        if not any(same_url(item.url, action.url) for item in there):
            await client.create_action_url(ivr, action)


def _failure(error: PbxError, step: Change, done: Sequence[Change], total: int) -> str:
    doubt = ", and may have taken effect all the same" if may_have_happened(error) else ""
    before = f": {', '.join(map(str, done))}" if done else ""
    return (
        f"{step} failed{doubt}; {len(done)} of {total} changes were done before{before}; "
        f"run the same command again, it goes on from there. {error}"
    )


async def _verify(client: PbxClient, plan: Plan, allow_deletes: bool) -> Plan:
    """A new plan for the same IVRs, with nothing left to do but deletes that are not allowed."""
    ivrs = {change.ivr.id: change.ivr for change in plan.changes}
    try:
        found = await _read(ivrs.values(), client)
    except PbxError as error:
        raise RegistrationError(
            f"everything was sent, but could not be read back to be sure: {error}"
        ) from error
    after = plans.plan(plan.wanted, found, plan.base)
    pending = after.pending if allow_deletes else after.of("create", "update", "blocked")
    if pending:
        raise RegistrationError(
            "the PBX accepted everything, but afterwards "
            + "; ".join(map(_complaint, pending))
            + ". If somebody else works on it now, run the same command again; otherwise this PBX "
            "does not take these values"
        )
    return after


def _complaint(change: Change) -> str:
    name = f"{change.ivr.extension_number}/{line(change.action.name)}"
    match change.op:
        case "update":
            return f"{name} has not what was sent: {', '.join(map(str, change.differences))}"
        case "delete":
            return f"{name} is still there"
        case _:
            return f"{name} is not there"


async def _read(ivrs: Iterable[IvrSummary], client: PbxClient) -> Found:
    """The action URLs of each IVR, a few at a time; the first error ends it."""
    gate = asyncio.Semaphore(READS)

    async def one(ivr: IvrSummary) -> tuple[IvrSummary, tuple[ActionUrl, ...]]:
        async with gate:
            return ivr, await client.list_action_urls(ivr.id)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(ivr)) for ivr in ivrs]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return tuple(task.result() for task in tasks)
