"""Recordings, and programs that make them in place of a synthesizer."""

from __future__ import annotations

import io
import math
import sys
import wave
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

from receiver import Speech


def tone(hertz: float, rate: int, count: int) -> list[int]:
    return [round(20_000 * math.sin(2 * math.pi * hertz * n / rate)) for n in range(count)]


def loudness(samples: Sequence[int]) -> float:
    return math.sqrt(sum(one * one for one in samples) / len(samples))


def wav(samples: Sequence[int], rate: int = 16_000, channels: int = 1) -> bytes:
    octets = io.BytesIO()
    with wave.open(octets, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(array("h", samples).tobytes())
    return octets.getvalue()


def samples_of(data: bytes) -> array[int]:
    with wave.open(io.BytesIO(data)) as file:
        return array("h", file.readframes(file.getnframes()))


class Speaker:
    """A synthesizer in memory; ``machine`` makes its recordings differ from those of another.

    Attributes:
        spoken: the texts, in their order.
    """

    def __init__(self, machine: int = 1) -> None:
        self.machine = machine
        self.spoken: list[str] = []

    def __call__(self, speech: Speech) -> bytes:
        self.spoken.append(speech.words)
        return wav([self.machine, *speech.file_name.encode()] * 3)


Program = Callable[[str], str]


def script(folder: Path, body: str) -> str:
    """Return the command that runs ``body``, where ``say(data)`` writes the result."""
    file = folder / "say-it.py"
    head = "import sys, time, os\nfrom pathlib import Path\n"
    file.write_text(head + body)
    return f"{sys.executable} {file}"
