"""A copy of a real PBX: its IVRs, their menus and action URLs, holidays and prompts.

Rule 1: the real PBX is only read: GET requests, and the sign-in.
Rule 2: ids are kept. Fields that cannot be read, such as a masked password, are omitted;
        registration then sets new credentials.
Rule 3: an action URL of this service points, in the copy, to the service that runs here. Those of
        other services are kept, and no callback is sent to them (`receiver.dev.held_line`).
"""

from __future__ import annotations

from dataclasses import dataclass

from receiver.dev.simulated_pbxs import SimulatedPbx
from receiver.errors import PbxError
from receiver.pbx.models import ActionUrl, IvrSummary, with_defaults, without_masked, write
from receiver.pbx.models_ivr import Ivr
from receiver.pbx.pbx_client import PbxClient
from receiver.registration.actual_state import read_actual
from receiver.registration.concurrency import for_each
from receiver.registration.ownership import without_mark
from receiver.registration.urls import is_below, rebased
from receiver.text import counted

MAX_AUDIO = 20 * 1024 * 1024
"""Bytes of an audio file; a larger one is not copied."""


@dataclass(frozen=True, slots=True)
class CopyResult:
    """The numbers of copied resources, and the IVRs whose prompt could not be read."""

    ivrs: int
    action_urls: int
    holidays: int
    prompts: int
    without_audio: tuple[str, ...]

    def __str__(self) -> str:
        missing = ", ".join(self.without_audio)
        lost = f"; without the prompts of {missing}" if missing else ""
        return (
            f"{counted(self.ivrs, 'IVR')}, {counted(self.action_urls, 'action URL')}, "
            f"{counted(self.holidays, 'holiday')} and {counted(self.prompts, 'prompt')}{lost}"
        )


async def copy(real: PbxClient, site: SimulatedPbx, *, public_url: str, base: str) -> CopyResult:
    """Copy the configuration of ``real`` to the simulated PBX of ``site``.

    Parameters:
        real: a client of the real PBX.
        public_url: of this service on the real PBX; empty if not known.
        base: the URL of the service here.

    Raises:
        PbxError: the real PBX cannot be read.
    """
    found = await read_actual(real)
    ivrs: dict[str, Ivr] = {}

    async def show(ivr: IvrSummary) -> None:
        ivrs[ivr.id] = await real.ivrs.show(ivr.id)

    await for_each((ivr for ivr, _ in found), show)
    holidays = [one async for one in real.holidays.list()]
    for holiday in holidays:
        site.pbx.holidays.put(write(holiday), holiday.id)
    prompts, without_audio = 0, list[str]()
    for ivr, action_urls in found:
        shown = ivrs[ivr.id]
        values = write(without_masked(shown))
        if shown.prompt_file_url:
            try:
                values["prompt_file_id"] = await _upload_prompt(real, site, shown)
                prompts += 1
            except PbxError:
                without_audio.append(ivr.extension_number)
        site.pbx.ivrs.put(values, ivr.id)
        kept = site.pbx.action_urls(ivr.id)
        for one in action_urls:
            kept.put(_action_url(one, public_url, base, site.label), one.id)
    urls = sum(len(action_urls) for _, action_urls in found)
    return CopyResult(len(found), urls, len(holidays), prompts, tuple(without_audio))


def _action_url(one: ActionUrl, public_url: str, base: str, label: str) -> dict[str, object]:
    values = write(with_defaults(without_masked(one)))
    if public_url and is_below(one.url, public_url, label):
        values["url"] = rebased(one.url, public_url, base)
        values["headers"] = without_mark(one.headers)  # the service here has another secret
    return values


async def _upload_prompt(real: PbxClient, site: SimulatedPbx, ivr: Ivr) -> str:
    """Copy the prompt of an IVR; return the file's id in the copy."""
    content = bytearray()
    async with real.files.download(ivr.prompt_file_url) as download:
        async for chunk in download.chunks():
            content += chunk
            if len(content) > MAX_AUDIO:
                raise PbxError("the audio file is too large")
    name = ivr.prompt_file_name or f"{ivr.extension_number}.wav"
    return await site.client.files.upload(name, bytes(content), checked=False)
