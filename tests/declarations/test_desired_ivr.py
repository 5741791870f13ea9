"""Declared IVRs: refused options, differences, printed plans."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver import (
    DeclarationError,
    Disa,
    Forward,
    Hangup,
    Ivr,
    MenuEntry,
    OutboundCallerId,
    Receiver,
    Repeat,
    Secret,
    Voicemail,
)
from receiver.declarations.desired_ivr import (
    DesiredIvr,
    IvrOptions,
    Prompt,
)
from receiver.declarations.ivr import desired_ivrs
from receiver.pbx import models_ivr
from receiver.pbx.models import IvrSummary, read, write
from receiver.registration.changes import Plan
from receiver.registration.plans import plan_ivr
from receiver.registration.render import as_json, render

PIN = "135790"
SUMMARY = IvrSummary(id="i1", name="Sales", extension_number="8000")
PROMPT = Prompt.of(Path("my welcome.wav"), b"octets")


def declared(**options: Any) -> DesiredIvr:
    made = Ivr("8000", **{"name": "Sales", **options}).desired
    assert made is not None
    return made


def on_pbx(wanted: DesiredIvr, **fields: Any) -> models_ivr.Ivr:
    return msgspec.structs.replace(wanted.fields, id="i1", **fields)


def drift(wanted: DesiredIvr, found: models_ivr.Ivr, **options: Any) -> list[str]:
    return list(map(str, plan_ivr(wanted, SUMMARY, found, **options).differences))


# what is declared ----------------------------------------------------------------------------


def test_an_ivr_with_nothing_but_a_number_is_only_looked_up() -> None:
    assert Ivr("8000").desired is None
    assert desired_ivrs([Ivr("8000"), Ivr("9000")]) == ()


def test_options_become_the_fields_of_the_pbx() -> None:
    made = declared(
        language="en-US",
        dtmf_interval=3,
        timeout=10,
        timeout_reply=Hangup(),
        failure_reply=Forward("0"),
        pin=Secret(PIN),
        prompt="sounds/welcome.wav",
    )
    assert write(made.fields, updating=True) == {
        "name": "Sales",
        "language": "en-US",
        "dtmf_interval": 3,
        "timeout_forward_rule": {"timeout": 10, "action": "HANGUP"},
        "failure_forward_rule": {"action": "FORWARD_TO_NUMBER", "number": "0"},
        "enable_pin": True,
        "pin": PIN,
    }
    assert made.prompts["prompt"] == Path(__file__).parent / "sounds/welcome.wav"
    assert made.where.startswith(f"{__file__}:")
    assert PIN not in repr(made)


def test_what_is_not_declared_is_sent_neither_by_a_create_nor_by_an_update() -> None:
    """Without pin= the PBX's own default stays: DISA asks for a PIN."""
    number, update = {"extension_number": "8000"}, {"name": "Sales"}
    assert write(declared().fields) == number | update
    assert write(declared().fields, updating=True) == update
    options: dict[str, tuple[Any, dict[str, Any]]] = {
        "language": ("en-US", {"language": "en-US"}),
        "dtmf_interval": (3, {"dtmf_interval": 3}),
        "timeout": (9, {"timeout_forward_rule": {"timeout": 9}}),
        "repeat_times": (0, {"timeout_forward_rule": {"repeat_times": 0}}),
        "timeout_reply": (Hangup(), {"timeout_forward_rule": {"action": "HANGUP"}}),
        "failure_reply": (Repeat(), {"failure_forward_rule": {"action": "REPEAT"}}),
        "pin": (PIN, {"pin": PIN, "enable_pin": True}),
        "enable_pin": (False, {"enable_pin": False}),
        "night_mode": (False, {"enable_night_mode": False}),
        "night_reply": (
            Voicemail("101"),
            {"night_mode_forward_rule": {"action": "FORWARD_TO_VOICEMAIL", "number": "101"}},
        ),
        "exclude_list": (["1001-2001", "3000"], {"exclude_list": "1001-2001;3000"}),
        "menu": (
            [MenuEntry("9", Disa())],
            {
                "custom_forward_rules": [
                    {
                        "user_input": "9",
                        "office_hours": {"mode": "GLOBAL"},
                        "office_hours_forward_rule": {"action": "DISA"},
                        "holidays": [],
                    }
                ]
            },
        ),
        "outbound_caller_ids": (
            [OutboundCallerId(provider_id="p1", caller_id="+4930123456", display_name="Sales")],
            {
                "outbound_caller_ids": [
                    {"provider_id": "p1", "caller_id": "+4930123456", "display_name": "Sales"}
                ]
            },
        ),
        "audio_recording": (True, {"enable_audio_recording": True}),
    }
    files = {"prompt", "transfer_prompt"}
    assert options.keys() | {"name"} | files == IvrOptions.__annotations__.keys()
    for option, (value, sent) in options.items():
        made = declared(**{option: value}).fields
        assert write(made) == number | update | sent
        assert write(made, updating=True) == update | sent


