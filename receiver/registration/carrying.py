"""Sends what a plan says, and no more: one round of requests to the PBX.

Rule 1: creates and updates of all IVRs first, deletes after the last of them. On one IVR one
        request goes after the other, in the order of `receiver.registration.steps`; on several side
        by side.
Rule 2: after a failure nothing new is begun; what is under way is waited for.
Rule 3: an action URL that somebody else deleted is no failure: a delete has its goal, an update is
        left to the next plan.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from receiver.errors import PbxError, PbxNotFound
from receiver.pbx.client import PbxClient
from receiver.pbx.faults import may_have_happened
from receiver.pbx.models import ActionUrl
from receiver.registration.drift import same_url
from receiver.registration.plans import Change
from receiver.registration.steps import Step, in_order

WRITES = 8
"""On how many IVRs something is written at once."""

Progress = Callable[[Change], None]


@dataclass(slots=True)
class Round:
    """What became of the changes.

    Attributes:
        done: those carried out, in the order of their end.
        failure: the first that failed, and why; None if none did.
    """

    done: list[Change] = field(default_factory=list)
    failure: tuple[Change, PbxError] | None = None


async def carry_out(client: PbxClient, changes: Sequence[Change], progress: Progress) -> Round:
    """Send ``changes``, some at once.

    Parameters:
        client: of the PBX.
        changes: creates, updates and deletes.
        progress: is given each change once it is done.
    """
    one = Round()
    gate = asyncio.Semaphore(WRITES)

    async def run(steps: Iterable[Step]) -> None:
        async with gate:
            for step in steps:
                if one.failure is not None:
                    return
                await _take(client, step, one, progress)

    writes = [change for change in changes if change.op != "delete"]
    deletes = [change for change in changes if change.op == "delete"]
    await together(run(in_order(group)) for group in _by_ivr(writes))
    await together(run(Step(c, c.action) for c in group) for group in _by_ivr(deletes))
    return one


async def together(work: Iterable[Awaitable[None]]) -> None:
    """Do all of it at once; the first error ends it, and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(_await(one))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _await(work: Awaitable[None]) -> None:
    await work


def _by_ivr(changes: Iterable[Change]) -> Iterable[list[Change]]:
    groups: dict[str, list[Change]] = {}
    for change in changes:
        groups.setdefault(change.ivr.id, []).append(change)
    return groups.values()


async def _take(client: PbxClient, step: Step, one: Round, progress: Progress) -> None:
    change = step.change
    try:
        await _send(client, step)
    except PbxNotFound as error:
        if change.op == "create":
            one.failure = one.failure or (change, error)
        return
    except PbxError as error:
        one.failure = one.failure or (change, error)
        return
    if step.final:
        one.done.append(change)
        progress(change)


async def _send(client: PbxClient, step: Step) -> None:
    ivr, action = step.change.ivr.id, step.action
    if step.change.op == "create":
        await _create(client, ivr, action)
    elif step.change.op == "update":
        await client.update_action_url(ivr, action, clear=step.change.clear)
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
