"""Each field of a PBX as an option, and how it is written; values alone."""

from __future__ import annotations

import io
import wave
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import pytest

from receiver import Disa, Forward, Hangup, Holiday, MenuEntry, OfficeHours, Repeat, Voicemail
from receiver.declarations.desired_ivr import Prompt
from receiver.errors import DeclarationError
from receiver.pbx.models import ActionUrl, read
from receiver.pbx.models_ivr import Ivr
from receiver.registration.imported import FoundIvr, ImportedIvr, import_ivrs
from receiver.registration.imported_action_urls import ImportedActionUrl, import_action_urls
from receiver.registration.imported_prompts import PromptCopies, PromptCopy
from receiver.registration.imported_python import literal, python_source
from receiver.registration.imported_toml import string, toml_source
from receiver.registration.ownership import OWNER, Ownership

BASE = "https://ivr.example.com"
Json = dict[str, Any]
CHRISTMAS = {
    **{"id": "h1", "name": "Christmas", "region": "DEU", "consecutive": True, "every_year": True},
    **{"month_start": 12, "day_start": 24, "hour_start": 14, "minute_start": 0},
    **{"month_end": 12, "day_end": 26},
}
MOVING = {
    **{"id": "h2", "name": "Moving", "region": "DEU", "consecutive": False, "every_year": False},
    **{"year_start": 2026, "month_start": 12, "day_start": 28},
    **{"year_end": 2026, "month_end": 12, "day_end": 28},
}
OPEN = {"enabled": True, "ranges": [{"from": "09:00", "to": "17:00"}]}
WEEK = {"mode": "CUSTOM", "monday": OPEN, "tuesday": OPEN, "sunday": {"enabled": True}}
TO_222 = {"action": "FORWARD_TO_NUMBER", "number": "222"}
ENTRY: Json = {"user_input": "1", "office_hours_forward_rule": TO_222}


def imported(version: str = "", **fields: Any) -> ImportedIvr:
    whole = {"id": "1", "extension_number": "8000", "name": "Sales", **fields}
    (one,) = import_ivrs([FoundIvr(read(Ivr, whole))], version)
    return one


def recording(tone: int = 1) -> bytes:
    octets = io.BytesIO()
    with wave.open(octets, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes([tone, 0]) * 160)
    return octets.getvalue()


def test_every_field_becomes_an_option() -> None:
    one = imported(
        language="en-US",
        dtmf_interval=3,
        timeout_forward_rule={"timeout": 8, "repeat_times": 0, "action": "REPEAT"},
        failure_forward_rule={"action": "FORWARD_TO_VOICEMAIL", "number": "101"},
        night_mode_forward_rule={"action": "HANGUP", "number": "222"},
        enable_night_mode=False,
        enable_pin=True,
        enable_audio_recording=True,
        exclude_list="1001-2001, 3000",
        pin="135790",
        custom_forward_rules=[
            ENTRY | {"office_hours": WEEK, "non_office_hours_forward_rule": {"action": "DISA"}},
            {
                **{"user_input": "2", "office_hours_forward_rule": TO_222},
                **{"holidays": [CHRISTMAS, MOVING], "holiday_forward_rule": TO_222},
            },
            {"user_input": "3", "office_hours": {"mode": "CUSTOM"}} | {
                "office_hours_forward_rule": TO_222
            },
        ],
        outbound_caller_ids=[{"provider_id": "p", "caller_id": "+4930123456"}],
    )  # fmt: skip
    menu = one.options["menu"]
    assert one.left_out == {"pin": "a secret; the PBX keeps it"}
    assert {key: value for key, value in one.options.items() if key != "menu"} == {
        "name": "Sales",
        "language": "en-US",
        "dtmf_interval": 3,
        "timeout": 8,
        "repeat_times": 0,
        "timeout_reply": Repeat(),
        "failure_reply": Voicemail("101"),
        "night_mode": False,
        "night_reply": Hangup(),
        "exclude_list": ["1001-2001", "3000"],
        "enable_pin": True,
        "outbound_caller_ids": list(one.options["outbound_caller_ids"]),
        "audio_recording": True,
    }
    assert menu == [
        MenuEntry(
            "1",
            Forward("222"),
            hours=OfficeHours({"mon-tue": "09:00-17:00", "sun": "00:00-24:00"}),
            closed=Disa(),
        ),
        MenuEntry(
            "2",
            Forward("222"),
            holidays=(
                Holiday("Christmas", "12-24 14:00 to 12-26", region="DEU"),
                Holiday("Moving", "2026-12-28", region="DEU", consecutive=False),
            ),
            on_holiday=Forward("222"),
        ),
        MenuEntry("3", Forward("222"), hours=OfficeHours({"mon-sun": "closed"})),
    ]


