"""Secrets that could be guessed, and those that generators make."""

from __future__ import annotations

import base64
import uuid
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.auth.entropy import MIN_BITS, estimate, is_guessable


def octets(number: int) -> st.SearchStrategy[bytes]:
    """Return random octets of a generator; hypothesis itself prefers regular ones."""
    return st.integers(0, 2**64).map(lambda seed: Random(seed).randbytes(number))  # noqa: S311


@given(octets(32))
def test_the_command_that_is_recommended_passes(drawn: bytes) -> None:
    """``secrets.token_hex(32)``."""
    assert not is_guessable(drawn.hex())


@given(octets(32), octets(24), octets(16))
def test_what_other_generators_make_passes(b32: bytes, b24: bytes, b16: bytes) -> None:
    """``openssl rand -base64 32``, ``secrets.token_urlsafe(24)``, ``uuid4``, ``token_hex(16)``."""
    assert not is_guessable(base64.b64encode(b32).decode())
    assert not is_guessable(base64.urlsafe_b64encode(b24).decode())
    assert not is_guessable(base64.b32encode(b32).decode())
    assert not is_guessable(str(uuid.UUID(bytes=b16, version=4)))
    assert not is_guessable(b16.hex())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "changemechangeme",
        "ChangeMe-ChangeMe-ChangeMe-ChangeMe-ChangeMe",
        "PleaseChangeThisSecret2026!",
        "P4ssw0rd!P4ssw0rd!P4ssw0rd!",
        "password123password123password123",
        "my-very-secret-development-token",
        "RECEIVER_SECRET_FOR_PRODUCTION",
        "the service secret of the tests",
        "correct horse battery staple",
        "0123456789abcdef0123456789abcdef",
        "12345678901234567890123456789012",
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "qwertyuiopasdfghjklzxcvbnm",
        "ssssssssssssssssssssssssssssssss",
        "aaaaaaaabbbbbbbbccccccccdddddddd",
        "deadbeefdeadbeefdeadbeefdeadbeef",
        "00000000-0000-0000-0000-000000000000",
        "11111111-2222-3333-4444-555555555555",
        "AbCdAbCdAbCdAbCdAbCdAbCdAbCdAbCd",
        "zyxwvutsrqponmlkjihgfedcba",
        "8f3a9c1d",
        "Tr0ub4dor&3",
        "your_secret_goes_here_replace_this_with_a_random_string",
        "replace-with-output-of-openssl-rand-hex-32",
        "supersecretkey-for-receiver-do-not-share",
        "00112233445566778899aabbccddeeff",
        "1111222233334444555566667777888899990000",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6",
        "A1B2C3D4E5F60718293A4B5C6D7E8F90",
        "1q2w3e4r5t6y7u8i9o0p1q2w3e4r5t6y",
        "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
        "!QAZ2wsx#EDC4rfv%TGB6yhn&UJM8ik<",
        "P@ssw0rd1234567890!@#$%^&*()",
    ],
)
def test_what_people_invent_is_refused(text: str) -> None:
    assert is_guessable(text)


@pytest.mark.parametrize(
    "plain", [b"changemechangeme" * 2, b"correct horse battery", bytes(32), bytes(range(32))]
)
def test_what_is_written_in_hexadecimal_or_base64_stays_as_easy(plain: bytes) -> None:
    for written in (plain.hex(), base64.b64encode(plain).decode()):
        assert is_guessable(written)


@given(st.text(max_size=8), st.integers(2, 40))
def test_repeating_adds_next_to_nothing(text: str, times: int) -> None:
    assert estimate(text * times) <= max(estimate(text), 8.0 * len(text)) + 8
    assert is_guessable(text * times) or len(set(text)) > 6


@given(st.characters(), st.integers(0, 300))
def test_one_character_is_worth_nothing(character: str, times: int) -> None:
    assert estimate(character * times) == 0


@given(st.text(max_size=100))
def test_an_estimate_is_a_number_of_bits(text: str) -> None:
    assert 0 <= estimate(text) <= 7 * len(text)
    assert is_guessable(text) is (estimate(text) < MIN_BITS)
