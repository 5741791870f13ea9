"""Declared receptionists on a PBX: compared, created, updated; never deleted.

Rule 1: the recordings are read and examined before anything is asked or sent.
Rule 2: one receptionist after the other, so that a recording of several is uploaded once. It is
        looked for by name and size among the PBX's files before it is uploaded: killed anywhere
        and run again, there is no second one. A recording that another has replaced stays.
Rule 3: a create whose answer was lost, or that the PBX refused because somebody was quicker, is
        looked up by its extension number.
Rule 4: nothing is believed: each is read back and compared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from receiver.errors import DeclarationError, PbxError, PbxNonsense, PbxRefused, RegistrationError
from receiver.pbx.audio import examine
from receiver.pbx.client import PbxClient
from receiver.pbx.faults import may_have_happened
from receiver.pbx.models import IvrSummary
from receiver.pbx.models_ivr import Ivr
from receiver.receptionists import (
    Prompt,
    Receptionist,
    ReceptionistChange,
    check_together,
    compare,
    differences,
    to_create,
    to_update,
)
from receiver.registration.carrying import together
from receiver.registration.plans import Plan

READS = 8
"""How many reads are under way at once."""

Staff = tuple[tuple[Receptionist, Prompt | None], ...]
"""Receptionists, each with its recording."""

_REFUSED = (400, 409, 422)


def prepare(receptionists: Iterable[Receptionist]) -> Staff:
    """Each receptionist once, with its recording.

    Raises:
        DeclarationError: two do not fit together; a recording cannot be read, or not be played.
    """
    return tuple((one, _recording(one)) for one in check_together(receptionists))


async def look(
    client: PbxClient, staff: Staff, ivrs: Iterable[IvrSummary], *, certain: bool = False
) -> tuple[ReceptionistChange, ...]:
    """What has to be done about ``staff``.

    Parameters:
        client: of the PBX.
        staff: of `prepare`.
        ivrs: all that the PBX has.
        certain: count a PIN that cannot be read as a difference.

    Raises:
        PbxError: one could not be read.
    """
    gate, there = asyncio.Semaphore(READS), {ivr.extension_number: ivr for ivr in ivrs}
    found: dict[str, Ivr] = {}

    async def read(number: str) -> None:
        async with gate:
            found[number] = await client.ivrs.show(there[number].id)

    await together(read(one.number) for one, _ in staff if one.number in there)
    return tuple(
        compare(one, prompt, there.get(one.number), found.get(one.number), certain=certain)
        for one, prompt in staff
    )


async def hire(
    client: PbxClient, plan: Plan, progress: Callable[[ReceptionistChange], None]
) -> tuple[Plan, tuple[ReceptionistChange, ...]]:
    """Create and update the receptionists of ``plan``.

    Returns:
        The plan with the ids of those that are new and nothing left to do about any, and what was
        done.

    Raises:
        RegistrationError: a request failed, or the PBX did not take a field.
    """
    prompts, done = _Prompts(client), list[ReceptionistChange]()
    ivrs: dict[str, IvrSummary] = {}
    for change in plan.receptionists:
        if change.op == "keep":
            continue
        try:
            ivr_id = await _settle(client, change, prompts)
        except PbxError as error:
            raise RegistrationError(_failed(change, done, error)) from error
        number, name = change.wanted.number, change.wanted.fields.name
        ivrs[number] = IvrSummary(id=ivr_id, extension_number=number, name=name)
        done.append(change)
        progress(change)
    return _with(plan, ivrs), tuple(done)


def _recording(one: Receptionist) -> Prompt | None:
    if one.prompt is None:
        return None
    try:
        data = one.prompt.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        problem = f"the prompt {str(one.prompt)!r} cannot be read: {reason}"
        raise DeclarationError(problem, one.where) from None
    try:
        examine(str(one.prompt), data)
    except DeclarationError as error:
        raise DeclarationError(error.problem, one.where) from None
    return Prompt.of(one.prompt, data)


async def _settle(client: PbxClient, change: ReceptionistChange, prompts: _Prompts) -> str:
    """Make one receptionist what it shall be; its id."""
    fields, ivr_id, found = change.wanted.fields, change.ivr.id, Ivr()
    file_id = await prompts.bring(change.prompt) if change.prompt else ""
    if not ivr_id:
        ivr_id = await _create(client, to_create(fields, file_id))
        found = await client.ivrs.show(ivr_id)
    if change.op == "update" or _left(change, found):
        found = await client.ivrs.update(ivr_id, to_update(fields, file_id))
    if left := _left(change, found):
        raise PbxNonsense(f"the PBX accepted it, but did not take {', '.join(left)}")
    return ivr_id


def _left(change: ReceptionistChange, found: Ivr) -> list[str]:
    return list(map(str, differences(change.wanted, change.prompt, found)))


async def _create(client: PbxClient, item: Ivr) -> str:
    try:
        return await client.ivrs.create_once(item)
    except PbxError as error:
        lost = may_have_happened(error)
        if not lost and not (isinstance(error, PbxRefused) and error.status in _REFUSED):
            raise
        there = await _at(client, item.extension_number)
        if not lost and not there:
            raise
    return there or await client.ivrs.create_once(item)


async def _at(client: PbxClient, number: str) -> str:
    """The id of the IVR at this extension number; empty if there is none."""
    ids = [ivr.id async for ivr in client.list_ivrs() if ivr.extension_number == number]
    return ids[0] if ids else ""


@dataclass(slots=True)
class _Prompts:
    """The recordings on a PBX, read when they are first needed."""

    client: PbxClient
    known: bool = False
    files: dict[tuple[str, int | None], str] = field(default_factory=dict)

    async def bring(self, prompt: Prompt) -> str:
        """The id of its file, which is uploaded only if it is not there."""
        if not self.known:
            await self._list()
        if not self._find(prompt):
            self.files[prompt.name, len(prompt.data)] = await self._upload(prompt)
        return self._find(prompt)

    async def _upload(self, prompt: Prompt) -> str:
        try:
            return await self.client.files.upload(prompt.name, prompt.data)
        except PbxError as error:
            if not may_have_happened(error):
                raise
            await self._list()
            if not (there := self._find(prompt)):
                raise
            return there

    async def _list(self) -> None:
        self.files = {(file.name, file.size): file.id async for file in self.client.files.list()}
        self.known = True

    def _find(self, prompt: Prompt) -> str:
        sizes = (len(prompt.data), None)
        return next(
            (self.files[prompt.name, n] for n in sizes if (prompt.name, n) in self.files), ""
        )


def _with(plan: Plan, ivrs: dict[str, IvrSummary]) -> Plan:
    changes = (
        replace(one, ivr=ivrs.get(one.ivr.extension_number, one.ivr)) for one in plan.changes
    )
    settled = (
        replace(one, op="keep", differences=(), ivr=ivrs.get(one.wanted.number, one.ivr))
        for one in plan.receptionists
    )
    return replace(plan, changes=tuple(changes), receptionists=tuple(settled))


def _failed(change: ReceptionistChange, done: Sequence[ReceptionistChange], error: PbxError) -> str:
    before = f"; before that was done: {', '.join(map(str, done))}" if done else ""
    return f"{change} failed{before}; run the same command again, it goes on from there. {error}"