@pytest.mark.parametrize(
    ("fields", "option", "reason"),
    [
        ({"name": "x" * 65}, "name", "name has 65 characters"),
        ({"language": "no language"}, "language", "does not match"),
        ({"name": "\ud800"}, "name", "characters that no file can contain"),
        ({"failure_forward_rule": {"action": "FLY"}}, "failure_reply", "'FLY' is unknown"),
        ({"failure_forward_rule": {"action": "DISA"}}, "failure_reply", "must be a rule"),
        ({"custom_forward_rules": [{"user_input": "1"}]}, "menu", "'1' has no rule"),
        ({"custom_forward_rules": [ENTRY, ENTRY]}, "menu", "two entries for the key 1"),
        (
            {"custom_forward_rules": [ENTRY | {"holidays": [CHRISTMAS | {"hour_end": 9}]}]},
            "menu",
            "its holiday 'Christmas' differs: minute_end",
        ),
        (
            {
                "custom_forward_rules": [
                    ENTRY | {"holidays": [CHRISTMAS, CHRISTMAS | {"day_end": 27}]}
                ]
            },
            "menu",
            "two different holidays are named 'Christmas'",
        ),
    ],
)
def test_what_cannot_be_declared_is_left_out_with_the_reason(
    fields: Json, option: str, reason: str
) -> None:
    one = imported(**fields)
    assert reason in one.left_out[option]
    assert set(one.options) == {"name"} - {option}


def test_what_the_release_of_the_pbx_does_not_have_is_left_out() -> None:
    one = imported("22.2", enable_night_mode=True, dtmf_interval=3)
    assert (set(one.options), set(one.left_out)) == ({"name", "dtmf_interval"}, {"night_mode"})


def test_one_name_is_one_holiday_in_all_menus() -> None:
    def ivr(number: str, holiday: Json) -> FoundIvr:
        fields = {"id": number, "extension_number": number, "name": number}
        return FoundIvr(
            read(Ivr, fields | {"custom_forward_rules": [ENTRY | {"holidays": [holiday]}]})
        )

    other = CHRISTMAS | {"id": "h3", "day_end": 27}
    found = [ivr("9000", CHRISTMAS), ivr("800", CHRISTMAS), ivr("8001", other)]
    short, first, last = import_ivrs([*found, ivr("800", other)])
    assert [one.number for one in (short, first, last)] == ["800", "8001", "9000"]
    assert "menu" in short.options and "menu" in last.options  # noqa: PT018
    assert "is not that of another menu" in first.left_out["menu"]
    for text in (python_source([short, last]), toml_source([short, last])):
        assert text.count("12-24 14:00") == 1


def test_an_ivr_without_a_number() -> None:
    with pytest.raises(
        DeclarationError, match=r"the number '', which cannot.*receiver import 8000"
    ):
        imported(extension_number="")


# prompts -------------------------------------------------------------------------------------


def with_prompt(name: str, data: bytes, url: str = "/api/blobs/opaque", **more: Any) -> Ivr:
    fields = {"id": "1", "extension_number": "8000", "name": "Sales", **more}
    return read(
        Ivr,
        fields | {"prompt_file_name": name, "prompt_file_size": len(data), "prompt_file_url": url},
    )


