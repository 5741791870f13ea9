"""Handlers of events in a configuration file: the same as in Python, and their errors by line."""

from __future__ import annotations

import csv
import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from handlers.missed import FollowUp
from receiver.cli import main
from receiver.config.build import build
from receiver.declarations.event_actions import event_actions, event_endpoint
from receiver.testing import Phone
from tests.command_line import CliRunner
from tests.config.files import built, problems

IVR = '[[ivr]]\nnumber = "8000"\n[[ivr.dtmf]]\nmask = "1"\nname = "x"\nthen = "222"\n'
EVENTS = """
[[events]]
auth = "digest"
algorithms = ["SHA-256"]
forward_to = "$OTHER"

[[events.call_missed]]
then = {handler = "follow-up", file = "missed.csv"}

[[events.call_missed]]
name = "desk"
then = {use = "desk"}

[[events.call_ended]]
then = {use = "customers.complete"}

[define.desk]
handler = "follow-up"
url = "https://desk.example.com/hook"

[define.customers]
handler = "caller-lookup"
crm = {connector = "hubspot", token = "pat-token-of-the-tests"}
"""
OTHER = "https://crm.example.com/hook"


def test_a_file_declares_what_python_declares() -> None:
    app = built(IVR + EVENTS, OTHER=OTHER)
    actions = event_actions(app.events, "")
    assert [(one.kind, one.name) for one in actions] == [
        ("call_missed", "follow-up"),
        ("call_missed", "desk"),
        ("call_ended", "customers-complete"),
    ]
    assert isinstance(actions[0].handler, FollowUp)
    endpoint = event_endpoint(app.events, "")
    assert endpoint is not None
    assert (endpoint.auth, endpoint.algorithms) == ("digest", ("SHA-256",))
    assert (endpoint.forward_to, actions[0].where) == (OTHER, "app.toml:13")


def test_the_schema_knows_events() -> None:
    schema = json.loads(CliRunner().invoke(main, ["schema"]).stdout)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(tomllib.loads(IVR + EVENTS))
    wrong = tomllib.loads(IVR + EVENTS.replace("call_ended", "call_over"))
    assert [error.absolute_path[0] for error in validator.iter_errors(wrong)] == ["events"]


async def test_a_missed_call_is_followed_up(tmp_path: Path) -> None:
    text = '[[events]]\n[[events.call_missed]]\nthen = {handler = "follow-up", file = "missed.csv"}'
    async with Phone(build(IVR + text, "app.toml", {}, tmp_path)) as phone:
        for answered in (True, False):
            call = await phone.dial("8000", caller="101")
            await call.press("1")
            await phone.end(call, answered=answered)
    (row,) = csv.DictReader((tmp_path / "missed.csv").read_text().splitlines())
    assert (row["caller"], row["rang"]) == ("101", "222")


LIST = '[define.list]\nhandler = "follow-up"\nfile = "a.csv"\n'
MENU = '{handler = "menu", choices = {1 = "222"}}'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[events]", "7 events: write each entry as [[events]], with two brackets"),
        (
            f"[[events.call_missed]]\nthen = {MENU}",
            "7 events: write each entry as [[events]], with two brackets, before its own tables",
        ),
        ('[[events]]\nath = "digest"', "8 events.ath: there is no such key; did you mean auth?"),
        ("[[events]]\n[[events.call_over]]", "8 events.call_over: there is no such key; did you"),
        ("[[events]]\n[[events.call_ended]]", "8 events.call_ended: then is missing; it must be a"),
        ("[[events]]\ncall_ended = 1", "8 events.call_ended: write each entry as [[events.call_"),
        (
            f"[[events]]\n[[events.call_ended]]\nthen = {MENU}",
            "9 events.call_ended.then: this is not a handler, which takes a CallEvent: it is",
        ),
        (
            "[[events]]\n[[events.call_ended]]\nthen = 7",
            "9 events.call_ended.then: this is an integer; it must be a handler of events",
        ),
        *(
            (
                f"[[events]]\n[[events.call_ended]]\nthen = {{{reply}}}",
                "9 events.call_ended.then: this is a table; it must be a handler of events, as in "
                '{handler = "follow-up"}',
            )
            for reply in ("hangup = true", 'forward = "222"', 'value = "holiday"')
        ),
        (
            '[[ivr.dtmf]]\nmask = "2"\nthen = {handler = "follow-up", file = "a.csv"}',
            "9 ivr.dtmf.then: this is not a handler, which takes a Call: it is a FollowUp",
        ),
        (
            "[[events]]\n" + 2 * '[[events.call_missed]]\nthen = {use = "list"}\n' + LIST,
            "10 events.call_missed: call_missed has a handler named 'list' already (app.toml:8)",
        ),
    ],
)  # fmt: skip
def test_errors_name_line_and_key(text: str, problem: str) -> None:
    (shown,) = problems(IVR + text)
    assert shown.startswith(problem)


def test_a_pbx_has_one_event_url() -> None:
    other = '[[events]]\nauth = "basic"\n[[events.call_missed]]\nthen = {use = "list"}\n'
    (problem,) = problems(IVR + EVENTS.replace("$OTHER", OTHER) + other + LIST)
    assert "the event URL is declared with other options" in problem
