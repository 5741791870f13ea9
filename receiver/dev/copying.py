"""A copy of a real PBX: its IVRs, their menus and action URLs, holidays and recordings.

Rule 1: the real PBX is only read: nothing but GET, and the sign-in.
Rule 2: what the copy holds has the ids that it has there. What cannot be read, such as a masked
        password, is left out; registration then puts our own credentials in place.
Rule 3: an action URL of this service points, in the copy, to the service that runs here. Those of
        others stay as they are, and are never asked (`receiver.dev.calling`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from receiver.dev.registering import Site
from receiver.errors import PbxError
from receiver.pbx.client import PbxClient
from receiver.pbx.models import ActionUrl, IvrSummary, without_masked, write
from receiver.pbx.models_ivr import Ivr
from receiver.registration.carrying import together
from receiver.registration.drift import is_ours
from receiver.registration.registrar import READS, read_found

LARGEST = 20 * 1024 * 1024
"""Octets of a recording; a larger one is left out."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied; ``silent`` are the IVRs whose recording could not be read."""

    ivrs: int
    action_urls: int
    holidays: int
    recordings: int
    silent: tuple[str, ...]

    def __str__(self) -> str:
        lost = f"; without the recordings of {', '.join(self.silent)}" if self.silent else ""
        return (
            f"{self.ivrs} IVRs, {self.action_urls} action URLs, {self.holidays} holidays and "
            f"{self.recordings} recordings{lost}"
        )


async def copy(real: PbxClient, site: Site, *, theirs: str, ours: str) -> Copied:
    """Copy what ``real`` has to the simulated PBX of ``site``.

    Parameters:
        real: a client of the real PBX.
        theirs: the public URL of this service there; empty if it is not known.
        ours: where the service is here.

    Raises:
        PbxError: the real PBX cannot be read.
    """
    found = await read_found(real)
    wholes, gate = dict[str, Ivr](), asyncio.Semaphore(READS)

    async def show(ivr: IvrSummary) -> None:
        async with gate:
            wholes[ivr.id] = await real.ivrs.show(ivr.id)

    await together(show(ivr) for ivr, _ in found)
    holidays = [one async for one in real.holidays.list()]
    for holiday in holidays:
        site.pbx.holidays.put(write(holiday), holiday.id)
    recordings, silent = 0, list[str]()
    for ivr, action_urls in found:
        whole = wholes[ivr.id]
        values = write(without_masked(whole))
        if whole.prompt_file_url:
            try:
                values["prompt_file_id"] = await _recording(real, site, whole)
                recordings += 1
            except PbxError:
                silent.append(ivr.extension_number)
        site.pbx.ivrs.put(values, ivr.id)
        kept = site.pbx.action_urls(ivr.id)
        for one in action_urls:
            kept.put(_action_url(one, theirs, ours, site.label), one.id)
    urls = sum(len(action_urls) for _, action_urls in found)
    return Copied(len(found), urls, len(holidays), recordings, tuple(silent))


def _action_url(one: ActionUrl, theirs: str, ours: str, label: str) -> dict[str, object]:
    values = write(without_masked(one))
    if theirs and is_ours(one.url, theirs, label):
        values["url"] = ours + one.url[len(theirs.rstrip("/")) :]
    return values


async def _recording(real: PbxClient, site: Site, ivr: Ivr) -> str:
    """The id that the recording of an IVR has in the copy."""
    octets = bytearray()
    async with real.files.download(ivr.prompt_file_url) as download:
        async for chunk in download.chunks():
            octets += chunk
            if len(octets) > LARGEST:
                raise PbxError("the recording is too large")
    name = ivr.prompt_file_name or f"{ivr.extension_number}.wav"
    return await site.client.files.upload(name, bytes(octets), checked=False)
