"""What kinds of things the PBX has, as groups of commands: a row for each.

Source: the PBX's REST API, as `receiver.pbx.groups` and `receiver.pbx.files` have it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from receiver.pbx.client import PbxClient
from receiver.pbx.collections import Kind
from receiver.pbx.files import FILE
from receiver.pbx.groups import ACTION_URL, HOLIDAY, IVR, SERVER


@dataclass(frozen=True, slots=True)
class Resource:
    """A group of commands.

    Attributes:
        command: the group's name.
        kind: what it is about.
        of: its things, at a client and an IVR (empty where there is none).
        columns: of the table that ``list`` prints.
        verbs: the commands.
        title: what the group's help says.
        nested: True wants to be told the IVR.
    """

    command: str
    kind: Kind[Any, Any]
    of: Callable[[PbxClient, str], Any]
    columns: tuple[str, ...]
    verbs: tuple[str, ...]
    title: str
    nested: bool = False


RESOURCES = (
    Resource(
        "ivrs",
        IVR,
        lambda pbx, ivr: pbx.ivrs,
        ("extension_number", "name", "id"),
        ("list", "show", "create", "update", "delete", "status"),
        "The IVRs (virtual receptionists) of the PBX. NAME is a number, a name or an id.",
    ),
    Resource(
        "servers",
        SERVER,
        lambda pbx, ivr: pbx.servers,
        ("name", "enabled", "type", "ipv4", "ipv6", "id"),
        ("list", "show", "create", "update", "delete", "status"),
        "The servers that run IVRs. NAME is a name or an id.",
    ),
    Resource(
        "holidays",
        HOLIDAY,
        lambda pbx, ivr: pbx.holidays,
        ("name", "region", "every_year", "month_start", "day_start", "month_end", "day_end", "id"),
        ("list", "show", "create", "update", "delete"),
        "The holidays that rules of IVRs refer to. NAME is a name or an id.",
    ),
    Resource(
        "files",
        FILE,
        lambda pbx, ivr: pbx.files,
        ("name", "size", "media_type", "created_at", "id"),
        ("list", "show", "upload", "download", "delete"),
        "The prompt files. NAME is a name or an id.",
    ),
    Resource(
        "action-urls",
        ACTION_URL,
        lambda pbx, ivr: pbx.action_urls(ivr),
        ("name", "enabled", "type", "mask", "method", "auth", "url", "id"),
        ("list", "show", "create", "update", "delete"),
        "The action URLs of one IVR, whoever made them. To register those of an app: receiver "
        "apply. NAME is a name or an id, IVR a number, a name or an id.",
        nested=True,
    ),
)
