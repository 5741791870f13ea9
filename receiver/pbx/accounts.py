"""The service's accounts on its PBXs: what signs in there, and whether that is good.

Rule 1: who asks is answered at once, with what was found before; nobody waits for a PBX. It is
        looked at again at most every `FRESH` seconds, and only while somebody asks.
Rule 2: a refused password is not sent twice (`receiver.pbx.visits`), so that nobody who asks
        `/ready` gets this address blocked.
Rule 3: the log says once what is wrong, and once that it is right again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from receiver.errors import ReceiverError, SettingsError
from receiver.pbx.client import PbxClient
from receiver.pbx.tokens import GivenToken, Login, TokenSource
from receiver.pbx.visits import Visits
from receiver.settings import Settings

FRESH = 60.0
"""Seconds for which an answer of the PBX is good."""

log = logging.getLogger("receiver")


def tokens(settings: Settings) -> TokenSource:
    """What signs in on the PBX that the settings name.

    Raises:
        SettingsError: they do not say which PBX, or how to sign in.
    """
    settings.need("pbx_url")
    if settings.pbx_token:
        return GivenToken(settings.pbx_token)
    if settings.pbx_username and settings.pbx_password:
        return Login(settings.pbx_username, settings.pbx_password, settings.pbx_domain)
    raise SettingsError(
        "the PBX needs a token or an account: set RECEIVER_PBX_TOKEN, or RECEIVER_PBX_USERNAME "
        "and RECEIVER_PBX_PASSWORD (and RECEIVER_PBX_DOMAIN, the tenant's SIP domain)"
    )


def client(settings: Settings) -> PbxClient:
    """A client of the PBX that the settings name.

    Raises:
        SettingsError: they do not say which PBX, or how to sign in, or its URL or CA is wrong.
    """
    signs_in = tokens(settings)
    return PbxClient(settings.pbx_url, signs_in, ca=settings.pbx_ca, insecure=settings.pbx_insecure)


class Accounts:
    """Whether PBXs let this service in.

    Parameters:
        settings: of each PBX; one without an account is passed over.
        make: a client of a PBX.
        clock: seconds, by a clock that is never set.
    """

    def __init__(
        self,
        settings: Iterable[Settings],
        *,
        make: Callable[[Settings], PbxClient] = client,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = [one for one in settings if _has_account(one)]
        self._visits = Visits(FRESH, make, clock)
        self._good: bool | None = None

    async def good(self) -> bool | None:
        """Whether all PBXs did so when they were last asked; None if none was, or there is none."""
        if self._settings:
            self._visits.begin(self._look)
        return self._good

    async def close(self) -> None:
        """Sign out, as far as the PBXs can be reached."""
        await self._visits.close()

    async def _look(self) -> None:
        try:
            for number, settings in enumerate(self._settings):
                pbx = await self._visits.client(number, settings)
                _ = [ivr async for ivr in pbx.ivrs.list(top=1)]
        except ReceiverError as error:
            if self._good is not False:
                log.error("the PBX does not let this service in, so no guard can act: %s", error)
            self._good = False
        else:
            if self._good is False:
                log.warning("the PBX lets this service in again")
            self._good = True


def _has_account(settings: Settings) -> bool:
    try:
        tokens(settings)
    except SettingsError:
        return False
    return True
