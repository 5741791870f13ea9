"""A receptionist (an IVR of the PBX) as it is declared, and what of that is not so on a PBX.

Rule 1: only what is declared is compared and sent. The rest belongs to the PBX, and stays.
Rule 2: nothing here ever leads to a receptionist being deleted.
Rule 3: what the PBX would refuse is refused at import, with the file and line; the recording when
        it is planned, for the service that answers calls need not have it.
Rule 4: a recording is called after its octets on the PBX (``welcome-1a2b3c4d.wav``): another
        recording is another name, and what was uploaded before is found again.
Rule 5: a PIN that the PBX does not let be read is no difference, and none is ever printed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any, Literal, TypedDict

import msgspec

from receiver.errors import DeclarationError
from receiver.pbx import checks
from receiver.pbx.models import IvrSummary, without_masked, write
from receiver.pbx.models_ivr import ForwardAction, Ivr
from receiver.printable import line
from receiver.registration.drift import UNREADABLE, Difference
from receiver.replies import Forward, Hangup, Repeat, Reply
from receiver.secrets import Secret

_ACTIONS = {Hangup: ForwardAction.HANGUP, Repeat: ForwardAction.REPEAT}
_HIDDEN = "***"
_STEM = 40


class Options(TypedDict, total=False):
    """What an `Ivr` may say of the receptionist itself; without ``name`` it is only looked up.

    Keys:
        name: 1 to 64 characters.
        language: such as ``"en-US"``.
        prompt: the path of the recording that greets callers (WAV, PCM, 16 bit, mono, at 16, 32
            or 48 kHz), from the folder of the file that declares it.
        dtmf_interval: seconds that the PBX waits for a further digit, from 1.
        timeout: seconds without a key after which ``timeout_reply`` counts, from 1.
        timeout_reply: `Forward`, `Hangup` or `Repeat`.
        failure: the same, for a call that could not be put through.
        pin: 6 to 10 digits that protect the recording of prompts by telephone; created without
            one, the receptionist has this switched off.
    """

    name: str
    language: str
    prompt: str | Path
    dtmf_interval: int
    timeout: int
    timeout_reply: Reply
    failure: Reply
    pin: str | Secret


@dataclass(frozen=True, slots=True)
class Receptionist:
    """A receptionist that there shall be.

    Attributes:
        fields: what is declared of it, the extension number included; the rest is blank.
        prompt: the file of its recording, None if that is not declared.
        where: ``file:line`` of the declaration.
    """

    fields: Ivr
    prompt: Path | None = None
    where: str = field(default="", compare=False)

    @property
    def number(self) -> str:
        return self.fields.extension_number


@dataclass(frozen=True)
class Prompt:
    """A recording: the ``name`` it has on the PBX, and its octets."""

    name: str
    data: bytes = field(repr=False)

    @classmethod
    def of(cls, path: PurePath, data: bytes) -> Prompt:
        """The recording in the file at ``path``."""
        stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in path.stem)[:_STEM]
        return cls(f"{stem}-{hashlib.sha256(data).hexdigest()[:8]}.wav", data)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of its octets."""
        return hashlib.sha256(self.data).hexdigest()

    def is_of(self, ivr: Ivr) -> bool:
        """Whether it is what ``ivr`` greets with: by name and size, or by the digest in the URL."""
        named = ivr.prompt_file_name == self.name
        url = ivr.prompt_file_url.rpartition("/")[2].lower().removeprefix("sha256:")
        return (named and ivr.prompt_file_size in (None, len(self.data))) or url == self.digest


@dataclass(frozen=True, slots=True)
class ReceptionistChange:
    """One line of a plan.

    Attributes:
        op: what to do.
        ivr: what is there; for a create what shall be, without an id.
        wanted: what is declared.
        prompt: its recording, if one is declared.
        differences: why.
    """

    op: Literal["create", "update", "keep"]
    ivr: IvrSummary
    wanted: Receptionist
    prompt: Prompt | None = None
    differences: tuple[Difference, ...] = ()

    def __str__(self) -> str:
        return f"{self.op} receptionist {self.wanted.number}"


# what is declared ----------------------------------------------------------------------------


def declare(number: str, options: Options, where: str) -> Receptionist | None:
    """The receptionist that ``options`` declare; None if there are none.

    Raises:
        DeclarationError: the PBX would not take it.
    """
    if unknown := options.keys() - Options.__annotations__.keys():
        known = ", ".join(Options.__annotations__)
        raise DeclarationError(f"{min(unknown)}= is no option of an Ivr: there are {known}", where)
    if not options:
        return None
    if "name" not in options:
        raise DeclarationError(
            f"{min(options)}= is for an Ivr that declares the receptionist: give it a name= too",
            where,
        )
    try:
        fields = checks.parse(Ivr, {"extension_number": number, **_fields(options)})
        checks.refuse(f"Ivr({number!r}) cannot be declared so", _problems(fields, options))
    except DeclarationError as error:
        raise DeclarationError(error.problem, where) from None
    prompt = options.get("prompt")
    beside = Path(where.rpartition(":")[0]).parent
    return Receptionist(fields, None if prompt is None else beside / prompt, where)


