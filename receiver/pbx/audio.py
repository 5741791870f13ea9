"""Whether a PBX can play a recording, found out here, where the cure can be named.

Rule 1: pure: octets in, a value out.
Rule 2: WAV, PCM, 16 bit, mono, at 16, 32 or 48 kHz; nothing else. Since 22.6 the PBX looks itself.

Source: the FAQ of the PBX on prompt files.
"""

from __future__ import annotations

import io
import shlex
import wave
from dataclasses import dataclass
from pathlib import PurePath

from receiver.errors import DeclarationError

RATES = (16_000, 32_000, 48_000)


@dataclass(frozen=True, slots=True)
class Recording:
    """What is known of a recording that the PBX can play; ``rate`` is in Hz."""

    rate: int
    seconds: float


def examine(name: str, data: bytes) -> Recording:
    """What ``data`` is, if the PBX can play it.

    Raises:
        DeclarationError: it cannot; the text says why, and which command makes it so.
    """
    try:
        with wave.open(io.BytesIO(data)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            frames, there = file.getnframes(), len(file.readframes(file.getnframes()))
    except (wave.Error, EOFError, OSError, ValueError, RuntimeError, ArithmeticError):
        raise _unplayable(name, "is not a WAV file with PCM, or is broken") from None
    if width != 2:
        raise _unplayable(name, f"has {8 * width} bit a sample, and the PBX plays 16")
    if channels != 1:
        raise _unplayable(name, f"has {channels} channels, and the PBX plays 1 (mono)")
    if rate not in RATES:
        rates = "16, 32 or 48 kHz"
        raise _unplayable(name, f"has a rate of {rate / 1000:g} kHz, and the PBX plays {rates}")
    if there < frames * width:
        raise _unplayable(name, "ends before all that it announces has come")
    if not frames:
        raise _unplayable(name, "holds no sound")
    return Recording(rate, frames / rate)


def _unplayable(name: str, problem: str) -> DeclarationError:
    source, goal = shlex.quote(name), shlex.quote(f"{PurePath(name).stem}-pbx.wav")
    return DeclarationError(
        f"{name!r} {problem}: convert it with  ffmpeg -i {source} -ac 1 -ar 16000 -c:a pcm_s16le "
        f"{goal}  or  sox {source} -c 1 -r 16000 -b 16 {goal}"
    )
