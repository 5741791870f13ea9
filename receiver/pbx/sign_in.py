"""The documented sign-in methods, each with its refresh and its sign-out.

Source: "Authentication" of the PBX's REST API. ``/auth/sign_in`` exists since 22.2.11,
``/login/oauth/token`` longer, with the client id of the vendor's own page. ``/tenants/switch``
gives no new token since 22.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from receiver.credentials import Secret
from receiver.errors import PbxRefused
from receiver.pbx.connection import Answer, Connection
from receiver.pbx.fields import Model

PERMANENT = (400, 401, 403, 404)
"""Statuses of refusals that a retry cannot change."""

_CLIENT_ID = "9d806019-75b2-4b3d-bb8b-f5a3a412cc0a"
_SIGN_IN = "signing in"
_RENEW = "renewing the token"


class Tokens(Model, frozen=True, kw_only=True):
    """The answer to a sign-in or a refresh. ``expires_in`` is in seconds, 0 if unknown.

    With ``two_factor_enabled`` the account needs a code first, and there are no tokens.
    """

    access_token: Secret = Secret("")
    refresh_token: Secret = Secret("")
    expires_in: int = 0
    two_factor_enabled: bool = False


@dataclass(frozen=True, slots=True)
class SignInMethod:
    """A sign-in method: the paths to sign in, refresh and sign out, and the form of the body."""

    sign_in: str
    refresh: str
    sign_out: str
    form: bool

    async def begin(self, connection: Connection, account: Mapping[str, str]) -> Answer:
        if not self.form:
            return await connection.send(_SIGN_IN, "POST", self.sign_in, data=account)
        fields = {"grant_type": "password", **account, "scope": "all", "client_id": _CLIENT_ID}
        return await connection.send(_SIGN_IN, "POST", self.sign_in, form=fields)

    async def renew(self, connection: Connection, token: Secret) -> Answer:
        fields = {"refresh_token": token.reveal()}
        if not self.form:
            return await connection.send(_RENEW, "POST", self.refresh, data=fields)
        fields |= {"grant_type": "refresh_token", "client_id": _CLIENT_ID}
        return await connection.send(_RENEW, "POST", self.refresh, form=fields)

    async def end(self, connection: Connection, token: Secret) -> None:
        headers = {"Content-Type": "application/json"}  # as documented, though there is no body
        await connection.send("signing out", "POST", self.sign_out, token=token, headers=headers)


AUTH = SignInMethod("/auth/sign_in", "/auth/refresh_token", "/auth/sign_out", form=False)
OAUTH = SignInMethod("/login/oauth/token", "/login/oauth/token", "/login/oauth/revoke", form=True)


async def switch(connection: Connection, tenant: str, token: Secret) -> None:
    """Switch a system administrator's token to a tenant.

    Raises:
        PbxError: the PBX refuses, or cannot be reached.
    """
    what = "switching to the tenant"
    try:
        await connection.send(what, "POST", "/tenants/switch", token=token, params={"id": tenant})
    except PbxRefused as error:
        if error.status not in PERMANENT:
            raise
        details = f"{error.status} {error.code}" + (f": {error.detail}" if error.detail else "")
        text = (
            f"{what} {tenant!r}: only a system administrator may, and RECEIVER_PBX_TENANT has to "
            "be the id of the tenant"
        )
        raise type(error)(
            f"{text} ({details})", status=error.status, code=error.code, detail=error.detail
        ) from None
