"""The call flow: for each IVR its inputs, their actions and destinations, and unhandled inputs.

Pure.

Rule 1: an input leads somewhere if a mask or the IVR's own menu takes it, or a longer input that
        begins so. A menu entry fires at once, so all that begins with one is taken.
Rule 2: an input that leads nowhere is shown up to the first key that does, as in a mask: with
        ``22`` and ``2****`` none that begins with 2, with ``22`` alone ``20-21`` and ``23-29``.
Rule 3: a mask of a sensitive action may contain a PIN: only the lengths of its numbers are shown.
Rule 4: destinations are shown as `receiver.replies.BaseReply.label` has them: ``222``, ``hang up``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, assert_never

from receiver.declarations.actions import Action
from receiver.declarations.announcement import Announcement
from receiver.masks import All, Exact, Mask, Pattern, Range

Json = dict[str, Any]

KEYS = "0123456789"
MAX_INPUTS = 24
"""Most unhandled inputs that are listed for one IVR."""

MAX_BEGINNINGS = 2000
"""Most beginnings of inputs that are examined."""


Plain = Exact | Range | Pattern


@dataclass(frozen=True, slots=True)
class Row:
    """An action in the call flow.

    Attributes:
        action: the declared action.
        handler: the name of its handler.
        names: the destinations that its code names.
        fallback: those of its fallback.
    """

    action: Action
    handler: str
    names: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()


def public(action: Action) -> Mask:
    """The mask of an action, as it may be shown."""
    if not action.sensitive:
        return action.mask
    veiled = (one if isinstance(one, All) else Pattern(_veil(one)) for one in action.mask)
    return Mask(tuple(dict.fromkeys(veiled)))


def _veil(entry: Plain) -> str:
    return "".join(key if key == "+" else "*" for key in _first(entry))


def flow_json(
    rows: Iterable[Row],
    names: Mapping[tuple[str, str], str],
    menus: Mapping[tuple[str, str], Collection[str]],
    observed: Mapping[str, Mapping[str, int]],
    announcements: Iterable[Announcement] = (),
) -> Json:
    """Return the call flow as the console's page reads it.

    Parameters:
        rows: all actions.
        names: of the IVRs, by the PBX's label and number.
        menus: what their own menus listen for; one that is not there is not known.
        observed: how often calls were seen to go where, by the identity of an action.
        announcements: those that are declared; what leads on from them is no callback, and so it is
            not counted.
    """
    by_ivr: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_ivr.setdefault((row.action.pbx, row.action.ivr), []).append(row)
    return {
        "ivrs": [
            {
                "number": key[1],
                "pbx": key[0],
                "name": names.get(key, ""),
                "inputs": [_input(row, observed.get(row.action.identity, {})) for row in of_ivr],
                "menu": sorted(menus[key]) if key in menus else None,
                "nowhere": list(_nowhere(of_ivr, menus.get(key, ()))),
            }
            for key, of_ivr in by_ivr.items()
        ]
        + [
            {
                "number": one.number,
                "pbx": one.pbx,
                "name": names.get((one.pbx, one.number), ""),
                "inputs": [_announced(one)],
                "menu": [],
                "nowhere": [],
            }
            for one in announcements
        ]
    }


def _announced(one: Announcement) -> Json:
    return {
        "mask": "",
        "kind": "ANNOUNCEMENT",
        "action": "",
        "handler": one.words,
        "enabled": True,
        "declared": [one.then.words],
        "observed": [],
    }


def _input(row: Row, observed: Mapping[str, int]) -> Json:
    most_first = sorted(observed.items(), key=lambda item: -item[1])
    return {
        "mask": public(row.action).short,
        "kind": row.action.kind,
        "action": row.action.identity,
        "handler": row.handler,
        "enabled": row.action.enabled,
        "declared": [*row.names, *(f"{name} (fallback)" for name in row.fallback)],
        "observed": [{"to": to, "count": count} for to, count in most_first],
    }


def _nowhere(rows: Iterable[Row], menu: Iterable[str]) -> tuple[str, ...]:
    actions = [row.action for row in rows]
    masks = [public(one) for one in actions if one.kind == "DTMF" and one.enabled]
    return nowhere(masks, menu) if masks else ()


def nowhere(
    masks: Iterable[Mask],
    menu: Iterable[str] = (),
    *,
    max_inputs: int = MAX_INPUTS,
    max_beginnings: int = MAX_BEGINNINGS,
) -> tuple[str, ...]:
    """Return inputs that match neither ``masks`` nor an IVR's own ``menu``, the shortest first.

    A last ``…`` says that there are more.
    """
    everything = [entry for mask in masks for entry in mask]
    entries = [entry for entry in everything if not isinstance(entry, All)]
    if len(entries) < len(everything):
        return ()
    taken = {key.rstrip("#") or key for key in menu}
    found: list[str] = []
    for text in _dead_ends(entries, taken, max_beginnings):
        if len(found) == max_inputs:
            return (*found, "…")
        found.append(text)
    return tuple(found)


def _dead_ends(entries: list[Plain], taken: set[str], max_beginnings: int) -> Iterator[str]:
    beginnings = deque([""])
    for _ in range(max_beginnings):
        if not beginnings:
            break
        begun = beginnings.popleft()
        dead = []
        for key in KEYS:
            input_ = begun + key
            if _is_taken(input_, taken):
                continue
            if not any(_goes_through(entry, input_) for entry in entries) and not any(
                one.startswith(input_) for one in taken
            ):
                dead.append(key)
            elif _goes_on(entries, taken, input_):
                beginnings.append(input_)
        yield from (begun + run for run in _runs(dead, begun))
        if not begun:
            yield from (key for key in "*#" if not any(one.startswith(key) for one in taken))
    else:
        yield "…"


def _is_taken(begun: str, taken: set[str]) -> bool:
    """Return whether a menu entry has matched before the end of ``begun``."""
    return any(begun.startswith(key) for key in taken)


def _goes_through(entry: Plain, begun: str) -> bool:
    """Return whether a number of ``entry`` is ``begun`` or begins with it."""
    size = len(begun)
    match entry:
        case Exact(text):
            return text.startswith(begun)
        case Range(low, high):
            return size <= len(low) and low[:size] <= begun <= high[:size]
        case Pattern(text):
            return size <= len(text) and Pattern(text[:size]).matches(begun)
        case _:
            assert_never(entry)


def _goes_on(entries: Iterable[Plain], taken: Iterable[str], begun: str) -> bool:
    """Whether some longer input begins so, and not just any will do."""
    longer = [entry for entry in entries if _goes_through(entry, begun)]
    longest = max((len(str(_first(entry))) for entry in longer), default=0)
    if any(len(key) > len(begun) and key.startswith(begun) for key in taken):
        return True
    if longest <= len(begun):
        return False
    return not any(len(_first(one)) == longest and _takes_any(one, begun) for one in longer)


def _first(entry: Plain) -> str:
    return entry.low if isinstance(entry, Range) else str(entry)


def _takes_any(entry: Plain, begun: str) -> bool:
    """Return whether ``entry`` matches all continuations, up to its length."""
    size = len(begun)
    match entry:
        case Pattern(text):
            return set(text[size:]) <= {"*"}
        case Range(low, high):
            from_first = low[:size] < begun or set(low[size:]) <= {"0"}
            to_last = begun < high[:size] or set(high[size:]) <= {"9"}
            return from_first and to_last
        case _:
            return False


def _runs(keys: list[str], begun: str) -> Iterator[str]:
    """Yield single keys and ranges of neighbours, such as ``0`` and ``3-15``."""
    starts = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(keys)) if ord(b) - ord(a) > 1)]
    for start, stop in pairwise([*starts, len(keys)] if keys else []):
        first, last = keys[start], keys[stop - 1]
        yield first if first == last else f"{first}-{begun}{last}"
