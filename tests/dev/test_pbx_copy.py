"""A copy of a PBX: over HTTP, read only, and what is phoned there."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from receiver.credentials import Secret
from receiver.dev.declaration_messages import DeclaredAction
from receiver.dev.ivr_views import ivrs_json, office
from receiver.dev.messages import Ready
from receiver.dev.pbx_copy import copy
from receiver.dev.simulated_pbxs import SimulatedPbxs
from receiver.errors import PbxError
from receiver.pbx.access_tokens import GivenToken, Login
from receiver.pbx.pbx_client import PbxClient
from receiver.server.uvicorn_server import running
from receiver.simulator.api import Api, make_api
from receiver.simulator.behaviour import Behaviour
from receiver.simulator.fault_plan import PlannedFault
from receiver.simulator.hours import LocalTime
from receiver.simulator.logins import Account
from receiver.simulator.model import Pbx
from tests.dev.dev_process import APP, Dev

THEIRS = "https://ivr.example.com/calls"
OURS = "http://127.0.0.1:4321"
TOKEN = Secret("the-token-of-the-real-one")
PASSWORD = Secret("password-of-the-account")
MONDAY, SUNDAY = LocalTime(2026, 11, 23, 10, 0, 0), LocalTime(2026, 11, 22, 10, 0, 6)
CHRISTMAS = LocalTime(2026, 12, 25, 10, 0, 4)


@dataclass
class Real:
    """A simulated PBX in place of the real one."""

    pbx: Pbx
    api: Api
    url: str


def rule(number: str) -> dict[str, str]:
    return {"action": "FORWARD_TO_NUMBER", "number": number}


async def furnish(real: Real, label: str = "", says: bytes = b"RIFF of the prompt") -> None:
    """Two IVRs with all there is, made over the API."""
    async with PbxClient(real.url, GivenToken(TOKEN)) as client:
        file = await client.files.upload("welcome.wav", says, checked=False)
    ours = f"{THEIRS}/action/{label}/8000" if label else f"{THEIRS}/action/8000"
    holiday = real.pbx.holidays.create(
        {
            "name": "Christmas",
            "region": "DEU",
            "consecutive": True,
            "every_year": True,
            "month_start": 12,
            "day_start": 25,
        }
    )
    monday = {"enabled": True, "ranges": [{"from": "09:00", "to": "17:00"}]}
    menu = {
        "user_input": "9",
        "office_hours": {"mode": "CUSTOM", "monday": monday},
        "office_hours_forward_rule": rule("100"),
        "non_office_hours_forward_rule": rule("200"),
        "holidays": [holiday],
        "holiday_forward_rule": {"action": "HANGUP"},
    }
    sales = real.pbx.ivrs.create(
        {
            "name": "Sales",
            "extension_number": "8000",
            "pin": "135790",
            "prompt_file_id": file,
            "custom_forward_rules": [menu],
            "night_mode_forward_rule": rule("300"),
        }
    )
    real.pbx.add_ivr("8100", "Other")
    add_action_urls(real, sales, ours)


def add_action_urls(real: Real, ivr: str, ours: str) -> None:
    """Create one of the app, one of an earlier version, and one of another service."""
    for name, url in (
        ("pick", f"{ours}/pick"),
        ("old", f"{ours}//old/"),  # another spelling of the public URL
        ("crm", "https://crm.example.com/hook"),
    ):
        real.pbx.action_urls(ivr).create(
            {
                "name": name,
                "enabled": True,
                "type": "DTMF",
                "method": "POST",
                "dtmf_mask": {"pick": "1", "old": "2", "crm": "3"}[name],
                "url": url,
                "auth": "BEARER",
                "token": "token-of-production",
                "headers": "X-Site:north&Receiver-Owner:abcdefgh234567ab",
            }
        )


@asynccontextmanager
async def serving(label: str = "", says: bytes = b"RIFF of the prompt") -> AsyncIterator[Real]:
    pbx = Pbx(Behaviour(secrets="masked"))
    api = make_api(pbx, token=TOKEN, accounts=[Account("admin", PASSWORD, "example.com")])
    async with running(api, lifespan="off") as url:
        made = Real(pbx, api, url)
        await furnish(made, label, says)
        api.requests.clear()
        yield made


@pytest.fixture
async def real() -> AsyncIterator[Real]:
    async with serving() as made:
        yield made


PICK = DeclaredAction(
    ivr="8000",
    pbx="",
    name="pick",
    kind="DTMF",
    mask="1",
    method="POST",
    auth="bearer",
    request_timeout=2,
    connection_timeout=2,
    headers={},
    secret_header="",
    sensitive=False,
    enabled=True,
    where="app.py:6",
    handler="app.pick (app.py:6)",
    fallback="",
)


async def test_all_is_copied_and_nothing_is_changed(real: Real) -> None:
    login = Login("admin", PASSWORD, "example.com")
    async with SimulatedPbxs(OURS, Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")) as sites:
        site = await sites.at("")
        async with PbxClient(real.url, login) as client:
            copied = await copy(client, site, public_url=THEIRS, base=OURS)
        assert str(copied) == "2 IVRs, 3 action URLs, 1 holiday and 1 prompt"

        # Nothing but GET, and the sign-in and sign-out.
        asked = set(real.api.requests)
        assert {method for method, path in asked if not path.startswith("/api/auth/")} == {"GET"}
        assert ("GET", "/api/holidays") in asked

        # The IVRs are as they are there.
        (sales, other) = ivrs_json("", site.pbx, {}, OURS, MONDAY)
        assert (sales["number"], sales["name"], other["name"]) == ("8000", "Sales", "Other")
        assert sales["prompt"]["text"] == "welcome.wav"
        assert sales["menu"][0] == {
            "keys": "9",
            "text": "forward to 100; outside of office hours forward to 200; on holidays hang up",
        }
        assert [one["name"] for one in sales["actions"]] == ["pick", "old", "crm"]
        ivr = next(iter(site.pbx.ivrs))
        found = [office(site.pbx, ivr, moment) for moment in (MONDAY, SUNDAY, CHRISTMAS)]
        assert found == ["open", "closed", "holiday"]
        file = site.pbx.files.stored(ivr["prompt_file_id"])
        async with site.client.files.download(file["digest"]) as download:
            assert b"".join([part async for part in download.chunks()]) == b"RIFF of the prompt"

        # What could not be read is put right by registering, and what is no longer declared goes.
        changes = await sites.register(Ready([("", "8000")], [PICK], [], []))
        assert changes[0].startswith("~ action 8000/pick: ")
        assert "- action 8000/old" in changes
        urls = {one["name"]: one for one in site.pbx.action_urls(ivr["id"])}
        assert urls.keys() == {"pick", "crm"}
        assert urls["pick"]["url"] == f"{OURS}/action/8000/pick"
        assert "******" not in str(urls)
        assert urls["crm"]["url"] == "https://crm.example.com/hook"
        (shown, foreign) = ivrs_json("", site.pbx, sites.actions, OURS, MONDAY)[0]["actions"]
        assert (shown["identity"], shown["handler"]) == ("8000/pick", "app.pick (app.py:6)")
        assert (foreign["identity"], "no callback is sent" in foreign["handler"]) == (None, True)
        assert await sites.register(Ready([("", "8000")], [PICK], [], [])) == ()


async def test_a_recording_that_cannot_be_read_is_missed(real: Real) -> None:
    real.api.faults.add(PlannedFault.parse("GET /blobs/** every refuse=404"))
    async with SimulatedPbxs(OURS, Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")) as sites:
        site = await sites.at("")
        async with PbxClient(real.url, GivenToken(TOKEN)) as client:
            copied = await copy(client, site, public_url="", base=OURS)
        assert copied.without_audio == ("8000",)
        assert "without the prompts of 8000" in str(copied)
        urls = [one["url"] for one in site.pbx.action_urls(next(iter(site.pbx.ivrs))["id"])]
        assert (
            urls[0] == f"{THEIRS}/action/8000/pick"
        )  # without the public URL it is not recognised


async def test_a_pbx_that_does_not_answer(real: Real) -> None:
    real.api.faults.add(PlannedFault.parse("GET /holidays every refuse=403"))
    async with SimulatedPbxs(OURS, Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")) as sites:
        site = await sites.at("")
        async with PbxClient(real.url, GivenToken(TOKEN)) as client:
            with pytest.raises(PbxError):
                await copy(client, site, public_url="", base=OURS)


async def test_what_is_no_longer_declared_goes_with_its_ivr() -> None:
    async with SimulatedPbxs(OURS, Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")) as sites:
        one = await sites.register(Ready([("", "8000"), ("north", "8000")], [PICK], [], []))
        assert one == ("+ IVR 8000", "+ action 8000/pick", "+ IVR north/8000")
        two = await sites.register(Ready([("", "8000")], [], [], []))
        assert two == ("- action 8000/pick", "- IVR north/8000")
        north = sites.find("north")
        assert north is not None
        assert len(north.pbx.ivrs) == 0


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Any]:
    (tmp_path / "app.py").write_text(APP.replace('"1**"', '"2**"'))
    started: list[Dev] = []

    def start(**env: str) -> Dev:
        started.append(dev := Dev(tmp_path, "--pbx", **env))
        return dev

    yield start
    for dev in started:
        dev.stop()


async def test_phoning_a_copy_of_production(real: Real, process: Any) -> None:
    def phone() -> None:
        dev = process(RECEIVER_PBX_URL=real.url, RECEIVER_PBX_TOKEN=TOKEN.reveal())
        dev.until_printed("copied from the PBX: 2 IVRs, 3 action URLs")
        dev.until_service("running")
        for keys, ending in (("9", None), ("3", "failed")):
            key = dev.post("phone/dial", {"ivr": "8000", "caller": "101"})["call"]
            dev.until_call(key, state="prompt")
            dev.post(f"phone/{key}/key", {"key": keys})
            if ending:
                dev.until_call(key, reason=ending)
                steps = dev.call(key)["steps"]
                failed = next(s["callback"] for s in steps if s["callback"])
                assert "sends no callback to another service" in failed["outcome"]["text"]
                assert failed["exchanges"] == []
                dev.post(f"phone/{key}/hangup", {})
            assert dev.ended(key)["end"]

        # At night, and on a holiday.
        dev.post("pbx/clock", {"at": "2026-12-25T10:00"})
        ivrs = dev.browser.get("state").json()["ivrs"]
        assert ivrs[0]["office"] == "holiday"
        audio = dev.browser.get(ivrs[0]["prompt"]["audio"])
        assert (audio.content, audio.status_code) == (b"RIFF of the prompt", 200)
        assert dev.browser.get("audio/none").status_code == 404
        dev.post("pbx/clock", {"at": None})
        dev.post("pbx/night", {"ivr": "8000", "on": True})
        key = dev.post("phone/dial", {"ivr": "8000", "caller": "101"})["call"]
        assert dev.ended(key)["end"]["text"] == "forwarded to 300"
        for path, body in (
            ("phone/dial", {"ivr": "9999"}),
            ("phone/none/key", {"key": "1"}),
            ("pbx/clock", {"at": "noon"}),
            ("pbx/night", {"ivr": "8100", "on": True}),
            ("pbx/night", {"ivr": "9999", "on": True}),
        ):
            with pytest.raises(AssertionError, match="error"):
                dev.post(path, body)

    await asyncio.to_thread(phone)
    asked = {method for method, path in real.api.requests if not path.startswith("/api/auth/")}
    assert asked == {"GET"}


TWO = """
from receiver import Call, Forward, Ivr, Receiver, Reply

