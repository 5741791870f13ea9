"""The desired state of an IVR, as far as it is declared.

Rule 1: a value that the PBX would refuse is an error at import; prompt files are checked by plan,
        and whether the release of the PBX has a field.
Rule 2: the name of a prompt file on the PBX contains its digest, so it is uploaded once; that of a
        spoken prompt the digest of its text and voice (`receiver.declarations.speech`).
Rule 3: an option that is not declared is neither sent nor compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from typing import TypedDict

from msgspec import structs

from receiver.credentials import Secret
from receiver.declarations.ivr_fields import fields_of, menu_of, problems_of
from receiver.declarations.ivr_menu import MenuEntry, Rule, holiday_fields
from receiver.declarations.office_hours import Holiday as DeclaredHoliday
from receiver.declarations.speech import Speech
from receiver.errors import DeclarationError
from receiver.pbx import checks
from receiver.pbx.checks import nearest
from receiver.pbx.models_ivr import Ivr
from receiver.pbx.models_shared import Holiday, OutboundCallerId
from receiver.text import quoted

_MAX_STEM = 40


class IvrOptions(TypedDict, total=False):
    """The options of an `Ivr` that declare the IVR itself; without ``name`` it is only looked up.

    ::

        options: IvrOptions = {"name": "Sales", "language": "en-US"}
        sales = Ivr("8000", **options)

    Keys:
        name: 1 to 64 characters.
        language: such as ``"en-US"``.
        prompt: the path of the recording that greets callers (WAV, PCM, 16 bit, mono, at 16, 32
            or 48 kHz), from the folder of the file that declares it; or `Speech`.
        transfer_prompt: the same, for what callers hear before they are connected.
        dtmf_interval: seconds that the PBX waits for a further digit, from 1.
        timeout: seconds without a key after which ``timeout_reply`` counts, from 1.
        repeat_times: how often the prompt is repeated before it, from 0.
        timeout_reply: `Forward`, `Hangup`, `Repeat` or `Voicemail`.
        failure_reply: the same, for a call that could not be put through.
        night_mode: whether ``night_reply`` counts for every call (PBX 22.3).
        night_reply: the same, for calls in night mode (PBX 22.2).
        exclude_list: numbers and ranges that callers cannot dial directly, such as
            ``["1001-2001", "3000"]``; an empty list removes all (PBX 22.3).
        menu: the IVR's own menu, a list of `MenuEntry`. It is declared whole: other entries are
            removed.
        pin: the DISA PIN, digits with which a caller dials out through the PBX where the menu leads
            to DISA; it is switched on, too. Not declared, neither is sent: the PBX's own stays.
            Up to 22.2: 6 to 10 digits, no 111, no 012; since 22.3 the tenant's policy decides.
        enable_pin: whether DISA asks for the PIN; by default not sent without ``pin``. False lets
            every caller dial out through the PBX where the menu leads to DISA.
        outbound_caller_ids: the caller ids of forwarded calls, a list of `OutboundCallerId`. It is
            declared whole.
        audio_recording: whether calls of the IVR are recorded (PBX 22.6).
    """

    name: str
    language: str
    prompt: str | Path | Speech
    transfer_prompt: str | Path | Speech
    dtmf_interval: int
    timeout: int
    repeat_times: int
    timeout_reply: Rule
    failure_reply: Rule
    night_mode: bool
    night_reply: Rule
    exclude_list: Iterable[str]
    menu: Iterable[MenuEntry]
    pin: str | Secret
    enable_pin: bool
    outbound_caller_ids: Iterable[OutboundCallerId]
    audio_recording: bool


@dataclass(frozen=True, slots=True)
class DesiredIvr:
    """The declared fields of an IVR.

    Attributes:
        fields: the declared fields with the extension number; the rest is blank. The id of a
            holiday is its name.
        prompts: the files or texts of its prompts, by the option that declares them.
        where: ``file:line`` of the declaration.
        recordings: their content, once it was read; that of a text may be blank.
        holidays: those of its menu, as the PBX's fields.
        clear: fields that are declared empty.
    """

    fields: Ivr
    prompts: Mapping[str, Path | Speech] = field(default_factory=dict)
    where: str = field(default="", compare=False)
    recordings: Mapping[str, Prompt] = field(default_factory=dict)
    holidays: tuple[Holiday, ...] = ()
    clear: tuple[str, ...] = ()

    @property
    def number(self) -> str:
        return self.fields.extension_number

    def with_holiday_ids(self, ids: Mapping[str, str]) -> Ivr:
        """Return its fields with the ids that the PBX gave to its holidays, by their names."""
        if not self.holidays:
            return self.fields
        rules = (
            structs.replace(
                rule,
                holidays=tuple(Holiday(id=ids.get(one.id, one.id)) for one in rule.holidays),
            )
            for rule in self.fields.custom_forward_rules or ()
        )
        return structs.replace(self.fields, custom_forward_rules=tuple(rules))


@dataclass(frozen=True)
class Prompt:
    """A recording: its ``name`` on the PBX, and its bytes.

    ``spoken``: its name alone identifies it, and the bytes may be blank, see `Speech`.
    """

    name: str
    data: bytes = field(repr=False)
    spoken: bool = False

    @classmethod
    def of(cls, path: PurePath, data: bytes) -> Prompt:
        """Return the recording in the file at ``path``."""
        stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in path.stem)[:_MAX_STEM]
        return cls(f"{stem}-{hashlib.sha256(data).hexdigest()[:8]}.wav", data)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of its bytes."""
        return hashlib.sha256(self.data).hexdigest()

    def is_of(self, ivr: Ivr, which: str = "prompt") -> bool:
        """Return whether ``ivr``, as the PBX shows it, plays it as its ``which``.

        Compares name and size, or the digest in the URL; of a spoken one the name.
        """
        name, size, url = (getattr(ivr, f"{which}_file_{end}") for end in ("name", "size", "url"))
        if self.spoken:
            return bool(name == self.name)
        digest = url.rpartition("/")[2].lower().removeprefix("sha256:")
        return (name == self.name and size in (None, len(self.data))) or digest == self.digest


