"""The lines of a plan: what has to change on a PBX, for every kind of resource.

A kind of resource is a type in `Resource`, with a name in `Change.name`, its fields in
`receiver.registration.compare`, and a request in `receiver.registration.plan_requests`; mypy names
the places that do not handle a new one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

from receiver.declarations.desired_ivr import DesiredIvr
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.pbx.models_events import EventUrl
from receiver.pbx.models_shared import Holiday
from receiver.registration.desired import DesiredActionUrl, DesiredEventUrl
from receiver.text import line

Op = Literal["create", "update", "delete", "unchanged", "unmanaged", "blocked", "missing"]

SYMBOLS: dict[Op, str] = {
    "create": "+",
    "update": "~",
    "delete": "-",
    "unchanged": "=",
    "unmanaged": "?",
    "blocked": "!",
    "missing": "!",
}
"""The first character of a line of the printed plan."""

PENDING: tuple[Op, ...] = ("create", "update", "delete", "blocked", "missing")
"""The ops of which something is left to do."""

NO_IVR = IvrSummary(id="")
"""The IVR of a resource that belongs to none."""

EVENT_URL = "event URL"
"""The name of the tenant's event URL."""

Resource = ActionUrl | DesiredIvr | EventUrl | Holiday
R_co = TypeVar("R_co", bound=Resource, covariant=True)


UNREADABLE = "(hidden by the PBX)"
"""Shown for a credential that the PBX does not return in clear text."""

Value = str | int | bool
"""The value of a field, for programs; ``""`` for none."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A field whose actual value is not the desired one; texts are printable, secrets masked."""

    field: str
    before: Value
    after: Value

    def __str__(self) -> str:
        return f"{self.field}: {in_words(self.before)} → {in_words(self.after)}"


def in_words(value: Value) -> str:
    """Return ``value`` as text."""
    if isinstance(value, bool):
        return ("no", "yes")[value]
    return str(value) or "(none)"


@dataclass(frozen=True, slots=True)
class Change(Generic[R_co]):
    """One line of a plan.

    Attributes:
        op: what to do.
        ivr: the IVR; without an id if it is not on the PBX (yet), `NO_IVR` for a holiday and the
            event URL.
        resource: the desired state, with the id of what it replaces; for ``delete``, ``unchanged``
            and ``unmanaged`` action URLs the actual state.
        differences: the fields in which the actual state differs.
        clear: for an update, the fields to empty.
        reason: why something is blocked, missing or deleted; for an update that takes over, from
            which service; for one that renames, from which name; for an unmanaged one that this
            project registered, what to do about it.
        where: ``file:line`` of the declaration, if there is one.
        before: for the update of an action URL, and for every change of the event URL, the actual
            state.
        notes: warnings about the resource.
    """

    op: Op
    ivr: IvrSummary
    resource: R_co
    differences: tuple[Difference, ...] = ()
    clear: tuple[str, ...] = ()
    reason: str = ""
    where: str = ""
    before: ActionUrl | EventUrl | None = None
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The resource, as in ``IVR 8000``, ``8000/pick`` or ``event URL``."""
        if isinstance(self.resource, EventUrl):
            return EVENT_URL
        if isinstance(self.resource, DesiredIvr):
            return f"IVR {self.ivr.extension_number}"
        if isinstance(self.resource, Holiday):
            return f"holiday {line(self.resource.name)}"
        return f"{self.ivr.extension_number}/{line(self.resource.name)}"

    def __str__(self) -> str:
        return f"{self.op} {self.name}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes for one PBX, and what they were computed from.

    Attributes:
        base: the public URL of this service.
        desired: the desired action URLs.
        changes: a line for each action URL that is declared or on the PBX.
        warnings: what is allowed, but may not have the intended effect
            (`receiver.registration.lints`).
        pbx: the label of the PBX, empty for the only one.
        ivrs: a line for each IVR of which more than the number is declared.
        holidays: a line for each holiday of their menus.
        owner: the owner mark of this installation; empty if URLs alone decide what is managed.
        former: the public URL that the service had before; empty if it has not moved.
        event_url: the change of the tenant's event URL; None if there is nothing to say about it.
        desired_event_url: the desired one; None leaves the tenant alone.
    """

    base: str
    desired: tuple[DesiredActionUrl, ...]
    changes: tuple[Change[ActionUrl], ...]
    warnings: tuple[str, ...] = ()
    pbx: str = ""
    ivrs: tuple[Change[DesiredIvr], ...] = ()
    owner: str = ""
    former: str = ""
    holidays: tuple[Change[Holiday], ...] = ()
    event_url: Change[EventUrl] | None = None
    desired_event_url: DesiredEventUrl | None = None

    def of(self, *ops: Op) -> tuple[Change[ActionUrl], ...]:
        """Return the changes of action URLs with one of these ops."""
        return tuple(change for change in self.changes if change.op in ops)

    @property
    def event_urls(self) -> tuple[Change[EventUrl], ...]:
        """The change of the event URL, if there is one."""
        return () if self.event_url is None else (self.event_url,)

    @property
    def all(self) -> tuple[Change[Resource], ...]:
        """The changes of all kinds of resources, in the order in which they are made."""
        return (*self.holidays, *self.ivrs, *self.changes, *self.event_urls)

    def each(self, *ops: Op) -> tuple[Change[Resource], ...]:
        """Return the changes of all kinds of resources with one of these ops."""
        return tuple(change for change in self.all if change.op in ops)

    @property
    def holiday_ids(self) -> dict[str, str]:
        """The ids of the declared holidays that are on the PBX, by name."""
        return {one.resource.name: one.resource.id for one in self.holidays if one.resource.id}

    @property
    def pending(self) -> tuple[Change[Resource], ...]:
        """The changes that are left to do."""
        return tuple(change for change in self.all if change.op in PENDING)

    def count(self, op: Op) -> int:
        """Return how many changes have this op."""
        return sum(change.op == op for change in self.all)

    def with_ivrs(self, done: dict[str, IvrSummary], refused: Collection[str] = ()) -> Plan:
        """Return the plan after its holidays and IVRs were created and updated.

        Parameters:
            done: the IVRs by extension number.
            refused: the extension numbers of IVRs that the PBX did not take; they are left out.
        """

        def actual(ivr: IvrSummary) -> IvrSummary:
            return done.get(ivr.extension_number, ivr)

        ivrs = (
            replace(one, op="unchanged", differences=(), ivr=actual(one.ivr))
            for one in self.ivrs
            if one.resource.number not in refused
        )
        holidays = (replace(one, op="unchanged", differences=()) for one in self.holidays)
        changes = (
            replace(one, ivr=actual(one.ivr))
            for one in self.changes
            if one.ivr.extension_number not in refused
        )
        return replace(
            self,
            desired=tuple(one for one in self.desired if one.ivr not in refused),
            holidays=tuple(holidays),
            ivrs=tuple(ivrs),
            changes=tuple(changes),
        )
