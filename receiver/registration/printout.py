"""A plan for people, and for programs.

Rule: nothing here prints a secret. The values of headers, and all of a foreign URL but its host,
count as secrets too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, get_args

from receiver.printable import line
from receiver.receptionists import ReceptionistChange
from receiver.registration.drift import origin, without_query
from receiver.registration.plans import SYMBOLS, Change, Op, Plan


def render(plan: Plan, *, only_pending: bool = False) -> str:
    """The plan for people: a line each, with one of `SYMBOLS`, and the sum at the end.

    Parameters:
        plan: what to print.
        only_pending: leave out what is as it should be, and what is foreign.
    """
    people = _receptionists(_people(plan, only_pending))
    return "\n".join((*people, *_lines(plan, _shown(plan, only_pending))))


def as_json(plan: Plan, *, only_pending: bool = False) -> dict[str, Any]:
    """The plan for programs: plain data, secrets masked; parameters as for `render`."""
    return {
        "pending": bool(plan.pending),
        "counts": {op: plan.count(op) for op in get_args(Op)},
        "receptionists": [change_as_json(one) for one in _people(plan, only_pending)],
        "changes": [change_as_json(change) for change in _shown(plan, only_pending)],
        "warnings": list(plan.warnings),
    }


def change_as_json(change: Change | ReceptionistChange) -> dict[str, Any]:
    """One line of a plan as plain data."""
    if isinstance(change, ReceptionistChange):
        return _receptionist_as_json(change)
    return {
        "op": change.op,
        "ivr": change.ivr.extension_number,
        "name": change.action.name,
        "id": change.action.id or None,
        "url": _url(change),
        "reason": change.reason or None,
        "where": change.where or None,
        "fields": _fields(change),
    }


def _receptionist_as_json(change: ReceptionistChange) -> dict[str, Any]:
    return {
        "op": change.op,
        "receptionist": change.wanted.number,
        "name": change.wanted.fields.name,
        "id": change.ivr.id or None,
        "where": change.wanted.where or None,
        "fields": _fields(change),
    }


def _fields(change: Change | ReceptionistChange) -> list[dict[str, str]]:
    return [
        {"field": item.field, "from": item.before, "to": item.after} for item in change.differences
    ]


def _shown(plan: Plan, only_pending: bool) -> tuple[Change, ...]:
    pending = plan.of("create", "update", "delete", "blocked")
    return pending if only_pending else plan.changes


def _people(plan: Plan, only_pending: bool) -> tuple[ReceptionistChange, ...]:
    return tuple(one for one in plan.receptionists if one.op != "keep" or not only_pending)


def _lines(plan: Plan, changes: Iterable[Change]) -> Iterator[str]:
    heading = ""
    for change in changes:
        title = f"IVR {change.ivr.extension_number} {line(change.ivr.name)}".rstrip()
        if title != heading:
            yield title
            heading = title
        yield f"  {SYMBOLS[change.op]} {line(change.action.name)}  {_summary(change)}".rstrip()
        for difference in change.differences:
            yield f"      {difference}"
    for warning in plan.warnings:
        yield f"Warning: {warning}"
    if not plan.pending:
        yield "Nothing to do."
        return
    words = ("to create", "to update", "to delete", "unchanged", "foreign", "blocked")
    counts = [(plan.count(op), word) for op, word in zip(get_args(Op), words, strict=True)]
    yield "Plan: " + ", ".join(f"{count} {word}" for count, word in counts if count) + "."


def _receptionists(changes: Iterable[ReceptionistChange]) -> Iterator[str]:
    for change in changes:
        wanted = change.wanted
        yield f"{SYMBOLS[change.op]} receptionist {wanted.number} {line(wanted.fields.name)}"
        for item in change.differences:
            created = f"{item.field}: {item.after}" if change.op == "create" else str(item)
            yield f"      {created}"


def _summary(change: Change) -> str:
    action = change.action
    match change.op:
        case "create":
            auth = "no authentication" if action.auth == "DISABLE" else action.auth.lower()
            return f"{action.type} {action.mask}, {action.method}, {auth}, {action.url}"
        case "delete":
            return f"{without_query(action.url)} ({change.reason})"
        case "foreign":
            return f"{origin(action.url)} (not ours, left alone)"
        case _:
            return change.reason


def _url(change: Change) -> str:
    url = change.action.url
    return origin(url) if change.op == "foreign" else without_query(url)