def test_a_prompt_that_apply_uploaded_has_the_same_name_again() -> None:
    data = recording()
    name = Prompt.of(PurePath("büro welcome.wav"), data).name
    ivr, copies = with_prompt(name, data), PromptCopies()
    copy = copies.add(ivr, "prompt", data)
    assert copy.file == "büro-welcome.wav"
    (one,) = import_ivrs([FoundIvr(ivr, prompts={"prompt": copy})])
    assert one.options["prompt"] == "büro-welcome.wav"
    assert copies.files == {"büro-welcome.wav": data}


def test_a_prompt_whose_digest_the_pbx_shows_may_have_any_name() -> None:
    data = recording()
    digest = Prompt.of(PurePath("x"), data).digest
    ivr = with_prompt("Nice Welcome.WAV", data, f"/api/blobs/sha256:{digest}")
    copy = PromptCopies().add(ivr, "prompt", data)
    (one,) = import_ivrs([FoundIvr(ivr, prompts={"prompt": copy})])
    assert one.options["prompt"] == "Nice-Welcome.wav"


def test_a_prompt_that_a_plan_would_upload_again_is_left_out() -> None:
    ivr = with_prompt("welcome.wav", recording())
    copy = PromptCopies().add(ivr, "prompt", recording())
    (one,) = import_ivrs([FoundIvr(ivr, prompts={"prompt": copy})])
    assert "the copy is welcome.wav" in one.left_out["prompt"]


def test_a_prompt_that_could_not_be_downloaded() -> None:
    ivr = with_prompt("welcome.wav", recording())
    (one,) = import_ivrs([FoundIvr(ivr, prompts={"prompt": PromptCopy(problem="gone")})])
    assert one.left_out == {"prompt": "gone"}


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("../../etc/passwd", "passwd.wav"),
        ("..\\..\\boot.wav", "boot.wav"),
        (".hidden.wav", "hidden.wav"),
        ("", "8000-prompt.wav"),
        ("...", "8000-prompt.wav"),
        ("a\nb\x00c.wav", "a-b-c.wav"),
        ("x" * 99, "x" * 40 + ".wav"),
    ],
)
def test_the_name_of_a_file_has_no_path_and_nothing_to_hide(name: str, file: str) -> None:
    made = PromptCopies().add(with_prompt(name, recording()), "prompt", recording())
    assert made.file == file


def test_two_prompts_of_one_name_are_two_files_and_one_is_one() -> None:
    copies = PromptCopies()
    added = [
        copies.add(with_prompt(name, recording(tone)), "prompt", recording(tone)).file
        for name, tone in (("a.wav", 1), ("a.wav", 1), ("A.wav", 1), ("a.wav", 2), ("a.wav", 3))
    ]
    assert added == ["a.wav", "a.wav", "A-8000-1.wav", "a-8000-2.wav", "a-8000-3.wav"]
    assert set(copies.files) == set(added)


def test_what_is_no_recording_for_a_pbx() -> None:
    made = PromptCopies().add(with_prompt("a.wav", b"x"), "prompt", b"x")
    assert made.prompt is None
    assert "is not a WAV file" in made.problem


# action URLs ---------------------------------------------------------------------------------


def url(name: str, address: str, id: str = "1", **more: Any) -> ActionUrl:
    whole = {"id": id, "name": name, "url": address, "type": "DTMF", "dtmf_mask": "1;2"}
    return read(ActionUrl, whole | {"method": "POST", "enabled": True, "auth": "BEARER"} | more)


