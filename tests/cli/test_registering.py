"""plan, drift, apply, rotate, destroy and doctor on the command line, for people and programs."""

import asyncio
import json
import logging
import re
import shlex
import sys
import wave
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from receiver import Receiver, Secret, Settings
from receiver.cli import main
from receiver.loader import load
from receiver.pbx.models import ActionUrl, read
from receiver.secrets import derive
from receiver.serving.server import running
from receiver.simulator.api import make_api
from receiver.simulator.model import Behaviour, Pbx

SECRET = "0123456789abcdef0123456789abcdef"
TOKEN = "the-token-of-the-pbx"
PIN = "135790"
THEIRS = "hush-of-somebody-else"
APP = """
from receiver import Call, Forward, Ivr, Receiver, Reply

sales = Ivr("8000")

@sales.dtmf("1;22", fallback=Forward("0"))
async def pick(call: Call) -> Reply:
    return Forward("222")

@sales.dtmf("3", method="GET", auth="basic", headers={"X-Site": "hush-of-a-header"})
async def queue(call: Call) -> Reply:
    return Forward("333")

@sales.caller("100-199", auth="digest")
async def known(call: Call) -> Reply:
    return Forward("444")

app = Receiver(sales)
"""
NAMES = ("pick", "queue", "known")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "calls_app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("RECEIVER_SECRET", SECRET)
    monkeypatch.setenv("RECEIVER_PBX_TOKEN", TOKEN)
    yield tmp_path
    sys.modules.pop("calls_app", None)


class Setting:
    """A simulated PBX and the service, both on the network of this machine."""

    def __init__(self, pbx: Pbx, ivr: str, url: str) -> None:
        self.pbx = pbx
        self.ivr = ivr
        self.url = url
        self.printed = ""

    def add(self, **fields: object) -> None:
        self.pbx.action_urls(self.ivr).create({"type": "DTMF", "method": "POST", **fields})

    def there(self) -> dict[str, ActionUrl]:
        found = [read(ActionUrl, item) for item in self.pbx.action_urls(self.ivr)]
        return {item.name: item for item in found}

    async def run(self, command: str, *, status: int = 0) -> Result:
        """In a thread, for the PBX and the service run in this one."""

        def invoke() -> Result:
            return CliRunner().invoke(main, shlex.split(command), catch_exceptions=False)

        done = await asyncio.to_thread(invoke)
        self.printed += done.output
        assert done.exit_code == status, done.output
        return done

    async def json(self, command: str, *, status: int = 0) -> Any:
        return json.loads((await self.run(f"{command} --json", status=status)).stdout)


@pytest.fixture
async def setting(project: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Setting]:
    pbx = Pbx()
    ivr = pbx.ivrs.create({"name": "Sales", "extension_number": "8000", "enable_pin": False})
    declared = load("calls_app:app")
    assert isinstance(declared, Receiver)
    app = Receiver(*declared.ivrs, settings=Settings(secret=Secret(SECRET)))
    api = make_api(pbx, token=Secret(TOKEN))
    async with running(app) as url, running(api, lifespan="off") as pbx_url:
        monkeypatch.setenv("RECEIVER_PUBLIC_URL", url)
        monkeypatch.setenv("RECEIVER_PBX_URL", pbx_url)
        yield Setting(pbx, ivr, url)


async def test_json_of_every_command(setting: Setting) -> None:
    plan = await setting.json("plan calls_app:app --exit-code", status=2)
    assert (plan["pending"], plan["counts"]["create"]) == (True, 3)
    assert [item["op"] for item in plan["changes"]] == ["create"] * 3
    drift = await setting.json("drift calls_app:app", status=2)
    assert drift["changes"] == plan["changes"]
    applied = await setting.json("apply calls_app:app")
    assert [item["name"] for item in applied["done"]] == list(NAMES)
    assert applied["left"] == []
    assert (await setting.json("drift calls_app:app"))["changes"] == []
    health = await setting.json("doctor calls_app:app")
    assert health["healthy"] is True
    assert [item["level"] for item in health["findings"]] == ["ok"] * 5
    rotated = await setting.json("rotate calls_app:app")
    assert (rotated["epoch"], rotated["finished"], len(rotated["done"])) == (2, False, 3)
    finished = await setting.json("rotate calls_app:app --finish")
    assert (finished["finished"], finished["done"]) == (True, [])
    gone = await setting.json("destroy calls_app:app --yes")
    assert [item["op"] for item in gone["done"]] == ["delete"] * 3
    assert setting.there() == {}


