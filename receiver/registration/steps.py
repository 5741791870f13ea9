"""In which order the changes of a plan are made, so that no caller falls between.

Rule 1: on one IVR, a number is never without an action URL that was one before and is one after:
        what takes a number over is in place before what had it lets go.
Rule 2: where two hand numbers to each other, one of them has both masks for a moment. Should that
        be longer than the PBX takes, and only then, there is a moment without.
Rule 3: deletes come last, after everything on all IVRs: a number may have moved to another one.

Values in, values out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from receiver import limits
from receiver.errors import MaskError
from receiver.masks import Mask
from receiver.pbx.models import ActionUrl
from receiver.registration.plans import Change


@dataclass(frozen=True, slots=True)
class Step:
    """One request to come.

    Attributes:
        change: what it is for.
        action: what is sent.
        final: False if a further step for the same change follows.
    """

    change: Change
    action: ActionUrl
    final: bool = True


def in_order(changes: Sequence[Change]) -> tuple[Step, ...]:
    """The creates and updates of one IVR as steps; what need not wait keeps its place."""
    waits = _waits(changes)
    todo, steps, widened = list(range(len(changes))), list[Step](), set[int]()
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
        steps.append(Step(changes[ready], changes[ready].action))
    return tuple(steps)


def _waits(changes: Sequence[Change]) -> list[set[int]]:
    """For each change those that must come before it, for they take over what it lets go."""
    befores = [_cover(change.before) if change.before else None for change in changes]
    afters = [_cover(change.action) for change in changes]
    losses = list(map(_less, befores, afters))
    gains = list(map(_less, afters, befores))
    return [
        {other for other, gain in enumerate(gains) if other != one and _meet(loss, gain)}
        for one, loss in enumerate(losses)
    ]


@dataclass(frozen=True, slots=True)
class _Cover:
    """The numbers that an action URL is asked about."""

    kind: str
    mask: Mask


def _cover(action: ActionUrl) -> _Cover | None:
    if not action.enabled:
        return None
    try:
        return _Cover(action.type.upper(), Mask.parse(action.mask))
    except MaskError:
        return None


def _less(one: _Cover | None, other: _Cover | None) -> _Cover | None:
    """What ``one`` has and ``other`` has not; an entry that is only partly there counts whole."""
    if one is None or other is None or one.kind != other.kind:
        return one
    rest = tuple(entry for entry in one.mask if not other.mask.covers(entry))
    return _Cover(one.kind, Mask(rest)) if rest else None


def _meet(one: _Cover | None, other: _Cover | None) -> bool:
    if one is None or other is None or one.kind != other.kind:
        return False
    return one.mask.overlap(other.mask) is not None


def _both(change: Change) -> ActionUrl | None:
    """The action of ``change`` with its old mask beside the new one; None if that cannot be."""
    before, after = change.before and _cover(change.before), _cover(change.action)
    if not before or not after or before.kind != after.kind:
        return None
    rest = _less(before, after)
    mask = ";".join([str(after.mask), *([str(rest.mask)] if rest else [])])
    if len(mask) > limits.MASK or "ALL" in mask:
        return None
    field = "caller_mask" if after.kind == "CALLER" else "dtmf_mask"
    return msgspec.structs.replace(change.action, **{field: mask})
