"""Compare the declared fields of an IVR and its holidays with those on the PBX.

Rule 1: only the declared fields are compared; a menu and outbound caller ids as a whole.
Rule 2: values are compared, not spellings: the order of a menu, the tenant's office hours that a
        PBX leaves out, the number of a rule that forwards nowhere. Holidays are compared by name.
Rule 3: a DISA PIN that the PBX leaves out or masks is no difference.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from receiver.declarations.desired_ivr import DesiredIvr
from receiver.pbx.models import without_masked, write
from receiver.pbx.models_ivr import DAYS, CustomRule, Day, ForwardRule, Ivr, OfficeHours, excluded
from receiver.pbx.models_shared import Holiday
from receiver.registration.changes import Difference
from receiver.registration.compare import Field, compare, shown_value
from receiver.registration.urls import HIDDEN
from receiver.text import line

_WHOLE = ("custom_forward_rules", "outbound_caller_ids")


def ivr_differences(
    desired: DesiredIvr, actual: Ivr, *, certain: bool = False
) -> Iterator[Difference]:
    """Yield the differences of an IVR from the declared fields; parameters as for `compare`."""
    return compare(_fields(desired, actual), certain=certain)


def holiday_differences(desired: Holiday, actual: Holiday) -> Iterator[Difference]:
    """Yield the differences of a holiday from the declared one."""
    stored = write(actual)
    return compare(
        Field(name, stored.get(name), after, shown_value(stored.get(name)), shown_value(after))
        for name, after in write(desired).items()
    )


def _fields(desired: DesiredIvr, actual: Ivr) -> Iterator[Field]:
    stored = dict(_leaves(write(without_masked(actual))))
    for name, after in _leaves(write(desired.fields, updating=True)):
        before = stored.get(name)
        shown = shown_value(before), shown_value(after)
        if name == "pin":
            known = before is not None or not actual.id
            yield Field(name, before, after, HIDDEN if before else "", HIDDEN, known)
        elif name == "language":
            yield Field(name, str(before).lower(), str(after).lower(), *shown)
        elif name == "exclude_list":
            yield Field(name, {*excluded(str(before or ""))}, {*excluded(str(after))}, *shown)
        elif name not in _WHOLE:
            yield Field(name, before, after, *shown)
    for name in desired.clear:
        yield Field(name, stored.get(name, ""), "", shown_value(stored.get(name)), "")
    for name in _WHOLE:
        if getattr(desired.fields, name) is not None:
            yield from _of_list(name, actual, desired.fields)
    for option, prompt in desired.recordings.items():
        before = line(getattr(actual, f"{option}_file_name"))
        yield Field(option, prompt.is_of(actual, option), True, before, prompt.name)


def _leaves(data: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{at}{key}.")
        else:
            yield f"{at}{key}", value


def _of_list(name: str, actual: Ivr, desired: Ivr) -> Iterator[Field]:
    """Yield the fields of a list that is declared as a whole."""
    read = _menu if name == "custom_forward_rules" else _caller_ids
    before, after = read(actual), read(desired)
    for key in {**after, **before}:
        one, other = before.get(key, ""), after.get(key, "")
        yield Field(f"{name}.{key}", one, other, line(one), line(other))


def _caller_ids(ivr: Ivr) -> dict[str, str]:
    """Return the parts of the outbound caller ids by number and name."""
    return {
        f"{number}.{key}": str(value)
        for number, item in enumerate(ivr.outbound_caller_ids or (), 1)
        for key, value in write(item).items()
    }


def _menu(ivr: Ivr) -> dict[str, str]:
    """Return the parts of the menu by key and name."""
    parts: dict[str, str] = {}
    for rule in ivr.custom_forward_rules or ():
        key = rule.user_input
        while f"{key}.office_hours" in parts:  # nothing says that a key is there once
            key += "~"
        parts |= {f"{key}.{name}": text for name, text in _entry(rule)}
    return parts


def _entry(rule: CustomRule) -> Iterator[tuple[str, str]]:
    yield "office_hours", _hours(rule.office_hours)
    yield "office_hours_forward_rule", _rule(rule.office_hours_forward_rule)
    yield "non_office_hours_forward_rule", _rule(rule.non_office_hours_forward_rule)
    yield "holidays", ", ".join(sorted(one.name or one.id for one in rule.holidays))
    yield "holiday_forward_rule", _rule(rule.holiday_forward_rule)


def _rule(rule: ForwardRule | None) -> str:
    if rule is None:
        return ""
    return f"{rule.action} {rule.number}" if rule.action.startswith("FORWARD_") else rule.action


def _hours(hours: OfficeHours | None) -> str:
    """Return office hours as ``GLOBAL``, or as in ``mon-fri 09:00-17:00; sat-sun closed``."""
    if hours is None or hours.mode != "CUSTOM":
        return "GLOBAL"
    return "; ".join(f"{days} {text}" for days, text in week_of(hours))


def week_of(hours: OfficeHours) -> Iterator[tuple[str, str]]:
    """Yield runs of days with equal hours, as in ``("mon-fri", "09:00-17:00")``."""
    texts = ((day[:3], _day(getattr(hours, day))) for day in DAYS)
    for text, run in groupby(texts, lambda pair: pair[1]):
        days = [day for day, _ in run]
        yield days[0] if len(days) == 1 else f"{days[0]}-{days[-1]}", text


def _day(day: Day | None) -> str:
    if day is None or not day.enabled:
        return "closed"
    ranges: Iterable[str] = sorted(f"{one.start}-{one.end}" for one in day.ranges)
    return ", ".join(ranges) or "00:00-24:00"
