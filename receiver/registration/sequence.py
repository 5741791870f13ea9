"""The sequence in which the changes of a plan are made.

Rule 1: on one IVR, a number always has an action URL if it had one before and has one afterwards:
        the change that adds a number is made before the change that removes it.
Rule 2: where two action URLs exchange numbers, one of them has both masks for a moment. Only if
        that mask is longer than the PBX accepts is there a moment without.
Rule 3: the tenant's event URL comes after the action URLs.
Rule 4: deletes come last, after all other changes of all IVRs: a number may have moved to another
        IVR.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, cast

import msgspec

from receiver.declarations import limits
from receiver.declarations.desired_ivr import DesiredIvr
from receiver.errors import MaskError
from receiver.masks import Mask
from receiver.pbx.models import ActionUrl
from receiver.pbx.models_events import EventUrl
from receiver.pbx.models_shared import Holiday
from receiver.registration.changes import Change, R_co, Resource


@dataclass(frozen=True, slots=True)
class Step(Generic[R_co]):
    """One request.

    Attributes:
        change: the change that it belongs to.
        resource: what is sent.
        final: False if a further step for the same change follows.
    """

    change: Change[R_co]
    resource: R_co
    final: bool = True


def in_sequence(changes: Sequence[Change[Resource]]) -> Iterator[list[Sequence[Step[Resource]]]]:
    """Yield the stages of ``changes``: groups of steps that may be sent at the same time.

    The steps of a group are sent one after the other. Holidays come before the IVRs that refer to
    them. All IVRs are one group, so that a recording of several is uploaded once.
    """
    yield [[Step(one, one.resource) for one in changes if isinstance(one.resource, Holiday)]]
    ivrs = [Step(one, one.resource) for one in changes if isinstance(one.resource, DesiredIvr)]
    yield [ivrs]
    yield [in_order(group) for group in _by_ivr(changes, deletes=False)]
    yield [[Step(one, one.resource)] for one in changes if isinstance(one.resource, EventUrl)]
    yield [[Step(one, one.resource) for one in group] for group in _by_ivr(changes, deletes=True)]


def _by_ivr(
    changes: Iterable[Change[Resource]], *, deletes: bool
) -> Iterable[list[Change[ActionUrl]]]:
    groups: dict[str, list[Change[ActionUrl]]] = {}
    for change in changes:
        if isinstance(change.resource, ActionUrl) and (change.op == "delete") == deletes:
            groups.setdefault(change.ivr.extension_number, []).append(
                cast("Change[ActionUrl]", change)
            )
    return groups.values()


def in_order(changes: Sequence[Change[ActionUrl]]) -> tuple[Step[ActionUrl], ...]:
    """Return the steps of the creates and updates of one IVR; without a reason none moves."""
    waits = _waits(changes)
    todo, steps, widened = list(range(len(changes))), list[Step[ActionUrl]](), set[int]()
    while todo:
        held = {one: waits[one].intersection(todo) - widened for one in todo}
        ready = next((one for one in todo if not held[one]), None)
        if ready is None:
            blocking = set[int]().union(*held.values())
            wide = {one: both for one in sorted(blocking) if (both := _both(changes[one]))}
            if wide:
                one = next(iter(wide))
                steps.append(Step(changes[one], wide[one], final=False))
                widened.add(one)
                continue
            ready = todo[0]
        todo.remove(ready)
        steps.append(Step(changes[ready], changes[ready].resource))
    return tuple(steps)


def _waits(changes: Sequence[Change[ActionUrl]]) -> list[set[int]]:
    """Return for each change those that must come before it: they add what it removes."""
    befores = list(map(_cover_before, changes))
    afters = [_cover(change.resource) for change in changes]
    losses = list(map(_less, befores, afters))
    gains = list(map(_less, afters, befores))
    return [
        {other for other, gain in enumerate(gains) if other != one and _meet(loss, gain)}
        for one, loss in enumerate(losses)
    ]


@dataclass(frozen=True, slots=True)
class _Cover:
    """The numbers for which the PBX sends callbacks to an action URL."""

    kind: str
    mask: Mask


def _cover(action: ActionUrl) -> _Cover | None:
    if not action.enabled:
        return None
    try:
        return _Cover(action.type.upper(), Mask.parse(action.mask))
    except MaskError:
        return None


def _cover_before(change: Change[ActionUrl]) -> _Cover | None:
    return _cover(change.before) if isinstance(change.before, ActionUrl) else None


def _less(one: _Cover | None, other: _Cover | None) -> _Cover | None:
    """Return what ``other`` lacks of ``one``; an entry of which it has a part counts whole."""
    if one is None or other is None or one.kind != other.kind:
        return one
    rest = tuple(entry for entry in one.mask if not other.mask.covers(entry))
    return _Cover(one.kind, Mask(rest)) if rest else None


def _meet(one: _Cover | None, other: _Cover | None) -> bool:
    if one is None or other is None or one.kind != other.kind:
        return False
    return one.mask.overlap(other.mask) is not None


def _both(change: Change[ActionUrl]) -> ActionUrl | None:
    """Return the action URL with its old and its new mask; None if that is not possible."""
    before, after = _cover_before(change), _cover(change.resource)
    if not before or not after or before.kind != after.kind:
        return None
    rest = _less(before, after)
    mask = ";".join([str(after.mask), *([str(rest.mask)] if rest else [])])
    if len(mask) > limits.MASK or "ALL" in mask:
        return None
    field = "caller_mask" if after.kind == "CALLER" else "dtmf_mask"
    return msgspec.structs.replace(change.resource, **{field: mask})
