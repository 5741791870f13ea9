"""Convert a recording to what the PBX plays: WAV, PCM, 16 bit, mono, at 16 kHz.

Rule 1: a recording that the PBX plays is returned unchanged.
Rule 2: the rate is converted by a windowed sinc filter, so that nothing above half of the lower
        rate is folded into the band. Each output sample is a sum over `HALF` input samples on each
        side, with the coefficients of its position between two of them (a polyphase filter).
Rule 3: a header may claim more samples than there are, as of a program that writes to a pipe.

Pure.
"""

from __future__ import annotations

import io
import math
import sys
import wave
from array import array
from collections.abc import Sequence
from functools import lru_cache
from operator import mul

from receiver.errors import DeclarationError
from receiver.pbx.audio import RATES, examine, with_simple_header

GOAL = RATES[0]
HALF = 24
_CUTOFF = 0.94  # of half of the lower rate
_RATES = range(8_000, 192_001)
_LOWEST, _HIGHEST = -(2**15), 2**15 - 1


def playable(name: str, data: bytes) -> bytes:
    """Return the recording ``data`` as the PBX plays it.

    Parameters:
        name: of the recording, for errors.
        data: a WAV file with 16 bit, of any number of channels, from 8 to 192 kHz.

    Raises:
        DeclarationError: it is no such file.
    """
    try:
        examine(name, data)
    except DeclarationError as error:
        unplayable = error
    else:
        return data
    try:
        with wave.open(io.BytesIO(with_simple_header(data))) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            octets = file.readframes(file.getnframes())
    except (wave.Error, EOFError, OSError, ValueError, RuntimeError, ArithmeticError):
        raise unplayable from None
    if width != 2 or rate not in _RATES:
        raise unplayable
    whole = octets[: len(octets) // (2 * channels) * 2 * channels]
    samples = _samples(whole)
    if channels > 1:
        tracks = zip(*(samples[number::channels] for number in range(channels)), strict=True)
        samples = array("h", (sum(frame) // channels for frame in tracks))
    if rate not in RATES:
        samples, rate = resampled(samples, rate), GOAL
    made = _wav(samples, rate)
    examine(name, made)
    return made


def marked(data: bytes, mark: bytes) -> bytes:
    """Return a recording followed by silence in which ``mark`` is spelt by the lowest bits.

    So recordings with other marks differ, though they sound the same.

    Parameters:
        data: a recording that the PBX plays.
        mark: 8 bytes are 64 samples, 4 ms at 16 kHz.
    """
    with wave.open(io.BytesIO(with_simple_header(data))) as file:
        rate, octets = file.getframerate(), file.readframes(file.getnframes())
    bits = (byte >> shift & 1 for byte in mark for shift in reversed(range(8)))
    return _wav(_samples(octets) + array("h", bits), rate)


def resampled(samples: Sequence[int], rate: int, goal: int = GOAL) -> array[int]:
    """Return ``samples`` at another rate.

    Parameters:
        samples: of 16 bit.
        rate: theirs, in Hz.
        goal: that of the result.
    """
    shared = math.gcd(rate, goal)
    up, down = goal // shared, rate // shared
    cutoff = _CUTOFF * min(1.0, goal / rate)
    padded = [0] * HALF + list(samples) + [0] * HALF
    made = array("h")
    for number in range(len(samples) * up // down):
        first, phase = divmod(number * down, up)
        window = padded[first + 1 : first + 1 + 2 * HALF]
        value = round(sum(map(mul, window, _coefficients(phase / up, cutoff))))
        made.append(max(_LOWEST, min(_HIGHEST, value)))
    return made


@lru_cache(2048)
def _coefficients(offset: float, cutoff: float) -> tuple[float, ...]:
    """Return the filter for a position ``offset`` behind an input sample; their sum is 1."""
    distances = [position - offset for position in range(1 - HALF, HALF + 1)]
    plain = [_sinc(cutoff * one) * _blackman(one / HALF) for one in distances]
    total = sum(plain)
    return tuple(one / total for one in plain)


def _sinc(x: float) -> float:
    return math.sin(math.pi * x) / (math.pi * x) if x else 1.0


def _blackman(x: float) -> float:
    return 0.42 + 0.5 * math.cos(math.pi * x) + 0.08 * math.cos(2 * math.pi * x)


def _samples(octets: bytes) -> array[int]:
    samples = array("h", octets)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _wav(samples: array[int], rate: int) -> bytes:
    if sys.byteorder == "big":
        samples = samples[:]
        samples.byteswap()
    octets = io.BytesIO()
    with wave.open(octets, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return octets.getvalue()
