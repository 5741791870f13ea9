"""The event URLs of a tenant: where the PBX reports calls and extensions.

The rules of `receiver.pbx.models` apply. A field that the PBX did not return is ``""`` or None.

Source: the PBX's REST API, ``/tenant``, of which only these two fields are here. That ``password``
and ``token`` are optional where ``auth`` needs none is as for an action URL.
"""

from __future__ import annotations

from typing import Annotated

from receiver.credentials import Secret
from receiver.pbx.fields import Model, Spec

TENANT = "/tenant"
"""The path of the tenant's settings, below ``/api``: GET reads them, POST changes those sent."""

_WORD = "[a-z0-9]{6,64}"


class EventUrl(Model, frozen=True, kw_only=True):
    """One event URL of the tenant: off by default, always called with POST."""

    enabled: Annotated[bool | None, Spec(default=False)] = None
    auth: Annotated[
        str, Spec(choices=("DISABLE", "BASIC", "DIGEST", "BEARER"), default="DISABLE")
    ] = ""
    username: Annotated[str, Spec(6, 64, pattern=_WORD)] = ""
    password: Annotated[Secret, Spec(6, 64, pattern=_WORD)] = Secret("")
    token: Secret = Secret("")
    url: Annotated[str, Spec(1, 128)] = ""

    def __repr__(self) -> str:  # an unmanaged URL may contain secrets
        return f"EventUrl(enabled={self.enabled!r}, auth={self.auth!r})"


class TenantEvents(Model, frozen=True, kw_only=True):
    """The event URLs of a tenant: of calls (``cdr_event``) and of extensions."""

    cdr_event: EventUrl | None = None
    extension_event: EventUrl | None = None
