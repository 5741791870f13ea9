"""The access tokens of requests to the PBX: a configured one, or one from a sign-in.

Rule 1: refused credentials are never sent again, because repeated failures make the PBX block the
        address. The same error is raised again.
Rule 2: a token is renewed at 80 % of the lifetime in the answer, or after a 401: by the refresh
        endpoint of its sign-in method, then by one sign-in, then never.
Rule 3: one task at a time signs in or renews; the others wait for its token.
Rule 4: a session from a sign-in is signed out; a configured token is not.
Rule 5: each new token of a system administrator is switched to the tenant: whether the PBX keeps
        the choice by token or by session is not documented.

Source: "Authentication" of the PBX's REST API; the requests are in `receiver.pbx.sign_in`.
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

from receiver.credentials import Secret
from receiver.errors import (
    PbxError,
    PbxInvalid,
    PbxRefused,
    PbxThrottled,
    PbxUnauthorized,
    PbxUnreachable,
    SettingsError,
)
from receiver.pbx.connection import Connection
from receiver.pbx.models import read
from receiver.pbx.sign_in import AUTH, OAUTH, PERMANENT, SignInMethod, Tokens, switch

log = logging.getLogger("receiver.pbx")

_RENEW_AT = 0.8
_PREFIX = re.compile(r"\A\s*bearer(\s+|\Z)", re.IGNORECASE)
_USABLE = re.compile(r"[!-~]+")
_NO_SUCH_ENDPOINT = ("UNKNOWN", "NOT_FOUND", "METHOD_NOT_ALLOWED")


class TokenSource(Protocol):
    """A source of access tokens."""

    async def token(self, connection: Connection) -> Secret:
        """Return a token that is expected to be valid."""
        ...

    async def renew(self, connection: Connection, refused: Secret) -> Secret:
        """Return another token, after a 401 for ``refused``."""
        ...

    async def sign_out(self, connection: Connection) -> None:
        """End the session; never raises a `PbxError`."""
        ...


class GivenToken:
    """A token from the settings.

    Parameters:
        token: with or without the prefix ``Bearer``.
        tenant: the id of the tenant to work in, if the token is a system administrator's.

    Raises:
        SettingsError: it cannot be sent in a header.
    """

    def __init__(self, token: Secret, tenant: str = "") -> None:
        text = _PREFIX.sub("", token.reveal(), 1).strip()
        if not _USABLE.fullmatch(text):
            raise SettingsError(
                "RECEIVER_PBX_TOKEN is empty or contains characters that no token has"
            )
        self._token = Secret(text)
        self._tenant = tenant
        self._switched = not tenant
        self._lock = asyncio.Lock()

    async def token(self, connection: Connection) -> Secret:
        async with self._lock:
            if not self._switched:
                await switch(connection, self._tenant, self._token)
                self._switched = True
        return self._token

    async def renew(self, connection: Connection, refused: Secret) -> Secret:
        raise PbxUnauthorized(
            "the PBX did not accept the token: RECEIVER_PBX_TOKEN is wrong or has expired; take a "
            "new one, or set RECEIVER_PBX_USERNAME, _PASSWORD and _DOMAIN instead",
            status=401,
            code="UNAUTHORIZED",
        )

    async def sign_out(self, connection: Connection) -> None:
        """Do nothing: other processes may use the token."""


class Login:
    """A token source that signs in when the first token is needed.

    Parameters:
        username, password: of a user of the PBX without two-factor authentication.
        domain: the tenant's SIP domain; empty for a system administrator.
        tenant: the id of the tenant that a system administrator works in.
        clock: monotonic seconds.

    Raises:
        SettingsError: both a domain and a tenant are given.
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
                "a user of a tenant cannot switch to another: leave out the domain "
                "(RECEIVER_PBX_DOMAIN) to sign in as a system administrator, or leave out the "
                "tenant (RECEIVER_PBX_TENANT)"
            )
        self._account = {"username": username, "password": password.reveal()}
        if domain:
            self._account["domain"] = domain
        self._tenant = tenant
        self._clock = clock
        self._lock = asyncio.Lock()
        self._method: SignInMethod = AUTH
        self._pair: _TokenPair | None = None
        self._refusal: PbxError | None = None

    async def token(self, connection: Connection) -> Secret:
        """Return a token that is younger than 80 % of its lifetime.

        Raises:
            PbxUnauthorized: the account was refused, now or earlier; its ``code`` is
                ``"TWO_FACTOR"`` if it is one with two-factor authentication.
            PbxError: the PBX cannot be reached.
        """
        async with self._lock:
            if self._pair is not None and self._clock() < self._pair.renew_at:
                return self._pair.access
            return await self._obtain(connection)

    async def renew(self, connection: Connection, refused: Secret) -> Secret:
        """Return a token other than ``refused``; errors as for `token`."""
        async with self._lock:
            if self._pair is not None and self._pair.access != refused:
                return self._pair.access  # another task has renewed it
            return await self._obtain(connection)

    async def sign_out(self, connection: Connection) -> None:
        pair, self._pair = self._pair, None
        if pair is None:
            return
        try:
            await pair.method.end(connection, pair.access)
        except PbxError as error:
            log.debug("sign-out failed, the token stays valid until it expires: %s", error)

    async def _obtain(self, connection: Connection) -> Secret:
        if self._refusal is not None:
            raise self._refusal
        access = await self._renew_or_sign_in(connection)
        if self._tenant:
            try:
                await switch(connection, self._tenant, access)
            except PbxError as error:
                await self.sign_out(connection)
                if isinstance(error, PbxRefused) and error.status in PERMANENT:
                    self._refusal = error
                raise
        return access

    async def _renew_or_sign_in(self, connection: Connection) -> Secret:
        pair, self._pair = self._pair, None
        if pair is not None and pair.refresh:
            try:
                return await self._request(connection, pair.method, pair.refresh)
            except PbxUnreachable:
                self._pair = pair
                raise
            except PbxError as error:
                log.info("token refresh failed, signing in again: %s", error)
        return await self._sign_in(connection)

    async def _sign_in(self, connection: Connection) -> Secret:
        try:
            try:
                return await self._request(connection, self._method)
            except PbxRefused as error:
                if self._method is not AUTH or not _is_missing(error):
                    raise
            self._method = OAUTH
            return await self._request(connection, self._method)
        except PbxThrottled:
            raise  # the password was not checked
        except PbxRefused as error:
            if error.status >= 500:
                raise
            self._refusal = _refusal(error)
            raise self._refusal from None

    async def _request(
        self, connection: Connection, method: SignInMethod, refresh: Secret | None = None
    ) -> Secret:
        """Sign in, or renew by ``refresh``, and store the tokens."""
        asked_at = self._clock()
        if refresh is not None:
            answer = await method.renew(connection, refresh)
        else:
            answer = await method.begin(connection, self._account)
        tokens = read(Tokens, answer.json(), f"{answer.what}: the answer")
        if tokens.two_factor_enabled and not tokens.access_token:
            raise PbxUnauthorized(
                "the account has two-factor authentication, which a service cannot complete: set "
                "RECEIVER_PBX_USERNAME to a user without it",
                status=answer.status,
                code="TWO_FACTOR",
            )
        if not _USABLE.fullmatch(tokens.access_token.reveal()):
            raise PbxInvalid(f"{answer.what}: the PBX's answer has no usable access token")
        life = tokens.expires_in if tokens.expires_in > 0 else math.inf
        self._pair = _TokenPair(
            method=method,
            access=tokens.access_token,
            refresh=tokens.refresh_token or refresh or Secret(""),
            renew_at=asked_at + _RENEW_AT * life,
        )
        return self._pair.access


