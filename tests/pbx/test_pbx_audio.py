"""Recordings are examined before they are sent, and the cure is named."""

from __future__ import annotations

import contextlib
import io
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
def test_what_the_pbx_plays(rate: int) -> None:
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
        (wav()[:-20], "ends before"),
        (wav()[:20], "not a WAV file"),
        (b"", "not a WAV file"),
        (b"ID3\x04 an mp3", "not a WAV file"),
        (wav().replace(b"\x01\x00\x01\x00", b"\x07\x00\x01\x00", 1), "not a WAV file with PCM"),
    ],
)
def test_what_it_does_not_play(data: bytes, problem: str) -> None:
    with pytest.raises(DeclarationError, match=problem) as caught:
        examine("my dir/hello.wav", data)
    cure = "ffmpeg -i 'my dir/hello.wav' -ac 1 -ar 16000 -c:a pcm_s16le hello-pbx.wav"
    assert cure in str(caught.value)
    assert "sox 'my dir/hello.wav' -c 1 -r 16000 -b 16 hello-pbx.wav" in str(caught.value)


@given(st.binary(max_size=80), st.integers(0, 60), st.binary(max_size=8))
def test_any_octets_are_a_recording_or_a_clear_error(tail: bytes, at: int, patch: bytes) -> None:
    whole = wav(frames=20)
    for data in (tail, whole[:at] + patch + whole[at + len(patch) :]):
        with contextlib.suppress(DeclarationError):
            examine("a.wav", data)
