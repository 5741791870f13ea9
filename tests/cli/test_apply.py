"""plan, drift, apply, rotate, destroy and doctor on the command line, for people and programs."""

import asyncio
import json
import logging
import re
import shlex
import signal
import stat
import sys
import wave
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from receiver import Receiver, Secret, Settings
from receiver.cli import main
from receiver.config.loader import load
from receiver.credentials import derive
from receiver.pbx.models import ActionUrl, read
from receiver.server.uvicorn_server import running
from receiver.simulator.api import make_api
from receiver.simulator.fault_plan import FaultPlan, PlannedFault
from receiver.simulator.logins import Account
from receiver.simulator.model import Behaviour, Pbx
from tests.cli.apps import THREE_ACTIONS
from tests.command_line import CliRunner
from tests.processes import kill_group

SECRET = "6d0f2c9ab17e4583f4c8d25e90ab3716"
OTHER_SECRET = "e81b5c3f70a94d26b3f7091ac5d64e28"
TOKEN = "the-token-of-the-pbx"
PIN = "135790"
THEIRS = "hush-of-another-service"
APP = f"{THREE_ACTIONS}\napp = Receiver(sales)\n"
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
        """Run the command in a thread, because the PBX and the service run in this one."""

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
    ivr = pbx.add_ivr("8000", "Sales")
    declared = load("calls_app:app")
    assert isinstance(declared, Receiver)
    app = Receiver(*declared.ivrs, settings=Settings(secret=Secret(SECRET)))
    api = make_api(pbx, token=Secret(TOKEN))
    async with running(app) as url, running(api, lifespan="off") as pbx_url:
        monkeypatch.setenv("RECEIVER_PUBLIC_URL", url)
        monkeypatch.setenv("RECEIVER_PBX_URL", pbx_url)
        yield Setting(pbx, ivr, url)


async def test_json_of_every_command(setting: Setting) -> None:
    plan = await setting.json("plan calls_app:app --exit-code", status=1)
    assert (plan["pending"], plan["counts"]["create"]) == (True, 3)
    assert [item["op"] for item in plan["changes"]] == ["create"] * 3
    drift = await setting.json("drift calls_app:app", status=1)
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
    assert {item["reason"] for item in gone["plan"]["changes"]} == {"it is managed by this service"}
    assert setting.there() == {}


