"""Receptionists as declared: what is refused, what differs, what is shown. On values alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver import DeclarationError, Forward, Hangup, Ivr, Receiver, Repeat, Secret
from receiver.pbx import models_ivr
from receiver.pbx.models import IvrSummary, read
from receiver.receptionists import (
    Prompt,
    Receptionist,
    ReceptionistChange,
    compare,
    to_create,
    to_update,
)
from receiver.registration.plans import Plan
from receiver.registration.printout import as_json, render

PIN = "135790"
SUMMARY = IvrSummary(id="i1", name="Sales", extension_number="8000")
PROMPT = Prompt.of(Path("my welcome.wav"), b"octets")


def declared(**options: Any) -> Receptionist:
    made = Ivr("8000", **{"name": "Sales", **options}).receptionist
    assert made is not None
    return made


def on_pbx(wanted: Receptionist, **fields: Any) -> models_ivr.Ivr:
    return msgspec.structs.replace(to_create(wanted.fields), id="i1", **fields)


def drift(wanted: Receptionist, found: models_ivr.Ivr, **options: Any) -> list[str]:
    return list(map(str, compare(wanted, None, SUMMARY, found, **options).differences))


# what is declared ----------------------------------------------------------------------------


def test_an_ivr_with_nothing_but_a_number_is_only_looked_up() -> None:
    assert Ivr("8000").receptionist is None
    assert Receiver(Ivr("8000"), Ivr("9000")).receptionists() == ()


def test_options_become_the_fields_of_the_pbx() -> None:
    made = declared(
        language="en-US",
        dtmf_interval=3,
        timeout=10,
        timeout_reply=Hangup(),
        failure=Forward("0"),
        pin=Secret(PIN),
        prompt="sounds/welcome.wav",
    )
    assert to_update(made.fields) == {
        "name": "Sales",
        "language": "en-US",
        "dtmf_interval": 3,
        "timeout_forward_rule": {"timeout": 10, "action": "HANGUP"},
        "failure_forward_rule": {"action": "FORWARD_TO_NUMBER", "number": "0"},
        "enable_pin": True,
        "pin": PIN,
    }
    assert made.prompt == Path(__file__).parent / "sounds/welcome.wav"
    assert made.where.startswith(f"{__file__}:")
    assert PIN not in repr(made)


def test_a_create_without_a_pin_switches_the_pin_off_and_an_update_says_nothing_of_it() -> None:
    made = declared(failure=Repeat())
    assert to_create(made.fields).enable_pin is False
    assert to_create(declared(pin=PIN).fields).enable_pin is True
    rule = {"action": "REPEAT"}
    assert to_update(made.fields) == {"name": "Sales", "failure_forward_rule": rule}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"language": "en-US"}, "give it a name="),
        ({"name": "Sales", "nmae": "x"}, "nmae= is no option of an Ivr"),
        ({"name": ""}, "name is missing"),
        ({"name": None}, "name is missing"),
        ({"name": "x" * 65}, "name has 65 characters"),
        ({"name": 5}, "name must be text"),
        ({"name": "S", "language": "english please"}, "language does not match"),
        ({"name": "S", "language": ""}, "language is empty"),
        ({"name": "S", "dtmf_interval": 0}, "dtmf_interval must be from 1"),
        ({"name": "S", "timeout": 0}, "timeout must be at least 1 second"),
        ({"name": "S", "timeout": None}, "timeout must be at least 1 second"),
        ({"name": "S", "timeout": -1}, "timeout must be from 0"),
        ({"name": "S", "timeout": "soon"}, "timeout must be a whole number"),
        ({"name": "S", "failure": "0"}, "failure must be a reply"),
        ({"name": "S", "timeout_reply": None}, "timeout_reply must be a reply"),
        ({"name": "S", "pin": "111222"}, "pin must not hold a digit three times"),
        ({"name": "S", "pin": ""}, "pin is empty"),
        ({"name": "S", "prompt": ""}, "prompt is empty"),
        ({"name": "S", "prompt": 5}, "prompt must be the path"),
    ],
)
def test_what_the_pbx_would_refuse_is_refused_at_import(
    options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(DeclarationError, match=problem) as caught:
        Ivr("8000", **options)
    assert caught.value.where.startswith(f"{__file__}:")
    assert "111222" not in str(caught.value)


def test_two_declarations_of_one_receptionist_must_be_the_same() -> None:
    one, same = Ivr("8000", name="Sales"), Ivr("8000", name="Sales")
    assert len(Receiver(one, same, Ivr("8000")).receptionists()) == 1
    with pytest.raises(DeclarationError, match="8000 is declared otherwise already") as caught:
        Receiver(one, Ivr("8000", name="Support"))
    assert str(one.receptionist and one.receptionist.where) in str(caught.value)


# what is there -------------------------------------------------------------------------------


def test_what_is_not_declared_is_not_compared() -> None:
    wanted = declared(timeout=10)
    there = {
        "id": "i1",
        "name": "Sales",
        "language": "de-DE",
        "timeout_forward_rule": {"timeout": 10, "repeat_times": 7, "action": "REPEAT"},
        "failure_forward_rule": {"action": "HANGUP"},
        "prompt_file_name": "theirs.wav",
    }
    assert drift(wanted, read(models_ivr.Ivr, there)) == []


def test_every_declared_field_is_compared() -> None:
    wanted = declared(language="en-US", timeout=10, failure=Forward("0"), dtmf_interval=3)
    there = {
        "id": "i1",
        "name": "Old",
        "language": "EN-us",
        "timeout_forward_rule": {"timeout": 30},
        "failure_forward_rule": {"action": "HANGUP"},
        "dtmf_interval": 2,
    }
    assert drift(wanted, read(models_ivr.Ivr, there)) == [
        "name: Old → Sales",
        "dtmf_interval: 2 → 3",
        "timeout_forward_rule.timeout: 30 → 10",
        "failure_forward_rule.action: HANGUP → FORWARD_TO_NUMBER",
        "failure_forward_rule.number: (none) → 0",
    ]


def test_a_pin_is_compared_only_where_it_can_be_read_and_never_shown() -> None:
    wanted = declared(pin=PIN)
    assert drift(wanted, on_pbx(wanted)) == []
    assert drift(wanted, on_pbx(wanted, pin=Secret("246802"))) == ["pin: *** → ***"]
    assert drift(wanted, on_pbx(wanted, enable_pin=False)) == ["enable_pin: no → yes"]
    for masked in ("", "******"):
        there = on_pbx(wanted, pin=Secret(masked))
        assert drift(wanted, there) == []
        assert drift(wanted, there, certain=True) == ["pin: (hidden by the PBX) → ***"]


def test_a_recording_is_known_by_its_octets() -> None:
    assert PROMPT.name == f"my-welcome-{PROMPT.digest[:8]}.wav"
    assert Prompt.of(Path("my welcome.wav"), b"others").name != PROMPT.name
    ivr = models_ivr.Ivr(prompt_file_name=PROMPT.name, prompt_file_size=6)
    assert PROMPT.is_of(ivr)
    assert PROMPT.is_of(msgspec.structs.replace(ivr, prompt_file_size=None))
    assert not PROMPT.is_of(msgspec.structs.replace(ivr, prompt_file_size=7))
    assert not PROMPT.is_of(models_ivr.Ivr())
    assert PROMPT.is_of(models_ivr.Ivr(prompt_file_url=f"/api/blobs/{PROMPT.digest}"))


# what is shown -------------------------------------------------------------------------------


def test_a_plan_shows_receptionists_before_their_action_urls() -> None:
    wanted = declared(language="en-US", pin=PIN)
    created = compare(wanted, PROMPT, None, None)
    assert str(created) == "create receptionist 8000"
    plan = Plan("https://x", (), (), receptionists=(created,))
    assert render(plan).splitlines() == [
        "+ receptionist 8000 Sales",
        "      name: Sales",
        "      language: en-US",
        "      enable_pin: yes",
        "      pin: ***",
        f"      prompt: {PROMPT.name}",
        "Plan: 1 to create.",
    ]
    data = as_json(plan)
    assert (data["pending"], data["counts"]["create"]) == (True, 1)
    (row,) = data["receptionists"]
    assert (row["op"], row["receptionist"], row["name"]) == ("create", "8000", "Sales")
    assert row["fields"][-1] == {"field": "prompt", "from": "", "to": PROMPT.name}
    assert PIN not in f"{data}{render(plan)}{plan!r}"


def test_what_is_as_it_should_be_shows_as_such() -> None:
    wanted = declared()
    kept = compare(wanted, None, SUMMARY, on_pbx(wanted))
    plan = Plan("https://x", (), (), receptionists=(kept,))
    assert render(plan) == "= receptionist 8000 Sales\nNothing to do."
    assert render(plan, only_pending=True) == "Nothing to do."
    assert not plan.pending
    changed = compare(declared(name="New"), None, SUMMARY, on_pbx(wanted))
    assert isinstance(changed, ReceptionistChange)
    text = render(replace(plan, receptionists=(changed,)))
    assert text.splitlines()[:2] == ["~ receptionist 8000 New", "      name: Sales → New"]
