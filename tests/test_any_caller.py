"""The mask "any": what a CRM app declares, from the PBX to the lists that show it."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver import Call, DeclarationError, Forward, Ivr, Receiver, Repeat, Reply, Secret
from receiver.cli.check import describe
from receiver.config.build import build
from receiver.declarations.call_flow import Row, flow_json
from receiver.dev.ivr_views import ivrs_json
from receiver.errors import ConfigurationError
from receiver.masks import ANY_CALLER
from receiver.pbx.models import IvrSummary
from receiver.registration.desired import desired_action_urls
from receiver.registration.plans import plan
from receiver.registration.render import render
from receiver.simulator.hours import LocalTime
from receiver.testing import Phone

BASE = "https://ivr.example.com"
ivr = Ivr("8000")


@ivr.caller("any")
async def ask_crm(call: Call) -> Reply:
    return Forward("300") if call.caller == "+4930123456" else Repeat()


app = Receiver(ivr)


@pytest.mark.parametrize("caller", ["101", "+4930123456", "0301234567"])
async def test_every_caller_with_a_number_reaches_the_handler(caller: str) -> None:
    async with Phone(app) as phone:
        call = await phone.dial("8000", caller=caller)
        assert [step.action for step in call.callbacks] == ["ask_crm"]
        assert call.forwarded_to == ("300" if caller == "+4930123456" else None)
        assert call.prompts == (0 if call.ended else 1)  # a repeat continues to the prompt


async def test_a_withheld_number_goes_on_to_the_prompt() -> None:
    async with Phone(app) as phone:
        call = await phone.dial("8000", caller="anonymous")
        assert (call.callbacks, call.prompts) == ((), 1)


async def test_the_page_shows_the_word() -> None:
    async with Phone(app) as phone:
        (shown,) = ivrs_json("", phone.pbxs[""], {}, BASE, LocalTime(2026, 11, 2, 10, 0, 0))
        assert [one["mask"] for one in shown["actions"]] == ["any"]


def test_check_plan_and_call_flow_show_the_word() -> None:
    (action,) = ivr
    assert describe(app, {})[0].split()[:3] == ["8000/ask_crm", "CALLER", "any"]
    (flow,) = flow_json([Row(action, "app.ask_crm")], {}, {}, {})["ivrs"]
    assert flow["inputs"][0]["mask"] == "any"
    there = IvrSummary(id="i1", name="Sales", extension_number="8000")
    made = plan(desired_action_urls(ivr, BASE, Secret("x" * 16)), [(there, ())], BASE)
    assert "+ ask_crm  CALLER any, POST" in render(made)
    assert "***" not in render(made)


def test_one_action_url_is_enough() -> None:
    (wanted,) = desired_action_urls(ivr, BASE, Secret("x" * 16))
    assert wanted.action.caller_mask == str(ANY_CALLER)


def test_a_configuration_file_has_the_word_too() -> None:
    text = '[[ivr]]\nnumber = "8000"\n\n[[ivr.{}]]\nmask = "any"\nname = "all"\nthen = "300"\n'
    (action,) = build(text.format("caller"), "app.toml", {}, Path())
    assert action.mask == ANY_CALLER
    with pytest.raises(ConfigurationError, match=r'app\.toml:5: .*"any" is for callers'):
        build(text.format("dtmf"), "app.toml", {}, Path())


def test_a_known_caller_beside_any_belongs_into_its_handler() -> None:
    other = Ivr("8000")
    other.caller("any", name="all")(ask_crm)
    with pytest.raises(DeclarationError, match=r'or compare call\.caller in the handler of "any"'):
        other.caller("+4930123456", name="vip")(ask_crm)
