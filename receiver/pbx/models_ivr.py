"""An IVR (a virtual receptionist): its settings, forward rules and menu.

The rules of `receiver.pbx.models` apply. A field that the PBX did not return is ``""`` or None, and
is not sent, so that an older PBX never receives a field that it does not have.

Source: the PBX's REST API, ``/ivrs``; its change log for the fields of 22.3 and 22.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated

from msgspec import field

from receiver.credentials import Secret
from receiver.pbx.disa_pin import pin_policy, pin_problem, pin_problem_until_22_2
from receiver.pbx.fields import Model, Spec, older
from receiver.pbx.models_shared import Holiday, OutboundCallerId

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−"), "-")
_EXCLUDED = re.compile(r"[0-9]+(-[0-9]+)?")
# RFC 5646: a language with its subtags, a private tag (x-…), or a registered old one (i-…).
_LANGUAGE = "^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*|[IiXx](-[A-Za-z0-9]{1,8})+)$"


class ForwardAction(StrEnum):
    """The action of a forward rule. ``DISA`` is for menu rules only."""

    FORWARD_TO_NUMBER = "FORWARD_TO_NUMBER"
    FORWARD_TO_VOICEMAIL = "FORWARD_TO_VOICEMAIL"
    REPEAT = "REPEAT"
    HANGUP = "HANGUP"
    DISA = "DISA"


_IVR_ACTION = Spec(choices=tuple(action.value for action in ForwardAction if action != "DISA"))
_MENU_ACTION = Spec(choices=tuple(action.value for action in ForwardAction))
_SET_VERSION = "RECEIVER_PBX_VERSION says which release it is"
_TIME = Spec(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", required=True, optional_on_pbx=True)


def excluded(text: str) -> tuple[str, ...]:
    """Return the entries of an ``exclude_list``: numbers and ranges, split at ``;`` and ``,``."""
    entries = re.split("[;,]", text.translate(_DASHES))
    return tuple(entry for part in entries if (entry := "".join(part.split())))


def exclude_list(entries: Iterable[str], separator: str = ";") -> str:
    """Return the text of an ``exclude_list``. The vendor documents both ``;`` and ``,``."""
    return separator.join(entry for part in entries for entry in excluded(part))


def open_disa(ivr: Ivr) -> tuple[str, ...]:
    """Return the menu keys of ``ivr`` that lead to DISA while its DISA PIN is switched off.

    DISA lets the caller dial out through the PBX. A missing ``enable_pin`` has its default, on.
    """
    if ivr.enable_pin is not False:
        return ()
    return tuple(rule.user_input for rule in ivr.custom_forward_rules or () if rule.leads_to_disa)


def pin_warnings(ivr: Ivr, version: str, *, creating: bool = False) -> Iterator[str]:
    """Yield warnings if an older PBX may refuse the DISA PIN of ``ivr``.

    Parameters:
        ivr: the request.
        version: of the PBX, such as ``"22.2"``; empty for an unknown one.
        creating: whether the request creates the IVR.
    """
    pin = ivr.pin.reveal()
    if pin and not version and not pin_problem(pin) and (problem := pin_problem_until_22_2(pin)):
        yield f"pin {problem}; since 22.3 the tenant's policy decides. {_SET_VERSION}"
    if creating and not pin and (not version or older(version, "22.3")):
        yield (
            "it is created without a DISA PIN (pin), which a PBX up to 22.2 may refuse; enable_pin "
            f"stays the PBX's default, on. {_SET_VERSION}"
        )


def disa_warning(ivr: Ivr) -> str:
    """Return the warning that ``ivr`` leads to DISA without a PIN, or ``""``."""
    if not (keys := open_disa(ivr)):
        return ""
    return (
        f"its menu key {', '.join(keys)} leads to DISA and enable_pin is false: every caller can "
        "dial out through the PBX, at your cost. Set a DISA PIN (pin) and enable_pin=true"
    )


def _problem_of_language(text: str) -> str:
    return "" if re.search(_LANGUAGE, text) else f"does not match {_LANGUAGE}"


def _prompt(file_id: str, field: str) -> Spec:
    return Spec(use="read", via=(file_id, field))


def _problem_of_excluded(text: str) -> str:
    bad = [entry for entry in excluded(text) if not _EXCLUDED.fullmatch(entry)]
    return f"contains {bad[0]!r}: write it as in 1001-2001;3000" if bad else ""


class ForwardRule(Model, frozen=True, kw_only=True):
    """A forward rule. ``number`` is an extension, or an external number."""

    action: Annotated[str, _IVR_ACTION] = ""
    number: str = ""

    def conflicts(self, creating: bool) -> tuple[str, ...]:
        if self.action.startswith("FORWARD_") and not self.number:
            return (f"number is missing, which the action {self.action} needs",)
        return ()


class TimeoutRule(ForwardRule, frozen=True, kw_only=True):
    """The rule for ``timeout`` seconds without DTMF, after ``repeat_times`` repetitions."""

    timeout: Annotated[int | None, Spec(0, default=30)] = None
    repeat_times: Annotated[int | None, Spec(0, default=3)] = None


class KeyRule(ForwardRule, frozen=True, kw_only=True):
    """A rule of a menu entry."""

    action: Annotated[str, _MENU_ACTION] = ""


class TimeRange(Model, frozen=True, kw_only=True):
    """``HH:MM`` to ``HH:MM`` of one day; in JSON ``from`` and ``to``."""

    pbx_checks_conflicts = True

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
    """Office hours: ``GLOBAL`` for the tenant's, ``CUSTOM`` for these."""

    mode: Annotated[str, Spec(choices=("GLOBAL", "CUSTOM"))] = ""
    monday: Day | None = None
    tuesday: Day | None = None
    wednesday: Day | None = None
    thursday: Day | None = None
    friday: Day | None = None
    saturday: Day | None = None
    sunday: Day | None = None