def test_a_pin_that_only_an_older_pbx_refuses_is_declared_and_warned_of() -> None:
    made = declared(pin="1111")
    assert plan_ivr(made, None, None, version="22.6").notes == ()
    (note,) = plan_ivr(made, None, None).notes
    assert note.startswith("pin (the DISA PIN) has 4 digits, a PBX up to 22.2 accepts 6 to 10")
    assert "1111" not in note


def test_disa_without_a_pin_is_noted_unless_a_pin_is_declared() -> None:
    rule = models_ivr.CustomRule(
        user_input="9", holiday_forward_rule=models_ivr.KeyRule(action="DISA")
    )
    there = on_pbx(declared(), enable_pin=False, custom_forward_rules=(rule,))
    (note,) = plan_ivr(declared(), SUMMARY, there).notes
    assert note.startswith("its menu key 9 leads to DISA and enable_pin is false")
    assert plan_ivr(declared(pin=PIN), SUMMARY, there).notes == ()
    shut = on_pbx(declared(), custom_forward_rules=(rule,))
    assert plan_ivr(declared(), SUMMARY, shut).notes == ()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"language": "en-US"}, "give it a name="),
        ({"name": "Sales", "nmae": "x"}, "nmae= is no option of an Ivr: did you mean name?"),
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
        ({"name": "S", "failure_reply": "0"}, "failure_reply must be a rule such as Forward"),
        ({"name": "S", "timeout_reply": None}, "timeout_reply must be a rule such as Forward"),
        ({"name": "S", "pin": "111x222"}, r"pin \(the DISA PIN\) must be made of digits only"),
        ({"name": "S", "pin": "1" * 65}, "pin has 65 characters, and the PBX takes 64"),
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
    assert "111" not in str(caught.value)


def test_two_declarations_of_one_ivr_must_be_the_same() -> None:
    one, same = Ivr("8000", name="Sales"), Ivr("8000", name="Sales")
    assert len(desired_ivrs(Receiver(one, same, Ivr("8000")).ivrs)) == 1
    with pytest.raises(
        DeclarationError, match="8000 is declared with other options already"
    ) as caught:
        Receiver(one, Ivr("8000", name="Support"))
    assert str(one.desired and one.desired.where) in str(caught.value)


# existing IVRs -------------------------------------------------------------------------------


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
    wanted = declared(language="en-US", timeout=10, failure_reply=Forward("0"), dtmf_interval=3)
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


def test_a_plan_shows_ivrs_before_their_action_urls() -> None:
    wanted = declared(language="en-US", pin=PIN)
    created = plan_ivr(replace(wanted, recordings={"prompt": PROMPT}), None, None)
    assert str(created) == "create IVR 8000"
    plan = Plan("https://x", (), (), ivrs=(created,))
    assert render(plan).splitlines() == [
        "+ IVR 8000 Sales",
        "      name: Sales",
        "      language: en-US",
        "      enable_pin: yes",
        "      pin: ***",
        f"      prompt: {PROMPT.name}",
        "Plan: 1 to create.",
    ]
    data = as_json(plan)
    assert (data["pending"], data["counts"]["create"]) == (True, 1)
    (row,) = data["ivrs"]
    assert (row["op"], row["ivr"], row["name"]) == ("create", "8000", "Sales")
    assert row["fields"][-1] == {"field": "prompt", "from": "", "to": PROMPT.name}
    assert PIN not in f"{data}{render(plan)}{plan!r}"


def test_what_is_as_it_should_be_shows_as_such() -> None:
    wanted = declared()
    kept = plan_ivr(wanted, SUMMARY, on_pbx(wanted))
    plan = Plan("https://x", (), (), ivrs=(kept,))
    assert render(plan) == "= IVR 8000 Sales\nNothing to do."
    assert render(plan, only_pending=True) == "Nothing to do."
    assert not plan.pending
    changed = plan_ivr(declared(name="New"), SUMMARY, on_pbx(wanted))
    text = render(replace(plan, ivrs=(changed,)))
    assert text.splitlines()[:2] == ["~ IVR 8000 New", "      name: Sales → New"]
