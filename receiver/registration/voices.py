"""The recordings of spoken prompts, each made once and kept in a cache folder.

Rule 1: the synthesizer of a voice ``piper:en`` is the one of that name; of any other voice the
        first that can be used here: the command of RECEIVER_VOICE_COMMAND, piper, espeak-ng, then
        those of other distributions by name.
Rule 2: a recording in the cache counts for its text, voice, synthesizer and that one's version. The
        cache may be deleted at any time, and a folder that cannot be written costs time only. When
        a recording is added, those not used for the longest time are deleted down to the limit.
Rule 3: a recording is returned as the PBX plays it (`receiver.pbx.resample`). It ends with an
        inaudible mark of its text and voice: a PBX that stores a file by the digest of its bytes
        would show an equal one under the name of the first.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import NamedTuple

from receiver.declarations.speech import Speech
from receiver.errors import DeclarationError, RegistrationError, SettingsError
from receiver.pbx.audio import examine
from receiver.pbx.resample import marked, playable
from receiver.registration.synthesizers import Synthesizer
from receiver.settings import Settings
from receiver.text import short

MAX_CACHE = 100_000_000
"""Bytes of the cache folder, about an hour of recordings."""

GROUP = "receiver.voices"
"""The entry-point group of synthesizers, of any distribution."""

_FIRST = ("command", "piper", "espeak-ng")

HOW_TO_INSTALL = (
    "install the program espeak-ng (Debian: apt install espeak-ng); or  pip install "
    "'portsip-receiver[piper]'  and set RECEIVER_VOICE_MODEL to the .onnx file of a voice; or set "
    "RECEIVER_VOICE_COMMAND to a command such as  say-it {text_file} {out}"
)


class Spoken(NamedTuple):
    """A recording, and the name and version of the synthesizer that made it."""

    data: bytes
    synthesizer: str


class Voices:
    """The synthesizers of this machine.

    Parameters:
        settings: name a command, or a model of piper.
        cache: the folder of recordings; by default that of the user.
        max_cache: bytes of all files in it.
    """

    def __init__(
        self, settings: Settings, *, cache: Path | None = None, max_cache: int = MAX_CACHE
    ) -> None:
        self._settings = settings
        self._cache = cache_folder() if cache is None else cache
        self._max_cache = max_cache

    def speak(self, speech: Speech) -> bytes:
        """Return the recording of ``speech``, as the PBX plays it; see `spoken`."""
        return self.spoken(speech).data

    def spoken(self, speech: Speech) -> Spoken:
        """Return the recording of ``speech``, of the cache or a new one.

        Raises:
            DeclarationError: the text or the voice cannot be spoken.
            SettingsError: no synthesizer can be used; the text says what to install.
            RegistrationError: the synthesizer failed.
        """
        if speech.problem:
            raise DeclarationError(speech.problem)
        name, one, voice = self._find(speech.voice)
        key = json.dumps([name, one.version, speech.voice, speech.words])
        digest = hashlib.sha256(key.encode()).hexdigest()
        file = None if self._cache is None else self._cache / f"{digest}.wav"
        data = None if file is None else _read(file)
        if data is None:
            made = one.synthesize(speech.words, voice)
            try:
                data = marked(playable(name, made), bytes.fromhex(speech.digest[:16]))
            except DeclarationError as error:
                raise RegistrationError(
                    f"what the synthesizer {name} made cannot be used: {error.problem}"
                ) from None
            if file is not None:
                _write(file, data)
                _prune(file.parent, self._max_cache)
        return Spoken(data, name if name == "command" else f"{name} {one.version}")

    def _find(self, voice: str) -> tuple[str, Synthesizer, str]:
        """Return the name and the synthesizer of ``voice``, and its name of the voice."""
        prefix, colon, rest = voice.partition(":")
        points = self._points
        if colon and prefix in points:
            one = self._made(prefix)
            if not one.version:
                raise SettingsError(
                    f"the synthesizer {prefix} of the voice {voice!r} cannot be used here: "
                    f"{HOW_TO_INSTALL}"
                )
            return prefix, one, rest
        for name in points:
            if (one := self._made(name)).version:
                return name, one, voice
        raise SettingsError(f"no synthesizer for spoken prompts is installed: {HOW_TO_INSTALL}")

    @cached_property
    def _points(self) -> Mapping[str, EntryPoint]:
        found = {point.name: point for point in sorted(entry_points(group=GROUP))}
        return {name: found[name] for name in (*_FIRST, *found) if name in found}

    def _made(self, name: str) -> Synthesizer:
        point = self._points[name]
        try:
            made: Synthesizer = point.load()(self._settings)
        except Exception as error:  # another package's module may raise anything
            text = f"{type(error).__name__}: {error}"
            raise RegistrationError(
                f"the synthesizer {name} ({point.value}) is broken: {short(text, 200)}"
            ) from error
        return made


def cache_folder(
    environ: Mapping[str, str] | None = None, platform: str = sys.platform, home: Path | None = None
) -> Path | None:
    """Return the folder of recordings, by the convention of the platform; None without a home.

    Parameters:
        environ: the environment, by default that of the process.
        platform: as `sys.platform`.
        home: the user's folder.
    """
    environ = os.environ if environ is None else environ
    try:
        home = Path.home() if home is None else home
    except RuntimeError:  # a user without a home, as in a container
        return None
    if platform == "win32":
        base = Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        named = Path(environ.get("XDG_CACHE_HOME", ""))
        base = named if named.is_absolute() else home / ".cache"  # so the convention has it
    return base / "portsip-receiver" / "speech"


def _read(file: Path) -> bytes | None:
    """Return a recording of the cache, and note its use; None if it is missing or damaged."""
    try:
        data = file.read_bytes()
        examine(file.name, data)
    except (OSError, DeclarationError):
        return None
    with suppress(OSError):  # a folder that cannot be written
        os.utime(file)
    return data


def _write(file: Path, data: bytes) -> None:
    with suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=file.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(data)
            os.replace(part, file)
        except OSError:
            os.unlink(part)
            raise


def _prune(folder: Path, max_bytes: int) -> None:
    """Delete the files not used for the longest time, also parts that a killed process left."""
    with suppress(OSError):  # another process deletes, too
        states = {file: file.stat() for file in folder.iterdir()}
        total = sum(state.st_size for state in states.values())
        for file, state in sorted(states.items(), key=lambda item: item[1].st_mtime_ns):
            if total <= max_bytes:
                break
            file.unlink()
            total -= state.st_size
