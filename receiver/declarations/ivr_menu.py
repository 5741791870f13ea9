"""The rules and the menu of an IVR itself, as they are declared.

Rule 1: `Voicemail` and `Disa` are rules of the PBX and no replies: a handler cannot return them.
Rule 2: a menu is declared whole: entries, hours, rules and holidays that it does not have are not
        on the PBX afterwards.
Rule 3: in the fields of a declared IVR the id of a holiday is its name, until the PBX's is known.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from receiver.declarations.office_hours import DAY, Holiday, OfficeHours, moments
from receiver.errors import DeclarationError
from receiver.pbx import models_ivr, models_shared
from receiver.pbx.models_ivr import ForwardAction
from receiver.replies import Forward, Hangup, Repeat, is_reply

T = TypeVar("T")

_KEY = re.compile("[0-9*#]{1,64}")
_EXTENSION = re.compile("[0-9]{1,64}")


@dataclass(frozen=True, slots=True)
class Voicemail:
    """Rule of an IVR: connect the caller to the voicemail of an extension.

    ::

        Ivr("8000", name="Sales", timeout_reply=Voicemail("101"))

    Parameters:
        extension: whose voicemail it is, such as ``"101"``.

    Raises:
        DeclarationError: the number cannot be dialled.
    """

    extension: str

    keyword: ClassVar[str] = "voicemail"
    rule: ClassVar[str] = ForwardAction.FORWARD_TO_VOICEMAIL.value
    summary: ClassVar[str] = "Connect the caller to the voicemail of this extension."

    def __post_init__(self) -> None:
        if not isinstance(self.extension, str) or not _EXTENSION.fullmatch(self.extension):
            raise DeclarationError('Voicemail wants the number of an extension, as "101"')

    @property
    def target(self) -> str:
        """The extension."""
        return self.extension


@dataclass(frozen=True, slots=True)
class Disa:
    """Rule of a menu entry: the caller dials out through the PBX, after its DISA PIN.

    ::

        MenuEntry("9", Disa())
    """

    keyword: ClassVar[str] = "disa"
    rule: ClassVar[str] = ForwardAction.DISA.value
    summary: ClassVar[str] = "The caller dials out through the PBX, after the DISA PIN."
    target: ClassVar[str] = ""


Rule = Forward | Hangup | Repeat | Voicemail
"""A rule of the IVR itself, without a handler."""

MenuRule = Rule | Disa
"""The rule of a menu entry."""


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """An entry of an IVR's own menu.

    An action URL for the same keys takes precedence. ::

        office = OfficeHours({"mon-fri": "09:00-17:00"})
        christmas = Holiday("Christmas", "12-24 to 12-26", region="DEU")
        MenuEntry("1", Forward("222"), hours=office, closed=Voicemail("222"),
                  holidays=[christmas], on_holiday=Hangup())

    In a file::

        value = "menu-entry"
        key = "1"
        then = "222"
        hours = {mon-fri = "09:00-17:00"}
        closed = {voicemail = "222"}

    Parameters:
        key: what the caller keys in; a ``#`` at its end lets the PBX wait 3 seconds for more.
        then: the rule within office hours: `Forward`, `Hangup`, `Repeat`, `Voicemail` or `Disa`.
        hours: `receiver.OfficeHours`, or hours by days; by default those of the tenant.
        closed: the rule outside of them; by default none.
        holidays: days on which ``on_holiday`` counts.
        on_holiday: the rule on them.

    Raises:
        DeclarationError: the PBX would not take it.
    """

    key: str
    then: MenuRule
    hours: OfficeHours | Mapping[str, str] | None = None
    closed: MenuRule | None = None
    holidays: Iterable[Holiday] = ()
    on_holiday: MenuRule | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.key, str) or not _KEY.fullmatch(self.key):
            raise DeclarationError(f'MenuEntry: {self.key!r} is no key, as "1", "22" or "22#"')
        where = f"MenuEntry {self.key}"
        for option in ("then", "closed", "on_holiday"):
            rule = getattr(self, option)
            if not (is_rule(rule, menu=True) or (rule is None and option != "then")):
                raise DeclarationError(f"{where}: {option} must be a rule such as {_MENU_RULE}")
        if (holidays := list_of(self.holidays, Holiday)) is None:
            raise DeclarationError(f"{where}: holidays must be a list of Holiday(…)")
        object.__setattr__(self, "holidays", tuple(holidays))
        if self.hours is not None and not isinstance(self.hours, OfficeHours):
            try:
                object.__setattr__(self, "hours", OfficeHours(self.hours))
            except DeclarationError as error:
                raise DeclarationError(f"{where}: hours: {error.problem}") from None
        _ = self.fields

    @property
    def fields(self) -> dict[str, Any]:
        """The entry as the PBX's fields, with the names of its holidays as ids."""
        rules = {
            "office_hours_forward_rule": self.then,
            "non_office_hours_forward_rule": self.closed,
            "holiday_forward_rule": self.on_holiday,
        }
        return {
            "user_input": self.key,
            "office_hours": _office_hours(self.key, self.hours),
            "holidays": [holiday.name for holiday in self.holidays],
            **{key: rule_fields(rule) for key, rule in rules.items() if rule is not None},
        }


