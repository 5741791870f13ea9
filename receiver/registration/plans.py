"""Wanted against found: what has to change on a PBX.

Rule 1: what is not ours (`receiver.registration.drift` tells) is listed and never touched.
Rule 2: on one IVR, what is wanted and what is found belong together by URL, then by name. Of
        several with one URL the one with the smallest id counts, so that two operators who
        compare at the same time agree, whatever the order of their lists.
Rule 3: planning the outcome of a plan gives nothing to do.
Rule 4: a name that another service uses on the same IVR is not taken over unasked: it is blocked.
        Taken over, its action URL stays the same one (id), and points here.
Rule 5: the credentials of this epoch and of the next are both as wanted: a rotation is under way.
        What is at the next epoch stays there, whatever else is updated.
Rule 6: nothing here prints a secret.

Values in, values out: no network, no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from receiver.errors import RegistrationError
from receiver.pbx.models import ActionUrl, IvrSummary, known_ivrs
from receiver.printable import line
from receiver.receptionists import ReceptionistChange
from receiver.registration.drift import (
    Difference,
    differences,
    hides_credentials,
    is_ahead,
    is_ours,
    key,
    origin,
    same_url,
    shows_secrets,
)
from receiver.registration.wanting import Wanted

Op = Literal["create", "update", "delete", "keep", "foreign", "blocked"]

SYMBOLS: dict[Op, str] = {
    "create": "+",
    "update": "~",
    "delete": "-",
    "keep": "=",
    "foreign": "?",
    "blocked": "!",
}
"""What a line of the printout begins with."""

Found = Sequence[tuple[IvrSummary, Sequence[ActionUrl]]]
"""The IVRs of a PBX, each with all of its action URLs."""

TWICE = "there twice"
"""The reason to delete a second action URL with the URL of a wanted one."""


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a plan.

    Attributes:
        op: what to do.
        ivr: where.
        action: for a create, update or blocked one what shall be, with the id of what it
            replaces; otherwise what is there.
        differences: for an update, why.
        clear: for an update, the fields to empty.
        reason: for what is blocked or deleted, why; for an update that takes over, from whom.
        where: ``file:line`` of the declaration, if there is one.
        before: for an update, what is there.
    """

    op: Op
    ivr: IvrSummary
    action: ActionUrl
    differences: tuple[Difference, ...] = ()
    clear: tuple[str, ...] = ()
    reason: str = ""
    where: str = ""
    before: ActionUrl | None = None

    def __str__(self) -> str:
        return f"{self.op} {self.ivr.extension_number}/{line(self.action.name)}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to change, and what it was computed from.

    Attributes:
        base: the public URL of this service.
        wanted: what there shall be.
        changes: a line for each action URL that is wanted or there.
        warnings: what is allowed, but may not do what was meant (`receiver.registration.lints`).
        pbx: the label of the PBX, empty for the only one.
        receptionists: a line for each declared one.
    """

    base: str
    wanted: tuple[Wanted, ...]
    changes: tuple[Change, ...]
    warnings: tuple[str, ...] = ()
    pbx: str = ""
    receptionists: tuple[ReceptionistChange, ...] = ()

    def of(self, *ops: Op) -> tuple[Change, ...]:
        """The changes with one of these ops."""
        return tuple(change for change in self.changes if change.op in ops)

    @property
    def pending(self) -> tuple[Change | ReceptionistChange, ...]:
        """What is not yet as it should be; empty if there is nothing to do."""
        people = (one for one in self.receptionists if one.op != "keep")
        return (*people, *self.of("create", "update", "delete", "blocked"))

    def count(self, op: Op) -> int:
        """How many action URLs and receptionists have this op."""
        return len(self.of(op)) + sum(one.op == op for one in self.receptionists)


def plan(
    wanted: Iterable[Wanted],
    found: Found,
    base: str,
    *,
    take_over: bool = False,
    certain: bool = False,
    pbx: str = "",
) -> Plan:
    """Compare.

    Parameters:
        wanted: what there shall be; nothing at all plans the removal of everything ours.
        found: what there is.
        base: the public URL of this service: with ``pbx`` it decides what is ours.
        take_over: let what has a wanted name and points elsewhere point here.
        certain: update also where the PBX does not let its credentials be read.
        pbx: the label of the PBX.

    Raises:
        RegistrationError: an IVR is not on the PBX, two declarations have one URL, or ``base`` is
            no URL.
    """
    wanted = tuple(wanted)
    options = _Options(base, take_over, certain, _shows_secrets(wanted, found), pbx)
    _check(wanted, [ivr for ivr, _ in found], options)
    by_ivr: dict[str, list[Wanted]] = {}
    for item in wanted:
        by_ivr.setdefault(item.ivr, []).append(item)
    changes: list[Change] = []
    for ivr, action_urls in sorted(found, key=_by_number):
        changes += _plan_ivr(ivr, by_ivr.get(ivr.extension_number, ()), action_urls, options)
    return Plan(base, wanted, tuple(changes), pbx=pbx)


# what is wanted ------------------------------------------------------------------------------


def _check(wanted: Sequence[Wanted], ivrs: Sequence[IvrSummary], options: _Options) -> None:
    numbers = {ivr.extension_number for ivr in ivrs}
    if missing := sorted({item.ivr for item in wanted} - numbers):
        where = next(item.where for item in wanted if item.ivr == missing[0])
        raise RegistrationError(
            f"there is no IVR {', '.join(missing)} on the PBX{f' ({where})' if where else ''}: "
            f"{known_ivrs(ivrs, missing[0])}; correct the number, create the IVR first, or declare "
            f'it: Ivr("{missing[0]}", name="…")'
        )
    twice = Counter((item.ivr, key(item.action.url)) for item in wanted)
    for item in wanted:
        if not options.owns(item.action):  # it would not be found again
            raise RegistrationError(
                f"the URL of {item.action.name!r} does not lie below {line(options.base)!r}: "
                "correct RECEIVER_PUBLIC_URL, as in https://ivr.example.com"
            )
        if twice[item.ivr, key(item.action.url)] > 1:
            raise RegistrationError(
                f"IVR {item.ivr} has two declarations named {item.action.name!r} ({item.where}): "
                "give one of them another name="
            )


def _by_number(pair: tuple[IvrSummary, object]) -> tuple[int, str]:
    return len(pair[0].extension_number), pair[0].extension_number


# one IVR -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Options:
    base: str
    take_over: bool
    certain: bool
    readable: bool
    pbx: str

    def owns(self, item: ActionUrl) -> bool:
        return is_ours(item.url, self.base, self.pbx)


def _shows_secrets(wanted: Iterable[Wanted], found: Found) -> bool:
    """Whether the PBX gives one of our secrets back as it is, and so surely all of them."""
    ours = {key(item.url): item for _, items in found for item in items}
    return any(
        shows_secrets(ours[key(want.url)], want)
        for item in wanted
        for want in (item.action, item.coming)
        if want is not None and key(want.url) in ours
    )


def _plan_ivr(
    ivr: IvrSummary, wanted: Sequence[Wanted], found: Sequence[ActionUrl], options: _Options
) -> Iterator[Change]:
    ours = [item for item in found if options.owns(item)]
    foreign = [item for item in found if not options.owns(item)]
    taken: dict[str, ActionUrl] = {}
    for item in foreign:
        taken.setdefault(item.name.lower(), item)
    pairs = _pair(wanted, ours)
    for want in wanted:
        mine, rival = pairs.get(want.action.url), taken.get(want.action.name.lower())
        if rival is None or (mine is not None and _same_name(mine, want.action)):
            yield _change(ivr, want, mine, options)
        elif options.take_over:
            pairs[want.action.url] = rival
            yield _take_over(_change(ivr, want, rival, options), rival)
        else:
            yield _block(ivr, want, rival)
    kept = {id(item) for item in pairs.values()}
    for item in ours:
        if id(item) not in kept:
            known = any(same_url(item.url, want.action.url) for want in wanted)
            yield Change("delete", ivr, item, reason=TWICE if known else "no longer declared")
    for item in foreign:
        if id(item) not in kept:
            yield Change("foreign", ivr, item)


def _pair(wanted: Sequence[Wanted], ours: Sequence[ActionUrl]) -> dict[str, ActionUrl]:
    """What was found for each wanted URL: the first with that URL, else the first of that name."""
    pairs: dict[str, ActionUrl] = {}
    free = sorted(ours, key=_by_id)
    for match in (
        lambda want, item: same_url(item.url, want.url),
        lambda want, item: item.name == want.name,
    ):
        for want in (item.action for item in wanted if item.action.url not in pairs):
            for i, item in enumerate(free):
                if match(want, item):
                    pairs[want.url] = free.pop(i)
                    break
        # What stands there twice is not adopted by another declaration: it will be deleted.
        free = [item for item in free if not any(same_url(item.url, url) for url in pairs)]
    return pairs


def _by_id(item: ActionUrl) -> tuple[int, str]:
    return len(item.id), item.id


def _same_name(one: ActionUrl, other: ActionUrl) -> bool:
    return one.name.lower() == other.name.lower()


def _change(ivr: IvrSummary, want: Wanted, found: ActionUrl | None, options: _Options) -> Change:
    action = want.action
    if found is None:
        return Change("create", ivr, action, where=want.where)
    hidden = not options.readable and hides_credentials(found, action)
    if want.coming is not None and is_ahead(found, action, want.coming, hidden=hidden):
        action = want.coming
    action = msgspec.structs.replace(action, id=found.id)
    drift = tuple(differences(action, found, certain=options.certain, readable=options.readable))
    if not drift:
        return Change("keep", ivr, found, where=want.where)
    clear = ("headers",) if found.headers and not action.headers else ()
    return Change("update", ivr, action, drift, clear, where=want.where, before=found)


def _block(ivr: IvrSummary, want: Wanted, rival: ActionUrl) -> Change:
    reason = (
        f"IVR {ivr.extension_number} has an action URL of this name that belongs to another "
        f"service ({origin(rival.url)}): use another name=, remove it there, or have it point "
        "here with --take-over"
    )
    return Change("blocked", ivr, want.action, reason=reason, where=want.where)


def _take_over(change: Change, rival: ActionUrl) -> Change:
    whose = origin(rival.url)
    shown = tuple(
        replace(item, before=whose) if item.field == "url" else item for item in change.differences
    )
    return replace(change, differences=shown, reason=f"taken over from {whose}")