async def test_a_declared_ivr_is_planned_and_applied(setting: Setting, project: Path) -> None:
    declared = APP.replace('"8000"', f'"8100", name="Support", prompt="welcome.wav", pin="{PIN}"')
    (project / "support_app.py").write_text(declared)
    for command in ("check", "plan"):
        refused = await setting.run(f"{command} support_app:app", status=2)
        assert "support_app.py:4: the prompt" in refused.stderr
    with wave.open(str(project / "welcome.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(320))
    await setting.run("check support_app:app")
    shown = (await setting.run("plan support_app:app --exit-code", status=1)).stdout
    assert shown.startswith("+ IVR 8100 Support\n      name: Support\n")
    assert re.search(r"^      prompt: welcome-[0-9a-f]{8}\.wav$", shown, re.MULTILINE)
    assert shown.endswith("Plan: 4 to create.\n")
    refused = await setting.run("apply support_app:app", status=1)
    assert "the service runs without this declaration" in refused.stderr
    assert len(list(setting.pbx.ivrs)) == 1
    applied = await setting.json("apply support_app:app --unchecked")
    made = applied["done"][0]
    assert (made["op"], made["ivr"], len(applied["done"])) == ("create", "8100", 4)
    assert (await setting.json("drift support_app:app"))["pending"] is False
    (project / "support_app.py").write_text(declared.replace("Support", "Help desk"))
    sys.modules.pop("support_app")
    assert (await setting.run("apply support_app:app")).stdout.splitlines() == [
        "~ IVR 8100 Help desk",
        "      name: Support → Help desk",
        *("IVR 8100 Support", "  = pick", "  = queue", "  = known"),
        "Plan: 1 to update, 3 unchanged.",
        "  ~ update IVR 8100 … done",
        "1 change made and read back.",
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
    assert (await setting.run("drift calls_app:app", status=1)).stdout.splitlines() == [
        "IVR 8000 Sales",
        "  ~ pick",
        "      request_timeout: 9 → 2",
        "Plan: 1 to update, 2 unchanged.",
    ]


@pytest.mark.parametrize("command", ["plan --exit-code", "drift"])
async def test_no_error_passes_for_a_difference(
    command: str, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await setting.run(f"{command} nowhere:app", status=2)
    set_again(monkeypatch, "RECEIVER_PBX_URL", "http://127.0.0.1:9/?")
    await setting.run(f"{command} calls_app:app", status=2)
    set_again(monkeypatch, "RECEIVER_PBX_URL", "http://127.0.0.1:9")
    await setting.run(f"{command} calls_app:app", status=2)
    set_again(monkeypatch, "RECEIVER_PBX_URL", "")
    missing = await setting.run(f"{command} calls_app:app", status=2)
    assert "RECEIVER_PBX_URL is not set" in missing.stderr


async def test_taking_over_needs_the_option(setting: Setting) -> None:
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
        '"22": which of them gets the callback is not documented',
        "Warning: 8000/queue matches 3: the IVR's own menu entry 3 is not reached",
    ]


def test_check_warns_of_prefixes(project: Path) -> None:
    (project / "calls_app.py").write_text(APP.replace('"1;22"', '"2;22"'))
    done = CliRunner().invoke(main, ["check", "calls_app:app"])
    assert 'Warning: 8000/pick matches "2" and "22": a caller who enters' in done.stdout


# what is not done ----------------------------------------------------------------------------


async def test_a_missing_ivr_is_an_error_and_the_rest_goes_on(
    setting: Setting, project: Path
) -> None:
    more = """
gone = Ivr("8009")
gone.add("DTMF", "1", pick, name="x")
gone.add("DTMF", "2", pick, name="y")
app = Receiver(sales, gone)
"""
    (project / "calls_app.py").write_text(APP + more)
    del sys.modules["calls_app"]
    said = "Error: 8009/x, y: there is no IVR 8009 on the PBX: the PBX has 8000 'Sales'; correct"
    planned = await setting.run("plan calls_app:app", status=1)
    assert said in planned.stderr
    assert "3 to create, 2 missing." in planned.stdout
    done = await setting.run("apply calls_app:app", status=1)
    assert said in done.stderr
    assert "3 changes made and read back." in done.stdout
    assert list(setting.there()) == list(NAMES)
    drift = await setting.json("drift calls_app:app", status=1)
    assert [(one["op"], one["name"]) for one in drift["changes"]] == [
        ("missing", "x"),
        ("missing", "y"),
    ]
    rotated = await setting.run("rotate calls_app:app", status=1)
    assert "3 of 3 action URLs moved" in rotated.stdout
    assert said in rotated.stderr
    assert setting.there()["pick"].token == derive(Secret(SECRET), "8000/pick", 2).token
    await setting.run("destroy calls_app:app --yes")
    assert setting.there() == {}


async def test_the_service_is_probed_even_if_an_ivr_is_missing(
    setting: Setting, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = """
gone = Ivr("8009")
gone.add("DTMF", "1", pick, name="x")
app = Receiver(gone, sales)
"""
    await setting.run("apply calls_app:app")
    before = list(setting.pbx.action_urls(setting.ivr))
    (project / "calls_app.py").write_text(APP + more)
    set_again(monkeypatch, "RECEIVER_SECRET", OTHER_SECRET)
    done = await setting.run("apply calls_app:app", status=1)
    assert "the service would refuse the callbacks of 8000/pick" in done.stderr
    assert list(setting.pbx.action_urls(setting.ivr)) == before
    set_again(monkeypatch, "RECEIVER_SECRET", SECRET)
    done = await setting.run("apply calls_app:app", status=1)
    assert "Error: 8009/x: there is no IVR 8009 on the PBX" in done.stderr
    assert "0 changes" not in done.stdout
    assert list(setting.pbx.action_urls(setting.ivr)) == before


async def test_apply_without_a_terminal_creates_and_leaves_deletes(setting: Setting) -> None:
    setting.add(name="old", url=f"{setting.url}/action/8000/old")
    done = await setting.run("apply calls_app:app", status=3)
    assert "3 changes made and read back." in done.stdout
    assert (
        "Left on the PBX: 1 action URL of this service to be deleted (8000/old); "
        "receiver apply calls_app:app --allow-deletes deletes them." in done.stderr
    )
    assert {"old", *NAMES} == set(setting.there())
    data = await setting.json("apply calls_app:app", status=3)
    assert (data["done"], [one["name"] for one in data["left"]]) == ([], ["old"])
    await setting.run("apply calls_app:app --allow-deletes")
    assert list(setting.there()) == list(NAMES)
    setting.add(name="old", url=f"{setting.url}/action/8000/old")
    refused = await setting.run("destroy calls_app:app", status=2)
    assert "needs a yes at a terminal, or --yes" in refused.stderr


COMMANDS = {
    "apply": (3, "create 8000/pick, queue"),
    "rotate --unchecked": (3, "update 8000/pick, queue"),
    "drain": (3, "update 8000/pick, queue"),
    "undrain": (3, "update 8000/pick, queue"),
    "destroy --yes": (3, "delete 8000/pick, queue"),
}


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", COMMANDS)
async def test_an_interrupted_command_reports_what_was_done(
    command: str, signum: signal.Signals, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third write is not answered; until then, each change was printed."""
    if command != "apply":
        await setting.run("apply calls_app:app")
    if command == "undrain":
        await setting.run("drain calls_app:app")
    third, listed = COMMANDS[command]
    reached = asyncio.Event()

    async def hang(seconds: float) -> None:
        reached.set()
        await asyncio.Event().wait()

    faults = FaultPlan(PlannedFault.parse(f"POST /ivrs/** {third} delay=9"))
    api = make_api(setting.pbx, token=Secret(TOKEN), faults=faults, sleep=hang)
    async with running(api, lifespan="off") as url:
        monkeypatch.setenv("RECEIVER_PBX_URL", url)
        verb, *options = command.split()
        arguments = ("-m", "receiver", verb, "calls_app:app", *options)
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdout=PIPE, stderr=PIPE, process_group=0
        )
        try:
            await reached.wait()
            process.send_signal(signum)
            _, stderr = await process.communicate()
        finally:
            kill_group(process.pid)
    assert process.returncode == 128 + signum
    assert re.match(
        rf"Interrupted after 2( of 3)? changes \({listed}\); the request in progress may "
        "have taken effect. Run the same command again to make the remaining changes.\n",
        stderr.decode(),
    )


# a yes at the terminal -----------------------------------------------------------------------


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("apply", "progress_bar"):
        monkeypatch.setattr(f"receiver.cli.{module}.is_terminal", lambda stream: True)


def answer(monkeypatch: pytest.MonkeyPatch, reply: bool, *also: Any) -> None:
    def confirm(question: str, err: bool) -> bool:
        for act in also:
            act()
        return reply

    monkeypatch.setattr("click.confirm", confirm)


@pytest.mark.usefixtures("terminal")
async def test_deletes_are_shown_and_need_confirmation(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await setting.run("apply calls_app:app")
    setting.add(name="old", url=f"{setting.url}/action/8000/old")
    answer(monkeypatch, False)
    done = await setting.run("apply calls_app:app")
    assert "- old" in done.stdout
    assert "old" in setting.there()
    changed = setting.there()["pick"].id
    setting.pbx.action_urls(setting.ivr).update(changed, {"request_timeout": 9})
    done = await setting.run("apply calls_app:app")
    assert "1 change made and read back." in done.stdout
    assert "of 2 changes" not in done.stderr  # the delete is not one of those to be made
    await setting.run("destroy calls_app:app", status=1)
    assert len(setting.there()) == 4
    answer(monkeypatch, True)
    done = await setting.run("apply calls_app:app")
    assert "1 change made and read back." in done.stdout
    assert "\rreading IVRs  [" in done.stderr
    assert "\x1b" not in done.stderr
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
        assert "nothing was done: the PBX was changed while this command waited" in done.stderr
    assert {"old", "older"} < set(setting.there())


# a system administrator ----------------------------------------------------------------------


@pytest.mark.parametrize("switch_lasts", ["session", "token"])
async def test_a_system_administrator_works_in_a_tenant(
    switch_lasts: Any, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting.pbx.behaviour = Behaviour(switch_lasts=switch_lasts)
    admin = Account("admin", Secret("the-password-of-the-admin"))
    async with running(make_api(setting.pbx, accounts=[admin]), lifespan="off") as url:
        monkeypatch.setenv("RECEIVER_PBX_URL", url)
        monkeypatch.delenv("RECEIVER_PBX_TOKEN")
        monkeypatch.setenv("RECEIVER_PBX_USERNAME", "admin")
        monkeypatch.setenv("RECEIVER_PBX_PASSWORD", "the-password-of-the-admin")
        refused = await setting.run("apply calls_app:app", status=1)
        assert "for a system administrator set RECEIVER_PBX_TENANT" in refused.stderr
        for name in ("another", setting.pbx.tenant):
            del sys.modules["calls_app"]
            monkeypatch.setenv("RECEIVER_PBX_TENANT", name)
            status = int(name == "another")
            done = await setting.run("apply calls_app:app", status=status)
            assert ("RECEIVER_PBX_TENANT has to be the id" in done.stderr) == bool(status)
        assert list(setting.there()) == list(NAMES)
        listed = await setting.run("ivrs list")
        assert "8000" in listed.stdout
        del sys.modules["calls_app"]
        monkeypatch.setenv("RECEIVER_PBX_DOMAIN", "a.example")
        both = await setting.run("plan calls_app:app", status=2)
        assert "leave out the tenant (RECEIVER_PBX_TENANT)" in both.stderr


# rotate and doctor ---------------------------------------------------------------------------


async def test_a_rotation_on_the_command_line(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await setting.run("apply calls_app:app")
    early = await setting.run("rotate calls_app:app --finish", status=1)
    assert "3 action URLs with older credentials (8000/pick, queue, known)" in early.stderr
    done = await setting.run("rotate calls_app:app")
    assert "3 of 3 action URLs moved" in done.stdout
    assert setting.there()["pick"].token == derive(Secret(SECRET), "8000/pick", 2).token
    assert "Nothing to do." in (await setting.run("plan calls_app:app")).stdout
    done = await setting.run("rotate calls_app:app --finish")
    assert "Now set RECEIVER_EPOCH=2 for the service" in done.stdout
    # Only the command has the new epoch: updating the PBX would refuse every caller.
    monkeypatch.setenv("RECEIVER_EPOCH", "2")
    del sys.modules["calls_app"]
    refused = await setting.run("rotate calls_app:app", status=1)
    assert "nothing was changed" in refused.stderr
    assert "the service has RECEIVER_EPOCH=1, this command has 2" in refused.stderr
    assert setting.there()["pick"].token == derive(Secret(SECRET), "8000/pick", 2).token
    await setting.run("rotate calls_app:app --unchecked")
    assert setting.there()["pick"].token == derive(Secret(SECRET), "8000/pick", 3).token


async def test_rotate_wants_everything_as_declared(setting: Setting) -> None:
    done = await setting.run("rotate calls_app:app", status=1)
    assert "3 action URLs not as declared (create 8000/pick, queue, known)" in done.stderr


async def test_credentials_are_forced_where_they_cannot_be_read(setting: Setting) -> None:
    setting.pbx.behaviour = Behaviour(secrets="masked")
    await setting.run("apply calls_app:app")
    assert "Nothing to do." in (await setting.run("plan calls_app:app")).stdout
    shown = (await setting.run("plan calls_app:app --force-credentials")).stdout
    assert "token: (hidden by the PBX) → ***" in shown
    await setting.run("apply calls_app:app --force-credentials")
    stored = {item["name"]: item for item in setting.pbx.action_urls(setting.ivr)}
    # The next epoch's: a service takes them before a rotation and after it.
    credentials = derive(Secret(SECRET), "8000/pick", 2)
    assert stored["pick"]["token"] == credentials.token.reveal()


# a wrong setting against a running service ---------------------------------------------------


def set_again(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Change a setting of the commands; the running service keeps its own."""
    monkeypatch.setenv(name, value)
    sys.modules.pop("calls_app", None)


@pytest.mark.parametrize("secrets", ["clear", "masked"])
@pytest.mark.parametrize("registered", [True, False])
@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("RECEIVER_SECRET", OTHER_SECRET, "RECEIVER_SECRET of the service"),
        ("RECEIVER_EPOCH", "7", "the service has RECEIVER_EPOCH=1, this command has 7"),
        ("RECEIVER_EPOCH", "2", "the service has RECEIVER_EPOCH=1, this command has 2"),
        ("RECEIVER_PUBLIC_URL", "http://127.0.0.1:9", "correct the port in RECEIVER_PUBLIC_URL"),
    ],
)
async def test_apply_with_a_wrong_setting_changes_nothing_and_names_it(
    name: str,
    value: str,
    text: str,
    registered: bool,
    secrets: Any,
    setting: Setting,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setting.pbx.behaviour = Behaviour(secrets=secrets)
    if registered:
        await setting.run("apply calls_app:app")
    before = list(setting.pbx.action_urls(setting.ivr))
    set_again(monkeypatch, name, value)
    force = " --force-credentials" if secrets == "masked" and name == "RECEIVER_EPOCH" else ""
    moved = f" --moved-from {setting.url}" if name == "RECEIVER_PUBLIC_URL" else ""
    for _ in range(2):
        done = await setting.run(f"apply calls_app:app{force}{moved}", status=1)
        assert "nothing was changed" in done.stderr
        assert text in done.stderr
        assert "--take-over" not in done.stderr
        assert list(setting.pbx.action_urls(setting.ivr)) == before
    if name == "RECEIVER_PUBLIC_URL" and registered:
        done = await setting.run("apply calls_app:app", status=1)
        assert f"leads to this action at {setting.url}, not at {value}" in done.stderr
        assert "is RECEIVER_PUBLIC_URL right?" in done.stderr
        assert list(setting.pbx.action_urls(setting.ivr)) == before


async def test_rotate_with_a_wrong_secret_asks_for_the_secret_first(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await setting.run("apply calls_app:app")
    set_again(monkeypatch, "RECEIVER_SECRET", OTHER_SECRET)
    done = await setting.run("rotate calls_app:app", status=1)
    assert "is RECEIVER_SECRET that of the service? If it is, run receiver apply" in done.stderr


async def test_rotate_with_a_wrong_epoch_asks_for_the_epoch_first(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await setting.run("apply calls_app:app")
    set_again(monkeypatch, "RECEIVER_EPOCH", "7")
    done = await setting.run("rotate calls_app:app", status=1)
    assert "is RECEIVER_EPOCH that of the service? If it is, run receiver apply" in done.stderr


def test_a_former_public_url_has_to_be_one(project: Path) -> None:
    done = CliRunner().invoke(main, ["apply", "calls_app:app", "--moved-from", "ivr.example.com"])
    assert done.exit_code == 2
    assert "is not a URL such as https://ivr.example.com/calls" in done.stderr


async def test_a_service_that_is_down_is_accepted_only_with_unchecked(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_again(monkeypatch, "RECEIVER_PUBLIC_URL", "http://127.0.0.1:9")
    refused = await setting.run("apply calls_app:app", status=1)
    assert refused.stderr.index("start the service") < refused.stderr.index("--unchecked")
    assert setting.there() == {}
    await setting.run("apply calls_app:app --unchecked")
    assert list(setting.there()) == list(NAMES)
    assert "Nothing to do." in (await setting.run("apply calls_app:app")).stdout


async def test_a_public_url_that_changed_leaves_no_orphan(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await setting.run("apply calls_app:app")
    setting.add(
        name="renamed",
        url=f"{setting.url}/action/8000/renamed",
        headers=setting.there()["pick"].headers,
    )
    old, new = setting.url, setting.url.replace("127.0.0.1", "localhost")
    set_again(monkeypatch, "RECEIVER_PUBLIC_URL", new)
    left = await setting.run("destroy calls_app:app --yes", status=1)
    named = f"8000/{', '.join(NAMES)}, renamed"
    assert (
        f"Error: 4 action URLs left: {named}: it was registered with this RECEIVER_SECRET at {old}"
        in (left.stderr)
    )
    await setting.run("apply calls_app:app", status=1)
    done = await setting.run(f"apply calls_app:app --moved-from {old}", status=3)
    assert "3 changes made and read back." in done.stdout
    assert "(8000/renamed); " in done.stderr
    # Without --moved-from the rest is not ours, so the command that deletes it has the option too.
    command = f"apply calls_app:app --moved-from {old} --allow-deletes"
    assert f"receiver {command} deletes them." in done.stderr
    data = await setting.json("apply calls_app:app --allow-deletes")
    assert (data["done"], data["left"]) == ([], [])
    done = await setting.run(command)
    assert "1 change made and read back." in done.stdout
    assert [item.url for item in setting.there().values()] == [
        f"{new}/action/8000/{name}" for name in NAMES
    ]
    await setting.run("destroy calls_app:app --yes")
    assert setting.there() == {}


async def test_destroy_deletes_every_spelling_of_managed_urls(setting: Setting) -> None:
    await setting.run("apply calls_app:app")
    urls = setting.pbx.action_urls(setting.ivr)
    for item, spelling in zip(setting.there().values(), ("{}/", "{}#x", "{}"), strict=True):
        urls.update(item.id, {"url": spelling.format(item.url).replace("http:", "HTTP:")})
    shown = (await setting.run("plan calls_app:app")).stdout
    assert "Plan: 2 to update, 1 unchanged." in shown
    await setting.run("destroy calls_app:app --yes")
    assert setting.there() == {}


async def test_destroy_with_another_secret_leaves_doubtful_action_urls(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await setting.run("apply calls_app:app")
    set_again(monkeypatch, "RECEIVER_SECRET", OTHER_SECRET)
    left = await setting.run("destroy calls_app:app --yes", status=1)
    assert "registered at this public URL with another RECEIVER_SECRET" in left.stderr
    assert list(setting.there()) == list(NAMES)


async def test_doctor_says_what_is_wrong(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    done = await setting.run("doctor calls_app:app", status=1)
    assert "FAULT   8000/pick: is not on the PBX\n          -> receiver apply" in done.stdout
    assert "ok      8000/pick: answered in " in done.stdout
    assert "3 faults, 0 warnings, 8 checks." in done.stdout
    monkeypatch.setenv("RECEIVER_PUBLIC_URL", "http://127.0.0.1:9")
    del sys.modules["calls_app"]
    data = await setting.json("doctor calls_app:app", status=1)
    assert data["healthy"] is False
    last = next(one for one in reversed(data["findings"]) if one["setting"])
    assert "receiver apply" not in str(data)
    assert last["text"].startswith("the connection was refused, at http://127.0.0.1:9/action/")
    assert last["cure"].startswith("start the service")
    assert last["setting"] == "RECEIVER_PUBLIC_URL"


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
    monkeypatch.setattr("receiver.cli.apply.confirm_plan", lambda *args: True)
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
        await setting.run(f"{command} calls_app:app{how}", status=2 if command == "drift" else 1)
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


# a plan in a file ----------------------------------------------------------------------------


async def test_the_plan_in_a_file_is_applied_exactly(setting: Setting, project: Path) -> None:
    await setting.run("apply calls_app:app")
    setting.add(name="old", url=f"{setting.url}/action/8000/old")
    urls = setting.pbx.action_urls(setting.ivr)
    urls.update(setting.there()["pick"].id, {"request_timeout": 9})
    planned = await setting.run("plan calls_app:app --out changes.plan")
    assert planned.stdout.endswith("Saved. To make these changes: receiver apply changes.plan\n")
    assert stat.S_IMODE((project / "changes.plan").stat().st_mode) == 0o600
    saved = (project / "changes.plan").read_text()
    assert "request_timeout: 9 → 2" in saved
    derived = derive(Secret(SECRET), "8000/pick")
    assert not [text for text in (SECRET, TOKEN, derived.token.reveal()) if text in saved]
    done = await setting.run("apply changes.plan")
    assert "Plan: 1 to update, 1 to delete, 2 unchanged." in done.stdout
    assert "2 changes made and read back." in done.stdout
    assert list(setting.there()) == list(NAMES)  # the delete was reviewed, so it needs no yes
    again = await setting.run("apply changes.plan", status=1)
    assert "have changed since the plan was saved (8000/pick, 8000/old)" in again.stderr


async def test_a_plan_is_refused_if_the_pbx_changed(setting: Setting) -> None:
    await setting.run("plan calls_app:app --out changes.plan")
    setting.add(name="crm", url="https://crm.example.com/", enabled=True)
    refused = await setting.run("apply changes.plan", status=1)
    assert "nothing was done: the PBX, the declarations or the settings have changed" in (
        refused.stderr
    )
    assert "(8000/crm)" in refused.stderr
    assert list(setting.there()) == ["crm"]


async def test_a_plan_is_refused_if_the_declarations_changed(
    setting: Setting, project: Path
) -> None:
    await setting.run("plan calls_app:app --out changes.plan")
    (project / "calls_app.py").write_text(APP.replace("1;22", "1;23"))
    del sys.modules["calls_app"]
    refused = await setting.run("apply changes.plan", status=1)
    assert "(+ pick  DTMF 1;23, POST, bearer, " in refused.stderr
    assert setting.there() == {}


async def test_a_plan_is_refused_if_it_was_edited(setting: Setting, project: Path) -> None:
    await setting.run("plan calls_app:app --out changes.plan")
    file = project / "changes.plan"
    file.write_text(file.read_text().replace("1;22", "1;99"))
    refused = await setting.run("apply changes.plan", status=1)
    assert "the plan was edited after it was saved" in refused.stderr
    file.write_text("nonsense")
    assert "neither an app nor a plan" in (await setting.run("apply changes.plan", status=2)).stderr
    assert setting.there() == {}


async def test_an_edited_plan_loads_no_other_code(setting: Setting, project: Path) -> None:
    await setting.run("plan calls_app:app --out changes.plan")
    (project / "other_app.py").write_text("open('loaded', 'w').close()\n" + APP)
    file = project / "changes.plan"
    file.write_text(file.read_text().replace("calls_app:app", "other_app:app"))
    refused = await setting.run("apply changes.plan", status=1)
    assert "what names its app was edited" in refused.stderr
    assert not (project / "loaded").exists()


async def test_a_plan_keeps_its_options(setting: Setting) -> None:
    setting.add(name="pick", url="https://other.example.com/pick")
    await setting.run("plan calls_app:app --take-over --out changes.plan")
    for option in ("--take-over", "--allow-deletes", "--pbx ''"):
        refused = await setting.run(f"apply changes.plan {option}", status=2)
        assert "it accepts only --json and --unchecked" in refused.stderr
    applied = await setting.json("apply changes.plan")
    assert sorted(item["op"] for item in applied["done"]) == ["create", "create", "update"]
    assert setting.there()["pick"].url == f"{setting.url}/action/8000/pick"


@pytest.mark.parametrize("name", ["app.py", "receiver.toml", "nowhere/changes.plan"])
async def test_a_plan_that_cannot_be_written(name: str, setting: Setting) -> None:
    refused = await setting.run(f"plan calls_app:app --out {name}", status=2)
    assert f"--out {name}" in refused.stderr


async def test_no_plan_is_written_after_an_error(
    setting: Setting, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_again(monkeypatch, "RECEIVER_PBX_URL", "http://127.0.0.1:9")
    await setting.run("plan calls_app:app --out changes.plan", status=1)
    assert not (project / "changes.plan").exists()