_RULE = 'Forward("222"), Hangup(), Repeat() or Voicemail("101")'
_MENU_RULE = 'Forward("222"), Hangup(), Repeat(), Voicemail("101") or Disa()'


def list_of(value: object, kind: type[T]) -> list[T] | None:
    """Return ``value`` as a list of ``kind``; None if it is none."""
    items = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [None]
    found = [one for one in items if isinstance(one, kind)]
    return found if len(found) == len(items) else None


def is_rule(value: object, *, menu: bool = False) -> bool:
    """Return whether ``value`` is a `Rule`; with ``menu`` a `MenuRule`."""
    if is_reply(value):
        return bool(value.rule)
    return isinstance(value, Voicemail) or (menu and isinstance(value, Disa))


def rule_fields(rule: Any) -> dict[str, str]:
    """Return a `MenuRule` as the PBX's fields."""
    return {"action": rule.rule, **({"number": rule.target} if rule.target else {})}


def holiday_fields(holiday: Holiday) -> models_shared.Holiday:
    """Return a holiday as the PBX's fields; a time that it does not declare is blank."""
    start, end = moments(holiday)
    return models_shared.Holiday(
        name=holiday.name,
        region=holiday.region,
        consecutive=holiday.consecutive,
        every_year=start.year is None,
        **{f"{part}_start": value for part, value in start._asdict().items()},
        **{f"{part}_end": value for part, value in end._asdict().items()},
    )


def read_rule(option: str, value: object) -> dict[str, str]:
    """Return the rule of an option as the PBX's fields.

    Raises:
        DeclarationError: it is no `Rule`.
    """
    if not is_rule(value):
        raise DeclarationError(f"{option} must be a rule such as {_RULE}")
    return rule_fields(value)


def _office_hours(key: str, hours: object) -> dict[str, Any]:
    """Return the office hours of the entry for a key as the PBX's fields.

    Raises:
        DeclarationError: the PBX has no hours like these.
    """
    if not isinstance(hours, OfficeHours):
        return {"mode": "GLOBAL"}
    days: dict[str, Any] = {}
    for day, ranges in zip(models_ivr.DAYS, hours.ranges, strict=True):
        whole = ranges == ((0, DAY),)
        if not whole and any(end >= DAY for _, end in ranges):
            raise DeclarationError(
                f"MenuEntry {key}: hours of {day} reach midnight, which the office hours of "
                'a PBX cannot: end them at 23:59, and begin the next day at 00:00; "00:00-24:00" '
                "is a whole day"
            )
        shown = [{"from": _clock(begin), "to": _clock(end)} for begin, end in ranges]
        days[day] = {"enabled": bool(ranges), "ranges": [] if whole else shown}
    return {"mode": "CUSTOM", **days}


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