def test_action_urls() -> None:
    whose = Ownership(BASE)
    found = import_action_urls(
        [
            url(
                "crm", "https://crm.example.com/hush?key=hush", headers="X-Key:hush", auth="DISABLE"
            ),
            url(
                "off",
                "https://crm.example.com/hush",
                auth="BASIC",
                enabled=False,
                password="hush00",
            ),
            url("odd", f"{BASE}/action/8000/odd", type="OTHER"),
            url("pick", f"{BASE}/action/8000/pick", headers=f"X-Key:hush&{OWNER}:abc"),
            url("pick~2", f"{BASE}/action/8000/pick/2", "2", dtmf_mask="3"),
            url(
                "known",
                f"{BASE}/action/8000/known",
                "3",
                type="CALLER",
                caller_mask="100-199",
                method="GET",
                auth="DISABLE",
                request_timeout=5,
                enabled=False,
            ),
        ],
        whose,
    )
    known, pick, crm, odd, off = found
    options = {"name": "known", "method": "GET", "auth": None, "request_timeout": 5}
    assert known == ImportedActionUrl(
        "CALLER", "100-199", options | {"enabled": False}, managed=True
    )
    shown = "headers X-Key (values not shown)"
    assert pick == ImportedActionUrl("DTMF", "1;2;3", {"name": "pick"}, shown, managed=True)
    assert [one.note for one in (crm, odd, off)] == [
        f"'crm', DTMF 1;2, POST, no authentication, {shown}, https://crm.example.com/…",
        "'odd', OTHER 1;2, POST, bearer, credentials not shown, https://ivr.example.com/…",
        "'off', DTMF 1;2, POST, basic, credentials not shown, switched off, "
        "https://crm.example.com/…",
    ]
    assert not any(one.managed for one in import_action_urls([url("a", BASE)], None))


# the files -----------------------------------------------------------------------------------


def sources(ivr: ImportedIvr, pbx: str = "") -> tuple[str, str]:
    return python_source([ivr], pbx), toml_source([ivr], pbx)


def test_a_short_module() -> None:
    python, toml = sources(imported(), "north")
    assert python == (
        '"""The IVRs of a PBX, as receiver import found them."""\n\n'
        "from receiver import Ivr, Receiver\n\n"
        "# IVR 8000 Sales\n"
        'ivr_8000 = Ivr("8000", pbx="north", name="Sales")\n\n'
        "app = Receiver(ivr_8000)\n"
    )
    assert toml == (
        "# The IVRs of a PBX, as receiver import found them.\n\n"
        "# IVR 8000 Sales\n"
        '[[ivr]]\nnumber = "8000"\npbx = "north"\nname = "Sales"\n'
    )


def test_comments() -> None:
    notes = (
        ImportedActionUrl("DTMF", "9", note="'crm'\n, …"),
        ImportedActionUrl("DTMF", "1", {"name": "pick", "auth": None}, "headers X-Key", True),
        ImportedActionUrl("CALLER", "1", {"name": "class", "enabled": False}, managed=True),
    )
    ivr = replace(imported(pin="135790", language="?"), action_urls=notes)
    python, toml = sources(ivr)
    for line in (
        "# language is not declared: language does not match ",
        "# pin is not declared: a secret; the PBX keeps it; to declare it: "
        'pin=os.environ["IVR_8000_PIN"]\n',
        "# Unmanaged action URL, left alone: 'crm'\\n, …\n",
        '# @ivr_8000.dtmf("1", name="pick", auth=None)\n# async def pick(call: Call) -> Reply:\n'
        "#     return Repeat()  # headers X-Key\n",
        '# @ivr_8000.caller("1", name="class", enabled=False)\n'
        "# async def handler(call: Call) -> Reply:\n#     return Repeat()\n",
    ):
        assert line in python
    for line in (
        '; to declare it: pin = "$IVR_8000_PIN"\n',
        "# Unmanaged action URL, left alone: 'crm'\\n, …\n",
        '# [[ivr.dtmf]]\n# mask = "1"\n# name = "pick"\n# auth = "none"\n'
        '# then = "repeat"  # headers X-Key\n',
        '# [[ivr.caller]]\n# mask = "1"\n# name = "class"\n# enabled = false\n# then = "repeat"\n',
    ):
        assert line in toml


