"""Check that a PBX can play a recording, and say how to convert one that it cannot.

Rule 1: pure: bytes in, a value out.
Rule 2: WAV, PCM, 16 bit, mono, at 16, 32 or 48 kHz; nothing else. Since 22.6 the PBX checks it.
Rule 3: an extensible header is rewritten to a simple one, because Python reads it only since 3.12.

Sources: the FAQ of the PBX on prompt files; Microsoft's "Multiple Channel Audio Data and WAVE
Files".
"""

from __future__ import annotations

import io
import shlex
import struct
import wave
from dataclasses import dataclass
from pathlib import PurePath

from receiver.errors import DeclarationError

RATES = (16_000, 32_000, 48_000)


_SIMPLE, _EXTENSIBLE = 1, 0xFFFE  # wFormatTag
_PCM = bytes.fromhex("0100000000001000800000aa00389b71")  # KSDATAFORMAT_SUBTYPE_PCM


@dataclass(frozen=True, slots=True)
class Recording:
    """The format of a recording that the PBX can play; ``rate`` is in Hz."""

    rate: int
    seconds: float


def examine(name: str, data: bytes) -> Recording:
    """Return the format of ``data``.

    Raises:
        DeclarationError: the PBX cannot play it; the text says why, and how to convert it.
    """
    try:
        with wave.open(io.BytesIO(with_simple_header(data))) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            frames, readable = file.getnframes(), len(file.readframes(file.getnframes()))
    except (wave.Error, EOFError, OSError, ValueError, RuntimeError, ArithmeticError):
        raise _unplayable(name, "is not a WAV file with PCM, or is damaged") from None
    if width != 2:
        raise _unplayable(name, f"has {8 * width} bit a sample, and the PBX plays 16")
    if channels != 1:
        raise _unplayable(name, f"has {channels} channels, and the PBX plays 1 (mono)")
    if rate not in RATES:
        rates = "16, 32 or 48 kHz"
        raise _unplayable(name, f"has a rate of {rate / 1000:g} kHz, and the PBX plays {rates}")
    if readable < frames * width:
        raise _unplayable(name, "is truncated")
    if not frames:
        raise _unplayable(name, "contains no sound")
    return Recording(rate, frames / rate)


def with_simple_header(data: bytes) -> bytes:
    """Return ``data`` with a simple header if it is PCM with an extensible one, else unchanged."""
    position = 12  # behind RIFF, the size, and WAVE
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        if name == b"fmt ":
            header = data[position + 8 : position + 8 + size]
            if header[:2] == struct.pack("<H", _EXTENSIBLE) and header[24:40] == _PCM:
                start = position + 8
                return data[:start] + struct.pack("<H", _SIMPLE) + data[start + 2 :]
            return data
        position += 8 + size + size % 2
    return data


def _unplayable(name: str, problem: str) -> DeclarationError:
    source, goal = shlex.quote(name), shlex.quote(f"{PurePath(name).stem}-pbx.wav")
    return DeclarationError(
        f"{name!r} {problem}: convert it with  ffmpeg -i {source} -ac 1 -ar 16000 -c:a pcm_s16le "
        f"{goal}  or  sox {source} -c 1 -r 16000 -b 16 {goal}"
    )
