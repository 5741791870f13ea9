"""The resource types of the PBX as groups of commands, a row for each.

Source: `receiver.pbx.resource_types`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from receiver.pbx.pbx_client import PbxClient
from receiver.pbx.resource_types import (
    ACTION_URL,
    FILE,
    HOLIDAY,
    IVR,
    SERVER,
    TOP_LEVEL,
    ResourceType,
)


@dataclass(frozen=True, slots=True)
class Resource:
    """A group of commands.

    Attributes:
        command: the group's name.
        type: the resource type.
        of: returns the collection, given a client and an IVR (empty unless nested).
        columns: of the table that ``list`` prints.
        verbs: the commands.
        title: the help of the group.
        nested: whether the commands need an IVR.
    """

    command: str
    type: ResourceType[Any, Any]
    of: Callable[[PbxClient, str], Any]
    columns: tuple[str, ...]
    verbs: tuple[str, ...]
    title: str
    nested: bool = False


def default_group(type: ResourceType[Any, Any]) -> Resource:
    """Return the group of a resource type without a row below: named by its path, all fields."""
    columns = [key for key in type.summary.__struct_fields__ if key != "id"]
    return Resource(
        type.path.strip("/").replace("_", "-"),
        type,
        lambda pbx, ivr: pbx.collection(type),
        (*columns, "id"),
        ("list", "show", "create", "update", "delete"),
        f"The {type.many}. NAME is its {', '.join(type.names[1:]).replace('_', ' ')} or id.",
    )


_ROWS = (
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
        lambda pbx, ivr: pbx.collection(HOLIDAY),
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
        "The action URLs of one IVR, managed or not. To register those of an app: receiver "
        "apply. NAME is a name or an id, IVR a number, a name or an id.",
        nested=True,
    ),
)

RESOURCES = (
    *_ROWS,
    *(default_group(type) for type in TOP_LEVEL if type not in [row.type for row in _ROWS]),
)