def test_all_kinds_of_values() -> None:
    ivr = imported(
        name='Sal"es $1\n\u202e🙂',
        exclude_list="1001-2001;3000",
        enable_pin=True,
        dtmf_interval=2,
        failure_forward_rule={"action": "FORWARD_TO_VOICEMAIL", "number": "1" * 64},
        custom_forward_rules=[
            ENTRY
            | {
                "office_hours": WEEK,
                "non_office_hours_forward_rule": {"action": "DISA"},
                "holidays": [CHRISTMAS, MOVING],
                "holiday_forward_rule": {"action": "HANGUP"},
            },
            {"user_input": "2", "office_hours_forward_rule": {"action": "REPEAT"}},
        ],
        outbound_caller_ids=[{"provider_id": "p", "caller_id": "+4930123456"}],
    )
    python, toml = sources(ivr)
    assert (
        python
        == f'''"""The IVRs of a PBX, as receiver import found them."""

from receiver import (
    Disa,
    Forward,
    Hangup,
    Holiday,
    Ivr,
    MenuEntry,
    OfficeHours,
    OutboundCallerId,
    Receiver,
    Repeat,
    Voicemail,
)

hours_1 = OfficeHours({{"mon-tue": "09:00-17:00", "sun": "00:00-24:00"}})
holiday_1 = Holiday("Christmas", "12-24 14:00 to 12-26", region="DEU")
holiday_2 = Holiday("Moving", "2026-12-28", region="DEU", consecutive=False)

# IVR 8000 Sal"es $1\\n\\u202e🙂
ivr_8000 = Ivr(
    "8000",
    name='Sal"es $1\\n\\u202e🙂',
    dtmf_interval=2,
    failure_reply=Voicemail(
        "{"1" * 64}",
    ),
    exclude_list=["1001-2001", "3000"],
    menu=[
        MenuEntry(
            "1",
            Forward("222"),
            hours=hours_1,
            closed=Disa(),
            holidays=[holiday_1, holiday_2],
            on_holiday=Hangup(),
        ),
        MenuEntry("2", Repeat()),
    ],
    enable_pin=True,
    outbound_caller_ids=[OutboundCallerId(provider_id="p", caller_id="+4930123456")],
)

app = Receiver(ivr_8000)
'''
    )
    assert (
        toml
        == f'''# The IVRs of a PBX, as receiver import found them.

[define.hours_1]
value = "office-hours"
week = {{mon-tue = "09:00-17:00", sun = "00:00-24:00"}}

[define.holiday_1]
value = "holiday"
name = "Christmas"
days = "12-24 14:00 to 12-26"
region = "DEU"

[define.holiday_2]
value = "holiday"
name = "Moving"
days = "2026-12-28"
region = "DEU"
consecutive = false

# IVR 8000 Sal"es $1\\n\\u202e🙂
[[ivr]]
number = "8000"
name = "Sal\\"es $$1\\n\\u202e🙂"
dtmf_interval = 2
failure_reply = {{voicemail = "{"1" * 64}"}}
exclude_list = ["1001-2001", "3000"]
enable_pin = true

[[ivr.menu]]
key = "1"
then = "222"
hours = {{use = "hours_1"}}
closed = "disa"
holidays = [{{use = "holiday_1"}}, {{use = "holiday_2"}}]
on_holiday = "hangup"

[[ivr.menu]]
key = "2"
then = "repeat"

[[ivr.outbound_caller_ids]]
provider_id = "p"
caller_id = "+4930123456"
'''
    )


def test_characters_are_escaped_by_their_code() -> None:
    text = "\\'\"\t\r\x1f\x7f\ue000\U000e0001"
    assert literal(text) == r""" "\\'\"\t\r\x1f\x7f\ue000\U000e0001" """.strip()
    assert string(text) == r""" "\\'\"\t\r\u001f\u007f\ue000\U000e0001" """.strip()


@pytest.mark.parametrize("options", [{"name": object()}, {"outbound_caller_ids": [object()]}])
def test_a_value_that_has_no_form_is_an_error_and_not_left_out(options: Json) -> None:
    for source, form in ((python_source, "Python"), (toml_source, "TOML")):
        with pytest.raises(TypeError, match=f"object has no form in {form}"):
            source([ImportedIvr("8000", "8000", options)])


def test_a_masked_pin_is_left_out_too() -> None:
    assert "pin" in imported(pin="******").left_out
