"""What is allowed, but may not do what was meant: warnings, each with a number as an example.

Rule 1: nothing here stops anything. How a PBX decides between several that match is not
        documented; what is warned of may be meant.
Rule 2: names of others are shown, their URLs only as far as the host.

Source: "Managing Virtual Receptionist": a mask beats the IVR's own menu; a menu entry fires at
once, a mask after the wait for further digits (``dtmf_interval``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from receiver.actions import Action
from receiver.errors import MaskError
from receiver.masks import Exact, Mask
from receiver.pbx.models import ActionUrl
from receiver.printable import line
from receiver.registration.drift import origin
from receiver.registration.plans import Plan


@dataclass(frozen=True, slots=True)
class Row:
    """An action URL as far as the warnings need it.

    Attributes:
        name: as it is told to people, such as ``8000/pick``.
        kind: ``"DTMF"`` or ``"CALLER"``.
        mask: its numbers.
    """

    name: str
    kind: str
    mask: Mask


@dataclass(frozen=True, slots=True)
class Own:
    """What an IVR does by itself.

    Attributes:
        keys: what its menu listens for; a ``#`` at the end is a wait.
        excluded: entries that cannot be dialled directly, such as ``1001-2001``.
    """

    keys: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


def prefixes(rows: Sequence[Row]) -> Iterator[str]:
    """Numbers that are the beginning of others on the same IVR, among what is keyed in."""
    keyed = [row for row in rows if row.kind == "DTMF"]
    for row in keyed:
        if (pair := row.mask.prefix(row.mask)) is not None:
            yield f'{row.name} matches "{pair[0]}" and "{pair[1]}": {_SHORT}'
    for one, other in combinations(keyed, 2):
        for short, long in ((one, other), (other, one)):
            if (pair := short.mask.prefix(long.mask)) is not None:
                begin, whole = pair
                yield f'{short.name} matches "{begin}", {long.name} "{whole}": {_SHORT}'


_NOT_ALL = (0, 1, 2)  # ranks; "ALL" surely beats direct dialling
_SHORT = "who keys in the longer one too slowly gets the shorter one"


def declared(actions: Iterable[Action]) -> tuple[str, ...]:
    """The warnings that need no PBX."""
    rows: dict[tuple[str, str], list[Row]] = {}
    for action in actions:
        if action.enabled:
            row = Row(action.identity, action.kind, action.mask)
            rows.setdefault((action.pbx, action.ivr), []).append(row)
    return tuple(text for mine in rows.values() for text in prefixes(mine))


def lint(
    plan: Plan, numbers: Iterable[str], own: Mapping[str, Own] | None = None
) -> tuple[str, ...]:
    """All warnings for a PBX.

    Parameters:
        plan: what there shall be, and what is foreign.
        numbers: extensions that can be dialled directly, as far as they are known.
        own: by extension number, what an IVR does by itself; None if it was not read.
    """
    rows: dict[str, list[Row]] = {}
    for item in plan.wanted:
        if item.action.enabled and (mask := _mask(item.action)):
            row = Row(f"{item.ivr}/{item.action.name}", item.action.type, mask)
            rows.setdefault(item.ivr, []).append(row)
    others: dict[str, list[ActionUrl]] = {}
    for change in plan.of("foreign"):
        others.setdefault(change.ivr.extension_number, []).append(change.action)
    known = tuple(numbers)
    texts: list[str] = []
    for number, mine in rows.items():
        texts += prefixes(mine)
        texts += _overlaps(mine, others.get(number, ()))
        itself = (own or {}).get(number, Own())
        texts += _menu(mine, itself.keys)
        texts += _extensions(mine, known, itself.excluded)
    return tuple(texts)


def _overlaps(rows: Sequence[Row], others: Iterable[ActionUrl]) -> Iterator[str]:
    foreign = [(item, _mask(item)) for item in others if item.enabled]
    for row, (item, mask) in product(rows, foreign):
        if mask is None or item.type.upper() != row.kind:
            continue
        if (number := row.mask.overlap(mask)) is not None:
            yield (
                f'{row.name} and "{line(item.name)}" of another service ({origin(item.url)}) both '
                f'match "{number}": which of them is asked is not documented'
            )


def _menu(rows: Sequence[Row], keys: Iterable[str]) -> Iterator[str]:
    for key, row in product(keys, rows):
        digits = key.strip().removesuffix("#")
        if row.kind != "DTMF" or not (digits.isascii() and digits.isdigit()):
            continue
        entry = Mask((Exact(digits),))
        if row.mask.matches(digits):
            yield f"{row.name} matches {digits}: the IVR's own menu entry {key} is not reached"
        elif (pair := entry.prefix(row.mask)) is not None:
            yield (
                f'the IVR\'s own menu entry {key} may fire before "{pair[1]}" of {row.name} is '
                "keyed in whole"
            )


def _extensions(
    rows: Sequence[Row], numbers: Iterable[str], excluded: Iterable[str]
) -> Iterator[str]:
    spared = _parse(";".join(excluded))
    for number, row in product(numbers, rows):
        if row.kind != "DTMF" or row.mask.rank(number) not in _NOT_ALL:
            continue
        if spared is None or not spared.matches(number):
            yield (
                f"{row.name} matches {number}, which is an extension that can be dialled "
                "directly: which of them counts is not documented"
            )


def _mask(action: ActionUrl) -> Mask | None:
    return _parse(action.mask)


def _parse(text: str) -> Mask | None:
    try:
        return Mask.parse(text)
    except MaskError:
        return None
