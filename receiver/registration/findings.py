"""The findings of ``receiver doctor`` that follow from what was read: callers' numbers, drift.

Values in, values out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from receiver.masks import Mask
from receiver.phone_numbers.numbers import NumberFormat
from receiver.registration import lints
from receiver.registration.changes import Change, Plan, Resource
from receiver.registration.desired import DesiredActionUrl

Level = Literal["ok", "warning", "fault"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        level: ``"ok"``, ``"warning"`` or ``"fault"``.
        subject: what was checked, such as ``8000/pick`` or ``event URL``.
        text: what was found.
        cure: what to do about it; empty for ``"ok"``.
        seconds: duration of the request; None if it was not measured.
        setting: the setting that differs or may be wrong; empty if none.
    """

    level: Level
    subject: str
    text: str
    cure: str = ""
    seconds: float | None = None
    setting: str = ""


def of_numbers(wants: Iterable[DesiredActionUrl], number_format: NumberFormat) -> Iterator[Finding]:
    """Yield how the trunk writes callers' numbers, and which masks do not fit it."""
    rows = [
        lints.Row(f"{item.ivr}/{item.action.name}", item.action.type, Mask.parse(item.action.mask))
        for item in wants
        if item.action.enabled and item.action.type == "CALLER"
    ]
    cure = "set RECEIVER_NUMBER_FORMAT, or write the mask as the trunk writes numbers"
    for text in lints.callers(rows, number_format):
        yield Finding("warning", "callers' numbers", text, cure)
    if number_format != "automatic":
        yield Finding("ok", "callers' numbers", f"the trunk writes them as {number_format}")
    elif any("+" in row.mask.short for row in rows):
        text = "masks have a +, and whether the trunk sends one is not set"
        yield Finding("ok", "callers' numbers", text, "set RECEIVER_NUMBER_FORMAT")


def of_registration(plan: Plan, *, refused: bool) -> Iterator[Finding]:
    """Yield what is not on the PBX as it is declared.

    Parameters:
        plan: of the action URLs and the event URL.
        refused: whether the service refused a probe: then registering is not the cure.
    """
    changes: tuple[Change[Resource], ...] = (*plan.changes, *plan.event_urls)
    for change in changes:
        if change.op == "unmanaged" and change.reason:
            yield Finding("warning", change.name, "is not managed", change.reason)
        elif change.op not in ("unchanged", "unmanaged"):
            yield _of_change(change, refused)


def _of_change(change: Change[Resource], refused: bool) -> Finding:
    first = "first fix the service as described above, then run doctor again"
    if change.op == "blocked":
        return Finding("fault", change.name, "cannot be registered", change.reason)
    if change.op == "delete":
        text = f"is on the PBX, but {change.reason}"
        cure = "if nothing else needs it: receiver apply --allow-deletes"
        return Finding("warning", change.name, text, first if refused else cure)
    differences = ", ".join(map(str, change.differences))
    created = change.op == "create"
    text = "is not on the PBX" if created else f"is not as declared: {differences}"
    return Finding("fault", change.name, text, first if refused else "receiver apply")
