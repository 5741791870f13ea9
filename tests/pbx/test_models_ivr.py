"""IVRs and shared resources, as JSON and as values."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.credentials import Secret
from receiver.errors import PbxInvalid
from receiver.pbx.disa_pin import pin_problem, pin_problem_in, pin_problem_until_22_2
from receiver.pbx.models import read, without_masked, write
from receiver.pbx.models_ivr import (
    DAYS,
    CustomRule,
    Day,
    ForwardAction,
    ForwardRule,
    Ivr,
    IvrStatus,
    KeyRule,
    OfficeHours,
    TimeoutRule,
    TimeRange,
    disa_warning,
    exclude_list,
    excluded,
    open_disa,
    pin_warnings,
)
from receiver.pbx.models_shared import (
    Holiday,
    IvrServer,
    OutboundCallerId,
    PromptFile,
    ServerStatus,
)

SHOWN: dict[str, Any] = {
    "id": "NzAw",
    "name": "Sales",
    "extension_number": 8000,
    "language": "en-US",
    "dtmf_interval": "2",
    "prompt_file_name": "a.wav",
    "prompt_file_size": 32044,
    "prompt_file_url": "/api/blobs/abc",
    "transfer_prompt_file_name": None,
    "enable_pin": True,
    "pin": 135792,
    "timeout_forward_rule": {"timeout": 30, "repeat_times": 3, "action": "REPEAT", "number": ""},
    "failure_forward_rule": None,
    "night_mode_forward_rule": "",
    "custom_forward_rules": [
        {
            "user_input": 1,
            "office_hours": {
                "mode": "CUSTOM",
                "monday": {"enabled": True, "ranges": [{"from": "09:00", "to": "17:00"}]},
                "sunday": {"enabled": False, "ranges": None},
                "tuesday": "",
            },
            "office_hours_forward_rule": {"action": "FORWARD_TO_NUMBER", "number": 101},
            "holidays": [{"id": 5, "name": "Xmas", "region": "DEU", "every_year": True}, "6", 7],
            "holiday_forward_rule": {"action": "DISA"},
        }
    ],
    "outbound_caller_ids": [{"provider_id": 1, "caller_id": "+49", "new": 1}],
    "from_the_future": {"x": 1},
}
READ = Ivr(
    id="NzAw",
    name="Sales",
    extension_number="8000",
    language="en-US",
    dtmf_interval=2,
    prompt_file_name="a.wav",
    prompt_file_size=32044,
    prompt_file_url="/api/blobs/abc",
    enable_pin=True,
    pin=Secret("135792"),
    timeout_forward_rule=TimeoutRule(timeout=30, repeat_times=3, action=ForwardAction.REPEAT),
    custom_forward_rules=(
        CustomRule(
            user_input="1",
            office_hours=OfficeHours(
                mode="CUSTOM",
                monday=Day(enabled=True, ranges=(TimeRange(start="09:00", end="17:00"),)),
                sunday=Day(enabled=False),
            ),
            office_hours_forward_rule=KeyRule(action="FORWARD_TO_NUMBER", number="101"),
            holidays=(
                Holiday(id="5", name="Xmas", region="DEU", every_year=True),
                Holiday(id="6"),
                Holiday(id="7"),
            ),
            holiday_forward_rule=KeyRule(action=ForwardAction.DISA),
        ),
    ),
    outbound_caller_ids=(OutboundCallerId(provider_id="1", caller_id="+49"),),
)
WRITTEN = {
    "name": "Sales",
    "extension_number": "8000",
    "language": "en-US",
    "dtmf_interval": 2,
    "enable_pin": True,
    "pin": "135792",
    "timeout_forward_rule": {"timeout": 30, "repeat_times": 3, "action": "REPEAT"},
    "custom_forward_rules": [
        {
            "user_input": "1",
            "office_hours": {
                "mode": "CUSTOM",
                "monday": {"enabled": True, "ranges": [{"from": "09:00", "to": "17:00"}]},
                "sunday": {"enabled": False, "ranges": []},
            },
            "office_hours_forward_rule": {"action": "FORWARD_TO_NUMBER", "number": "101"},
            "holidays": ["5", "6", "7"],
            "holiday_forward_rule": {"action": "DISA"},
        }
    ],
    "outbound_caller_ids": [{"provider_id": "1", "caller_id": "+49"}],
}


def test_an_ivr_is_read_leniently() -> None:
    assert read(Ivr, SHOWN) == READ


def test_an_ivr_is_written_without_fields_that_only_the_pbx_sets() -> None:
    assert write(READ) == WRITTEN
    updating = {key: value for key, value in WRITTEN.items() if key != "extension_number"}
    assert write(READ, updating=True) == updating
    prompt = Ivr(prompt_file_id="f", transfer_prompt_file_id="g")
    assert write(prompt) == {"prompt_file_id": "f", "transfer_prompt_file_id": "g"}


def test_cleared_fields() -> None:
    assert write(Ivr(), ["language", "custom_forward_rules", "pin"]) == {
        "language": "",
        "pin": "",
        "custom_forward_rules": [],
    }
    assert write(Ivr(custom_forward_rules=())) == {"custom_forward_rules": []}


def test_a_masked_secret_is_not_one() -> None:
    for mask in ("******", "••••", "xxxxxx", "***", "......", ""):
        assert without_masked(msgspec.structs.replace(READ, pin=Secret(mask))).pin == Secret("")
    assert without_masked(READ) == READ


@pytest.mark.parametrize(
    "data",
    [
        {"timeout_forward_rule": []},
        {"timeout_forward_rule": {"timeout": "soon"}},
        {"custom_forward_rules": {"user_input": "1"}},
        {"custom_forward_rules": ["1"]},
        {"custom_forward_rules": [{"holidays": [[1]]}]},
        {"pin": ["135792"]},
    ],
)
def test_invalid_ivrs(data: dict[str, Any]) -> None:
    with pytest.raises(PbxInvalid, match="does not fit Ivr") as caught:
        read(Ivr, data)
    assert "135792" not in str(caught.value)


def test_no_pin_is_printed() -> None:
    assert "135792" not in f"{READ} {READ!r}"


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("", ()),
        ("1001-2001;3000", ("1001-2001", "3000")),
        ("1001–2001, 3000 ,", ("1001-2001", "3000")),
        ("1001 − 2001", ("1001-2001",)),
    ],
)
def test_the_list_of_excluded_numbers(text: str, entries: tuple[str, ...]) -> None:
    assert excluded(text) == Ivr(exclude_list=text).excluded == entries
    assert exclude_list(entries) == ";".join(entries)
    assert exclude_list([text], separator=",") == ",".join(entries)


@pytest.mark.parametrize("pin", ["135792", "112233", "987654", "102030", "0987654321"])
def test_a_pin_that_every_pbx_accepts(pin: str) -> None:
    assert pin_problem(pin) == pin_problem_until_22_2(pin) == ""
    assert list(pin_warnings(Ivr(pin=Secret(pin)), "", creating=True)) == []


@pytest.mark.parametrize(
    "pin", ["12345", "1", "13579135791", "111345", "390001", "901235", "678901"]
)
def test_a_pin_that_only_a_newer_pbx_may_accept(pin: str) -> None:
    assert pin_problem(pin) == ""
    for version in ("16.2", "22.0", "22.2", "22.2.19"):
        assert pin_problem_in(pin, version) == pin_problem_until_22_2(pin) != ""
    for version in ("", "22.3", "22.3.21", "22.6", "23.0", "100.1"):
        assert pin_problem_in(pin, version) == ""
    (warning,) = pin_warnings(Ivr(pin=Secret(pin)), "")
    assert "DISA PIN" in warning
    assert "RECEIVER_PBX_VERSION" in warning
    assert pin not in warning or len(pin) == 1
    assert list(pin_warnings(Ivr(pin=Secret(pin)), "22.6")) == []


@pytest.mark.parametrize("pin", ["1a", "١٢٣", "", "12 34", "******"])
def test_a_pin_that_no_pbx_accepts(pin: str) -> None:
    assert "DISA PIN" in pin_problem(pin)
    assert pin_problem_in(pin, "22.2") == ""  # said once
    assert list(pin_warnings(Ivr(pin=Secret(pin)), "")) == []


@pytest.mark.parametrize(
    ("version", "creating", "warned"),
    [("", True, True), ("22.2", True, True), ("22.3", True, False), ("", False, False)],
)
def test_a_create_without_a_pin_is_warned_of(version: str, creating: bool, warned: bool) -> None:
    texts = list(pin_warnings(Ivr(), version, creating=creating))
    assert [("without a DISA PIN" in text) for text in texts] == [True] * warned


DISA, HANGUP = KeyRule(action="DISA"), KeyRule(action="HANGUP")


@pytest.mark.parametrize(
    ("rules", "keys"),
    [
        ((), ()),
        ((CustomRule(user_input="1", office_hours_forward_rule=HANGUP),), ()),
        ((CustomRule(user_input="1", office_hours_forward_rule=DISA),), ("1",)),
        ((CustomRule(user_input="2", non_office_hours_forward_rule=DISA),), ("2",)),
        (
            (
                CustomRule(user_input="3", holiday_forward_rule=DISA),
                CustomRule(user_input="4"),
                CustomRule(user_input="5#", office_hours_forward_rule=DISA),
            ),
            ("3", "5#"),
        ),
    ],
)
def test_keys_that_lead_to_disa_without_a_pin(
    rules: tuple[CustomRule, ...], keys: tuple[str, ...]
) -> None:
    ivr = Ivr(enable_pin=False, custom_forward_rules=rules)
    assert open_disa(ivr) == keys
    assert bool(disa_warning(ivr)) == bool(keys)
    assert all(key in disa_warning(ivr) for key in keys)
    for enable_pin in (True, None):  # the PBX's default is on
        assert disa_warning(msgspec.structs.replace(ivr, enable_pin=enable_pin)) == ""


def test_an_ivr_without_a_menu_does_not_lead_to_disa() -> None:
    assert open_disa(Ivr(enable_pin=False)) == ()


def test_the_days_are_those_of_the_model() -> None:
    assert OfficeHours.__struct_fields__[1:] == DAYS


@pytest.mark.parametrize(
    "value",
    [
        Holiday(id="1", name="Xmas", region="DEU", consecutive=False, every_year=True, day_end=0),
        IvrServer(id="1", name="a", enabled=False, type="EXTERNAL", ipv4="10.0.0.1"),
        PromptFile(id="1", name="a.wav", size=7, media_type="audio/vnd.wave", created_at="now"),
        ServerStatus(status="ONLINE", cpu_usage=1, memory_usage=2),
        IvrStatus(status="OFFLINE"),
    ],
)
def test_other_models_are_read(value: Any) -> None:
    assert read(type(value), msgspec.to_builtins(value)) == value


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
ACTIONS = [action.value for action in ForwardAction]
# Words of the list are read in any case, and as these.
ACTION = st.sampled_from(ACTIONS) | TEXT.filter(lambda text: text.strip().upper() not in ACTIONS)
RULE = st.builds(ForwardRule, action=ACTION, number=st.text())
IVR = st.builds(
    Ivr,
    name=st.text(),
    dtmf_interval=st.none() | st.integers(-(2**40), 2**40),
    enable_pin=st.none() | st.booleans(),
    pin=TEXT.map(Secret),
    failure_forward_rule=st.none() | RULE,
    custom_forward_rules=st.none()
    | st.lists(
        st.builds(
            CustomRule,
            user_input=st.text(),
            holidays=st.lists(st.builds(Holiday, id=TEXT)).map(tuple),
        )
    ).map(tuple),
)


@given(IVR)
def test_what_is_written_is_read_back(ivr: Ivr) -> None:
    assert read(Ivr, write(ivr)) == ivr


@given(
    st.dictionaries(st.sampled_from(Ivr.__struct_fields__), st.none() | st.text() | st.integers())
)
def test_reading_ends_in_an_ivr_or_a_clear_error(data: dict[str, Any]) -> None:
    with contextlib.suppress(PbxInvalid):
        read(Ivr, data)
