"""Compute the changes between the declarations and the actual state of a PBX.

Rule 1: an unmanaged action URL (`receiver.registration.ownership`) is listed and never changed.
Rule 2: on one IVR, desired and actual action URLs are paired by `receiver.registration.match`, so
        that two operators who compare at the same time get the same plan, in any order of their
        lists.
Rule 3: planning the outcome of a plan gives no changes.
Rule 4: a name that another service uses on the same IVR blocks the change unless ``take_over`` is
        set. The action URL that is taken over keeps its id, and points to this service.
Rule 5: the credentials of this epoch and of the next are both accepted during a rotation. An action
        URL at the next epoch keeps it when other fields are updated.
        The same epoch counts for the new credentials of a renamed action.
Rule 6: an IVR that is not on the PBX stops no other: its action URLs are missing, each with the
        reason.
Rule 7: no text contains a secret.

Pure: no network, no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict, Unpack

import msgspec

from receiver.declarations.desired_ivr import DesiredIvr
from receiver.errors import DeclarationError, SettingsError
from receiver.pbx.checks import overlay
from receiver.pbx.models import ActionUrl, IvrSummary, write
from receiver.pbx.models_events import EventUrl
from receiver.pbx.models_ivr import Ivr, disa_warning, pin_warnings
from receiver.registration import match
from receiver.registration.changes import Change, Op, Plan
from receiver.registration.compare import (
    differences,
    hides_credentials,
    is_ahead,
    shows_secrets,
)
from receiver.registration.compare_ivr import ivr_differences
from receiver.registration.desired import DesiredActionUrl, DesiredEventUrl, absent
from receiver.registration.event_urls import plan_event_url
from receiver.registration.ownership import Ownership
from receiver.registration.urls import key, origin
from receiver.text import line

FORMER = "it leads to the former public URL, and its action has one at the current public URL"
"""The reason to delete an action URL of a declared action that has one at this public URL."""

MANAGED = "it is managed by this service"
"""The reason to delete an action URL where all of them are to be deleted."""

Actual = Sequence[tuple[IvrSummary, Sequence[ActionUrl]]]
"""The IVRs of a PBX, each with all of its action URLs."""

DUPLICATE = "another action URL of the IVR has the same URL"
"""The reason to delete a second action URL with the URL of a desired one."""


class Options(TypedDict, total=False):
    """Options of a plan.

    Keys:
        take_over: have an action URL that has a declared name and points elsewhere point here.
        certain: update also where the PBX does not let its credentials be read.
        pbx: the label of the PBX; by default the only one.
        former: the public URL that the service had before: action URLs there are managed too.
        take_over_events: replace the event URL of another receiver.
    """

    take_over_events: bool
    take_over: bool
    certain: bool
    pbx: str
    former: str


def plan_again(before: Plan, actual: Actual, event_url: EventUrl | None = None) -> Plan:
    """Return the plan for the same declarations, with the actual state of now."""
    pbx, owner, former = before.pbx, before.owner, before.former
    now = plan(before.desired, actual, before.base, pbx=pbx, owner=owner, former=former)
    now = replace(now, warnings=before.warnings, ivrs=before.ivrs, holidays=before.holidays)
    return with_event_url(now, before.desired_event_url, event_url)


def with_event_url(
    made: Plan,
    desired: DesiredEventUrl | None,
    actual: EventUrl | None,
    **options: Unpack[Options],
) -> Plan:
    """Return a plan with the change of the tenant's event URL.

    Parameters:
        made: the plan.
        desired: the desired event URL; None leaves the tenant alone.
        actual: the actual one; None if it could not be read.
        options: see `Options`.
    """
    if desired is None or actual is None:
        return replace(made, desired_event_url=desired)
    take_over, certain = options.get("take_over_events", False), options.get("certain", False)
    change = plan_event_url(desired, actual, take_over=take_over, certain=certain)
    return replace(made, event_url=change, desired_event_url=desired)


def plan_ivr(
    desired: DesiredIvr,
    ivr: IvrSummary | None,
    actual: Ivr | None,
    *,
    certain: bool = False,
    version: str = "",
) -> Change[DesiredIvr]:
    """Return the change of one IVR; an IVR is never deleted.

    Parameters:
        desired: the declaration.
        ivr: the IVR on the PBX, in short; None if it does not exist.
        actual: the same in full.
        certain: True counts a DISA PIN that cannot be read as a difference.
        version: of the PBX, such as ``"22.2"``; empty if it is unknown.
    """
    actual = Ivr() if actual is None else actual
    notes = list(pin_warnings(desired.fields, version, creating=not actual.id))
    if warning := disa_warning(overlay(actual, write(desired.fields))):
        notes.append(warning)
    drift = tuple(ivr_differences(desired, actual, certain=certain))
    op: Op = "create" if ivr is None else "update" if drift else "unchanged"
    new = IvrSummary(id="", extension_number=desired.number, name=desired.fields.name)
    return Change(op, ivr or new, desired, drift, where=desired.where, notes=tuple(notes))


def plan(
    desired: Iterable[DesiredActionUrl],
    actual: Actual,
    base: str,
    *,
    ivrs: tuple[Change[DesiredIvr], ...] = (),
    owner: str = "",
    **options: Unpack[Options],
) -> Plan:
    """Return the plan for a PBX.

    Parameters:
        desired: the desired action URLs; none plans the removal of all that are managed.
        actual: the action URLs on the PBX.
        base: the public URL of this service: with ``pbx``, ``owner`` and ``former`` it decides
            what is managed (`receiver.registration.ownership`).
        ivrs: the changes of IVRs; those to create count as actual, without action URLs.
        owner: the owner mark of this installation; empty compares URLs alone.
        options: see `Options`.

    Raises:
        DeclarationError: two declarations have one URL.
        SettingsError: ``base`` is no URL.
    """
    desired, pbx, former = tuple(desired), options.get("pbx", ""), options.get("former", "")
    actual = (*actual, *((one.ivr, ()) for one in ivrs if one.op == "create"))
    how = _How(
        Ownership(base, pbx, owner, former),
        options.get("take_over", False),
        options.get("certain", False),
        _shows_secrets(desired, actual),
    )
    _check(desired, how)
    by_ivr: dict[str, list[DesiredActionUrl]] = {}
    for item in desired:
        by_ivr.setdefault(item.ivr, []).append(item)
    changes: list[Change[ActionUrl]] = []
    for ivr, action_urls in sorted(actual, key=_by_number):
        changes += _plan_ivr(ivr, by_ivr.get(ivr.extension_number, ()), action_urls, how)
    for item, reason in absent(desired, [ivr for ivr, _ in actual]):
        nowhere = IvrSummary(id="", extension_number=item.ivr)
        changes.append(Change("missing", nowhere, item.action, reason=reason, where=item.where))
    return Plan(base, desired, tuple(changes), pbx=pbx, ivrs=ivrs, owner=owner, former=former)


# the desired state ---------------------------------------------------------------------------


def _check(desired: Sequence[DesiredActionUrl], how: _How) -> None:
    twice = Counter((item.ivr, key(item.action.url)) for item in desired)
    for item in desired:
        if not how.whose.owns(item.action):  # the next plan would not recognise it
            raise SettingsError(
                f"the URL of {item.action.name!r} does not lie below {line(how.whose.base)!r}: "
                "correct RECEIVER_PUBLIC_URL, as in https://ivr.example.com"
            )
        if twice[item.ivr, key(item.action.url)] > 1:
            raise DeclarationError(
                f"IVR {item.ivr} has two declarations named {item.action.name!r}: give one of them "
                "another name=",
                item.where,
            )


def _by_number(pair: tuple[IvrSummary, object]) -> tuple[int, str]:
    return len(pair[0].extension_number), pair[0].extension_number


# one IVR -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _How:
    whose: Ownership
    take_over: bool
    certain: bool
    readable: bool


def _shows_secrets(desired: Iterable[DesiredActionUrl], actual: Actual) -> bool:
    """Return whether the PBX returns one of the secrets in clear text, and so all of them."""
    managed = {key(item.url): item for _, items in actual for item in items}
    return any(
        shows_secrets(managed[key(want.url)], want)
        for item in desired
        for want in item.states
        if key(want.url) in managed
    )


def _plan_ivr(
    ivr: IvrSummary,
    desired: Sequence[DesiredActionUrl],
    actual: Sequence[ActionUrl],
    how: _How,
) -> Iterator[Change[ActionUrl]]:
    whose = how.whose
    managed = [item for item in actual if whose.owns(item)]
    unmanaged = [item for item in actual if not whose.owns(item)]
    taken: dict[str, ActionUrl] = {}
    for item in unmanaged:
        taken.setdefault(item.name.lower(), item)
    pairs = match.pair(desired, managed, whose)
    explained = set[int]()  # the reason of the blocked change names these
    for want in desired:
        mine, rival = pairs.get(want.action.url), taken.get(want.action.name.lower())
        if rival is None or (mine is not None and _same_name(mine, want.action)):
            yield _change(ivr, want, mine, how)
        elif how.take_over:
            pairs[want.action.url] = rival
            yield _take_over(_change(ivr, want, rival, how), rival)
        else:
            explained.add(id(rival))
            reason = match.rivalry(want.action, rival, whose)
            yield Change("blocked", ivr, want.action, reason=reason, where=want.where)
    kept = {id(item) for item in pairs.values()}
    urls = {key(want.action.url) for want in desired}
    known = {match.action_of(want.action, whose) for want in desired}
    new = [want for want in desired if want.action.url not in pairs]
    for item in (item for item in managed if id(item) not in kept):
        if key(item.url) in urls:
            yield Change("delete", ivr, item, reason=DUPLICATE)
        elif whose.has_other_mark(item):
            yield Change("unmanaged", ivr, item, reason=match.other_secret())
        else:
            former = match.action_of(item, whose) in known
            yield Change(
                "delete", ivr, item, reason=FORMER if former else match.undeclared(item, new)
            )
    for item in (item for item in unmanaged if id(item) not in kept):
        reason = "" if id(item) in explained else match.moved(item, whose)
        yield Change("unmanaged", ivr, item, reason=reason)


def _same_name(one: ActionUrl, other: ActionUrl) -> bool:
    return one.name.lower() == other.name.lower()


def _change(
    ivr: IvrSummary, want: DesiredActionUrl, actual: ActionUrl | None, how: _How
) -> Change[ActionUrl]:
    action = want.action
    if actual is None:
        return Change("create", ivr, action, where=want.where)
    was = match.former(want, actual, how.whose)
    held = was or want
    hidden = not how.readable and hides_credentials(actual, held.action)
    ahead = held.coming and is_ahead(actual, held.action, held.coming, hidden=hidden)
    if ahead and want.coming is not None:
        action = want.coming
    action = msgspec.structs.replace(action, id=actual.id)
    drift = tuple(differences(action, actual, certain=how.certain, readable=how.readable))
    if not drift:
        return Change("unchanged", ivr, actual, where=want.where)
    reason = f"renamed from {line(was.action.name)}" if was else ""
    return Change("update", ivr, action, drift, reason=reason, where=want.where, before=actual)


def _take_over(change: Change[ActionUrl], rival: ActionUrl) -> Change[ActionUrl]:
    whose = origin(rival.url)
    shown = tuple(
        replace(item, before=whose) if item.field == "url" else item for item in change.differences
    )
    return replace(change, differences=shown, reason=f"taken over from {whose}")
