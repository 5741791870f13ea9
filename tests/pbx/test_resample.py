"""Conversion of recordings: rates, channels, and headers of programs that write to a pipe."""

from __future__ import annotations

import struct
import sys
from itertools import pairwise

import pytest

from receiver import DeclarationError
from receiver.pbx.audio import Recording, examine
from receiver.pbx.resample import marked, playable, resampled
from tests.pbx.test_audio import extensible
from tests.recordings import loudness, samples_of, tone, wav


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 24_000, 44_100])
def test_speech_keeps_its_length_and_its_loudness(rate: int) -> None:
    said = tone(1000, rate, rate // 4)
    made = resampled(said, rate)
    assert len(made) == pytest.approx(4000, abs=1)
    assert loudness(made) == pytest.approx(loudness(said), rel=0.01)
    # The zero crossings are those of 1 kHz: the pitch is the same.
    crossings = sum(a < 0 <= b for a, b in pairwise(made))
    assert crossings == pytest.approx(250, abs=2)


@pytest.mark.parametrize(("rate", "hertz"), [(22_050, 9_500), (44_100, 12_000), (48_001, 20_000)])
def test_what_is_above_the_new_band_is_not_folded_into_it(rate: int, hertz: int) -> None:
    said = tone(hertz, rate, rate // 10)
    assert loudness(resampled(said, rate)) < loudness(said) / 100


def test_a_constant_stays_constant_and_peaks_do_not_wrap() -> None:
    middle = resampled([1000] * 400, 22_050)[60:-60]
    assert set(middle) == {1000}
    square = ([32_767] * 20 + [-32_768] * 20) * 20
    assert max(resampled(square, 22_050)) == 32_767
    assert min(resampled(square, 22_050)) == -32_768


def test_what_the_pbx_plays_is_unchanged() -> None:
    for rate in (16_000, 32_000, 48_000):
        assert playable("a.wav", wav([1, 2, 3], rate)) == wav([1, 2, 3], rate)


def test_an_extensible_header_is_read() -> None:
    assert playable("a.wav", extensible()) == extensible()
    assert len(samples_of(marked(extensible(), bytes(8)))) == 160 + 64
    assert examine("a.wav", playable("a.wav", extensible(rate=8_000))).rate == 16_000


def test_another_rate_becomes_16_khz() -> None:
    made = playable("a.wav", wav(tone(440, 22_050, 2205), 22_050))
    assert examine("a.wav", made) == Recording(16_000, 0.1)


def test_channels_are_mixed() -> None:
    assert list(samples_of(playable("a.wav", wav([100, 300, -50, 50], channels=2)))) == [200, 0]


def test_a_header_that_claims_too_much_is_corrected() -> None:
    whole = bytearray(wav([1, 2, 3], 16_000))
    whole[40:44] = struct.pack("<I", 0x7FFFF000)
    assert list(samples_of(playable("a.wav", bytes(whole) + b"\x01"))) == [1, 2, 3]


def test_a_machine_of_the_other_byte_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Swapped when read and when written, a mono recording comes out as it went in."""
    monkeypatch.setattr(sys, "byteorder", "big")
    assert playable("a.wav", wav([256, 512, 256, 512], channels=2)) != b""
    swapped = samples_of(playable("a.wav", wav([256, 256, 512, 512], channels=2)))
    assert list(swapped) == [256, 512]


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_a_mark_is_inaudible_and_tells_equal_recordings_apart(rate: int) -> None:
    plain = wav([500, -500] * 200, rate)
    made = [marked(plain, mark) for mark in (bytes(8), b"\xff" * 8, b"\x80" + bytes(7))]
    assert len(set(made)) == 3
    for one in made:
        assert samples_of(one)[:400] == samples_of(plain)
        assert len(samples_of(one)) == 464
        assert set(samples_of(one)[400:]) <= {0, 1}
        assert examine("a.wav", one).rate == rate
    assert list(samples_of(made[2])[400:402]) == [1, 0]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"RIFF", "not a WAV file"),
        (wav([]), "contains no sound"),
        (wav([], 22_050), "rate of 22.05 kHz|contains no sound"),
        (wav([1], 4_000), "rate of 4 kHz"),
        (wav([1], 400_000), "rate of 400 kHz"),
        (wav([1, 2])[:34] + b"\x08" + wav([1, 2])[35:], "8 bit a sample|not a WAV file"),
    ],
)
def test_what_cannot_be_converted(data: bytes, problem: str) -> None:
    with pytest.raises(DeclarationError, match=problem):
        playable("a.wav", data)