north, south = Ivr("8000", pbx="north"), Ivr("8000", pbx="south")

@north.dtmf("1")
async def pick(call: Call) -> Reply:
    return Forward("111")

@south.dtmf("1", name="pick")
async def other(call: Call) -> Reply:
    return Forward("222")

app = Receiver(north, south)
"""


def variables(label: str, real: Real) -> dict[str, str]:
    prefix = f"RECEIVER_{label.upper()}_"
    return {f"{prefix}PBX_URL": real.url, f"{prefix}PBX_TOKEN": TOKEN.reveal()}


async def test_phoning_a_copy_of_several_pbxs(process: Any, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(TWO)
    answers = {"north": "111", "south": "222"}

    def phone(north: Real, south: Real) -> None:
        env = variables("north", north) | variables("south", south)
        dev = process(**env, RECEIVER_PUBLIC_URL=THEIRS)
        for label in answers:
            dev.until_printed(f"copied from the PBX {label}: 2 IVRs, 3 action URLs")
        changes = dev.until_service("running")["changes"]
        assert {one.split(":")[0] for one in changes} == {
            f"{sign} action {label}/8000/{name}"
            for label in answers
            for sign, name in (("~", "pick"), ("-", "old"))
        }
        shown = {one["pbx"]: one for one in dev.browser.get("state").json()["ivrs"][::2]}
        for label, answer in answers.items():
            # Each plays its own prompt, and asks its own handler.
            said = dev.browser.get(shown[label]["prompt"]["audio"]).content
            assert said == f"RIFF of {label}".encode()
            key = dev.post("phone/dial", {"ivr": f"{label}/8000", "caller": "101"})["call"]
            dev.until_call(key, state="prompt")
            dev.post(f"phone/{key}/key", {"key": "1"})
            call = dev.ended(key)
            assert (call["pbx"], call["end"]["text"]) == (label, f"forwarded to {answer}")
            (callback,) = [one["callback"] for one in call["steps"] if one["callback"]]
            assert callback["action"] == f"{label}/8000/pick"

        # A new PBX without settings does not end the command.
        dev.write("Receiver(north, south)", 'Receiver(north, south, Ivr("8000", pbx="west"))')
        broken = dev.until_service("broken")
        assert (broken["serves"], "RECEIVER_PBX_URL is not set" in broken["text"]) == (True, True)
        assert "the PBX west" in broken["text"]
        dev.write('pbx="west"', 'pbx="south"')
        dev.until_service("running")

    async with (
        serving("north", b"RIFF of north") as north,
        serving("south", b"RIFF of south") as south,
    ):
        await asyncio.to_thread(phone, north, south)
        for one in (north, south):
            asked = [pair for pair in one.api.requests if not pair[1].startswith("/api/auth/")]
            assert {method for method, _ in asked} == {"GET"}
            assert asked.count(("GET", "/api/holidays")) == 1  # copied once


async def test_one_of_several_pbxs_is_not_there(real: Real, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(TWO)
    env = variables("north", real) | {
        "RECEIVER_SOUTH_PBX_URL": "http://127.0.0.1:9",
        "RECEIVER_SOUTH_PBX_TOKEN": "t",
    }
    done = await asyncio.to_thread(run_dev, tmp_path, env)
    assert done.returncode == 1
    assert "copied from the PBX north: " in done.stdout
    assert "the PBX south cannot be copied: " in done.stderr
    assert "Traceback" not in done.stderr


def run_dev(folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "receiver", "dev", "app:app", "--port", "0", "--pbx"]
    return subprocess.run(
        [*command, "--no-open"],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
    )


async def test_a_copy_of_a_pbx_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    env = {"RECEIVER_PBX_URL": "http://127.0.0.1:9", "RECEIVER_PBX_TOKEN": "t"}
    done = await asyncio.to_thread(run_dev, tmp_path, env)
    assert done.returncode == 1
    assert "\nError: the PBX cannot be copied: " in f"\n{done.stderr}"  # warnings may precede it
    assert "Traceback" not in done.stderr
