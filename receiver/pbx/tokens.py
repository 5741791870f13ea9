"""Where the bearer token of a request to the PBX comes from: it is given, or signed in for.

Rule 1: a refused user name or password is never sent a second time: repeated failures make the
        PBX block the address. The same error is raised again at once.
Rule 2: how long a token lives is read from the answer. It is renewed at 80 % of its life, or when
        the PBX answers 401: by the refresh endpoint of the family that issued it, then by one full
        sign-in, then not at all.
Rule 3: however many tasks ask at once, one of them signs in or renews, and the others wait for it.
Rule 4: what we signed in for is signed out of; a token that was given is left alone.
Rule 5: a system administrator who works in a tenant switches to it with each new token: whether
        the PBX remembers it by token or by session is not documented.

Source: "Authentication" of the PBX's REST API; how to ask for tokens is in `receiver.pbx.families`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from receiver.errors import (
    PbxError,
    PbxNonsense,
    PbxRefused,
    PbxThrottled,
    PbxUnauthorized,
    PbxUnreachable,
    SettingsError,
)
from receiver.pbx.families import AUTH, FOR_GOOD, OAUTH, Family, switch
from receiver.pbx.models import Tokens, read
from receiver.pbx.wire import Wire
from receiver.secrets import Secret

log = logging.getLogger("receiver.pbx")

_RENEW_AT = 0.8
_PREFIX = re.compile(r"\A\s*bearer(\s+|\Z)", re.IGNORECASE)
_USABLE = re.compile(r"[!-~]+")
_NO_SUCH_ENDPOINT = ("UNKNOWN", "NOT_FOUND", "METHOD_NOT_ALLOWED")


class TokenSource(Protocol):
    """Gives the token for a request over a `Wire`."""

    async def token(self, wire: Wire) -> Secret:
        """A token that should be good now."""
        ...

    async def renew(self, wire: Wire, refused: Secret) -> Secret:
        """Another token, after the PBX answered 401 to ``refused``."""
        ...

    async def sign_out(self, wire: Wire) -> None:
        """End what was begun; never raises a `PbxError`."""
        ...


class GivenToken:
    """A token out of the settings.

    Parameters:
        token: with or without ``Bearer`` before it.
        tenant: the id of the tenant to work in, if the token is a system administrator's.

    Raises:
        SettingsError: it cannot be sent as it is.
    """

    def __init__(self, token: Secret, tenant: str = "") -> None:
        text = _PREFIX.sub("", token.reveal(), 1).strip()
        if not _USABLE.fullmatch(text):
            raise SettingsError("RECEIVER_PBX_TOKEN is empty or holds spaces or odd characters")
        self._token = Secret(text)
        self._tenant = tenant
        self._switched = not tenant
        self._lock = asyncio.Lock()

    async def token(self, wire: Wire) -> Secret:
        async with self._lock:
            if not self._switched:
                await switch(wire, self._tenant, self._token)
                self._switched = True
        return self._token

    async def renew(self, wire: Wire, refused: Secret) -> Secret:
        raise PbxUnauthorized(
            "the PBX did not accept the token: RECEIVER_PBX_TOKEN is wrong or has expired; take a "
            "new one, or set RECEIVER_PBX_USERNAME, _PASSWORD and _DOMAIN instead",
            status=401,
            code="UNAUTHORIZED",
        )

    async def sign_out(self, wire: Wire) -> None:
        """Others may be using it."""


class Login:
    """Signs in when a token is first asked for.

    Parameters:
        username, password: of a user of the PBX without two-factor authentication.
        domain: the tenant's SIP domain; empty for a system administrator.
        tenant: the id of the tenant that a system administrator works in.
        clock: seconds, rising steadily.

    Raises:
        SettingsError: there are both a domain and a tenant.
    """

    def __init__(
        self,
        username: str,
        password: Secret,
        domain: str = "",
        *,
        tenant: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if domain and tenant:
            raise SettingsError(
                "a user of a tenant cannot switch to another: leave out the domain to sign in as a "
                "system administrator, or leave out the tenant"
            )
        self._account = {"username": username, "password": password.reveal()}
        if domain:
            self._account["domain"] = domain
        self._tenant = tenant
        self._clock = clock
        self._lock = asyncio.Lock()
        self._family: Family = AUTH
        self._held: _Held | None = None
        self._refusal: PbxError | None = None

    async def token(self, wire: Wire) -> Secret:
        """A token that is younger than 80 % of its life.

        Raises:
            PbxUnauthorized: the account was refused, now or earlier; its ``code`` is
                ``"TWO_FACTOR"`` if it is one with two-factor authentication.
            PbxError: the PBX could not be asked.
        """
        async with self._lock:
            if self._held is not None and self._clock() < self._held.renew_at:
                return self._held.access
            return await self._obtain(wire)

    async def renew(self, wire: Wire, refused: Secret) -> Secret:
        """A token other than ``refused``; errors as for `token`."""
        async with self._lock:
            if self._held is not None and self._held.access != refused:
                return self._held.access  # another task was quicker
            return await self._obtain(wire)

    async def sign_out(self, wire: Wire) -> None:
        held, self._held = self._held, None
        if held is None:
            return
        try:
            await held.family.end(wire, held.access)
        except PbxError as error:
            log.debug("the sign-out failed, the token will expire by itself: %s", error)

    async def _obtain(self, wire: Wire) -> Secret:
        if self._refusal is not None:
            raise self._refusal
        access = await self._renew_or_sign_in(wire)
        if self._tenant:
            try:
                await switch(wire, self._tenant, access)
            except PbxError as error:
                await self.sign_out(wire)
                if isinstance(error, PbxRefused) and error.status in FOR_GOOD:
                    self._refusal = error
                raise
        return access

    async def _renew_or_sign_in(self, wire: Wire) -> Secret:
        held, self._held = self._held, None
        if held is not None and held.refresh:
            try:
                return await self._hold(wire, held.family, held.refresh)
            except PbxUnreachable:
                self._held = held
                raise
            except PbxError as error:
                log.info("the token could not be renewed, signing in again: %s", error)
        return await self._sign_in(wire)

    async def _sign_in(self, wire: Wire) -> Secret:
        try:
            try:
                return await self._hold(wire, self._family)
            except PbxRefused as error:
                if self._family is not AUTH or not _is_missing(error):
                    raise
            self._family = OAUTH
            return await self._hold(wire, self._family)
        except PbxThrottled:
            raise  # the password was not looked at
        except PbxRefused as error:
            if error.status >= 500:
                raise
            self._refusal = _refusal(error)
            raise self._refusal from None

    async def _hold(self, wire: Wire, family: Family, refresh: Secret | None = None) -> Secret:
        """Sign in, or renew by ``refresh``, and keep what came."""
        asked_at = self._clock()
        if refresh is not None:
            answer = await family.renew(wire, refresh)
        else:
            answer = await family.begin(wire, self._account)
        tokens = read(Tokens, answer.json(), f"{answer.what}: the answer")
        if tokens.two_factor_enabled and not tokens.access_token:
            raise PbxUnauthorized(
                "the account has two-factor authentication, which a service cannot pass: set "
                "RECEIVER_PBX_USERNAME to a user without it",
                status=answer.status,
                code="TWO_FACTOR",
            )
        if not _USABLE.fullmatch(tokens.access_token.reveal()):
            raise PbxNonsense(f"{answer.what}: the PBX's answer holds no usable access token")
        life = tokens.expires_in if tokens.expires_in > 0 else math.inf
        self._held = _Held(
            family=family,
            access=tokens.access_token,
            refresh=tokens.refresh_token or refresh or Secret(""),
            renew_at=asked_at + _RENEW_AT * life,
        )
        return self._held.access


@dataclass(frozen=True, slots=True)
class _Held:
    """The newest pair of tokens, replaced whole."""

    family: Family
    access: Secret
    refresh: Secret
    renew_at: float


def _is_missing(error: PbxRefused) -> bool:
    """Whether the endpoint does not exist, rather than the user: since 22.6 either may be 404."""
    return error.status == 405 or (error.status == 404 and error.code in _NO_SUCH_ENDPOINT)


def _refusal(error: PbxRefused) -> PbxRefused:
    """The error for an account that was refused, by code before status: any 4xx is documented."""
    if error.code == "TWO_FACTOR":
        return error
    said = f"{error.status} {error.code}" + (f": {error.detail}" if error.detail else "")
    if error.code == "DENIED":
        text = "the PBX blocks sign-ins from this address for a time after wrong passwords: wait"
    elif error.status in (404, 405):
        text = "the PBX has no sign-in: is the path in RECEIVER_PBX_URL wrong (normally /api)?"
    else:
        text = (
            "the PBX refused the sign-in: check RECEIVER_PBX_USERNAME, _PASSWORD and _DOMAIN; it "
            "is not tried again, for repeated failures block this address"
        )
    return PbxUnauthorized(
        f"{text} ({said})", status=error.status, code=error.code, detail=error.detail
    )
