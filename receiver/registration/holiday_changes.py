"""Create and update declared holidays on a PBX.

Rule 1: a holiday is looked up by its name. Of several with it the one that is as declared counts,
        then the one with the smallest id.
Rule 2: parts that are not declared, such as a time, stay as they are on the PBX.
Rule 3: the PBX accepts several holidays of one name, so clients that create one at the same time
        look for it before and after. A client keeps the one that it created only if it then sees no
        other of that name; otherwise it deletes its own, and uses the other. So of those that are
        created at the same time one is kept: a client that creates a later one sees the first.
Rule 4: no holiday is deleted that an IVR refers to. A third client may have found one meanwhile, so
        its creator renames it first, then reads the IVRs, and if one refers to it renames it back
        and keeps it. A client whose IVR refers to it later reads back the other name, or none, and
        reports that. An id is opaque, so it does not tell which holiday was created first. The
        IVRs are read before the renaming too, so a client that may not read them renames nothing.
        A client that is killed after the renaming leaves the holiday with that name: plans warn.
Rule 5: no other holiday is ever deleted. After a lost answer, which one this client created is not
        known: it uses the one that it finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from receiver.declarations.desired_ivr import DesiredIvr, holidays_of
from receiver.errors import PbxError, PbxInvalid, PbxRefused
from receiver.pbx.api_errors import may_have_happened
from receiver.pbx.models_shared import Holiday
from receiver.pbx.pbx_client import PbxClient
from receiver.registration.changes import NO_IVR, Change, Op
from receiver.registration.compare_ivr import holiday_differences
from receiver.registration.concurrency import random_delay
from receiver.text import line

ATTEMPTS = 5
"""The number of times that a holiday is created which another client creates at the same time."""

MARK = "to be deleted:"
"""The beginning of the name of a holiday while its creator looks whether an IVR refers to it."""

MAX_LOOKUPS = 8
"""The number of times to look whether another client has deleted its holiday of the same name."""


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
    actual = await _list(client)
    where = {one.name: ivr.where for ivr in reversed(ivrs) for one in ivr.holidays}
    return tuple(plan_holiday(one, actual, where[one.name]) for one in desired)


def plan_holiday(desired: Holiday, actual: Iterable[Holiday], where: str = "") -> Change[Holiday]:
    """Return the change of one holiday.

    Parameters:
        desired: the declaration.
        actual: the holidays of the PBX.
        where: ``file:line`` of the declaration.
    """
    actual = tuple(actual)
    found = find(desired, actual)
    drift = tuple(holiday_differences(desired, found or Holiday()))
    notes = tuple(_leftovers(desired, actual))
    if found is None:
        return Change("create", NO_IVR, desired, drift, where=where, notes=notes)
    op: Op = "update" if drift else "unchanged"
    resource = msgspec.structs.replace(desired, id=found.id)
    return Change(op, NO_IVR, resource, drift, where=where, notes=notes)


def _leftovers(desired: Holiday, actual: Iterable[Holiday]) -> Iterator[str]:
    """Yield a warning for each holiday that equals ``desired`` and was renamed, but not deleted."""
    for one in actual:
        renamed = msgspec.structs.replace(desired, name=_marked(one.id))
        if not any(holiday_differences(renamed, one)):
            yield line(
                f'an interrupted apply left the copy "{one.name}": if no IVR refers to it, delete '
                f"it with: receiver holidays delete {one.id}"
            )


def find(desired: Holiday, actual: Iterable[Holiday]) -> Holiday | None:
    """Return the holiday of the PBX that ``desired`` declares, None if it is missing."""

    def rank(one: Holiday) -> tuple[bool, int, str]:
        return any(holiday_differences(desired, one)), len(one.id), one.id

    return min((one for one in actual if one.name == desired.name), key=rank, default=None)


async def put_holiday(client: PbxClient, holiday: Holiday) -> str:
    """Create or update one holiday, read it back, and return its id.

    Parameters:
        client: of the PBX.
        holiday: without an id to create it.

    Raises:
        PbxError: a request failed, or the PBX did not store a field.
    """
    if holiday.id:
        await client.holidays.update(holiday.id, msgspec.structs.replace(holiday, id=""))
        return holiday.id
    for attempt in range(1, ATTEMPTS + 1):
        if actual := find(holiday, await _list(client)):
            if any(holiday_differences(holiday, actual)):
                await client.holidays.update(actual.id, holiday)
            return actual.id
        try:
            if created := await _create(client, holiday):
                return created
        except PbxError as error:
            lost = may_have_happened(error) and not isinstance(error, PbxInvalid)
            if attempt == ATTEMPTS or not lost:
                raise
        await client.sleep(random_delay(attempt))
    raise PbxRefused(
        f"in {ATTEMPTS} attempts another client created a holiday of this name at the same time, "
        "and deleted it again",
        status=409,
    )


async def _create(client: PbxClient, holiday: Holiday) -> str:
    """Create a holiday and return its id; empty if it was deleted again, by rules 3 and 4.

    The one that `find` prefers is not deleted at once: the other clients delete theirs meanwhile.
    """
    created = await client.holidays.create(holiday, look_up=False)
    for attempt in range(1, MAX_LOOKUPS + 1):
        named = [one for one in await _list(client) if one.name == holiday.name]
        if all(one.id == created for one in named):
            return created
        preferred = find(holiday, named)
        if preferred is not None and preferred.id != created:
            break
        await client.sleep(random_delay(attempt))
    if await _is_used(client, created):
        return created
    await client.holidays.update(created, msgspec.structs.replace(holiday, name=_marked(created)))
    if await _is_used(client, created):
        await client.holidays.update(created, holiday)
        return created
    await client.holidays.destroy(created)
    return ""


def _marked(holiday_id: str) -> str:
    return f"{MARK} {holiday_id}"


async def _is_used(client: PbxClient, holiday_id: str) -> bool:
    """Return whether an IVR refers to a holiday."""
    for ivr in [one async for one in client.ivrs.list()]:
        rules = (await client.ivrs.show(ivr.id)).custom_forward_rules or ()
        if any(one.id == holiday_id for rule in rules for one in rule.holidays):
            return True
    return False


async def _list(client: PbxClient) -> list[Holiday]:
    return [one async for one in client.holidays.list()]
