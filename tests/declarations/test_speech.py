"""Spoken prompts as values: the name on the PBX, and what cannot be spoken."""

from __future__ import annotations

import re

import pytest

from receiver import DeclarationError, Ivr, Speech
from receiver.declarations.desired_ivr import Prompt
from receiver.pbx import models_ivr

WELCOME = Speech("Welcome to Acme.")


def test_the_name_depends_on_text_and_voice_alone() -> None:
    assert WELCOME.file_name == "Welcome-to-Acme-7da6d92cbb84a2d0.wav"
    names = {
        one.file_name
        for one in (WELCOME, Speech("Welcome to Acme!"), Speech("Welcome to Acme.", "en-us"))
    }
    assert len(names) == 3


def test_white_space_is_not_significant() -> None:
    wrapped = Speech("  Welcome\n    to\tAcme. ")
    assert wrapped.words == "Welcome to Acme."
    assert wrapped.file_name == WELCOME.file_name


@pytest.mark.parametrize(
    ("text", "stem"),
    [
        ("Grüß Gott bei Müller & Söhne", "Gru-Gott-bei-Muller-Sohne"),
        ("您好", "speech"),
        ("-v --help", "v-help"),
        ("a/../b", "a-b"),
        ("word " * 50, "word-word-word-word-word-word-word-word"),
    ],
)
def test_the_name_is_plain_ascii(text: str, stem: str) -> None:
    assert re.fullmatch(rf"{stem}-[0-9a-f]{{16}}\.wav", Speech(text).file_name)


@pytest.mark.parametrize(
    ("speech", "problem"),
    [
        (Speech(""), "is empty"),
        (Speech(" \n"), "is empty"),
        (Speech(5), "is empty"),  # type: ignore[arg-type]
        (Speech("a" * 5001), "more than 5000 characters"),
        (Speech("a\x00b"), "control characters"),
        (Speech("a\ud800b"), "control characters"),
        (Speech("a", ""), "is a name such as"),
        (Speech("a", "-w"), "is a name such as"),
        (Speech("a", "en us"), "is a name such as"),
        (Speech("a", 5), "is a name such as"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_spoken_is_an_error_at_import(speech: Speech, problem: str) -> None:
    assert problem in speech.problem
    with pytest.raises(DeclarationError, match=problem) as caught:
        Ivr("8000", name="Sales", prompt=speech)
    assert caught.value.where.startswith(__file__)


@pytest.mark.parametrize("voice", ["en", "pt-br", "en-us+f3", "piper:en_US-lessac", "mb/de2"])
def test_voices(voice: str) -> None:
    assert Speech("Hello", voice).problem == ""


def test_an_ivr_declares_it_without_a_recording() -> None:
    desired = Ivr("8000", name="Sales", prompt=WELCOME).desired
    assert desired is not None
    assert (desired.prompts, desired.recordings) == ({"prompt": WELCOME}, {})


def test_it_is_recognized_by_its_name_alone() -> None:
    made = Prompt(WELCOME.file_name, b"", spoken=True)
    assert made.is_of(models_ivr.Ivr(prompt_file_name=WELCOME.file_name, prompt_file_size=6))
    assert not made.is_of(models_ivr.Ivr(prompt_file_name="welcome.wav", prompt_file_size=0))
    assert not made.is_of(models_ivr.Ivr(prompt_file_url=f"/api/blobs/{made.digest}"))