def declare(number: str, options: IvrOptions, where: str) -> DesiredIvr | None:
    """Return the IVR that ``options`` declare; None without options.

    Raises:
        DeclarationError: the PBX would refuse it.
    """
    if unknown := options.keys() - IvrOptions.__annotations__.keys():
        hint = nearest(min(unknown), IvrOptions.__annotations__)
        raise DeclarationError(f"{min(unknown)}= is no option of an Ivr: {hint}", where)
    if not options:
        return None
    if "name" not in options:
        raise DeclarationError(
            f"{min(options)}= is for an Ivr that declares the IVR itself: give it a name= too",
            where,
        )
    try:
        menu = menu_of(options)
        fields = checks.parse(Ivr, {"extension_number": number, **fields_of(options, menu)})
        checks.refuse(f"Ivr({number!r}) cannot be declared so", problems_of(fields, options))
        holidays = _together(one for entry in menu for one in entry.holidays)
    except DeclarationError as error:
        raise DeclarationError(error.problem, where) from None
    folder = Path(where.rpartition(":")[0]).parent
    sources = {"prompt": options.get("prompt"), "transfer_prompt": options.get("transfer_prompt")}
    return DesiredIvr(
        fields,
        # The path of a file counts from the file that declares it.
        {
            option: one if isinstance(one, Speech) else folder / one
            for option, one in sources.items()
            if one is not None
        },
        where,
        holidays=holidays,
        clear=("exclude_list",) if "exclude_list" in options and not fields.exclude_list else (),
    )


def check_together(ivrs: Iterable[DesiredIvr]) -> tuple[DesiredIvr, ...]:
    """Return each IVR once.

    Raises:
        DeclarationError: two have the same number and different fields.
    """
    seen: dict[str, DesiredIvr] = {}
    for one in ivrs:
        other = seen.setdefault(one.number, one)
        if other != one:
            raise DeclarationError(
                f"IVR {one.number} is declared with other options already ({other.where}): "
                'declare it once, and write Ivr("…") without further options elsewhere',
                one.where,
            )
    return tuple(seen.values())


def holidays_of(ivrs: Iterable[DesiredIvr]) -> tuple[Holiday, ...]:
    """Return each holiday of ``ivrs`` once.

    Raises:
        DeclarationError: two have one name and differ.
    """
    found: dict[str, Holiday] = {}
    for ivr in ivrs:
        for one in ivr.holidays:
            if found.setdefault(one.name, one) != one:
                raise DeclarationError(_two_holidays(one.name), ivr.where)
    return tuple(found.values())


def _together(holidays: Iterable[DeclaredHoliday]) -> tuple[Holiday, ...]:
    found: dict[str, DeclaredHoliday] = {}
    for one in holidays:
        if found.setdefault(one.name, one) != one:
            raise DeclarationError(_two_holidays(one.name))
    return tuple(map(holiday_fields, found.values()))


def _two_holidays(name: str) -> str:
    return (
        f"two different holidays are named {quoted(name)}, by which the PBX's are looked up: "
        "declare it once, or give one another name"
    )
