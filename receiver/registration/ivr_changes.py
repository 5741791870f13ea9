"""Create and update declared IVRs on a PBX; none is ever deleted.

Rule 1: the recordings are read and checked before the first request; those of spoken prompts are
        made for the IVRs that do not play them.
Rule 2: a recording is looked up by name and size (a spoken one by name) among the files of the PBX
        immediately before it is uploaded: interrupted at any moment and repeated, no second one is
        uploaded. None is deleted: neither one that was replaced by another, nor the second of two
        that two clients upload in the same moment. Both work, and by the digest in its URL they may
        be one blob, so that to delete one could delete the other.
Rule 3: a create whose response was lost, or that the PBX refused because another client was faster,
        is looked up by its extension number.
Rule 4: each IVR is read back and compared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from receiver.declarations.desired_ivr import DesiredIvr, Prompt, check_together
from receiver.declarations.speech import Speech
from receiver.errors import (
    DeclarationError,
    PbxError,
    PbxInvalid,
    PbxRefused,
    RegistrationError,
    SettingsError,
)
from receiver.pbx import checks
from receiver.pbx.api_errors import may_have_happened
from receiver.pbx.audio import examine
from receiver.pbx.disa_pin import pin_problem_in
from receiver.pbx.models import IvrSummary, write
from receiver.pbx.models_ivr import Ivr
from receiver.pbx.pbx_client import PbxClient
from receiver.registration.changes import Change, Resource
from receiver.registration.compare_ivr import ivr_differences
from receiver.registration.concurrency import for_each
from receiver.registration.plans import plan_ivr
from receiver.registration.render import listed
from receiver.text import counted

Failure = tuple[Change[Resource], PbxError]
"""A change that was not made, and why."""

_REFUSED = (400, 409, 422)

Speak = Callable[[Speech], bytes]
"""Returns the recording of a spoken prompt, as `receiver.registration.voices.Voices.speak`."""


def prepare(ivrs: Iterable[DesiredIvr]) -> tuple[DesiredIvr, ...]:
    """Return each IVR once, with its recording.

    Raises:
        DeclarationError: two declarations of one IVR differ; a recording cannot be read or played.
    """
    return tuple(replace(one, recordings=_recordings(one)) for one in check_together(ivrs))


async def plan_ivrs(
    client: PbxClient,
    desired: Iterable[DesiredIvr],
    ivrs: Iterable[IvrSummary],
    *,
    certain: bool = False,
    speak: Speak | None = None,
) -> tuple[Change[DesiredIvr], ...]:
    """Read the declared IVRs and return their changes.

    Parameters:
        client: of the PBX.
        desired: returned by `prepare`.
        ivrs: all IVRs of the PBX.
        certain: count a PIN that cannot be read as a difference.
        speak: makes the recordings of spoken prompts; None for a plan that is only looked at.

    Raises:
        DeclarationError: the release of the PBX, as far as it is known, refuses a DISA PIN, or
            does not have a declared field.
        PbxError: an IVR could not be read.
        SettingsError, RegistrationError: a spoken prompt cannot be made.
    """
    desired = tuple(desired)
    for one in desired:
        _check_release(one, client.version)
    by_number = {ivr.extension_number: ivr for ivr in ivrs}
    actual: dict[str, Ivr] = {}

    async def read(number: str) -> None:
        actual[number] = await client.ivrs.show(by_number[number].id)

    await for_each((one.number for one in desired if one.number in by_number), read)
    changes = [
        plan_ivr(
            one,
            by_number.get(one.number),
            actual.get(one.number),
            certain=certain,
            version=client.version,
        )
        for one in desired
    ]
    return tuple([await _with_speech(change, speak) for change in changes])


async def put(
    client: PbxClient,
    desired: DesiredIvr,
    ivr_id: str,
    prompts: Prompts,
    holidays: Mapping[str, str],
) -> str:
    """Create or update one IVR and return its id.

    Parameters:
        client: of the PBX.
        desired: its declaration.
        ivr_id: empty to create it.
        prompts: uploads the recordings.
        holidays: the ids of its holidays on the PBX, by name.

    Raises:
        PbxError: a request failed, or the PBX did not store a field.
    """
    files = {
        f"{option}_file_id": await prompts.bring(one) for option, one in desired.recordings.items()
    }
    fields = desired.with_holiday_ids(holidays)
    fields, actual = msgspec.structs.replace(fields, **files), Ivr()
    created = not ivr_id
    if created:
        ivr_id = await _create(client, fields)
        actual = await client.ivrs.show(ivr_id)
    if not created or any(ivr_differences(desired, actual)):
        sent = write(fields, updating=True)
        actual = await client.ivrs.update(ivr_id, sent, clear=desired.clear)
    if left := list(map(str, ivr_differences(desired, actual))):
        raise PbxInvalid(f"the PBX accepted it, but did not take {', '.join(left)}")
    return ivr_id


def cure(change: Change[Resource], error: PbxError) -> str:
    """Return what to do about a PBX that refused to create an IVR; empty if it is unknown."""
    resource = change.resource
    if not isinstance(resource, DesiredIvr) or resource.fields.pin or change.op != "create":
        return ""
    refused = isinstance(error, PbxRefused) and error.status in _REFUSED
    return " A PBX up to 22.2 needs a DISA PIN to create one: declare pin=." if refused else ""


def check_refused(
    refused: Mapping[str, Failure], done: Sequence[Change[Resource]], total: int
) -> None:
    """Check that the PBX took all IVRs.

    Parameters:
        refused: the IVRs that it did not take, by extension number.
        done: the changes that were made.
        total: how many were to be made.

    Raises:
        RegistrationError: it refused some.
    """
    texts, causes = [], []
    for change, error in refused.values():
        texts.append(f"{change} failed: {str(error).rstrip('.')}.{cure(change, error)}")
        causes.append(error)
    if texts:
        made = f" ({listed(done)})" if done else ""
        raise RegistrationError(
            f"{'; '.join(texts)} Its action URLs and all deletes are left; {len(done)} of "
            f"{counted(total, 'change')} were made{made}. Correct it and run the same command "
            "again, it continues from there"
        ) from causes[0]


def _check_release(one: DesiredIvr, version: str) -> None:
    if problem := pin_problem_in(one.fields.pin.reveal(), version):
        raise DeclarationError(f"pin {problem} (RECEIVER_PBX_VERSION)", one.where)
    if lacking := list(checks.unavailable(one.fields, version)):
        raise DeclarationError(
            f"a PBX {version} (RECEIVER_PBX_VERSION) does not have {', '.join(lacking)}: leave out "
            "what declares it, or upgrade the PBX",
            one.where,
        )


def _recordings(one: DesiredIvr) -> dict[str, Prompt]:
    recordings: dict[str, Prompt] = {}
    for option, path in one.prompts.items():
        if isinstance(path, Speech):
            recordings[option] = Prompt(path.file_name, b"", spoken=True)
            continue
        what = f"the {option} {str(path)!r}".replace("_", " ", 1)
        try:
            data = path.read_bytes()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise DeclarationError(f"{what} cannot be read: {reason}", one.where) from None
        try:
            examine(str(path), data)
        except DeclarationError as error:
            raise DeclarationError(error.problem, one.where) from None
        recordings[option] = Prompt.of(path, data)
    return recordings


async def _with_speech(change: Change[DesiredIvr], speak: Speak | None) -> Change[DesiredIvr]:
    """Return the change with the recordings of its spoken prompts that the IVR does not play."""
    resource, made = change.resource, dict(change.resource.recordings)
    differs = {one.field for one in change.differences}
    for option, speech in resource.prompts.items():
        if speak is None or not isinstance(speech, Speech) or option not in differs:
            continue
        try:
            data = await asyncio.to_thread(speak, speech)
        except (SettingsError, RegistrationError) as error:
            what = option.replace("_", " ")
            problem = f"the {what} of {change.name} cannot be made ({change.where}): {error}"
            raise type(error)(problem) from error
        made[option] = replace(made[option], data=data)
    return replace(change, resource=replace(resource, recordings=made))


async def _create(client: PbxClient, item: Ivr) -> str:
    try:
        return await client.ivrs.create_once(item)
    except PbxError as error:
        lost = may_have_happened(error)
        if not lost and not (isinstance(error, PbxRefused) and error.status in _REFUSED):
            raise
        existing = await _at(client, item.extension_number)
        if not lost and not existing:
            raise
    return existing or await client.ivrs.create_once(item)


async def _at(client: PbxClient, number: str) -> str:
    """Return the id of the IVR with this extension number; empty without one."""
    ids = [ivr.id async for ivr in client.ivrs.list() if ivr.extension_number == number]
    return ids[0] if ids else ""


@dataclass(slots=True)
class Prompts:
    """The recordings on a PBX, listed when one is needed that was not listed before.

    Attributes:
        client: of the PBX.
        send: uploads a recording and returns its id; by default without a progress display.
        uploaded: the ids of the recordings that were uploaded.
    """

    client: PbxClient
    send: Callable[[Prompt], Awaitable[str]] | None = None
    uploaded: list[str] = field(default_factory=list)
    files: dict[tuple[str, int | None], str] = field(default_factory=dict)

    async def bring(self, prompt: Prompt) -> str:
        """Return the id of the file, which is uploaded only if the PBX has none like it.

        Empty for a spoken one without bytes that the PBX does not list: the IVR plays it already.

        Raises:
            PbxError: a request failed.
        """
        if not self._find(prompt):  # not listed yet, or another client has uploaded it since
            await self._list()
        if not self._find(prompt) and prompt.data:
            file_id = await (self.send or self._send)(prompt)
            self.files[prompt.name, len(prompt.data)] = file_id
            self.uploaded.append(file_id)
        return self._find(prompt)

    async def _send(self, prompt: Prompt) -> str:
        return await self.client.files.upload(prompt.name, prompt.data)

    async def _list(self) -> None:
        self.files = {(file.name, file.size): file.id async for file in self.client.files.list()}

    def _find(self, prompt: Prompt) -> str:
        if prompt.spoken:
            return next((key for (name, _), key in self.files.items() if name == prompt.name), "")
        sizes = (len(prompt.data), None)
        return next(
            (self.files[prompt.name, n] for n in sizes if (prompt.name, n) in self.files), ""
        )
