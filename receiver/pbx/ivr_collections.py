"""The collections with additional requests: IVRs, action URLs, IVR servers.

Source: the PBX's REST API, ``/ivrs``, ``/ivrs/{id}/action_urls``, ``/ivr_servers``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

from msgspec.structs import replace

from receiver.errors import PbxInvalid
from receiver.pbx.authorized_connection import AuthorizedConnection, segment
from receiver.pbx.collections import Collection
from receiver.pbx.disa_pin import pin_problem_in
from receiver.pbx.models import ActionUrl, IvrSummary, read, write
from receiver.pbx.models_ivr import Ivr, IvrStatus
from receiver.pbx.models_shared import IvrServer, PromptFile, ServerStatus
from receiver.pbx.resource_types import ACTION_URL, IVR, SERVER

PROMPTS = ("prompt", "transfer_prompt")
_READ_PROMPT = "reading the prompt's file"


class Ivrs(Collection[Ivr, IvrSummary]):
    """The IVRs (virtual receptionists)."""

    def __init__(self, connection: AuthorizedConnection, version: str = "") -> None:
        super().__init__(connection, IVR)
        self._version = version

    def _problems(self, item: Ivr, *, creating: bool = False) -> tuple[str, ...]:
        found = super()._problems(item, creating=creating)
        problem = pin_problem_in(item.pin.reveal(), self._version)
        return (*found, f"pin {problem}") if problem else found

    async def status(self, ivr_id: str) -> str:
        """Return ``ONLINE`` or ``OFFLINE``."""
        answer = await self._connection.get(
            "reading the status of an IVR", f"{self._at(ivr_id)}/status"
        )
        return read(IvrStatus, answer.json(), f"{answer.what}: the answer").status

    async def _confirm(self, item_id: str, item: Ivr) -> Ivr:
        after = await super()._confirm(item_id, item)
        for prompt, file_id in _new_prompts(item):
            await self._expect(after, prompt, file_id)
        return after

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
        """Raise an error if the prompt's name differs from the file's; its id cannot be read."""
        file = await self._connection.get(_READ_PROMPT, f"/files/{segment(file_id)}")
        wanted = read(PromptFile, file.json(), f"{_READ_PROMPT}: the answer").name
        found = getattr(ivr, f"{prompt}_file_name")
        if found != wanted:
            raise PbxInvalid(
                f"the IVR {ivr.extension_number}: the PBX accepted the {prompt} {wanted!r}, but "
                f"afterwards it has {found!r}"
            )

    async def _lost(self, before: Ivr, after: Ivr, touched: Set[str]) -> list[str]:
        """Return the names of lost prompts: whether an update keeps them is not documented."""
        return [
            name
            for prompt in PROMPTS
            if f"{prompt}_file_id" not in touched
            and getattr(before, name := f"{prompt}_file_name") != getattr(after, name)
        ]


def _new_prompts(change: Ivr | Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the prompts that a change sets, each with the id of its file."""
    keys = {prompt: f"{prompt}_file_id" for prompt in PROMPTS}
    fields = change if isinstance(change, Mapping) else write(change)
    return [(prompt, fields[key]) for prompt, key in keys.items() if fields.get(key)]


class ActionUrls(Collection[ActionUrl, ActionUrl]):
    """The action URLs of one IVR."""

    def __init__(self, connection: AuthorizedConnection, ivr_id: str) -> None:
        super().__init__(connection, ACTION_URL, f"{IVR.path}/{segment(ivr_id)}")

    async def create_once(self, item: ActionUrl) -> str:
        """Create as in `Collection`; ``enabled`` is always sent: its default is not documented."""
        return await super().create_once(replace(item, enabled=bool(item.enabled)))


class Servers(Collection[IvrServer, IvrServer]):
    """The IVR servers. Of a server only ``enabled`` can be updated."""

    def __init__(self, connection: AuthorizedConnection) -> None:
        super().__init__(connection, SERVER)

    async def status(self, server_id: str) -> ServerStatus:
        """Return whether it is online, and its load."""
        what = "reading the status of an IVR server"
        answer = await self._connection.get(what, f"{self._at(server_id)}/status")
        return read(ServerStatus, answer.json(), f"{what}: the answer")
