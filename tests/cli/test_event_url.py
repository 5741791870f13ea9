"""The event URL on the command line: plan, apply, drift, rotate, destroy, and a saved plan."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from receiver import Receiver, Secret, Settings
from receiver.config.loader import load
from receiver.server.uvicorn_server import running
from receiver.simulator.api import make_api
from receiver.simulator.model import Pbx
from tests.cli.test_apply import SECRET, TOKEN, Setting

OLD = "https://old.example.com/app"
OTHER = {"enabled": True, "url": "https://crm.example.com/hook/hush"}
APP = """
from receiver import Call, CallEvent, Forward, Ivr, Receiver, Reply

sales = Ivr("8000")

@sales.dtmf("1")
async def pick(call: Call) -> Reply:
    return Forward("222")

app = Receiver(sales)

@app.on("call_ended")
async def keep(event: CallEvent) -> None:
    pass
"""


@pytest.fixture
async def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Setting]:
    (tmp_path / "events_app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("RECEIVER_SECRET", SECRET)
    monkeypatch.setenv("RECEIVER_PBX_TOKEN", TOKEN)
    pbx = Pbx()
    ivr = pbx.add_ivr("8000", "Sales")
    declared = load("events_app:app")
    assert isinstance(declared, Receiver)
    app = Receiver(*declared.ivrs, *declared.events, settings=Settings(secret=Secret(SECRET)))
    api = make_api(pbx, token=Secret(TOKEN))
    async with running(app) as url, running(api, lifespan="off") as pbx_url:
        monkeypatch.setenv("RECEIVER_PUBLIC_URL", url)
        monkeypatch.setenv("RECEIVER_PBX_URL", pbx_url)
        yield Setting(pbx, ivr, url)
    sys.modules.pop("events_app", None)


async def test_from_apply_to_destroy(setting: Setting) -> None:
    stored = setting.pbx.tenant_settings
    assert "+ event URL  POST, bearer" in (await setting.run("apply events_app:app")).output
    assert stored["cdr_event"]["url"] == f"{setting.url}/events"
    token = stored["cdr_event"]["token"]
    assert "= event URL" in (await setting.run("plan events_app:app --exit-code")).output
    stored["cdr_event"] = {**stored["cdr_event"], "enabled": False}
    found = await setting.json("drift events_app:app", status=1)
    assert [one["fields"] for one in found["event_urls"]] == [
        [{"field": "enabled", "from": False, "to": True}]
    ]
    await setting.run("apply events_app:app")
    assert stored["cdr_event"]["enabled"]
    moved = await setting.run("rotate events_app:app")
    assert "2 of 2 (1 action URL and the event URL) moved" in moved.output
    assert stored["cdr_event"]["token"] != token
    await setting.run("rotate events_app:app --finish")
    gone = await setting.run("destroy events_app:app --yes")
    assert "1 action URL and the event URL deleted." in gone.output
    assert stored["cdr_event"] == {
        "enabled": False,
        "auth": "DISABLE",
        "url": f"{setting.url}/events",
    }
    assert token not in setting.printed


async def test_that_of_another_receiver_needs_consent(setting: Setting) -> None:
    setting.pbx.update_tenant({"cdr_event": OTHER})
    blocked = await setting.run("apply events_app:app", status=1)
    assert "forward_to=" in blocked.output
    assert setting.pbx.tenant_settings["cdr_event"]["url"] == OTHER["url"]
    assert not setting.there()  # nothing was changed
    await setting.run("plan events_app:app --take-over-events --out changes.plan")
    await setting.run("apply changes.plan")
    assert setting.pbx.tenant_settings["cdr_event"]["url"] == f"{setting.url}/events"
    assert "hush" not in setting.printed


async def apply_before_move(setting: Setting) -> object:
    """Register at a former public URL; return the event URL as it would be at the present one."""
    await setting.run("apply events_app:app")
    stored = setting.pbx.tenant_settings["cdr_event"]
    setting.pbx.update_tenant({"cdr_event": {**stored, "url": f"{OLD}/events"}})
    return stored


async def test_after_a_move_the_suggested_command_moves_it(setting: Setting) -> None:
    stored = await apply_before_move(setting)
    blocked = await setting.run("apply events_app:app", status=1)
    assert f"receiver apply --moved-from {OLD}. " in " ".join(blocked.output.split())
    await setting.run(f"apply events_app:app --moved-from {OLD}")
    assert setting.pbx.tenant_settings["cdr_event"] == stored


async def test_after_a_move_destroy_reports_the_one_that_is_left(setting: Setting) -> None:
    await apply_before_move(setting)
    left = await setting.run("destroy events_app:app --yes", status=1)
    assert "1 action URL deleted." in left.stdout
    text = "event URL: it was registered with this RECEIVER_SECRET at"
    assert f"Error: the event URL left: {text} {OLD}" in " ".join(left.stderr.split())
    assert setting.pbx.tenant_settings["cdr_event"]["enabled"]
    await setting.run(f"destroy events_app:app --yes --moved-from {OLD}")
    assert not setting.pbx.tenant_settings["cdr_event"]["enabled"]


async def test_a_saved_plan_is_void_when_the_event_url_has_changed(setting: Setting) -> None:
    await setting.run("plan events_app:app --out changes.plan")
    setting.pbx.update_tenant({"cdr_event": OTHER})
    refused = await setting.run("apply changes.plan", status=1)
    assert "changed since the plan was saved (event URL)" in " ".join(refused.output.split())


async def test_an_event_url_that_is_no_longer_declared(setting: Setting) -> None:
    await setting.run("apply events_app:app")
    Path("events_app.py").write_text(APP.partition("@app.on")[0])
    sys.modules.pop("events_app")
    left = await setting.run("apply events_app:app", status=3)
    assert "Left on the PBX: the event URL of this service to be deleted" in left.output
    await setting.run("apply events_app:app --allow-deletes")
    assert not setting.pbx.tenant_settings["cdr_event"]["enabled"]


async def test_doctor_probes_it_like_an_action(setting: Setting) -> None:
    await setting.run("apply events_app:app")
    good = await setting.run("doctor events_app:app")
    assert "ok      event URL: answered in " in good.output
    assert "0 faults, 0 warnings, 4 checks." in good.output
    setting.pbx.tenant_settings["cdr_event"]["enabled"] = False
    off = await setting.json("doctor events_app:app", status=1)
    assert [
        (one["subject"], one["text"]) for one in off["findings"] if one["level"] == "fault"
    ] == [("event URL", "is not as declared: enabled: no → yes")]
