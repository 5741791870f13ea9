"""Read the actual state of a PBX: IVRs, action URLs and the event URL."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from receiver.errors import PbxError
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.pbx.models_events import EventUrl
from receiver.pbx.pbx_client import PbxClient
from receiver.registration.changes import Plan
from receiver.registration.concurrency import for_each
from receiver.registration.desired import DesiredEventUrl
from receiver.registration.lints import IvrRules

Actual = tuple[tuple[IvrSummary, tuple[ActionUrl, ...]], ...]
Reading = Callable[[int, int], None]
"""Called with the number of IVRs that have been read, and the number of all."""


async def read_actual(client: PbxClient, reading: Reading = lambda done, all: None) -> Actual:
    """Return all IVRs of the PBX with all of their action URLs.

    Parameters:
        client: of the PBX.
        reading: see `Reading`.

    Raises:
        PbxError: see `receiver.pbx.pbx_client`.
    """
    return await read_action_urls(client, [ivr async for ivr in client.ivrs.list()], reading)


async def read_action_urls(
    client: PbxClient, ivrs: Iterable[IvrSummary], reading: Reading = lambda done, all: None
) -> Actual:
    """Return the action URLs of each IVR, a few at a time; the first error ends it."""
    ivrs = tuple(ivrs)
    actual: dict[str, tuple[ActionUrl, ...]] = {}

    async def one(ivr: IvrSummary) -> None:
        actual[ivr.id] = tuple([item async for item in client.action_urls(ivr.id).list()])
        reading(len(actual), len(ivrs))

    await for_each(ivrs, one)
    return tuple((ivr, actual[ivr.id]) for ivr in ivrs)


async def read_rules(client: PbxClient, plan: Plan) -> dict[str, IvrRules]:
    """Return the behaviour of the IVRs of ``plan``, by number, as far as they can be read."""
    numbers = {item.ivr for item in plan.desired}
    ivrs = {change.ivr.id: change.ivr for change in plan.changes if change.op != "missing"}
    own: dict[str, IvrRules] = {}

    async def one(ivr: IvrSummary) -> None:
        with contextlib.suppress(PbxError):
            own[ivr.extension_number] = IvrRules.of(await client.ivrs.show(ivr.id))

    await for_each((ivr for ivr in ivrs.values() if ivr.extension_number in numbers), one)
    return own


async def read_event_url(client: PbxClient, desired: DesiredEventUrl | None) -> EventUrl | None:
    """Return the actual event URL; None if it is not to be read, or cannot and need not be."""
    if desired is None:
        return None
    try:
        return await client.tenant.event_url()
    except PbxError:
        if desired.url is not None:
            raise
        return None  # an account without access to the tenant has never set one
