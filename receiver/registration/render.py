"""A plan as text, and as JSON.

Rule: no text contains a secret. The values of headers, and all of an unmanaged URL but its host,
count as secrets too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, get_args

from receiver.declarations.desired_ivr import DesiredIvr
from receiver.masks import short_mask
from receiver.pbx.models import ActionUrl
from receiver.pbx.models_events import EventUrl
from receiver.pbx.models_shared import Holiday
from receiver.registration.changes import (
    EVENT_URL,
    PENDING,
    SYMBOLS,
    Change,
    Op,
    Plan,
    Resource,
    in_words,
)
from receiver.registration.urls import origin, shown
from receiver.text import counted, line

_FEW = 10  # names of one IVR in a sentence


def render(plan: Plan, *, only_pending: bool = False) -> str:
    """Return the plan as text: a line for each change, and the totals at the end.

    Parameters:
        plan: what to print.
        only_pending: leave out unchanged and unmanaged resources.
    """
    return "\n".join(_lines(plan, _selected(plan.all, only_pending)))


def as_json(plan: Plan, *, only_pending: bool = False) -> dict[str, Any]:
    """Return the plan as plain data, secrets masked; parameters as for `render`."""
    return {
        "pending": bool(plan.pending),
        "counts": {op: plan.count(op) for op in get_args(Op)},
        "holidays": list(map(change_as_json, _selected(plan.holidays, only_pending))),
        "ivrs": list(map(change_as_json, _selected(plan.ivrs, only_pending))),
        "changes": list(map(change_as_json, _selected(plan.changes, only_pending))),
        "event_urls": list(map(change_as_json, _selected(plan.event_urls, only_pending))),
        "warnings": list(plan.warnings),
    }


def change_as_json(change: Change[Resource]) -> dict[str, Any]:
    """Return one line of a plan as plain data."""
    resource, more = change.resource, dict[str, Any]()
    if isinstance(resource, DesiredIvr):
        more = {"name": resource.fields.name, "id": change.ivr.id or None}
    elif isinstance(resource, Holiday):
        more = {"name": resource.name, "id": resource.id or None}
    elif isinstance(resource, EventUrl):
        more = {"name": change.name, "url": shown(resource.url), "reason": change.reason or None}
    else:
        name, id, url = resource.name, resource.id, resource.url
        seen = origin(url) if change.op == "unmanaged" else shown(url)
        more = {"name": name, "id": id or None, "url": seen, "reason": change.reason or None}
    fields_ = [{"field": f.field, "from": f.before, "to": f.after} for f in change.differences]
    return {
        "op": change.op,
        "ivr": change.ivr.extension_number or None,
        **more,
        "where": change.where or None,
        "fields": fields_,
    }


def named(changes: Iterable[Change[Resource]]) -> str:
    """Return the names of ``changes`` by IVR, as in ``8000/a, b and 7 more, 8001/c, IVR 8002``."""
    groups: dict[str, list[str]] = {}
    for change in changes:
        group, slash, name = change.name.partition("/")
        groups.setdefault(group + slash, []).extend([name] if slash else [])
    return ", ".join(f"{group}{_few(names)}" for group, names in groups.items())


def what(changes: Iterable[Change[Resource]]) -> str:
    """Return what ``changes`` are about, as in ``3 action URLs and the event URL``."""
    changes = tuple(changes)
    events = sum(isinstance(one.resource, EventUrl) for one in changes)
    rest = len(changes) - events
    parts = [counted(rest, "action URL")] if rest or not events else []
    return " and ".join([*parts, *([f"the {EVENT_URL}"] if events else [])])


def listed(changes: Iterable[Change[Resource]]) -> str:
    """Return what was done, as in ``create IVR 8000, 8000/a, b; update 8001/c``."""
    return "; ".join(f"{op} {named(group)}" for op, group in _groups(changes, lambda c: c.op))


def reasons(changes: Iterable[Change[Resource]]) -> str:
    """Return why ``changes`` cannot be made, grouped by reason."""
    groups = _groups(changes, lambda change: change.reason)
    return "; ".join(f"{named(group)}: {reason}" for reason, group in groups)


def complaints(changes: Iterable[Change[Resource]]) -> str:
    """Return what is not as it was sent, grouped by complaint."""
    return "; ".join(f"{named(group)}: {text}" for text, group in _groups(changes, _complaint))


def _groups(
    changes: Iterable[Change[Resource]], key: Callable[[Change[Resource]], str]
) -> Iterable[tuple[str, list[Change[Resource]]]]:
    groups: dict[str, list[Change[Resource]]] = {}
    for change in changes:
        groups.setdefault(key(change), []).append(change)
    return groups.items()


def _complaint(change: Change[Resource]) -> str:
    match change.op:
        case "update":
            return f"not what was sent: {', '.join(map(str, change.differences))}"
        case "delete":
            return "still there"
        case "blocked":
            return f"blocked: {change.reason}"
        case _:
            return "not there"


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more


def _selected(
    changes: Sequence[Change[Resource]], only_pending: bool
) -> Sequence[Change[Resource]]:
    return [one for one in changes if one.op in PENDING] if only_pending else changes


def _lines(plan: Plan, changes: Iterable[Change[Resource]]) -> Iterator[str]:
    heading = ""
    for change in changes:
        symbol, ivr = SYMBOLS[change.op], change.ivr
        if isinstance(change.resource, DesiredIvr):
            yield f"{symbol} IVR {ivr.extension_number} {line(change.resource.fields.name)}"
        elif isinstance(change.resource, Holiday):
            yield f"{symbol} {change.name}"
        elif isinstance(change.resource, EventUrl):
            yield f"{symbol} {change.name}  {_event_summary(change, change.resource)}".rstrip()
        else:
            title = f"IVR {ivr.extension_number} {line(ivr.name)}".rstrip()
            if title != heading:
                yield title
                heading = title
            summary = _summary(change, change.resource)
            yield f"  {symbol} {line(change.resource.name)}  {summary}".rstrip()
        for item in change.differences:
            created = change.op == "create"
            yield f"      {f'{item.field}: {in_words(item.after)}' if created else item}"
    for warning in plan.warnings:
        yield f"Warning: {warning}"
    if not plan.pending:
        yield "Nothing to do."
        return
    words = ("to create", "to update", "to delete", "unchanged", "unmanaged", "blocked", "missing")
    counts = [(plan.count(op), word) for op, word in zip(get_args(Op), words, strict=True)]
    yield "Plan: " + ", ".join(f"{count} {word}" for count, word in counts if count) + "."


def _event_summary(change: Change[Resource], event_url: EventUrl) -> str:
    auth = event_url.auth.lower()
    auth = "no authentication" if auth == "disable" else auth
    match change.op:
        case "create":
            return f"POST, {auth}, {event_url.url}"
        case "delete":
            return f"{shown(event_url.url)} ({change.reason}, so it is disabled)"
        case _:
            return change.reason


def _summary(change: Change[Resource], action_url: ActionUrl) -> str:
    match change.op:
        case "create":
            url, auth = action_url, action_url.auth.lower()
            auth = "no authentication" if auth == "disable" else auth
            return f"{url.type} {short_mask(url.mask)}, {url.method}, {auth}, {url.url}"
        case "delete":
            return f"{shown(action_url.url)} ({change.reason})"
        case "unmanaged":
            return (
                f"{origin(action_url.url)} ({change.reason or 'it is unmanaged and not changed'})"
            )
        case _:
            return change.reason
