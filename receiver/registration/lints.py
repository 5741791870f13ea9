"""Warnings about declarations that are valid but may not do what was meant, with examples.

Rule 1: nothing here stops anything. How a PBX decides between several that match is not
        documented; what is warned of may be meant.
Rule 2: names of others are shown, their URLs only as far as the host.

Source: "Managing Virtual Receptionist": a mask beats the IVR's own menu; a menu entry fires at
once, a mask after the wait for further digits (``dtmf_interval``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

from receiver.declarations.actions import Action
from receiver.declarations.desired_ivr import DesiredIvr
from receiver.errors import MaskError
from receiver.mask_entries import example
from receiver.masks import ANY_CALLER, Entry, Exact, Mask, Pattern
from receiver.pbx.models import ActionUrl
from receiver.pbx.models_ivr import Ivr, disa_warning
from receiver.phone_numbers.numbers import SHORTEST, NumberFormat
from receiver.registration.changes import Plan
from receiver.registration.urls import origin
from receiver.text import line


@dataclass(frozen=True, slots=True)
class Row:
    """An action URL as far as the warnings need it.

    Attributes:
        name: as it is printed, such as ``8000/pick``.
        kind: ``"DTMF"`` or ``"CALLER"``.
        mask: its numbers.
    """

    name: str
    kind: str
    mask: Mask


@dataclass(frozen=True, slots=True)
class IvrRules:
    """The behaviour of an IVR without action URLs.

    Attributes:
        keys: what its menu listens for; a ``#`` at the end is a wait.
        excluded: entries that cannot be dialled directly, such as ``1001-2001``.
        disa: the warning that it leads to DISA without a PIN, or ``""``.
    """

    keys: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    disa: str = ""

    @classmethod
    def of(cls, ivr: Ivr) -> IvrRules:
        """Return the behaviour of ``ivr``, in full, without action URLs."""
        keys = tuple(rule.user_input for rule in ivr.custom_forward_rules or ())
        return cls(keys, ivr.excluded, disa_warning(ivr))


def with_declared(own: Mapping[str, IvrRules], ivrs: Iterable[DesiredIvr]) -> dict[str, IvrRules]:
    """Return the rules of IVRs, with the declared menus and excluded numbers.

    Parameters:
        own: by extension number, as the PBX has it.
        ivrs: the declarations.
    """
    made = dict(own)
    for ivr in ivrs:
        actual, declared = made.get(ivr.number, IvrRules()), IvrRules.of(ivr.fields)
        made[ivr.number] = replace(
            actual,
            keys=actual.keys if ivr.fields.custom_forward_rules is None else declared.keys,
            excluded=declared.excluded or actual.excluded,
        )
    return made


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


_MORE = "*" * 8
_NOT_ALL = (0, 1, 2)  # ranks; "ALL" surely beats direct dialling
_SHORT = "a caller who enters the longer one too slowly gets the shorter one"


def declared(
    actions: Iterable[Action],
    formats: Mapping[str, NumberFormat] | None = None,
    ivrs: Iterable[DesiredIvr] = (),
) -> tuple[str, ...]:
    """Return the warnings that need no PBX.

    Parameters:
        actions: what is declared.
        formats: how the trunk of each PBX writes callers' numbers, by its label.
        ivrs: the declared IVRs.
    """
    rows: dict[tuple[str, str], list[Row]] = {}
    for action in actions:
        if action.enabled:
            row = Row(action.identity, action.kind, action.mask)
            rows.setdefault((action.pbx, action.ivr), []).append(row)
    texts: list[str] = []
    for (label, _), mine in rows.items():
        texts += prefixes(mine)
        texts += callers(mine, (formats or {}).get(label, "automatic"))
    disa = ((one.number, disa_warning(one.fields)) for one in ivrs)
    return (*texts, *(f"IVR {number}: {warning}" for number, warning in disa if warning))


def callers(rows: Iterable[Row], number_format: NumberFormat) -> Iterator[str]:
    """Masks that match no caller: the beginning of a number, or numbers that no trunk writes so.

    The PBX compares callers with masks as text. With ``automatic`` the trunk's form is not known.
    """
    for row in rows:
        for entry in row.mask if row.kind == "CALLER" and row.mask != ANY_CALLER else ():
            number = example(entry)
            if _is_beginning(entry):
                yield (
                    f'{row.name} matches "{number}" and no longer number: a * is one digit. '
                    f'Write one for every digit, as in "{entry}{_MORE}", or the mask "any" and '
                    "compare call.caller in the handler"
                )
            if problem := _unwritten(number, number_format):
                yield (
                    f'{row.name} matches "{number}", which no caller has: RECEIVER_NUMBER_FORMAT '
                    f"says {number_format}, {problem}"
                )


def _is_beginning(entry: Entry) -> bool:
    """Return whether ``entry`` is too short for a phone number, and looks like the beginning."""
    return (
        isinstance(entry, Exact | Pattern)
        and (entry.text[0] == "+" or (entry.text[0] == "0" and entry.text[-1] == "*"))
        and len(entry.text.lstrip("+")) < SHORTEST
    )


def _unwritten(number: str, number_format: NumberFormat) -> str:
    """Return why the trunk does not write ``number`` so; empty if it may."""
    if number_format != "automatic" and len(number.lstrip("+")) >= SHORTEST:
        if number.startswith("+") and number_format in ("e164-without-plus", "national"):
            return "so no number has a +"
        if number_format == "e164" and not number.startswith("+"):
            return "so all numbers from outside have a +"
        if number_format == "e164-without-plus" and number.startswith("0"):
            return "so no number begins with 0"
    return ""


def lint(
    plan: Plan,
    numbers: Iterable[str],
    own: Mapping[str, IvrRules] | None = None,
    number_format: NumberFormat = "automatic",
) -> tuple[str, ...]:
    """Return all warnings for a PBX.

    Parameters:
        plan: the desired and the unmanaged action URLs.
        numbers: extensions that can be dialled directly, as far as they are known.
        own: the behaviour of each IVR, by extension number; None if it was not read.
        number_format: how the trunk writes callers' numbers.
    """
    rows: dict[str, list[Row]] = {}
    for item in plan.desired:
        if item.action.enabled and (mask := _mask(item.action)):
            row = Row(f"{item.ivr}/{item.action.name}", item.action.type, mask)
            rows.setdefault(item.ivr, []).append(row)
    others: dict[str, list[ActionUrl]] = {}
    # A blocked change names the action URL that blocks it.
    blocked = {(one.ivr.id, one.resource.name.lower()) for one in plan.of("blocked")}
    for change in plan.of("unmanaged"):
        if (change.ivr.id, change.resource.name.lower()) in blocked:
            continue
        others.setdefault(change.ivr.extension_number, []).append(change.resource)
    known = tuple(numbers)
    texts = [f"{change.name}: {note}" for change in plan.holidays for note in change.notes]
    texts += _ivrs(plan, own or {})
    for number, mine in rows.items():
        texts += prefixes(mine)
        texts += callers(mine, number_format)
        texts += _overlaps(mine, others.get(number, ()))
        itself = (own or {}).get(number, IvrRules())
        texts += _menu(mine, itself.keys)
        texts += _extensions(mine, known, itself.excluded)
    return tuple(texts)


def _ivrs(plan: Plan, own: Mapping[str, IvrRules]) -> Iterator[str]:
    """Yield what is not safe about an IVR itself; what is declared of one counts as done."""
    notes: dict[str, tuple[str, ...]] = {
        number: (one.disa,) for number, one in own.items() if one.disa
    }
    notes |= {change.resource.number: change.notes for change in plan.ivrs}
    yield from (f"IVR {number}: {note}" for number, texts in notes.items() for note in texts)


def _overlaps(rows: Sequence[Row], others: Iterable[ActionUrl]) -> Iterator[str]:
    unmanaged = [(item, _mask(item)) for item in others if item.enabled]
    for row, (item, mask) in product(rows, unmanaged):
        if mask is None or item.type.upper() != row.kind:
            continue
        if (number := row.mask.overlap(mask)) is not None:
            yield (
                f'{row.name} and "{line(item.name)}" of another service ({origin(item.url)}) both '
                f'match "{number}": which of them gets the callback is not documented'
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
