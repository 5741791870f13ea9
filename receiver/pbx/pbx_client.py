"""An async client of the PBX's REST API: IVRs, action URLs, servers, holidays, files.

Rule 1: requests and answers are typed (`receiver.pbx.models`); a failure is a `PbxError` with one
        line of text.
Rule 2: `receiver.pbx.authorized_connection` retries requests, `receiver.pbx.collections` creates
        and updates resources.
Rule 3: everything is GET or POST; a delete is ``POST …/destroy``. Any 2xx is a success.

::

    async for ivr in client.ivrs.list(search="Sales"): ...
    await client.ivrs.update(ivr.id, Ivr(language="en-US"))
    await client.action_urls(ivr.id).create(ActionUrl(...))

Source: the PBX's REST API, "Virtual Receptionists".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import httpx

from receiver.errors import PbxUnreachable
from receiver.pbx.access_tokens import TokenSource
from receiver.pbx.authorized_connection import AuthorizedConnection
from receiver.pbx.collections import Collection
from receiver.pbx.connection import Connection
from receiver.pbx.fields import Model
from receiver.pbx.ivr_collections import ActionUrls, Ivrs, Servers
from receiver.pbx.prompt_files import PromptFiles
from receiver.pbx.resource_types import HOLIDAY, ResourceType
from receiver.pbx.tenant import Tenant

M = TypeVar("M", bound=Model)
S = TypeVar("S", bound=Model)


class PbxClient:
    """A client of one PBX, to be used as an async context manager.

    Parameters:
        url: of the PBX, such as ``https://pbx.example.com:8887``; ``/api`` is added if it has no
            path.
        tokens: the source of the bearer token.
        ca: a PEM file with the CA's certificate, or the PBX's own; None for the system's roots.
        insecure: True verifies no certificate, and logs a warning each time.
        timeout: seconds to connect, and again for each answer.
        version: the PBX's release, such as ``"22.2"``, by whose limits requests are checked; empty
            for the newest.
        transport: replaces the network, for tests.
        sleep: sleeps between attempts, in seconds.

    Attributes:
        version, sleep: see above.
        ivrs, servers, holidays, files: the collections of `receiver.pbx.collections`.
        tenant: the tenant of the account.

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
        version: str = "",
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._connection = Connection(
            url, ca=ca, insecure=insecure, timeout=timeout, transport=transport
        )
        self._tokens = tokens
        self.sleep = sleep
        self._authorized = AuthorizedConnection(self._connection, tokens, sleep)
        self.version = version
        self.ivrs = Ivrs(self._authorized, version)
        self.servers = Servers(self._authorized)
        self.holidays = self.collection(HOLIDAY)
        self.files = PromptFiles(self._authorized)
        self.tenant = Tenant(self._authorized)

    @property
    def url(self) -> str:
        """The base of the PBX's API."""
        return self._connection.url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if not isinstance(error, PbxUnreachable):  # signing out would time out, too
                await self._tokens.sign_out(self._connection)
        finally:
            await self._connection.aclose()

    def collection(self, type: ResourceType[M, S]) -> Collection[M, S]:
        """Return the collection of a resource type that has only the common methods."""
        return Collection(self._authorized, type)

    def action_urls(self, ivr_id: str) -> ActionUrls:
        """Return the collection of the action URLs of one IVR."""
        return ActionUrls(self._authorized, ivr_id)
