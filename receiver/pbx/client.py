"""The PBX's REST API as async methods, in groups: IVRs, action URLs, servers, holidays, files.

Rule 1: what goes out and comes in is typed (`receiver.pbx.models`); what goes wrong is a
        `PbxError` with one clear line.
Rule 2: how a request is repeated is said in `receiver.pbx.requester`, how things are created and
        updated in `receiver.pbx.collections`.
Rule 3: everything is GET or POST; a delete is ``POST …/destroy``. Any 2xx is a success.

::

    async for ivr in client.ivrs.list(search="Sales"): ...
    await client.ivrs.update(ivr.id, Ivr(language="en-US"))
    await client.action_urls(ivr.id).create(ActionUrl(...))

Source: the PBX's REST API, "Virtual Receptionists".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from receiver.errors import PbxUnreachable, RegistrationError
from receiver.pbx.files import Files
from receiver.pbx.groups import ActionUrls, Holidays, Ivrs, Servers
from receiver.pbx.models import ActionUrl, IvrSummary, known_ivrs
from receiver.pbx.requester import Requester
from receiver.pbx.tokens import TokenSource
from receiver.pbx.wire import Wire


class PbxClient:
    """A client of one PBX, to be used as an async context manager.

    Parameters:
        url: of the PBX, such as ``https://pbx.example.com:8887``; ``/api`` is added if it has no
            path.
        tokens: where the bearer token comes from.
        ca: a PEM file with the CA's certificate, or the PBX's own; None for the system's roots.
        insecure: True checks no certificate at all, and logs a warning each time.
        timeout: seconds to connect, and again for each answer.
        transport: replaces the network, for tests.
        sleep: waits between attempts, in seconds.

    Attributes:
        ivrs, servers, holidays, files: what the PBX has, as `receiver.pbx.collections` describes.

    Raises:
        SettingsError: the URL or the CA file cannot be used.

    Every method raises `PbxError` as those modules say.
    """

    def __init__(
        self,
        url: str,
        tokens: TokenSource,
        *,
        ca: Path | None = None,
        insecure: bool = False,
        timeout: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._wire = Wire(url, ca=ca, insecure=insecure, timeout=timeout, transport=transport)
        self._tokens = tokens
        self._requester = Requester(self._wire, tokens, sleep)
        self.ivrs = Ivrs(self._requester)
        self.servers = Servers(self._requester)
        self.holidays = Holidays(self._requester)
        self.files = Files(self._requester)

    @property
    def url(self) -> str:
        """The base of the PBX's API."""
        return self._wire.url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if not isinstance(error, PbxUnreachable):  # to say goodbye would only time out again
                await self._tokens.sign_out(self._wire)
        finally:
            await self._wire.aclose()

    def action_urls(self, ivr_id: str) -> ActionUrls:
        """The action URLs of one IVR."""
        return ActionUrls(self._requester, ivr_id)

    # in one step, for the registration ---------------------------------------------------------

    def list_ivrs(self) -> AsyncIterator[IvrSummary]:
        """All IVRs, page by page."""
        return self.ivrs.list()

    async def find_ivr(self, number_or_name: str) -> IvrSummary:
        """The IVR with this extension number, else the only one with this name.

        Raises:
            RegistrationError: there is none, or several have the name; the text says which exist.
        """
        ivrs = [ivr async for ivr in self.list_ivrs()]
        for ivr in ivrs:
            if ivr.extension_number == number_or_name:
                return ivr
        named = [ivr for ivr in ivrs if ivr.name == number_or_name]
        if len(named) == 1:
            return named[0]
        if named:
            numbers = ", ".join(ivr.extension_number for ivr in named)
            raise RegistrationError(
                f"{len(named)} IVRs have the name {number_or_name!r}: say which by its number, one "
                f"of {numbers}"
            )
        raise RegistrationError(
            f"there is no IVR {number_or_name!r}: {known_ivrs(ivrs, number_or_name)}"
        )

    async def list_action_urls(self, ivr_id: str) -> tuple[ActionUrl, ...]:
        """All action URLs of an IVR, in the PBX's order."""
        return tuple([item async for item in self.action_urls(ivr_id).list()])

    async def get_action_url(self, ivr_id: str, url_id: str) -> ActionUrl:
        """One action URL."""
        return await self.action_urls(ivr_id).show(url_id)

    async def create_action_url(self, ivr_id: str, action: ActionUrl) -> str:
        """Create an action URL, once and unchecked; its new id."""
        return await self.action_urls(ivr_id).create_once(action)

    async def update_action_url(
        self, ivr_id: str, action: ActionUrl, *, clear: Iterable[str] = ()
    ) -> None:
        """Make the action URL with ``action.id`` what ``action`` says.

        Parameters:
            ivr_id: of its IVR.
            action: the whole of it: whether an update replaces or overlays is not documented.
            clear: names of fields to empty.
        """
        await self.action_urls(ivr_id).put(action.id, action, clear=clear)

    async def destroy_action_url(self, ivr_id: str, url_id: str) -> None:
        """Delete an action URL."""
        await self.action_urls(ivr_id).destroy(url_id)
