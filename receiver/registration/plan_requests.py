"""Send the changes of a plan to the PBX, once.

Rule 1: holidays and IVRs first, one after the other, then creates and updates of action URLs, then
        deletes after the last of them. On one IVR requests are sent one after the other, in the
        sequence of `receiver.registration.sequence`; on several IVRs at the same time.
Rule 2: after a failure no further request is started; those in progress are awaited. An IVR that
        the PBX refuses, or stores with other values, stops only the changes of its action URLs, and
        all deletes: a number may have moved to it.
Rule 3: an action URL that another client deleted is no failure: a delete has its goal, an update is
        left to the next plan.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from receiver.declarations.desired_ivr import DesiredIvr
from receiver.errors import (
    PbxError,
    PbxInvalid,
    PbxNotFound,
    PbxRefused,
    PbxThrottled,
    PbxUnauthorized,
)
from receiver.pbx.api_errors import may_have_happened
from receiver.pbx.ivr_collections import ActionUrls
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.pbx.models_events import EventUrl
from receiver.pbx.models_shared import Holiday
from receiver.pbx.pbx_client import PbxClient
from receiver.registration.changes import Change, Resource
from receiver.registration.concurrency import for_each
from receiver.registration.holiday_changes import put_holiday
from receiver.registration.ivr_changes import Failure, Prompts, put
from receiver.registration.sequence import Step, in_sequence
from receiver.registration.urls import same

Progress = Callable[[Change[Resource]], None]


@dataclass(slots=True)
class Round:
    """The result of sending changes.

    Attributes:
        done: the changes that were made, in the order of their end.
        ivrs: the IVRs that were created or updated, by extension number.
        holidays: the ids of the declared holidays on the PBX, by name.
        failure: the first change that failed, with its error; None if none did.
        refused: the IVRs that the PBX did not take, each with its error, by extension number.
    """

    client: PbxClient
    progress: Progress
    prompts: Prompts
    done: list[Change[Resource]] = field(default_factory=list)
    ivrs: dict[str, IvrSummary] = field(default_factory=dict)
    holidays: dict[str, str] = field(default_factory=dict)
    failure: Failure | None = None
    refused: dict[str, Failure] = field(default_factory=dict)

    async def run(self, steps: Iterable[Step[Resource]]) -> None:
        """Send ``steps`` one after the other."""
        for step in steps:
            if self.failure is not None:
                return
            change = step.change
            number = change.ivr.extension_number
            if self.refused and (number in self.refused or change.op == "delete"):
                continue
            try:
                await self._send(step)
            except PbxError as error:
                if isinstance(change.resource, DesiredIvr) and _is_about_ivr(error):
                    self.refused[number] = change, error
                    continue
                gone = isinstance(error, PbxNotFound) and isinstance(change.resource, ActionUrl)
                if change.op == "create" or not gone:
                    self.failure = self.failure or (change, error)
                return
            if step.final:
                self.done.append(change)
                self.progress(change)

    async def _send(self, step: Step[Resource]) -> None:
        match step.resource:
            case DesiredIvr() as desired:
                number, name = desired.number, desired.fields.name
                ivr_id = await put(
                    self.client, desired, step.change.ivr.id, self.prompts, self.holidays
                )
                self.ivrs[number] = IvrSummary(id=ivr_id, extension_number=number, name=name)
            case Holiday() as holiday:
                self.holidays[holiday.name] = await put_holiday(self.client, holiday)
            case EventUrl() as event_url:
                before = step.change.before
                replaces = before.url if before else None
                await self.client.tenant.set_event_url(event_url, replaces=replaces)
            case ActionUrl() as action_url:
                await self._send_action_url(step.change, action_url)

    async def _send_action_url(self, change: Change[Resource], action_url: ActionUrl) -> None:
        ivr_id = change.ivr.id or self.ivrs[change.ivr.extension_number].id
        action_urls = self.client.action_urls(ivr_id)
        if change.op == "create":
            await _create(action_urls, action_url)
        elif change.op == "update":
            await action_urls.put(action_url.id, action_url, clear=change.clear)
        else:
            with contextlib.suppress(PbxNotFound):  # another client deleted it first
                await action_urls.destroy(action_url.id)


async def send(
    client: PbxClient,
    changes: Sequence[Change[Resource]],
    progress: Progress,
    holidays: Mapping[str, str] | None = None,
) -> Round:
    """Send ``changes``, those of several IVRs at the same time.

    Parameters:
        client: of the PBX.
        changes: creates, updates and deletes.
        progress: called with each change once it is made.
        holidays: the ids of holidays on the PBX, by name.
    """
    one = Round(client, progress, Prompts(client), holidays=dict(holidays or {}))
    for stage in in_sequence(changes):
        await for_each(stage, one.run)
    return one


def _is_about_ivr(error: PbxError) -> bool:
    """Return whether the PBX works, and took only this IVR not."""
    if isinstance(error, PbxUnauthorized | PbxThrottled):
        return False
    return isinstance(error, PbxRefused | PbxInvalid)


async def _create(action_urls: ActionUrls, action_url: ActionUrl) -> None:
    try:
        await action_urls.create_once(action_url)
    except PbxError as error:
        if not may_have_happened(error):
            raise
        actual = [item async for item in action_urls.list()]
        if not any(same(item.url, action_url.url) for item in actual):
            await action_urls.create_once(action_url)
