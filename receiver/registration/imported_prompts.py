"""Copies of a PBX's prompts, under names that a plan recognises.

Rule 1: a recording that `apply` uploaded has the digest at the end of its name
        (`receiver.declarations.desired_ivr.Prompt`), which is removed: from the file it is the
        same name again.
Rule 2: the PBX's name may be anything: of it a file has letters, digits, ``-``, ``_`` and ``.``.
Rule 3: two prompts of one name and different content are two files.

Pure.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import PurePath

from receiver.declarations.desired_ivr import Prompt
from receiver.errors import DeclarationError
from receiver.pbx.audio import examine
from receiver.pbx.models_ivr import Ivr

_STEM = 40  # characters
_SUFFIX = ".wav"


@dataclass(frozen=True, slots=True)
class PromptCopy:
    """A prompt of the PBX on this machine.

    Attributes:
        file: its name, beside the file of the declarations.
        prompt: its content, under the name that a plan compares; None if there is no copy.
        problem: why it cannot be declared; empty if it can.
    """

    file: str = ""
    prompt: Prompt | None = None
    problem: str = ""


@dataclass(slots=True)
class PromptCopies:
    """The copies that are made for one file of declarations.

    Attributes:
        longest: bytes of the longest prompt that is downloaded.
        files: the content of each, by the name of the file.
    """

    longest: int = 20 * 1024 * 1024
    files: dict[str, bytes] = field(default_factory=dict)

    def add(self, ivr: Ivr, option: str, data: bytes) -> PromptCopy:
        """Add a prompt and return its copy.

        Parameters:
            ivr: the IVR, as the PBX shows it.
            option: ``prompt`` or ``transfer_prompt``.
            data: the recording.
        """
        name = getattr(ivr, f"{option}_file_name")
        try:
            examine(name, data)
        except DeclarationError as error:
            return PromptCopy(problem=error.problem)
        stem = _stem(name, data) or f"{ivr.extension_number}-{option}"
        file = next(one for one in _names(stem, ivr.extension_number) if self._fits(one, data))
        self.files[file] = data
        return PromptCopy(file, Prompt.of(PurePath(file), data))

    def _fits(self, file: str, data: bytes) -> bool:
        taken = {name.lower(): name for name in self.files}  # some file systems ignore the case
        return file.lower() not in taken or self.files.get(file) == data


def _stem(name: str, data: bytes) -> str:
    plain = name.replace("\\", "/").rpartition("/")[2]
    plain = plain[: -len(_SUFFIX)] if plain.lower().endswith(_SUFFIX) else plain
    plain = plain.removesuffix(f"-{hashlib.sha256(data).hexdigest()[:8]}")
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in plain)
    return safe[:_STEM].lstrip(".-")


def _names(stem: str, number: str) -> list[str]:
    """Return names for a file; only the first is the same for a plan as that on the PBX."""
    return [f"{one}{_SUFFIX}" for one in (stem, *(f"{stem}-{number}-{n}" for n in range(1, 99)))]