class CustomRule(Model, frozen=True, kw_only=True):
    """A menu entry of the IVR: the rules for ``user_input``, by time.

    The PBX returns holidays in full; they are sent as their ids.
    """

    user_input: Annotated[str, Spec(required=True, optional_on_pbx=True)] = ""
    office_hours: OfficeHours | None = None
    office_hours_forward_rule: KeyRule | None = None
    non_office_hours_forward_rule: KeyRule | None = None
    holidays: Annotated[tuple[Holiday, ...], Spec(refers="holiday")] = ()
    holiday_forward_rule: KeyRule | None = None

    @property
    def leads_to_disa(self) -> bool:
        """Whether one of its rules has the action ``DISA``."""
        rules = (
            self.office_hours_forward_rule,
            self.non_office_hours_forward_rule,
            self.holiday_forward_rule,
        )
        return any(rule is not None and rule.action == ForwardAction.DISA for rule in rules)


class Ivr(Model, frozen=True, kw_only=True):
    """An IVR. ``dtmf_interval`` is the wait after the last digit, in seconds.

    The PBX never returns the prompt file ids, only ``prompt_file_name``, ``_size`` and ``_url``.

    ``pin`` is the DISA PIN: where a menu entry leads to DISA, a caller with the PIN can dial out
    through the PBX. With ``enable_pin`` switched off (its default is on), any caller can.
    Its length is 6 to 10 digits up to 22.2; since 22.3 the tenant's password policy decides.
    """

    id: Annotated[str, Spec(use="read")] = ""
    name: Annotated[str, Spec(1, 64, required=True)] = ""
    extension_number: Annotated[
        str, Spec(3, 64, pattern="[0-9]{3,64}", required=True, use="create", unique=True)
    ] = ""
    language: Annotated[str, Spec(client_rule=_problem_of_language)] = ""
    dtmf_interval: Annotated[int | None, Spec(1, default=2)] = None
    prompt_file_id: Annotated[str, Spec(use="write", refers="file")] = ""
    transfer_prompt_file_id: Annotated[str, Spec(use="write", refers="file")] = ""
    prompt_file_name: Annotated[str, _prompt("prompt_file_id", "name")] = ""
    prompt_file_size: Annotated[int | None, _prompt("prompt_file_id", "size")] = None
    prompt_file_url: Annotated[str, _prompt("prompt_file_id", "url")] = ""
    transfer_prompt_file_name: Annotated[str, _prompt("transfer_prompt_file_id", "name")] = ""
    transfer_prompt_file_size: Annotated[int | None, _prompt("transfer_prompt_file_id", "size")] = (
        None
    )
    transfer_prompt_file_url: Annotated[str, _prompt("transfer_prompt_file_id", "url")] = ""
    enable_pin: Annotated[bool | None, Spec(default=True)] = None
    # Required on create by the OpenAPI file for 22.2; the pages for 22.3 do not say so.
    pin: Annotated[
        Secret, Spec(1, 64, rule=pin_problem, pbx_rule=pin_policy, required_until="22.2")
    ] = Secret("")
    enable_night_mode: Annotated[bool | None, Spec(since="22.3", default=False)] = None
    exclude_list: Annotated[str, Spec(since="22.3", client_rule=_problem_of_excluded)] = ""
    enable_audio_recording: Annotated[bool | None, Spec(since="22.6", default=False)] = None
    timeout_forward_rule: Annotated[TimeoutRule | None, Spec(default={})] = None
    failure_forward_rule: ForwardRule | None = None
    night_mode_forward_rule: Annotated[ForwardRule | None, Spec(since="22.2")] = None
    custom_forward_rules: tuple[CustomRule, ...] | None = None
    outbound_caller_ids: tuple[OutboundCallerId, ...] | None = None

    @property
    def excluded(self) -> tuple[str, ...]:
        """The entries of ``exclude_list``."""
        return excluded(self.exclude_list)


class IvrStatus(Model, frozen=True, kw_only=True):
    """``ONLINE`` or ``OFFLINE``."""

    status: str = ""
