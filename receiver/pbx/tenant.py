"""The tenant's event URL for calls (``cdr_event``): read it, and change nothing else.

Rule 1: ``POST /tenant`` is documented without required fields, and updates as replacing ("About" of
        the API): so the tenant is read, and all fields that the documentation lists for the request
        are sent back as they were, with the new event URL.
Rule 2: a secret that the PBX masks cannot be sent back, so the object that has it is left out.
Rule 3: a tenant has one event URL, so an unexpected one is not replaced.
Rule 4: the tenant is read again afterwards. Another field that changed is an error that names the
        field.

Source: the PBX's REST API, ``GET /tenant`` and ``POST /tenant``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from receiver.errors import PbxInvalid, PbxRefused
from receiver.pbx.authorized_connection import AuthorizedConnection
from receiver.pbx.fields import is_blank
from receiver.pbx.models import MASKED, read, write
from receiver.pbx.models_events import TENANT, EventUrl, TenantEvents

FIELDS = (
    "name",
    "domain",
    "website",
    "timezone",
    "currency",
    "region",
    "enable_video_recording",
    "enable_audio_recording",
    "enable_dual_track_recording",
    "enable_night_mode",
    "enable_two_factor_authentication",
    "custom_options",
    "recording_retention",
    "call_report_retention",
    "log_retention",
    "temp_file_retention",
    "extension_im_disk_quota",
    "office_hours",
    "outbound_caller_ids",
    "e164",
    "extension_event",
    "contact_match_type",
    "contact_match_length",
    "contact_append_type",
    "contact_update_interval",
    "password_force_reset",
    "stir_shaken_cert",
    "stir_shaken_key",
)
"""The fields of the request, without ``cdr_event``; ``avatar_file_id`` cannot be read."""

_SECRETS = ("password", "token", "stir_shaken_key")


class Tenant:
    """The tenant of the account that is signed in. Every method raises `PbxError`."""

    def __init__(self, connection: AuthorizedConnection) -> None:
        self._connection = connection

    async def event_url(self) -> EventUrl:
        """Return the event URL for calls; blank if the tenant has none."""
        return _event_url(await self._read())

    async def set_event_url(self, url: EventUrl, *, replaces: str | None = None) -> None:
        """Set the event URL for calls.

        Parameters:
            url: the event URL.
            replaces: the URL that may be replaced, such as the one of a plan; None for any.

        Raises:
            PbxRefused: the tenant has yet another URL; nothing was changed.
            PbxInvalid: the PBX changed other fields, too; the text names them.
        """
        before = await self._read()
        if replaces is not None and _event_url(before).url not in (replaces, url.url):
            raise PbxRefused(
                "the tenant's event URL was not replaced, because another client has set it since "
                "it was read",
                status=409,
            )
        sent = {**_resendable(before), "cdr_event": write(url)}
        await self._connection.post("setting the event URL of the tenant", TENANT, sent)
        after = await self._read()
        if changed := [key for key in FIELDS if _value(before, key) != _value(after, key)]:
            raise PbxInvalid(
                "the event URL was set, but this PBX also changed other fields of the tenant: "
                f"{', '.join(changed)}; set them again now, in its portal"
            )

    async def _read(self) -> Mapping[str, Any]:
        answer = await self._connection.get("reading the tenant", TENANT)
        found = answer.json()
        if not isinstance(found, dict):
            raise PbxInvalid(f"{answer.what}: the answer is not a JSON object")
        return found


def _event_url(tenant: Mapping[str, Any]) -> EventUrl:
    return read(TenantEvents, tenant, "the tenant").cdr_event or EventUrl()


def _resendable(tenant: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that can be sent back as they are; blank ones are not sent."""
    given = {key: tenant[key] for key in FIELDS if not is_blank(tenant.get(key))}
    return {key: value for key, value in given.items() if not _has_masked_secret(key, value)}


def _has_masked_secret(key: str, value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_has_masked_secret(name, inner) for name, inner in value.items())
    return key in _SECRETS and isinstance(value, str) and bool(value) and set(value) <= MASKED


def _value(tenant: Mapping[str, Any], key: str) -> object:
    value = tenant.get(key)
    return None if is_blank(value) else value
