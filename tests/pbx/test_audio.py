"""Recordings are checked before they are sent; errors say how to convert them."""

from __future__ import annotations

import contextlib
import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import DeclarationError
from receiver.pbx.audio import RATES, Recording, examine


def wav(rate: int = 16_000, channels: int = 1, width: int = 2, frames: int = 160) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate)
        out.writeframes(bytes(frames * channels * width))
    return file.getvalue()


@pytest.mark.parametrize("rate", RATES)
def test_recordings_that_the_pbx_plays(rate: int) -> None:
    assert examine("a.wav", wav(rate, frames=rate // 4)) == Recording(rate, 0.25)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (wav(8000), "rate of 8 kHz, and the PBX plays 16, 32 or 48 kHz"),
        (wav(44_100), "rate of 44.1 kHz"),
        (wav(channels=2), "2 channels"),
        (wav(width=1), "8 bit a sample"),
        (wav(width=3), "24 bit a sample"),
        (wav(frames=0), "no sound"),
        (wav()[:-20], "is truncated"),
        (wav()[:20], "not a WAV file"),
        (b"", "not a WAV file"),
        (b"ID3\x04 an mp3", "not a WAV file"),
        (wav().replace(b"\x01\x00\x01\x00", b"\x07\x00\x01\x00", 1), "not a WAV file with PCM"),
    ],
)
def test_recordings_that_the_pbx_cannot_play(data: bytes, problem: str) -> None:
    with pytest.raises(DeclarationError, match=problem) as caught:
        examine("my dir/hello.wav", data)
    cure = "ffmpeg -i 'my dir/hello.wav' -ac 1 -ar 16000 -c:a pcm_s16le hello-pbx.wav"
    assert cure in str(caught.value)
    assert "sox 'my dir/hello.wav' -c 1 -r 16000 -b 16 hello-pbx.wav" in str(caught.value)


PCM, FLOAT = (f"0{kind}00000000001000800000aa00389b71" for kind in (1, 3))


def extensible(before: bytes = b"", guid: str = PCM, **options: int) -> bytes:
    """The same recording with the extensible form of its header."""
    simple = wav(**options)
    fields, rest = simple[20:36], simple[36:]
    width = int.from_bytes(fields[14:16], "little")
    header = struct.pack("<H", 0xFFFE) + fields[2:]
    header += struct.pack("<HHI", 22, width, 4) + bytes.fromhex(guid)
    body = b"WAVE" + before + b"fmt " + struct.pack("<I", len(header)) + header + rest
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("before", [b"", b"bext\x03\0\0\0abc\0", b"JUNK\x04\0\0\0fmt "])
def test_an_extensible_header_is_one_of_pcm(before: bytes) -> None:
    assert examine("a.wav", extensible(before)) == Recording(16_000, 0.01)
    with pytest.raises(DeclarationError, match="2 channels"):
        examine("a.wav", extensible(before, channels=2))
    with pytest.raises(DeclarationError, match="24 bit a sample"):
        examine("a.wav", extensible(before, width=3))


def test_an_extensible_header_of_anything_else_is_not() -> None:
    for data in (extensible(guid=FLOAT), extensible()[:50], extensible(guid=PCM[:-2])):
        with pytest.raises(DeclarationError, match="not a WAV file with PCM"):
            examine("a.wav", data)


@given(st.binary(max_size=80), st.integers(0, 60), st.binary(max_size=8))
def test_any_octets_are_a_recording_or_a_clear_error(tail: bytes, at: int, patch: bytes) -> None:
    whole = wav(frames=20)
    wide = extensible(frames=20)
    for data in (
        tail,
        wide[:at] + patch + wide[at + len(patch) :],
        whole[:at] + patch + whole[at + len(patch) :],
    ):
        with contextlib.suppress(DeclarationError):
            examine("a.wav", data)
