"""Resources that IVRs share: holidays, outbound caller ids, prompt files, IVR servers.

The rules of `receiver.pbx.models` apply. A field that the PBX did not return is ``""`` or None.

Source: the PBX's REST API, ``/holidays``, ``/files``, ``/blobs``, ``/ivr_servers``. The bounds of
a holiday's numbers are not in it: they follow from the calendar.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated

from receiver.pbx.fields import Model, Spec

_YEAR, _MONTH, _DAY = Spec(0, 9999), Spec(1, 12), Spec(1, 31)
_HOUR, _MINUTE = Spec(0, 23), Spec(0, 59)


class Holiday(Model, frozen=True, kw_only=True):
    """A holiday. ``region`` is a country of ISO 3166-1 in three letters; January is month 1.

    A ``consecutive`` one lasts from its start to its end without a break.
    """

    id: Annotated[str, Spec(use="read")] = ""
    name: Annotated[str, Spec(1, 64, required=True)] = ""
    region: Annotated[str, Spec(3, 3, pattern="^[A-Z]{3}$", required=True)] = ""
    consecutive: Annotated[bool | None, Spec(required=True)] = None
    every_year: Annotated[bool | None, Spec(required=True)] = None
    year_start: Annotated[int | None, _YEAR] = None
    year_end: Annotated[int | None, _YEAR] = None
    month_start: Annotated[int | None, _MONTH] = None
    month_end: Annotated[int | None, _MONTH] = None
    day_start: Annotated[int | None, _DAY] = None
    day_end: Annotated[int | None, _DAY] = None
    hour_start: Annotated[int | None, _HOUR] = None
    hour_end: Annotated[int | None, _HOUR] = None
    minute_start: Annotated[int | None, _MINUTE] = None
    minute_end: Annotated[int | None, _MINUTE] = None


class OutboundCallerId(Model, frozen=True, kw_only=True):
    """The caller id of calls that an IVR forwards over a provider.

    ::

        sales = OutboundCallerId(provider_id="NzAwNTUx", caller_id="+4930123456")

    In a file::

        value = "outbound-caller-id"
        provider_id = "NzAwNTUx"
        caller_id = "+4930123456"

    Parameters:
        provider_id: the id of the provider (trunk) on the PBX.
        caller_id: 1 to 64 characters.
        description: up to 1024 characters.
        display_name: the name shown with it (PBX 22.6).
    """

    provider_id: str = ""
    caller_id: Annotated[str, Spec(1, 64)] = ""
    description: Annotated[str, Spec(high=1024)] = ""
    display_name: Annotated[str, Spec(since="22.6")] = ""


class PromptFile(Model, frozen=True, kw_only=True):
    """A file on the PBX; ``size`` is in bytes."""

    id: Annotated[str, Spec(use="read")] = ""
    name: Annotated[str, Spec(use="read")] = ""
    size: Annotated[int | None, Spec(use="read")] = None
    media_type: Annotated[str, Spec(use="read")] = ""
    created_at: Annotated[str, Spec(use="read")] = ""


def _no_address(version: int) -> Spec:
    kind = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address

    def problem(text: str) -> str:
        try:
            kind(text)
        except ValueError:
            return f"is no IPv{version} address"
        return ""

    return Spec(use="create", rule=problem)


class IvrServer(Model, frozen=True, kw_only=True):
    """An IVR server; ``type`` is ``INTERNAL`` for the built-in one.

    Only ``enabled`` can be changed later.
    """

    pbx_checks_conflicts = True

    id: Annotated[str, Spec(use="read")] = ""
    name: Annotated[str, Spec(1, 64, required=True, use="create")] = ""
    enabled: Annotated[bool | None, Spec(default=True)] = None
    type: Annotated[str, Spec(choices=("INTERNAL", "EXTERNAL"), use="read")] = ""
    ipv4: Annotated[str, _no_address(4)] = ""
    ipv6: Annotated[str, _no_address(6)] = ""

    def conflicts(self, creating: bool) -> tuple[str, ...]:
        if creating and not self.ipv4 and not self.ipv6:
            return ("ipv4 or ipv6 is missing: a server needs at least one address",)
        return ()


class ServerStatus(Model, frozen=True, kw_only=True):
    """The status of an IVR server, ``ONLINE`` or ``OFFLINE``; the usages are in percent."""

    status: str = ""
    cpu_usage: int | None = None
    memory_usage: int | None = None
