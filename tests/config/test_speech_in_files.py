"""Spoken prompts and announcements in a configuration file."""

from __future__ import annotations

import tomllib

import jsonschema
import pytest

from receiver import Announcement, Forward, Speech
from receiver.config.catalogue import installed
from receiver.config.json_schema import schema
from receiver.declarations.ivr import desired_ivrs
from receiver.testing import Phone
from tests.config.files import FOLDER, built, problems

FILE = """
[[ivr]]
number = "8000"
name = "Sales"
prompt = {text = "Welcome to $NAME.", voice = "en-gb"}

[[ivr.dtmf]]
then = {handler = "menu", choices = {1 = "8801", 2 = "222"}}

[[announcement]]
number = "8801"
prompt = {text = "We are closed."}
then = "222"

[[announcement]]
number = "8802"
prompt = "bye.wav"
then = {hangup = true}
name = "Bye"
"""


def test_a_file_declares_what_python_does() -> None:
    app = built(FILE, NAME="Acme")
    sales, closed, bye = desired_ivrs(app.ivrs)
    assert sales.prompts["prompt"] == Speech("Welcome to Acme.", "en-gb")
    assert (closed.prompts["prompt"], closed.where) == (Speech("We are closed."), "app.toml:10")
    assert (bye.prompts["prompt"], bye.fields.name) == (FOLDER / "bye.wav", "Bye")
    assert [type(one) for one in app.ivrs[1:]] == [Announcement, Announcement]
    assert isinstance(app.ivrs[1], Announcement)
    assert app.ivrs[1].then == Forward("222")


async def test_a_handler_names_it_by_its_number() -> None:
    async with Phone(built(FILE, NAME="Acme")) as phone:
        call = await phone.dial("8000")
        await call.press("1")
        assert (call.announcements, call.forwarded_to) == (("8801",), "222")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("prompt = {text = 5}", "10 announcement.prompt.text: this is an integer; it must"),
        ("prompt = {voice = 'en'}", "10 announcement.prompt: text is missing; it must be a"),
        (
            "prompt = {text = 'a', speed = 2}",
            "10 announcement.prompt.speed: there is no such key; known are text, voice",
        ),
        (
            "prompt = {text = ' '}",
            "8 announcement: Ivr('8801') cannot be declared so: the text of a Speech is",
        ),
        (
            "prompt = 5",
            "10 announcement.prompt: this is an integer; it must be a path, or a spoken",
        ),
        ("", "8 announcement: prompt is missing; it must be a path, or a spoken prompt"),
    ],
)
def test_errors_have_the_line(line: str, problem: str) -> None:
    file = '[[ivr]]\nnumber = "8000"\n\n\n\n\n\n[[announcement]]\nnumber = "8801"\n'
    (found,) = problems(f'{file}{line}\nthen = "222"\n')
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[[announcement]]\nnumber = "8801"\nprompt = "a.wav"\nthen = "repeat"', "then must lead"),
        ('[announcement]\nnumber = "8801"', "with two brackets"),
    ],
)
def test_errors_of_an_announcement(text: str, problem: str) -> None:
    (found,) = problems(f'[[ivr]]\nnumber = "8000"\n{text}\n')
    assert problem in found


def test_the_schema_has_them() -> None:
    made = schema([*installed("handler").values(), *installed("connector").values()])
    validator = jsonschema.Draft202012Validator(made)
    assert list(validator.iter_errors(tomllib.loads(FILE))) == []
    wrong = tomllib.loads(FILE.replace("text", "words"))
    assert len(list(validator.iter_errors(wrong))) == 2
