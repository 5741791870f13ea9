"""Declared IVRs on the page: a suggested first call, and hints for unmatched keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from receiver import Call, Forward, Ivr, Receiver, Reply
from receiver.console.web import ControlError
from receiver.credentials import Secret
from receiver.declarations.missing_action import MissingAction
from receiver.dev.child import declarations
from receiver.dev.simulated_pbxs import SimulatedPbxs
from receiver.settings import Settings
from receiver.simulator.hours import LocalTime
from tests.full_ivr import full_ivr

SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")
MONDAY = LocalTime(2026, 11, 23, 10, 0, 0)


async def answer(call: Call) -> Reply:
    return Forward("222")


@pytest_asyncio.fixture
async def sites() -> AsyncIterator[SimulatedPbxs]:
    async with SimulatedPbxs("http://127.0.0.1:4321", SECRET) as sites:
        yield sites


async def register(sites: SimulatedPbxs, *ivrs: Ivr) -> None:
    await sites.register(declarations(Receiver(*ivrs, settings=Settings(secret=SECRET)), "app:app"))


@pytest.mark.parametrize(
    ("masks", "example"),
    [
        # Of several keys one that begins no other: 1 acts only after the digit gap.
        ([("DTMF", "1;22;1000-1999")], {"caller": "", "keys": "22"}),
        ([("DTMF", "1"), ("DTMF", "12;3")], {"caller": "", "keys": "12"}),
        ([("DTMF", "2000-2999")], {"caller": "", "keys": "2000"}),
        ([("DTMF", "4**")], {"caller": "", "keys": "400"}),
        ([("DTMF", "1;10;100")], {"caller": "", "keys": "100"}),
        # A CALLER action is first, and gets the call if it takes the number in the form.
        ([("CALLER", "1**"), ("DTMF", "5")], {"caller": "", "keys": ""}),
        ([("CALLER", "9**"), ("DTMF", "5")], {"caller": "", "keys": "5"}),
        ([("CALLER", "9**")], {"caller": "900", "keys": ""}),
        ([], None),
    ],
)
async def test_a_call_to_begin_with_follows_from_the_declarations(
    sites: SimulatedPbxs, masks: list[tuple[str, str]], example: dict[str, str] | None
) -> None:
    ivr = Ivr("8000")
    for number, (kind, mask) in enumerate(masks):
        ivr.add(kind, mask, answer, name=f"action{number}")  # type: ignore[arg-type]
    await register(sites, ivr)
    [shown] = sites.ivrs_json(MONDAY)
    assert shown["example"] == example


async def test_an_action_that_is_switched_off_or_of_another_service_is_no_example(
    sites: SimulatedPbxs,
) -> None:
    ivr = Ivr("8000")
    ivr.add("DTMF", "1", answer, enabled=False)
    await register(sites, ivr)
    site, found = sites.ivr_at("8000")
    foreign = {"name": "crm", "enabled": True, "type": "DTMF", "method": "POST", "auth": "DISABLE"}
    url = "https://crm.example.com/hook"
    site.pbx.action_urls(found.id).create({**foreign, "dtmf_mask": "7", "url": url})
    [shown] = sites.ivrs_json(MONDAY)
    assert shown["example"] is None


async def test_a_mask_of_a_copied_pbx_that_cannot_be_read_is_no_example(
    sites: SimulatedPbxs,
) -> None:
    ivr = Ivr("8000")
    ivr.add("DTMF", "7", answer)
    await register(sites, ivr)
    site, found = sites.ivr_at("8000")
    [action] = site.pbx.action_urls(found.id)
    site.pbx.action_urls(found.id).create({**action, "name": "old", "dtmf_mask": "letters"})
    [shown] = sites.ivrs_json(MONDAY)
    assert [one["mask"] for one in shown["actions"]] == ["7", "letters"]
    assert shown["example"] == {"caller": "", "keys": "7"}


async def test_keys_that_no_action_takes_have_a_declaration(sites: SimulatedPbxs) -> None:
    plain, secret = Ivr("8000"), Ivr("8100", pbx="north")
    plain.add("DTMF", "1", answer)
    secret.add("DTMF", "4711", answer, sensitive=True)
    await register(sites, plain, secret)
    found = sites.missing("", "8000", "8")
    assert isinstance(found, MissingAction)
    assert '@ivr.dtmf("8")' in found.python
    assert 'mask = "8"' in found.toml
    assert sites.missing("", "8000", "1") is None
    hidden = sites.missing("north", "8100", "83")
    assert hidden is not None
    assert "83" not in f"{hidden}"  # it may be a part of a PIN
    assert 'mask = "**"' in hidden.toml


async def test_an_unknown_ivr_is_refused(sites: SimulatedPbxs) -> None:
    await register(sites, Ivr("8000"))
    for address in ("9999", "north/8000"):
        with pytest.raises(ControlError, match=f"there is no IVR {address}: choose one"):
            sites.ivr_at(address)


async def test_warnings_go_by_the_number_format_of_the_trunk(
    sites: SimulatedPbxs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECEIVER_SECRET", SECRET.reveal())
    monkeypatch.setenv("RECEIVER_NORTH_NUMBER_FORMAT", "national")
    north, south = Ivr("8000", pbx="north"), Ivr("8000", pbx="south")
    for ivr in (north, south):
        ivr.add("CALLER", "+4930123456", answer, name="vip")
    lines = await sites.register(declarations(Receiver(north, south), "app:app"))
    [warning] = [line for line in lines if line.startswith("Warning: ")]
    assert "RECEIVER_NUMBER_FORMAT says national, so no number has a +" in warning


async def test_a_whole_ivr_is_registered_with_its_menu_and_holidays(
    sites: SimulatedPbxs, tmp_path: Path
) -> None:
    await register(sites, full_ivr(tmp_path))
    pbx = (await sites.at("")).pbx
    (ivr,) = pbx.ivrs
    ids = {one["name"]: one["id"] for one in pbx.holidays}
    assert ivr["custom_forward_rules"][0]["holidays"] == [ids["Christmas"], ids["Labour Day"]]
    assert {file["id"] for file in pbx.files} == {
        ivr["prompt_file_id"],
        ivr["transfer_prompt_file_id"],
    }
    await register(sites, Ivr("8000", name="Sales", exclude_list=[]))
    assert not ivr["exclude_list"]