@dataclass(frozen=True, slots=True)
class _TokenPair:
    """The newest pair of tokens."""

    method: SignInMethod
    access: Secret
    refresh: Secret
    renew_at: float


def _is_missing(error: PbxRefused) -> bool:
    """Return whether the endpoint is missing, not the user: since 22.6 either may be 404."""
    return error.status == 405 or (error.status == 404 and error.code in _NO_SUCH_ENDPOINT)


def _refusal(error: PbxRefused) -> PbxRefused:
    """Return the error for a refused account, by code before status: any 4xx is documented."""
    if error.code == "TWO_FACTOR":
        return error
    details = f"{error.status} {error.code}" + (f": {error.detail}" if error.detail else "")
    if error.code == "DENIED":
        text = "the PBX blocks sign-ins from this address after wrong passwords: wait"
    elif error.status in (404, 405):
        text = "the PBX has no sign-in: is the path in RECEIVER_PBX_URL wrong (normally /api)?"
    else:
        text = (
            "the PBX refused the sign-in: check RECEIVER_PBX_USERNAME, _PASSWORD and _DOMAIN; it "
            "is not retried, because repeated failures block this address"
        )
    return PbxUnauthorized(
        f"{text} ({details})", status=error.status, code=error.code, detail=error.detail
    )
