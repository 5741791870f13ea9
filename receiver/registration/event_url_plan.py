"""Read the tenant's event URL, and add its change to a plan."""

from __future__ import annotations

from typing import Unpack

from receiver.errors import PbxError
from receiver.pbx.models_events import EventUrl
from receiver.pbx.pbx_client import PbxClient
from receiver.registration import plans
from receiver.registration.changes import Plan
from receiver.registration.desired import DesiredEventUrl


async def with_event_url(
    client: PbxClient,
    made: Plan,
    desired: DesiredEventUrl | None,
    **options: Unpack[plans.Options],
) -> Plan:
    """Return a plan with the change of the event URL; parameters as for `plans.with_event_url`.

    Raises:
        PbxError: the tenant could not be read, and an event URL is declared.
    """
    actual = await read_event_url(client, desired)
    return plans.with_event_url(made, desired, actual, **options)


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
