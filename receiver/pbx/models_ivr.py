"""An IVR (a virtual receptionist) in full: what it says, listens for, and does if nobody helps.

The laws are those of `receiver.pbx.models`. A field that the PBX did not say is ``""`` or None, and
is not sent, so that a PBX which does not know a field yet never sees it.

Source: the PBX's REST API, ``/ivrs``; the change log for what came with 22.3 and 22.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

from msgspec import field

from receiver.pbx.fields import Model, Spec
from receiver.pbx.models_shared import Holiday
from receiver.secrets import Secret

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−"), "-")
_EXCLUDED = re.compile(r"[0-9]+(-[0-9]+)?")


class ForwardAction(StrEnum):
    """What a rule does with the call. ``DISA`` is for the rules of a key only."""

    FORWARD_TO_NUMBER = "FORWARD_TO_NUMBER"
    FORWARD_TO_VOICEMAIL = "FORWARD_TO_VOICEMAIL"
    REPEAT = "REPEAT"
    HANGUP = "HANGUP"
    DISA = "DISA"


_OF_THE_IVR = Spec(choices=tuple(action.value for action in ForwardAction if action != "DISA"))
_OF_A_KEY = Spec(choices=tuple(action.value for action in ForwardAction))
_TIME = Spec(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", required=True)


def excluded(text: str) -> tuple[str, ...]:
    """The entries of an ``exclude_list``: numbers and ranges, separated by ``;`` or ``,``."""
    entries = re.split("[;,]", text.translate(_DASHES))
    return tuple(entry for part in entries if (entry := "".join(part.split())))


def exclude_list(entries: Iterable[str], separator: str = ";") -> str:
    """The text of an ``exclude_list``. The vendor documents ``;``, and ``,`` in another place."""
    return separator.join(entry for part in entries for entry in excluded(part))


def pin_problem(pin: str) -> str:
    """What is wrong with a PIN by the rule until 22.2, or ``""``."""
    if not (pin.isascii() and pin.isdigit()):
        return "is made of digits only"
    for a, b, c in zip(map(int, pin), map(int, pin[1:]), map(int, pin[2:]), strict=False):
        if a == b == c or (b == a + 1 and c == b + 1):
            return "must not hold a digit three times in a row (111), nor a run (012)"
    return ""


def _problem_of_excluded(text: str) -> str:
    bad = [entry for entry in excluded(text) if not _EXCLUDED.fullmatch(entry)]
    return f"holds {bad[0]!r}: write it as in 1001-2001;3000" if bad else ""


class ForwardRule(Model, frozen=True, kw_only=True):
    """What becomes of a call. ``number`` is an extension, or an external number."""

    action: Annotated[str, _OF_THE_IVR] = ""
    number: str = ""

    def conflicts(self, creating: bool) -> tuple[str, ...]:
        if self.action.startswith("FORWARD_") and not self.number:
            return (f"number is missing, which the action {self.action} needs",)
        return ()


class TimeoutRule(ForwardRule, frozen=True, kw_only=True):
    """... if no key is pressed for ``timeout`` seconds, after ``repeat_times`` repetitions."""

    timeout: Annotated[int | None, Spec(0)] = None
    repeat_times: Annotated[int | None, Spec(0)] = None


class KeyRule(ForwardRule, frozen=True, kw_only=True):
    """... if a key of the menu was pressed."""

    action: Annotated[str, _OF_A_KEY] = ""


class TimeRange(Model, frozen=True, kw_only=True):
    """``HH:MM`` to ``HH:MM`` of one day; on the wire ``from`` and ``to``."""

    start: Annotated[str, _TIME] = field(name="from", default="")
    end: Annotated[str, _TIME] = field(name="to", default="")

    def conflicts(self, creating: bool) -> tuple[str, ...]:
        if self.start and self.end and self.start >= self.end:
            return ("from must be before to",)
        return ()


class Day(Model, frozen=True, kw_only=True):
    """A day's office hours. An enabled day without ranges is open all day."""

    enabled: bool | None = None
    ranges: tuple[TimeRange, ...] = ()