def check_together(receptionists: Iterable[Receptionist]) -> tuple[Receptionist, ...]:
    """Each of them once.

    Raises:
        DeclarationError: two have the same number, and are not the same.
    """
    seen: dict[str, Receptionist] = {}
    for one in receptionists:
        other = seen.setdefault(one.number, one)
        if other != one:
            raise DeclarationError(
                f"the receptionist {one.number} is declared otherwise already ({other.where}): "
                'declare it once, and write Ivr("…") without further options elsewhere',
                one.where,
            )
    return tuple(seen.values())


def _fields(options: Options) -> dict[str, Any]:
    """The options as the PBX's fields; what is not declared is not there."""
    made: dict[str, Any] = {
        key: options[key] for key in ("name", "language", "dtmf_interval") if key in options
    }
    timeout: dict[str, Any] = {"timeout": options["timeout"]} if "timeout" in options else {}
    timeout |= _rule("timeout_reply", options)
    if timeout:
        made["timeout_forward_rule"] = timeout
    if failure := _rule("failure", options):
        made["failure_forward_rule"] = failure
    if "pin" in options:
        pin = options["pin"]
        made |= {"enable_pin": True, "pin": pin.reveal() if isinstance(pin, Secret) else pin}
    return made


def _rule(option: Literal["timeout_reply", "failure"], options: Options) -> dict[str, str]:
    if option not in options:
        return {}
    reply: object = options[option]
    if isinstance(reply, Forward):
        return {"action": ForwardAction.FORWARD_TO_NUMBER.value, "number": reply.destination}
    if isinstance(reply, Hangup | Repeat):
        return {"action": _ACTIONS[type(reply)].value}
    raise DeclarationError(f'{option} must be a reply such as Forward("0"), Hangup() or Repeat()')


def _problems(fields: Ivr, options: Options) -> Iterator[str]:
    blank = (key for key in ("language", "pin", "prompt") if key in options and not options[key])
    yield from (f"{key} is empty: leave it out" for key in blank)
    rule = fields.timeout_forward_rule
    if "timeout" in options and not (rule and rule.timeout):
        yield "timeout must be at least 1 second"
    if not isinstance(options.get("prompt", ""), str | Path):
        yield "prompt must be the path of a WAV file"
    yield from checks.problems(to_create(fields), creating=True)


# what is there -------------------------------------------------------------------------------


def compare(
    wanted: Receptionist,
    prompt: Prompt | None,
    ivr: IvrSummary | None,
    found: Ivr | None,
    *,
    certain: bool = False,
) -> ReceptionistChange:
    """What has to be done about one receptionist.

    Parameters:
        wanted: what is declared.
        prompt: its recording, if one is declared.
        ivr: what is there, in short; None if nothing is.
        found: the same in full.
        certain: True counts a PIN that cannot be read as a difference.
    """
    there = Ivr() if found is None else found
    drift = tuple(differences(wanted, prompt, there, certain=certain))
    if ivr is None:
        new = IvrSummary(id="", extension_number=wanted.number, name=wanted.fields.name)
        return ReceptionistChange("create", new, wanted, prompt, drift)
    return ReceptionistChange("update" if drift else "keep", ivr, wanted, prompt, drift)


def differences(
    wanted: Receptionist, prompt: Prompt | None, found: Ivr, *, certain: bool = False
) -> Iterator[Difference]:
    """Every declared field in which ``found`` is not as ``wanted``, as far as that can be known."""
    there = dict(_leaves(write(without_masked(found))))
    for key, value in _leaves(write(wanted.fields, updating=True)):
        before = there.get(key)
        if key == "pin":
            if before not in (None, value) or not found.id:
                yield Difference(key, _HIDDEN if before else "", _HIDDEN)
            elif before is None and certain:
                yield Difference(key, UNREADABLE, _HIDDEN)
        elif not _same(key, before, value):
            yield Difference(key, _text(before), _text(value))
    if prompt is not None and not prompt.is_of(found):
        yield Difference("prompt", line(found.prompt_file_name), prompt.name)


def to_create(fields: Ivr, prompt_file_id: str = "") -> Ivr:
    """What to create a receptionist with: one without a PIN says so, for the PBX wants one."""
    enable_pin = bool(fields.pin)
    return msgspec.structs.replace(fields, enable_pin=enable_pin, prompt_file_id=prompt_file_id)


def to_update(fields: Ivr, prompt_file_id: str = "") -> dict[str, Any]:
    """What to lay over a receptionist that is there."""
    return write(msgspec.structs.replace(fields, prompt_file_id=prompt_file_id), updating=True)


def _leaves(data: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{at}{key}.")
        else:
            yield f"{at}{key}", value


def _same(key: str, before: object, value: object) -> bool:
    if key == "language":
        return str(before).lower() == str(value).lower()
    return before == value


def _text(value: object) -> str:
    if isinstance(value, bool):
        return ("no", "yes")[value]
    return "" if value is None else line(str(value))
