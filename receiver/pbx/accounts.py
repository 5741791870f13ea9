"""The service's accounts on its PBXs: how it signs in, and whether the PBXs accept it.

Rule 1: a status is returned at once, from the last check; no request waits for a PBX. A check runs
        at most every `CHECK_INTERVAL` seconds, and only while the status is read.
Rule 2: a refused password is not sent twice, so that reading `/ready` never gets this address
        blocked.
Rule 3: the log has one line when an account is refused, and one when it is accepted again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, suppress
from typing import Any

from receiver.errors import ReceiverError, SettingsError
from receiver.pbx.access_tokens import GivenToken, Login, TokenSource
from receiver.pbx.pbx_client import PbxClient
from receiver.settings import Settings

CHECK_INTERVAL = 60.0
"""Seconds for which the result of a check is valid."""

_SIGN_OUT = 1.0  # seconds for signing out

log = logging.getLogger("receiver")


def token_source(settings: Settings) -> TokenSource:
    """Return the token source for the PBX of the settings.

    Raises:
        SettingsError: the URL of the PBX or the account is missing.
    """
    settings.need("pbx_url", "pbx_account")
    if settings.pbx_token:
        return GivenToken(settings.pbx_token, settings.pbx_tenant)
    return Login(
        settings.pbx_username,
        settings.pbx_password,
        settings.pbx_domain,
        tenant=settings.pbx_tenant,
    )


def client(settings: Settings) -> PbxClient:
    """Return a client of the PBX of the settings.

    Raises:
        SettingsError: the URL of the PBX or the account is missing, or its URL or CA is wrong.
    """
    source = token_source(settings)
    return PbxClient(
        settings.pbx_url,
        source,
        ca=settings.pbx_ca,
        insecure=settings.pbx_insecure,
        version=settings.pbx_version,
    )


class BackgroundCheck:
    """A check of PBXs that runs in the background, at most one at a time.

    It owns a client of each PBX, so that a refused password is not sent twice.

    Parameters:
        fresh: seconds for which the result of a check is valid.
        make: returns a client of a PBX.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        fresh: float,
        make: Callable[[Settings], PbxClient],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fresh = fresh
        self._make = make
        self._clock = clock
        self._clients: dict[object, PbxClient] = {}
        self._stack = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None
        self._next = float("-inf")

    def begin(self, check: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start ``check``, unless one is running or its last result is still valid."""
        idle = self._task is None or self._task.done()
        if idle and self._clock() >= self._next:
            self._next = self._clock() + self._fresh
            self._task = asyncio.create_task(check())

    async def client(self, which: object, settings: Settings) -> PbxClient:
        """Return the client of the PBX with the key ``which``; the first call makes it in a thread.

        Raises:
            ReceiverError: the settings are wrong.
        """
        if which not in self._clients:
            made = await asyncio.to_thread(self._make, settings)
            self._clients[which] = await self._stack.enter_async_context(made)
        return self._clients[which]

    async def close(self) -> None:
        """Cancel the check, and sign out of the PBXs that can be reached within a second."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(_SIGN_OUT):
                await self._stack.aclose()


class Accounts:
    """Whether the PBXs accept the account of this service.

    Parameters:
        settings: of each PBX; those without an account are ignored.
        make: returns a client of a PBX.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        settings: Iterable[Settings],
        *,
        make: Callable[[Settings], PbxClient] = client,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = [one for one in settings if _has_account(one)]
        self._check = BackgroundCheck(CHECK_INTERVAL, make, clock)
        self._good: bool | None = None

    async def good(self) -> bool | None:
        """Return the result of the last check: whether all PBXs did; None before the first one."""
        if self._settings:
            self._check.begin(self._read_ivrs)
        return self._good

    async def close(self) -> None:
        """Sign out of the PBXs that can be reached."""
        await self._check.close()

    async def _read_ivrs(self) -> None:
        try:
            for number, settings in enumerate(self._settings):
                pbx = await self._check.client(number, settings)
                _ = [ivr async for ivr in pbx.ivrs.list(top=1)]
        except ReceiverError as error:
            if self._good is not False:
                log.error("PBX account refused, failover cannot switch action URLs: %s", error)
            self._good = False
        else:
            if self._good is False:
                log.warning("PBX account accepted again")
            self._good = True


def _has_account(settings: Settings) -> bool:
    try:
        token_source(settings)
    except SettingsError:
        return False
    return True
