"""What the IVRs of a PBX share: holidays, prompt files, and the servers they run on.

The laws are those of `receiver.pbx.models`. A field that the PBX did not say is ``""`` or None.

Source: the PBX's REST API, ``/holidays``, ``/files``, ``/blobs``, ``/ivr_servers``. The ranges of
a holiday's numbers are not in it: they are the calendar's.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated

from receiver.pbx.fields import Model, Spec

_MONTH, _DAY, _HOUR, _MINUTE = Spec(1, 12), Spec(1, 31), Spec(0, 23), Spec(0, 59)


class Holiday(Model, frozen=True, kw_only=True):
    """A holiday. ``region`` is a country of ISO 3166-1 in three letters; January is month 1.

    ``consecutive`` says that it lasts from its start to its end without a break.
    """

    id: Annotated[str, Spec(use="read")] = ""
    name: Annotated[str, Spec(1, 64, required=True)] = ""
    region: Annotated[str, Spec(3, 3, pattern="^[A-Z]{3}$", required=True)] = ""
    consecutive: Annotated[bool | None, Spec(required=True)] = None
    every_year: Annotated[bool | None, Spec(required=True)] = None
    year_start: int | None = None
    year_end: int | None = None
    month_start: Annotated[int | None, _MONTH] = None
    month_end: Annotated[int | None, _MONTH] = None
    day_start: Annotated[int | None, _DAY] = None
    day_end: Annotated[int | None, _DAY] = None
    hour_start: Annotated[int | None, _HOUR] = None
    hour_end: Annotated[int | None, _HOUR] = None
    minute_start: Annotated[int | None, _MINUTE] = None
    minute_end: Annotated[int | None, _MINUTE] = None


class PromptFile(Model, frozen=True, kw_only=True):
    """A file on the PBX; ``size`` is in octets."""

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
    """A server that runs IVRs; ``type`` is ``INTERNAL`` for the one inside the PBX.

    Only ``enabled`` can be changed later.
    """

    id: Annotated[str, Spec(use="read")] = ""
    name: Annotated[str, Spec(1, 64, required=True, use="create")] = ""
    enabled: bool | None = None
    type: Annotated[str, Spec(use="read")] = ""
    ipv4: Annotated[str, _no_address(4)] = ""
    ipv6: Annotated[str, _no_address(6)] = ""

    def conflicts(self, creating: bool) -> tuple[str, ...]:
        if creating and not self.ipv4 and not self.ipv6:
            return ("ipv4 or ipv6 is missing: a server needs at least one address",)
        return ()


class ServerStatus(Model, frozen=True, kw_only=True):
    """How an IVR server is; the usages are in percent. ``status`` is ``ONLINE`` or ``OFFLINE``."""

    status: str = ""
    cpu_usage: int | None = None
    memory_usage: int | None = None
