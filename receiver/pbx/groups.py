"""What a PBX has, each kind as a collection: IVRs, their action URLs, IVR servers, holidays.

Source: the PBX's REST API, ``/ivrs``, ``/ivrs/{id}/action_urls``, ``/ivr_servers``, ``/holidays``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

from receiver.errors import PbxNonsense
from receiver.pbx.collections import Collection, Kind
from receiver.pbx.models import ActionUrl, IvrSummary, read, write
from receiver.pbx.models_ivr import Ivr, IvrStatus
from receiver.pbx.models_shared import Holiday, IvrServer, PromptFile, ServerStatus
from receiver.pbx.requester import Requester, segment

IVR = Kind(
    one="an IVR",
    many="IVRs",
    whole=Ivr,
    summary=IvrSummary,
    order="extension_number asc",
    names=("id", "extension_number", "name"),
    identity=("extension_number", "name"),
)
ACTION_URL = Kind(
    one="an action URL",
    many="action URLs of an IVR",
    whole=ActionUrl,
    summary=ActionUrl,
    identity=("name", "url"),
    paged=False,
)
SERVER = Kind(
    one="an IVR server",
    many="IVR servers",
    whole=IvrServer,
    summary=IvrServer,
    identity=("name", "ipv4", "ipv6"),
)
HOLIDAY = Kind(
    one="a holiday",
    many="holidays",
    whole=Holiday,
    summary=Holiday,
    identity=tuple(name for name in Holiday.__struct_fields__ if name != "id"),
)

PROMPTS = ("prompt", "transfer_prompt")
_READ_PROMPT = "reading the prompt's file"


class Ivrs(Collection[Ivr, IvrSummary]):
    """The IVRs (virtual receptionists)."""

    def __init__(self, requester: Requester) -> None:
        super().__init__(requester, "/ivrs", IVR)

    async def status(self, ivr_id: str) -> str:
        """``ONLINE`` or ``OFFLINE``, as the PBX says it."""
        answer = await self._requester.get("asking how an IVR is", f"{self._at(ivr_id)}/status")
        return read(IvrStatus, answer.json(), f"{answer.what}: the answer").status

    async def update(
        self,
        item_id: str,
        change: Ivr | Mapping[str, Any],
        *,
        clear: Iterable[str] = (),
        checked: bool = True,
    ) -> Ivr:
        after = await super().update(item_id, change, clear=clear, checked=checked)
        for prompt, file_id in _new_prompts(change):
            await self._expect(after, prompt, file_id)
        return after

    async def _expect(self, ivr: Ivr, prompt: str, file_id: str) -> None:
        """The prompt is the file: its id can't be read back, but its name can."""
        file = await self._requester.get(_READ_PROMPT, f"/files/{segment(file_id)}")
        wanted = read(PromptFile, file.json(), f"{_READ_PROMPT}: the answer").name
        found = getattr(ivr, f"{prompt}_file_name")
        if found != wanted:
            raise PbxNonsense(
                f"updating an IVR: the PBX accepted the {prompt} {wanted!r}, but afterwards it is "
                f"{found!r}"
            )

    async def _lost(self, before: Ivr, after: Ivr, touched: Set[str]) -> list[str]:
        """Prompts: whether a PBX keeps what an update does not name is not documented."""
        return [
            name
            for prompt in PROMPTS
            if f"{prompt}_file_id" not in touched
            and getattr(before, name := f"{prompt}_file_name") != getattr(after, name)
        ]


def _new_prompts(change: Ivr | Mapping[str, Any]) -> list[tuple[str, str]]:
    """Which prompts a change sets, each with the id of its file."""
    keys = {prompt: f"{prompt}_file_id" for prompt in PROMPTS}
    said = change if isinstance(change, Mapping) else write(change)
    return [(prompt, said[key]) for prompt, key in keys.items() if said.get(key)]


class ActionUrls(Collection[ActionUrl, ActionUrl]):
    """The action URLs of one IVR."""

    def __init__(self, requester: Requester, ivr_id: str) -> None:
        super().__init__(requester, f"/ivrs/{segment(ivr_id)}/action_urls", ACTION_URL)


class Servers(Collection[IvrServer, IvrServer]):
    """The IVR servers. Of a server only ``enabled`` can be updated."""

    def __init__(self, requester: Requester) -> None:
        super().__init__(requester, "/ivr_servers", SERVER)

    async def status(self, server_id: str) -> ServerStatus:
        """Whether it is online, and how busy it is."""
        what = "asking how an IVR server is"
        answer = await self._requester.get(what, f"{self._at(server_id)}/status")
        return read(ServerStatus, answer.json(), f"{what}: the answer")


class Holidays(Collection[Holiday, Holiday]):
    """The holidays of the tenant."""

    def __init__(self, requester: Requester) -> None:
        super().__init__(requester, "/holidays", HOLIDAY)
