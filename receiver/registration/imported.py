"""Convert the state of a PBX to declarations: options of an `Ivr` that a plan leaves as they are.

Rule 1: an option is taken only if it can be declared and the comparison of a plan
        (`receiver.registration.compare_ivr`) then finds nothing. Another one is left out, and named
        with the reason.
Rule 2: a field that the PBX did not return, or that is empty, is not declared.
Rule 3: a secret is left out: the DISA PIN, the credentials of an action URL, values of headers, and
        of the URL of another service all but the host.
Rule 4: the texts of a PBX may be anything; what is not declared appears in a note on one line.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import msgspec

from receiver.declarations import limits
from receiver.declarations.desired_ivr import DesiredIvr, IvrOptions, declare
from receiver.declarations.ivr_fields import PLAIN, RULES
from receiver.declarations.ivr_menu import Disa, MenuEntry, MenuRule, Voicemail, holiday_fields
from receiver.declarations.office_hours import Holiday, OfficeHours
from receiver.errors import DeclarationError, ReceiverError
from receiver.pbx import checks, models_ivr, models_shared
from receiver.pbx.models_ivr import CustomRule, ForwardAction, ForwardRule, Ivr
from receiver.registration.compare_ivr import holiday_differences, ivr_differences, week_of
from receiver.registration.imported_action_urls import ImportedActionUrl
from receiver.registration.imported_prompts import PromptCopy
from receiver.replies import Forward, Hangup, Repeat
from receiver.text import quoted

PIN = "a secret; the PBX keeps it"
"""The reason why a DISA PIN is left out."""


@dataclass(frozen=True, slots=True)
class ImportedIvr:
    """The declaration of an IVR of a PBX.

    Attributes:
        number: its extension number.
        title: its number and its name.
        options: those that a plan leaves as they are; none if it has no name that can be declared.
        left_out: what is not declared, by option, with the reason.
        action_urls: those on the PBX, for comments.
    """

    number: str
    title: str
    options: Mapping[str, Any] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    action_urls: tuple[ImportedActionUrl, ...] = ()


@dataclass(frozen=True, slots=True)
class Shared:
    """The office hours and holidays of imported IVRs, each once, with its name in the file."""

    hours: Mapping[OfficeHours, str]
    holidays: Mapping[Holiday, str]

    @classmethod
    def of(cls, ivrs: Iterable[ImportedIvr]) -> Shared:
        """Return those of the menus of ``ivrs``."""
        entries = [entry for ivr in ivrs for entry in ivr.options.get("menu", ())]
        hours = dict.fromkeys(entry.hours for entry in entries if entry.hours)
        holidays = dict.fromkeys(one for entry in entries for one in entry.holidays)
        return cls(
            {one: f"hours_{number}" for number, one in enumerate(hours, 1)},
            {one: f"holiday_{number}" for number, one in enumerate(holidays, 1)},
        )


@dataclass(frozen=True, slots=True)
class FoundIvr:
    """An IVR of a PBX.

    Attributes:
        ivr: as the PBX shows it.
        action_urls: those on it.
        prompts: the copies of its prompts, by the option that declares them.
    """

    ivr: Ivr
    action_urls: tuple[ImportedActionUrl, ...] = ()
    prompts: Mapping[str, PromptCopy] = field(default_factory=dict)


def import_ivrs(ivrs: Iterable[FoundIvr], version: str = "") -> tuple[ImportedIvr, ...]:
    """Return the declarations of IVRs, by number; of two with one number the first counts.

    Parameters:
        ivrs: the IVRs.
        version: of the PBX, such as ``"22.2"``; empty if it is unknown.

    Raises:
        DeclarationError: an IVR has no number that can be declared.
    """
    made: dict[str, ImportedIvr] = {}
    holidays: dict[str, Holiday] = {}
    for one in sorted(ivrs, key=lambda one: order(one.ivr)):
        number = one.ivr.extension_number
        if not limits.EXTENSION.fullmatch(number):
            raise DeclarationError(
                f"the PBX has an IVR with the number {quoted(number)}, which cannot be declared: "
                "name those to import, as in receiver import 8000"
            )
        if number not in made:
            made[number] = _import_ivr(one, version, holidays)
    return tuple(made.values())


def order(ivr: Ivr) -> tuple[int, str, int, str]:
    """Return the key by which IVRs are sorted: the number, then the id."""
    return len(ivr.extension_number), ivr.extension_number, len(ivr.id), ivr.id


def _import_ivr(source: FoundIvr, version: str, holidays: dict[str, Holiday]) -> ImportedIvr:
    ivr = source.ivr
    reader = _Reader(ivr, version, holidays)
    if reader.take("name", lambda: ivr.name):
        for option, name in PLAIN.items():
            reader.take(option, partial(getattr, ivr, name))
        if rule := ivr.timeout_forward_rule:
            reader.take("timeout", lambda: rule.timeout)
            reader.take("repeat_times", lambda: rule.repeat_times)
        for option, name in RULES.items():
            reader.take(option, partial(_rule, getattr(ivr, name)))
        reader.take("exclude_list", lambda: list(ivr.excluded))
        reader.take("menu", lambda: list(map(_entry, ivr.custom_forward_rules or ())))
        reader.take("outbound_caller_ids", lambda: list(ivr.outbound_caller_ids or ()))
        for option, copy in source.prompts.items():
            reader.take_prompt(option, copy)
        if ivr.pin:
            reader.left_out["pin"] = PIN
    options = {key: reader.options[key] for key in _OPTIONS if key in reader.options}
    title = f"{ivr.extension_number} {ivr.name}".rstrip()
    left_out = reader.left_out
    return ImportedIvr(ivr.extension_number, title, options, left_out, source.action_urls)


_OPTIONS = tuple(IvrOptions.__annotations__)


class _Reader:
    """Collects the options of one IVR."""

    def __init__(self, ivr: Ivr, version: str, holidays: dict[str, Holiday]) -> None:
        self._ivr = ivr
        self._version = version
        self._holidays = holidays
        self.options: dict[str, Any] = {}
        self.left_out: dict[str, str] = {}

    def take(self, option: str, read: Callable[[], Any]) -> bool:
        """Take an option, or name it with the reason; return whether it is taken."""
        try:
            value = read()
            if value is None or value in ("", []):
                return False
            self._check(option, value)
        except ReceiverError as error:
            problem = error.problem if isinstance(error, DeclarationError) else str(error)
            self.left_out[option] = problem.partition(" cannot be declared so: ")[2] or problem
            return False
        self.options[option] = value
        return True

    def take_prompt(self, option: str, copy: PromptCopy) -> None:
        """Take a prompt, if the PBX plays the copy of it."""
        if copy.problem or copy.prompt is None:
            self.left_out[option] = copy.problem
        elif not copy.prompt.is_of(self._ivr, option):
            self.left_out[option] = (
                f"the copy is {copy.file}; this PBX does not show what it contains, so that apply "
                "would upload it once more"
            )
        else:
            self.take(option, lambda: copy.file)

    def _check(self, option: str, value: object) -> None:
        """Raise DeclarationError if a plan would change something, or cannot be made."""
        options = cast("IvrOptions", {**self.options, option: value})
        # There is an option, so there is a declaration.
        desired = cast("DesiredIvr", declare(self._ivr.extension_number, options, ""))
        try:
            msgspec.json.encode(desired.fields, enc_hook=str)
        except UnicodeEncodeError:
            raise DeclarationError("it has characters that no file can contain") from None
        problems = [
            *checks.unavailable(desired.fields, self._version),
            *map(str, ivr_differences(desired, self._ivr)),
        ]
        if problems:
            raise DeclarationError(f"a plan would differ: {', '.join(problems)}")
        holidays = {one.name: one for entry in _entries(value) for one in entry.holidays}
        for name, one in holidays.items():
            if self._holidays.get(name, one) != one:
                raise DeclarationError(
                    f"its holiday {quoted(name)} is not that of another menu with this name"
                )
        self._holidays.update(holidays)


def _entries(value: object) -> Iterator[MenuEntry]:
    if isinstance(value, list):
        yield from (one for one in value if isinstance(one, MenuEntry))


def _entry(rule: CustomRule) -> MenuEntry:
    """Return a menu entry; raise ReceiverError if it cannot be declared."""
    then = _rule(rule.office_hours_forward_rule)
    if then is None:
        raise DeclarationError(f"the key {quoted(rule.user_input)} has no rule in office hours")
    return MenuEntry(
        rule.user_input,
        then,
        hours=_hours(rule.office_hours),
        closed=_rule(rule.non_office_hours_forward_rule),
        holidays=tuple(map(_holiday, rule.holidays)),
        on_holiday=_rule(rule.holiday_forward_rule),
    )


def _rule(rule: ForwardRule | None) -> Any:
    """Return a rule as it is declared; None without one."""
    if rule is None or not rule.action:
        return None
    makers: dict[str, Callable[[], MenuRule]] = {
        ForwardAction.FORWARD_TO_NUMBER: lambda: Forward(rule.number),
        ForwardAction.FORWARD_TO_VOICEMAIL: lambda: Voicemail(rule.number),
        ForwardAction.REPEAT: Repeat,
        ForwardAction.HANGUP: Hangup,
        ForwardAction.DISA: Disa,
    }
    if rule.action not in makers:
        raise DeclarationError(f"the action {quoted(rule.action)} is unknown")
    return makers[rule.action]()


# office hours and holidays -------------------------------------------------------------------


def _hours(hours: models_ivr.OfficeHours | None) -> OfficeHours | None:
    if hours is None or hours.mode != "CUSTOM":
        return None
    week = {days: text for days, text in week_of(hours) if text != "closed"}
    return OfficeHours(week or {"mon-sun": "closed"})


def _holiday(actual: models_shared.Holiday) -> Holiday:
    start, end = (_moment(actual, which) for which in ("start", "end"))
    days = start if start == end else f"{start} to {end}"
    consecutive = actual.consecutive is not False
    holiday = Holiday(actual.name, days, region=actual.region, consecutive=consecutive)
    if drift := list(map(str, holiday_differences(holiday_fields(holiday), actual))):
        raise DeclarationError(f"its holiday {quoted(actual.name)} differs: {', '.join(drift)}")
    return holiday


def _moment(actual: models_shared.Holiday, which: str) -> str:
    year, month, day, hour, minute = (
        getattr(actual, f"{part}_{which}") for part in ("year", "month", "day", "hour", "minute")
    )
    dated = f"{year or 0:04}-" if not actual.every_year else ""
    time = "" if hour is None else f" {hour:02}:{minute or 0:02}"
    return f"{dated}{month or 0:02}-{day or 0:02}{time}"