async def test_a_declared_receptionist_is_planned_and_applied(
    setting: Setting, project: Path
) -> None:
    declared = APP.replace('"8000"', f'"8100", name="Support", prompt="welcome.wav", pin="{PIN}"')
    (project / "support_app.py").write_text(declared)
    for command in ("check", "plan"):
        refused = await setting.run(f"{command} support_app:app", status=2)
        assert "support_app.py:4: the prompt" in refused.stderr
    with wave.open(str(project / "welcome.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(320))
    await setting.run("check support_app:app")
    shown = (await setting.run("plan support_app:app --exit-code", status=2)).stdout
    assert shown.startswith("+ receptionist 8100 Support\n      name: Support\n")
    assert re.search(r"^      prompt: welcome-[0-9a-f]{8}\.wav$", shown, re.MULTILINE)
    assert shown.endswith("Plan: 4 to create.\n")
    applied = await setting.json("apply support_app:app")
    (made,) = applied["receptionists"]
    assert (made["op"], made["receptionist"], len(applied["done"])) == ("create", "8100", 3)
    assert (await setting.json("drift support_app:app"))["pending"] is False
    (project / "support_app.py").write_text(declared.replace("Support", "Help desk"))
    sys.modules.pop("support_app")
    assert (await setting.run("apply support_app:app")).stdout.splitlines() == [
        "~ receptionist 8100 Help desk",
        "      name: Support → Help desk",
        *("IVR 8100 Support", "  = pick", "  = queue", "  = known"),
        "Plan: 1 to update, 3 unchanged.",
        "  ~ update receptionist 8100 … done",
        "1 changes made and read back.",
    ]
    await setting.run("destroy support_app:app --yes")
    assert [ivr["extension_number"] for ivr in setting.pbx.ivrs] == ["8000", "8100"]
    assert PIN not in setting.printed
    sys.modules.pop("support_app")


async def test_drift_shows_only_what_differs(setting: Setting) -> None:
    await setting.run("apply calls_app:app")
    assert (await setting.run("drift calls_app:app")).stdout == "Nothing to do.\n"
    urls = setting.pbx.action_urls(setting.ivr)
    urls.update(setting.there()["pick"].id, {"request_timeout": 9})
    assert (await setting.run("drift calls_app:app", status=2)).stdout.splitlines() == [
        "IVR 8000 Sales",
        "  ~ pick",
        "      request_timeout: 9 → 2",
        "Plan: 1 to update, 2 unchanged.",
    ]


@pytest.mark.parametrize("command", ["plan --exit-code", "drift"])
async def test_no_error_passes_for_a_difference(
    command: str, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await setting.run(f"{command} nowhere:app", status=1)
    monkeypatch.setenv("RECEIVER_PBX_URL", "http://127.0.0.1:9/?")
    await setting.run(f"{command} calls_app:app", status=1)


async def test_take_over_is_asked_for(setting: Setting) -> None:
    setting.add(name="pick", url=f"https://other.example.com/action/{THEIRS}")
    before = setting.there()["pick"].id
    done = await setting.run("apply calls_app:app", status=1)
    assert "belongs to another service (https://other.example.com/…)" in done.stderr
    assert "--take-over" in done.stderr
    shown = (await setting.run("plan calls_app:app --take-over")).stdout
    assert "  ~ pick  taken over from https://other.example.com/…" in shown
    assert f"url: https://other.example.com/… → {setting.url}/action/8000/pick" in shown
    await setting.run("apply calls_app:app --take-over")
    assert setting.there()["pick"].id == before
    assert THEIRS not in setting.printed


async def test_warnings_have_an_example(setting: Setting) -> None:
    setting.add(
        name="crm", enabled=True, dtmf_mask="20-29", url=f"https://crm.example.com/{THEIRS}"
    )
    rule = {"user_input": "3", "office_hours_forward_rule": {"action": "HANGUP"}}
    setting.pbx.ivrs.update(setting.ivr, {"custom_forward_rules": [rule]})
    shown = (await setting.run("plan calls_app:app")).stdout
    assert [line for line in shown.splitlines() if line.startswith("Warning")] == [
        'Warning: 8000/pick and "crm" of another service (https://crm.example.com/…) both match '
        '"22": which of them is asked is not documented',
        "Warning: 8000/queue matches 3: the IVR's own menu entry 3 is not reached",
    ]


def test_check_warns_of_prefixes(project: Path) -> None:
    (project / "calls_app.py").write_text(APP.replace('"1;22"', '"2;22"'))
    done = CliRunner().invoke(main, ["check", "calls_app:app"])
    assert 'Warning: 8000/pick matches "2" and "22": who keys in the longer one too' in done.stdout


# a yes at the terminal -----------------------------------------------------------------------


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.cli.registering.is_terminal", lambda stream: True)


def answer(monkeypatch: pytest.MonkeyPatch, reply: bool, *also: Any) -> None:
    def confirm(question: str, err: bool) -> bool:
        for act in also:
            act()
        return reply

    monkeypatch.setattr("click.confirm", confirm)


@pytest.mark.usefixtures("terminal")
async def test_deletes_are_shown_and_asked_about(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await setting.run("apply calls_app:app")
    setting.add(name="old", url=f"{setting.url}/action/8000/old")
    answer(monkeypatch, False)
    done = await setting.run("apply calls_app:app")
    assert "- old" in done.stdout
    assert "old" in setting.there()
    await setting.run("destroy calls_app:app", status=1)
    assert len(setting.there()) == 4
    answer(monkeypatch, True)
    done = await setting.run("apply calls_app:app")
    assert "1 changes made and read back." in done.stdout
    assert re.search(r"reading 0|\r", done.stderr)
    assert list(setting.there()) == list(NAMES)


@pytest.mark.usefixtures("terminal")
async def test_a_yes_counts_for_what_was_shown(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await setting.run("apply calls_app:app")
    setting.add(name="old", url=f"{setting.url}/action/8000/old")
    answer(
        monkeypatch,
        True,
        lambda: setting.add(name="older", url=f"{setting.url}/action/8000/older"),
    )
    for command in ("apply", "destroy"):
        done = await setting.run(f"{command} calls_app:app", status=1)
        assert "somebody changed the PBX while the question stood here" in done.stderr
    assert {"old", "older"} < set(setting.there())


# rotate and doctor ---------------------------------------------------------------------------


async def test_a_rotation_on_the_command_line(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await setting.run("apply calls_app:app")
    early = await setting.run("rotate calls_app:app --finish", status=1)
    assert (
        "3 action URLs have older credentials (8000/pick, 8000/queue, 8000/known)" in early.stderr
    )
    done = await setting.run("rotate calls_app:app")
    assert "3 of 3 action URLs moved" in done.stdout
    assert setting.there()["pick"].token == derive(Secret(SECRET), "8000/pick", 2).token
    assert "Nothing to do." in (await setting.run("plan calls_app:app")).stdout
    done = await setting.run("rotate calls_app:app --finish")
    assert "Now set RECEIVER_EPOCH=2 for the service" in done.stdout
    # The command is told, the service is not: to move the PBX on would refuse every caller.
    monkeypatch.setenv("RECEIVER_EPOCH", "2")
    del sys.modules["calls_app"]
    refused = await setting.run("rotate calls_app:app", status=1)
    assert "nothing was rotated, for 8000/pick with its new credentials" in refused.stderr
    assert "RECEIVER_EPOCH" in refused.stderr
    assert setting.there()["pick"].token == derive(Secret(SECRET), "8000/pick", 2).token
    await setting.run("rotate calls_app:app --unchecked")
    assert setting.there()["pick"].token == derive(Secret(SECRET), "8000/pick", 3).token


async def test_rotate_wants_everything_as_declared(setting: Setting) -> None:
    done = await setting.run("rotate calls_app:app", status=1)
    assert "3 action URLs are not as declared (create 8000/pick, …)" in done.stderr


async def test_credentials_are_forced_where_they_cannot_be_read(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting.pbx.behaviour = Behaviour(secrets="masked")
    await setting.run("apply calls_app:app")
    monkeypatch.setenv("RECEIVER_SECRET", "another secret of the command")
    del sys.modules["calls_app"]
    assert "~ pick" not in (await setting.run("plan calls_app:app")).stdout
    shown = (await setting.run("plan calls_app:app --force-credentials")).stdout
    assert "token: (hidden by the PBX) → ***" in shown
    await setting.run("apply calls_app:app --force-credentials")
    stored = {item["name"]: item for item in setting.pbx.action_urls(setting.ivr)}
    # The next epoch's: a service takes them before a rotation and after it.
    credentials = derive(Secret("another secret of the command"), "8000/pick", 2)
    assert stored["pick"]["token"] == credentials.token.reveal()


async def test_doctor_says_what_is_wrong(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    done = await setting.run("doctor calls_app:app", status=1)
    assert "FAULT   8000/pick: is not on the PBX\n          -> receiver apply" in done.stdout
    assert "ok      8000/pick: answered in " in done.stdout
    assert "3 faults, 0 warnings, 8 things looked at." in done.stdout
    monkeypatch.setenv("RECEIVER_PUBLIC_URL", "http://127.0.0.1:9")
    del sys.modules["calls_app"]
    data = await setting.json("doctor calls_app:app", status=1)
    assert data["healthy"] is False
    assert data["findings"][-1]["text"] == "the connection was refused"
    assert data["findings"][-1]["cure"].startswith("start the service")


# secrets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["", " --json"])
async def test_nothing_that_is_printed_holds_a_secret(
    how: str,
    setting: Setting,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    setting.add(name="crm", url=f"https://crm.example.com/{THEIRS}", headers=f"X-Key:{THEIRS}")
    setting.add(name="pick", url=f"https://dev.example.com/{THEIRS}", token=THEIRS, auth="BEARER")
    monkeypatch.setattr("receiver.cli.registering.ask", lambda *args: True)
    for command, status in (
        ("plan calls_app:app", 0),
        ("apply calls_app:app", 1),
        ("apply calls_app:app --take-over", 0),
        ("drift calls_app:app", 0),
        ("doctor calls_app:app", 0),
        ("rotate calls_app:app", 0),
        ("rotate calls_app:app --finish", 0),
        ("plan calls_app:app --force-credentials", 0),
    ):
        await setting.run(command + how, status=status)
    urls = setting.pbx.action_urls(setting.ivr)
    urls.update(
        setting.there()["queue"].id, {"password": THEIRS.replace("-", ""), "headers": "a:b"}
    )
    await setting.run("plan calls_app:app" + how)
    monkeypatch.setenv("RECEIVER_PBX_TOKEN", "a-wrong-token-of-the-pbx")
    del sys.modules["calls_app"]
    for command in ("plan", "apply", "drift", "destroy", "rotate", "doctor"):
        await setting.run(f"{command} calls_app:app{how}", status=1)
    monkeypatch.setenv("RECEIVER_PBX_TOKEN", TOKEN)
    del sys.modules["calls_app"]
    await setting.run("destroy calls_app:app" + how)
    printed = setting.printed + caplog.text
    assert len(printed) > 5000
    derived = [derive(Secret(SECRET), f"8000/{name}", n) for name in NAMES for n in (1, 2, 3)]
    secrets = [SECRET, TOKEN, THEIRS, THEIRS.replace("-", ""), "a-wrong-token", "hush-of-a-header"]
    secrets += [item.token.reveal() for item in derived]
    secrets += [item.password.reveal() for item in derived]
    secrets += [item.username for item in derived]
    assert [secret for secret in secrets if secret in printed] == []
