"""The desired state of an IVR, as far as it is declared.

Rule 1: a value that the PBX would refuse is an error at import; prompt files are checked by plan.
Rule 2: the name of a prompt file on the PBX contains its digest, so it is uploaded once; that of a
        spoken prompt the digest of its text and voice (`receiver.declarations.speech`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any, Literal, TypedDict

from receiver.credentials import Secret
from receiver.declarations.speech import Speech
from receiver.errors import DeclarationError
from receiver.pbx import checks
from receiver.pbx.models_ivr import Ivr
from receiver.replies import Reply, is_reply

_HIDDEN = "***"
_STEM = 40


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
        dtmf_interval: seconds that the PBX waits for a further digit, from 1.
        timeout: seconds without a key after which ``timeout_reply`` counts, from 1.
        timeout_reply: `Forward`, `Hangup` or `Repeat`.
        repeat_times: how often the prompt is repeated without a key before that, from 0.
        failure_reply: the same, for a call that could not be put through.
        pin: the DISA PIN, digits with which a caller dials out through the PBX where the menu leads
            to DISA; it is switched on, too. Not declared, neither is sent: the PBX's own stays.
            Up to 22.2: 6 to 10 digits, no 111, no 012; since 22.3 the tenant's policy decides.
    """

    name: str
    language: str
    prompt: str | Path | Speech
    dtmf_interval: int
    timeout: int
    timeout_reply: Reply
    repeat_times: int
    failure_reply: Reply
    pin: str | Secret


@dataclass(frozen=True, slots=True)
class DesiredIvr:
    """The declared fields of an IVR.

    Attributes:
        fields: the declared fields with the extension number; the rest is blank.
        prompt: the file or the text of its prompt; None if that is not declared.
        where: ``file:line`` of the declaration.
        recording: the content of ``prompt``, once it was read; that of a text may be blank.
    """

    fields: Ivr
    prompt: Path | Speech | None = None
    where: str = field(default="", compare=False)
    recording: Prompt | None = None

    @property
    def number(self) -> str:
        return self.fields.extension_number


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
        stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in path.stem)[:_STEM]
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
        known = ", ".join(IvrOptions.__annotations__)
        raise DeclarationError(f"{min(unknown)}= is no option of an Ivr: there are {known}", where)
    if not options:
        return None
    if "name" not in options:
        raise DeclarationError(
            f"{min(options)}= is for an Ivr that declares the IVR itself: give it a name= too",
            where,
        )
    try:
        fields = checks.parse(Ivr, {"extension_number": number, **_fields(options)})
        checks.refuse(f"Ivr({number!r}) cannot be declared so", _problems(fields, options))
    except DeclarationError as error:
        raise DeclarationError(error.problem, where) from None
    return DesiredIvr(fields, _source(options.get("prompt"), where), where)


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


def _source(prompt: str | Path | Speech | None, where: str) -> Path | Speech | None:
    """Return what a recording is read or made of; a path counts from the declaring file."""
    if prompt is None or isinstance(prompt, Speech):
        return prompt
    return Path(where.rpartition(":")[0]).parent / prompt


def _fields(options: IvrOptions) -> dict[str, Any]:
    """Return the declared options as the PBX's fields."""
    made: dict[str, Any] = {
        key: options[key] for key in ("name", "language", "dtmf_interval") if key in options
    }
    timeout: dict[str, Any] = {
        key: options[key] for key in ("timeout", "repeat_times") if key in options
    }
    timeout |= _rule("timeout_reply", options)
    if timeout:
        made["timeout_forward_rule"] = timeout
    if failure := _rule("failure_reply", options):
        made["failure_forward_rule"] = failure
    if "pin" in options:
        pin = options["pin"]
        made |= {"enable_pin": True, "pin": pin.reveal() if isinstance(pin, Secret) else pin}
    return made


def _rule(option: Literal["timeout_reply", "failure_reply"], options: IvrOptions) -> dict[str, str]:
    if option not in options:
        return {}
    reply: object = options[option]
    if is_reply(reply) and reply.rule:
        return {"action": reply.rule, **({"number": reply.target} if reply.target else {})}
    raise DeclarationError(f'{option} must be a reply such as Forward("0"), Hangup() or Repeat()')


def _problems(fields: Ivr, options: IvrOptions) -> Iterator[str]:
    blank = (key for key in ("language", "pin", "prompt") if key in options and not options[key])
    yield from (f"{key} is empty: leave it out" for key in blank)
    rule = fields.timeout_forward_rule
    if "timeout" in options and not (rule and rule.timeout):
        yield "timeout must be at least 1 second"
    prompt: object = options.get("prompt", "")
    if isinstance(prompt, Speech) and prompt.problem:
        yield prompt.problem
    elif not isinstance(prompt, str | Path | Speech):
        yield 'prompt must be the path of a WAV file, or a Speech("…")'
    yield from checks.problems(fields, creating=True)
