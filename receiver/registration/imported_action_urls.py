"""The action URLs on a PBX, as comments beside imported declarations.

Rule 1: one that leads to this service becomes the declaration of an action without its handler: all
        parts of a long mask are one action.
Rule 2: of another service's the host is shown and nothing else of the URL, which may be a secret.
Rule 3: credentials and the values of headers are not shown.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from receiver.pbx.models import ActionUrl, with_defaults
from receiver.registration.ownership import OWNER, Ownership, pairs
from receiver.registration.urls import Target, origin
from receiver.text import line, quoted

_AUTH = {"BASIC": "basic", "DIGEST": "digest", "BEARER": "bearer"}


@dataclass(frozen=True, slots=True)
class ImportedActionUrl:
    """An action URL of an IVR.

    Attributes:
        kind: ``"DTMF"`` or ``"CALLER"``; anything else is not managed.
        mask: the whole match list.
        options: those of the action that are not the defaults, with its name.
        note: what else is known, on one line.
        managed: whether it leads to this service.
    """

    kind: str
    mask: str
    options: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    managed: bool = False


def import_action_urls(
    items: Iterable[ActionUrl], whose: Ownership | None
) -> tuple[ImportedActionUrl, ...]:
    """Return the action URLs of one IVR, by name.

    Parameters:
        items: as the PBX shows them.
        whose: decides which are managed; None if the public URL is not set, then none is.
    """
    parts: dict[tuple[Target, str], list[ActionUrl]] = {}
    unmanaged: list[ImportedActionUrl] = []
    for item in sorted(map(with_defaults, items), key=_order):
        target = whose.leads_to(item) if whose and whose.owns(item) else None
        if target and item.type in ("DTMF", "CALLER"):
            parts.setdefault((target._replace(part=""), item.type), []).append(item)
        else:
            unmanaged.append(ImportedActionUrl(item.type, item.mask, note=_note(item)))
    managed = (_managed(target.name, group) for (target, _), group in parts.items())
    return (*managed, *unmanaged)


def _order(item: ActionUrl) -> tuple[str, int, str]:
    return item.name, len(item.id), item.id


def _managed(name: str, group: list[ActionUrl]) -> ImportedActionUrl:
    first = group[0]
    options: dict[str, Any] = {"name": name}
    if first.method == "GET":
        options["method"] = "GET"
    if (auth := _AUTH.get(first.auth)) != "bearer":
        options["auth"] = auth
    for timeout in ("request_timeout", "connection_timeout"):
        if (seconds := getattr(first, timeout)) != 2:
            options[timeout] = seconds
    if not first.enabled:
        options["enabled"] = False
    mask = ";".join(item.mask for item in group)
    return ImportedActionUrl(first.type, mask, options, _headers(first), managed=True)


def _note(item: ActionUrl) -> str:
    auth = item.auth.lower()
    shown = "no authentication" if auth == "disable" else f"{auth}, credentials not shown"
    words = [quoted(item.name), f"{item.type} {line(item.mask)}", line(item.method), line(shown)]
    words += [headers] if (headers := _headers(item)) else []
    words += [] if item.enabled else ["switched off"]
    return f"{', '.join(words)}, {origin(item.url)}"


def _headers(item: ActionUrl) -> str:
    names = [line(name) for name, _ in pairs(item.headers) if name.lower() != OWNER.lower()]
    return f"headers {', '.join(names)} (values not shown)" if names else ""