class OfficeHours(Model, frozen=True, kw_only=True):
    """``GLOBAL`` are the tenant's, ``CUSTOM`` those given here."""

    mode: Annotated[str, Spec(choices=("GLOBAL", "CUSTOM"))] = ""
    monday: Day | None = None
    tuesday: Day | None = None
    wednesday: Day | None = None
    thursday: Day | None = None
    friday: Day | None = None
    saturday: Day | None = None
    sunday: Day | None = None


class CustomRule(Model, frozen=True, kw_only=True):
    """An entry of the IVR's own menu: what ``user_input`` leads to, at which times.

    Holidays are given by the PBX in full, and sent as their ids.
    """

    user_input: Annotated[str, Spec(1, required=True)] = ""
    office_hours: OfficeHours | None = None
    office_hours_forward_rule: KeyRule | None = None
    non_office_hours_forward_rule: KeyRule | None = None
    holidays: Annotated[tuple[Holiday, ...], Spec(as_ids=True)] = ()
    holiday_forward_rule: KeyRule | None = None


class OutboundCallerId(Model, frozen=True, kw_only=True):
    """The number that calls forwarded over a provider show."""

    provider_id: str = ""
    caller_id: Annotated[str, Spec(1, 64)] = ""
    description: Annotated[str, Spec(high=1024)] = ""
    display_name: Annotated[str, Spec(since="22.6")] = ""


class Ivr(Model, frozen=True, kw_only=True):
    """An IVR. ``dtmf_interval`` is the wait after the last digit, in seconds.

    The prompt file ids are never given back; what is there shows in ``prompt_file_name``. The
    ``pin`` protects the recording of prompts by telephone; since 22.3 the tenant's policy says how
    long it is.
    """

    id: Annotated[str, Spec(use="read")] = ""
    name: Annotated[str, Spec(1, 64, required=True)] = ""
    extension_number: Annotated[
        str, Spec(3, 64, pattern="[0-9]{3,64}", required=True, use="create")
    ] = ""
    language: Annotated[str, Spec(pattern="^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")] = ""
    dtmf_interval: Annotated[int | None, Spec(1)] = None
    prompt_file_id: Annotated[str, Spec(use="write")] = ""
    transfer_prompt_file_id: Annotated[str, Spec(use="write")] = ""
    prompt_file_name: Annotated[str, Spec(use="read")] = ""
    prompt_file_size: Annotated[int | None, Spec(use="read")] = None
    prompt_file_url: Annotated[str, Spec(use="read")] = ""
    transfer_prompt_file_name: Annotated[str, Spec(use="read")] = ""
    transfer_prompt_file_size: Annotated[int | None, Spec(use="read")] = None
    transfer_prompt_file_url: Annotated[str, Spec(use="read")] = ""
    enable_pin: bool | None = None
    pin: Annotated[Secret, Spec(6, 10, rule=pin_problem)] = Secret("")
    enable_night_mode: Annotated[bool | None, Spec(since="22.3")] = None
    exclude_list: Annotated[str, Spec(since="22.3", rule=_problem_of_excluded)] = ""
    enable_audio_recording: Annotated[bool | None, Spec(since="22.6")] = None
    timeout_forward_rule: TimeoutRule | None = None
    failure_forward_rule: ForwardRule | None = None
    night_mode_forward_rule: Annotated[ForwardRule | None, Spec(since="22.2")] = None
    custom_forward_rules: tuple[CustomRule, ...] | None = None
    outbound_caller_ids: tuple[OutboundCallerId, ...] | None = None

    @property
    def excluded(self) -> tuple[str, ...]:
        """The entries of ``exclude_list``."""
        return excluded(self.exclude_list)

    def conflicts(self, creating: bool) -> tuple[str, ...]:
        if creating and self.enable_pin is not False and not self.pin:
            return (
                "pin is missing: the PBX's default is enable_pin=true, so give a pin or say "
                "enable_pin=false",
            )
        return ()


class IvrStatus(Model, frozen=True, kw_only=True):
    """``ONLINE`` or ``OFFLINE``."""

    status: str = ""
