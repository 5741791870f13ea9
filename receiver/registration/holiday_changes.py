"""Create and update declared holidays on a PBX; none is ever deleted.

Rule 1: a holiday is looked up by its name. Of several with it the one that is as declared counts,
        then the one with the smallest id.
Rule 2: parts that are not declared, such as a time, stay as they are on the PBX.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from receiver.declarations.desired_ivr import DesiredIvr, holidays_of
from receiver.pbx.models_shared import Holiday
from receiver.pbx.pbx_client import PbxClient
from receiver.registration.changes import NO_IVR, Change
from receiver.registration.compare_ivr import holiday_differences


async def plan_holidays(
    client: PbxClient, ivrs: Iterable[DesiredIvr]
) -> tuple[Change[Holiday], ...]:
    """Read the holidays of the PBX, if ``ivrs`` declare any, and return the changes.

    Raises:
        DeclarationError: two declared holidays have one name and differ.
        PbxError: they could not be read.
    """
    ivrs = tuple(ivrs)
    if not (desired := holidays_of(ivrs)):
        return ()
    there = [one async for one in client.holidays.list()]
    first = {one.name: ivr.where for ivr in reversed(ivrs) for one in ivr.holidays}
    return tuple(plan_holiday(one, there, first[one.name]) for one in desired)


def plan_holiday(desired: Holiday, actual: Iterable[Holiday], where: str = "") -> Change[Holiday]:
    """Return the change of one holiday.

    Parameters:
        desired: the declaration.
        actual: the holidays of the PBX.
        where: ``file:line`` of the declaration.
    """
    found = find(desired, actual)
    drift = tuple(holiday_differences(desired, found or Holiday()))
    if found is None:
        return Change("create", NO_IVR, desired, drift, where=where)
    resource = msgspec.structs.replace(desired, id=found.id)
    return Change("update" if drift else "unchanged", NO_IVR, resource, drift, where=where)


def find(desired: Holiday, actual: Iterable[Holiday]) -> Holiday | None:
    """Return the holiday of the PBX that ``desired`` declares, None if it is missing."""

    def rank(one: Holiday) -> tuple[bool, int, str]:
        return any(holiday_differences(desired, one)), len(one.id), one.id

    return min((one for one in actual if one.name == desired.name), key=rank, default=None)


async def put_holiday(client: PbxClient, holiday: Holiday) -> None:
    """Create or update one holiday, and read it back.

    Parameters:
        client: of the PBX.
        holiday: without an id to create it.

    Raises:
        PbxError: a request failed, or the PBX did not store a field.
    """
    if holiday.id:
        await client.holidays.update(holiday.id, msgspec.structs.replace(holiday, id=""))
    else:
        await client.holidays.create(holiday)


async def holiday_ids(client: PbxClient, ivr: DesiredIvr) -> dict[str, str]:
    """Return the ids of the holidays of ``ivr`` that are on the PBX, by name.

    Raises:
        PbxError: they could not be read.
    """
    if not ivr.holidays:
        return {}
    there = [one async for one in client.holidays.list()]
    found = {one.name: find(one, there) for one in ivr.holidays}
    return {name: one.id for name, one in found.items() if one is not None}
