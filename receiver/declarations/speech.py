"""A spoken prompt: a text and a voice, of which a synthesizer makes the recording.

Rule 1: the name of the recording on the PBX contains the digest of text and voice, and of nothing
        else. So it is uploaded when one of them changes, not when another machine or another
        synthesizer makes other bytes of them; and a machine without a synthesizer sees that nothing
        is left to do.
Rule 2: white space is not significant: a text may be wrapped or indented.

Pure.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass

MAX_TEXT = 5000
"""Characters of a text: some six minutes."""

_VOICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+/-]{0,99}")
_MAX_STEM = 40


@dataclass(frozen=True, slots=True)
class Speech:
    """A text for callers, in place of a recording. ::

        sales = Ivr("8000", name="Sales", prompt=Speech("Welcome. Press 1 for sales."))

    ``receiver plan`` and ``receiver apply`` make a recording of it, and upload it if the PBX has
    none of this text and voice. That takes a synthesizer: the program ``espeak-ng``, ``piper``
    (RECEIVER_VOICE_MODEL), or any command (RECEIVER_VOICE_COMMAND). Where the IVR plays the
    recording already, none is needed.

    Parameters:
        text: 1 to 5000 characters.
        voice: a language such as ``"en"`` or ``"pt-br"``, or the synthesizer's name of a voice.
            ``"piper:en"`` is the voice of one synthesizer; otherwise the first one that is
            installed counts. Which one made a recording is no part of its name: another one is
            heard once the voice or the text changes.
    """

    text: str
    voice: str = "en"

    @property
    def words(self) -> str:
        """The text on one line."""
        return " ".join(self.text.split())

    @property
    def file_name(self) -> str:
        """The name of the recording on the PBX, ASCII: how others are stored is not documented."""
        plain = unicodedata.normalize("NFKD", self.words).encode("ascii", "ignore").decode()
        stem = re.sub(r"[^A-Za-z0-9]+", "-", plain)[:_MAX_STEM].strip("-") or "speech"
        return f"{stem}-{self.digest[:16]}.wav"

    @property
    def digest(self) -> str:
        """The SHA-256 of voice and text."""
        return hashlib.sha256(f"{self.voice}\n{self.words}".encode()).hexdigest()

    @property
    def problem(self) -> str:
        """The reason why it cannot be spoken; empty if it can."""
        if not isinstance(self.text, str) or not self.text.strip():
            return "the text of a Speech is empty: write what callers hear"
        if len(self.words) > MAX_TEXT:
            return f"the text of a Speech has more than {MAX_TEXT} characters: shorten it"
        if any(unicodedata.category(c) in ("Cc", "Cs") for c in self.words):
            return "the text of a Speech contains control characters: remove them"
        if not isinstance(self.voice, str) or not _VOICE.fullmatch(self.voice):
            return 'the voice of a Speech is a name such as "en", "en-us" or "piper:en"'
        return ""
