"""Synthesizers: programs that speak a text into a WAV file.

Rule 1: a program gets the text in a file or on its standard input, never as an argument: no text is
        taken for an option, and no shell runs.
Rule 2: a program has `SECONDS`, may write `MAX_BYTES`, and gets no RECEIVER_* variable. It is
        killed with its children.
Rule 3: a class of the entry-point group ``receiver.voices`` is called with the settings, and is a
        `Synthesizer`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import cached_property
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Protocol

from receiver.errors import RegistrationError
from receiver.settings import PREFIX, Settings
from receiver.text import short

SECONDS = 60.0
MAX_BYTES = 20 * 1024 * 1024

_POLL = 0.2  # seconds between two looks at the size of what a program writes


class Synthesizer(Protocol):
    """A program, or a service, that speaks.

    Attributes:
        version: of the program and what else decides how it speaks; empty if it cannot be used
            here, because the program or a setting is missing.
    """

    @property
    def version(self) -> str: ...

    def synthesize(self, text: str, voice: str) -> bytes:
        """Return a WAV file: PCM, 16 bit, of any number of channels, from 8 to 192 kHz.

        Parameters:
            text: on one line.
            voice: as in `receiver.Speech`, without the synthesizer's name.

        Raises:
            ReceiverError: it failed; the text says why, and what to do.
        """


class Command:
    """Any command (RECEIVER_VOICE_COMMAND)."""

    def __init__(self, settings: Settings) -> None:
        self._arguments = settings.voice_command

    @property
    def version(self) -> str:
        return shlex.join(self._arguments)

    def synthesize(self, text: str, voice: str) -> bytes:
        arguments = [voice if one == "{voice}" else one for one in self._arguments]
        return run(arguments, text, "correct RECEIVER_VOICE_COMMAND, or the voice")


class Piper:
    """``piper``, with the voice of RECEIVER_VOICE_MODEL: a file, or a folder of ``VOICE.onnx``."""

    def __init__(self, settings: Settings) -> None:
        self._model = settings.voice_model

    @cached_property
    def _program(self) -> str | None:
        return find_program("piper")

    @property
    def version(self) -> str:
        if self._model is None or self._program is None:
            return ""
        try:
            release = metadata.version("piper-tts")
        except metadata.PackageNotFoundError:  # the program of a distribution
            release = ""
        size = self._model.stat().st_size if self._model.is_file() else 0
        return f"{release} {self._model.name} {size}"

    def synthesize(self, text: str, voice: str) -> bytes:
        assert self._model is not None  # noqa: S101 - for the type checker
        assert self._program is not None  # noqa: S101
        folder = self._model.is_dir()
        model = self._model / f"{voice}.onnx" if folder else self._model
        if not model.is_file():
            raise RegistrationError(
                f"there is no voice {short(str(model))}: python -m piper.download_voices lists and "
                "fetches them; set RECEIVER_VOICE_MODEL to its .onnx file, or to the folder of "
                "several"
            )
        arguments = [self._program, "--model", str(model), "--output_file", "{out}"]
        return run(arguments, text, "check that the voice's .onnx.json is beside its .onnx file")


class EspeakNg:
    """``espeak-ng``, where it is installed."""

    def __init__(self, settings: Settings) -> None:
        self._program = find_program("espeak-ng")

    @cached_property
    def version(self) -> str:
        if self._program is None:
            return ""
        command = [self._program, "--version"]
        try:
            found = subprocess.run(  # noqa: S603 - no shell, and a program of this machine
                command, capture_output=True, timeout=SECONDS, env=_environment(), check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        text = found.stdout.decode(errors="replace").partition("Data at")[0]
        return text.strip().rpartition(" ")[2]

    def synthesize(self, text: str, voice: str) -> bytes:
        arguments = [str(self._program), "-b", "1", "-v", voice, "-w", "{out}", "--stdin"]
        return run(arguments, text, "espeak-ng --voices lists the voices")


def find_program(name: str) -> str | None:
    """Return the path of a program: of this Python's environment, or of PATH."""
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    return beside or shutil.which(name)


def run(
    arguments: Sequence[str],
    text: str,
    cure: str,
    *,
    seconds: float = SECONDS,
    max_bytes: int = MAX_BYTES,
) -> bytes:
    """Run a command, and return what it made.

    Parameters:
        arguments: the program and its arguments; ``{text_file}`` stands for a file with the text,
            which is on standard input too, and ``{out}`` for the file that the program writes.
            Without it the program writes to standard output.
        text: what is spoken.
        cure: what to do if it fails.
        seconds: after which it is killed.
        max_bytes: that it may write.

    Raises:
        RegistrationError: it does not start, takes too long, fails, or writes nothing or too much.
    """
    program = short(Path(arguments[0]).name, 40)
    with TemporaryDirectory(prefix="receiver-speech-") as folder:
        source, out, printed, errors = (Path(folder, end) for end in ("text", "wav", "out", "err"))
        source.write_text(f"{text}\n", "utf-8")
        places = {"{text_file}": str(source), "{out}": str(out)}
        command = [places.get(one, one) for one in arguments]
        with source.open("rb") as stdin, printed.open("wb") as stdout, errors.open("wb") as stderr:
            process = _start(command, (stdin, stdout, stderr), program, cure)
            problem = _wait(process, (out, printed, errors), seconds, max_bytes)
        made = out if "{out}" in arguments else printed
        if not problem and not _size([made]):
            problem = "wrote nothing"
        if problem:
            said = _last_line(errors)
            raise RegistrationError(f"the synthesizer {program} {problem}{said}: {cure}")
        return made.read_bytes()


def _start(
    command: Sequence[str], streams: Sequence[IO[bytes]], program: str, cure: str
) -> subprocess.Popen[bytes]:
    stdin, stdout, stderr = streams
    try:
        return subprocess.Popen(  # noqa: S603 - the operator's own command, no shell
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=_environment(),
            start_new_session=True,
        )
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RegistrationError(
            f"the synthesizer {program} does not start ({reason}): install it, or {cure}"
        ) from None


def _wait(
    process: subprocess.Popen[bytes], written: Sequence[Path], seconds: float, max_bytes: int
) -> str:
    """Return why a process failed; empty if it did not. It has ended then."""
    ends = time.monotonic() + seconds
    problem = ""
    while not problem:
        try:
            status = process.wait(max(0.0, min(_POLL, ends - time.monotonic())))
            problem = f"failed with status {status}" if status else ""
            break
        except subprocess.TimeoutExpired:
            if time.monotonic() >= ends:
                problem = f"took more than {seconds:g} s"
            elif _size(written) > max_bytes:
                break
    if _size(written) > max_bytes:
        problem = f"wrote more than {max_bytes} bytes"
    if process.poll() is None:
        _kill(process)
    return problem


def _size(written: Sequence[Path]) -> int:
    return sum(path.stat().st_size for path in written if path.is_file())


def _kill(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)  # it leads its group, and is not reaped yet
    else:  # pragma: no cover - Windows
        process.kill()
    process.wait()


def _last_line(errors: Path) -> str:
    text = errors.read_bytes()[-2000:].decode(errors="replace").strip()
    return f' ("{short(text.splitlines()[-1], 200)}")' if text else ""


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
