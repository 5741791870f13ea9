"""The documented ways to sign in, each with the refresh and the end that belong to it.

Source: "Authentication" of the PBX's REST API. ``/auth/sign_in`` exists since 22.2.11,
``/login/oauth/token`` longer, with the client id of the vendor's own page. ``/tenants/switch``
gives no new token since 22.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from receiver.errors import PbxRefused
from receiver.pbx.wire import Answer, Wire
from receiver.secrets import Secret

FOR_GOOD = (400, 401, 403, 404)
"""Refusals that will not go better later."""

_CLIENT_ID = "9d806019-75b2-4b3d-bb8b-f5a3a412cc0a"
_SIGN_IN = "signing in"
_RENEW = "renewing the token"


@dataclass(frozen=True, slots=True)
class Family:
    """One of the documented ways to sign in, with the refresh and the end that belong to it."""

    sign_in: str
    refresh: str
    sign_out: str
    form: bool

    async def begin(self, wire: Wire, account: Mapping[str, str]) -> Answer:
        if not self.form:
            return await wire.send(_SIGN_IN, "POST", self.sign_in, data=account)
        fields = {"grant_type": "password", **account, "scope": "all", "client_id": _CLIENT_ID}
        return await wire.send(_SIGN_IN, "POST", self.sign_in, form=fields)

    async def renew(self, wire: Wire, token: Secret) -> Answer:
        fields = {"refresh_token": token.reveal()}
        if not self.form:
            return await wire.send(_RENEW, "POST", self.refresh, data=fields)
        fields |= {"grant_type": "refresh_token", "client_id": _CLIENT_ID}
        return await wire.send(_RENEW, "POST", self.refresh, form=fields)

    async def end(self, wire: Wire, token: Secret) -> None:
        headers = {"Content-Type": "application/json"}  # as documented, though there is no body
        await wire.send("signing out", "POST", self.sign_out, token=token, headers=headers)


AUTH = Family("/auth/sign_in", "/auth/refresh_token", "/auth/sign_out", form=False)
OAUTH = Family("/login/oauth/token", "/login/oauth/token", "/login/oauth/revoke", form=True)


async def switch(wire: Wire, tenant: str, token: Secret) -> None:
    """Have a system administrator's token work in a tenant.

    Raises:
        PbxError: it does not; a refusal says what to look at.
    """
    what = "switching to the tenant"
    try:
        await wire.send(what, "POST", "/tenants/switch", token=token, params={"id": tenant})
    except PbxRefused as error:
        if error.status not in FOR_GOOD:
            raise
        said = f"{error.status} {error.code}" + (f": {error.detail}" if error.detail else "")
        text = f"{what} {tenant!r}: only a system administrator may, and the id has to be right"
        raise type(error)(
            f"{text} ({said})", status=error.status, code=error.code, detail=error.detail
        ) from None
