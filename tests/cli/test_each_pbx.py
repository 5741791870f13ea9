"""The commands over two simulated PBXs, of which one may be down."""

import asyncio
import json
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from receiver import Receiver, Secret, Settings
from receiver.cli import main
from receiver.config.loader import load
from receiver.server.uvicorn_server import running
from receiver.simulator.api import make_api
from receiver.simulator.model import Pbx
from tests.command_line import CliRunner

SECRET = "6d0f2c9ab17e4583f4c8d25e90ab3716"
APP = """
from receiver import Call, Forward, Ivr, Receiver, Reply

north, south = Ivr("8000", pbx="north"), Ivr("8000", pbx="south")

@north.dtmf("1;22")
@south.dtmf("1;22")
async def pick(call: Call) -> Reply:
    return Forward("222")

app = Receiver(north, south, fallback={"north": Forward("100"), "south": Forward("200")})
"""
NAME = "several_app:app"


class Two:
    """Two simulated PBXs, each with a separate token, and the service."""

    def __init__(self, pbxs: dict[str, Pbx], monkeypatch: pytest.MonkeyPatch) -> None:
        self.pbxs = pbxs
        self._monkeypatch = monkeypatch

    def down(self, label: str) -> None:
        """Nothing listens there any more."""
        self._monkeypatch.setenv(f"RECEIVER_{label.upper()}_PBX_URL", "http://127.0.0.1:9")

    def urls(self, label: str) -> list[str]:
        pbx = self.pbxs[label]
        ivr = pbx.ivr_at("8000")
        assert ivr is not None
        return [str(item["url"]).partition("/action/")[2] for item in pbx.action_urls(ivr.id)]

    async def run(self, command: str, status: int = 0) -> Result:
        def invoke() -> Result:
            return CliRunner().invoke(main, shlex.split(command), catch_exceptions=False)

        done = await asyncio.to_thread(invoke)
        assert done.exit_code == status, done.output
        return done

    async def json(self, command: str, status: int = 0) -> Any:
        return json.loads((await self.run(f"{command} --json", status)).stdout)


@pytest.fixture
async def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Two]:
    (tmp_path / "several_app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("RECEIVER_SECRET", SECRET)
    declared = load(NAME)
    assert isinstance(declared, Receiver)
    app = Receiver(*declared.ivrs, settings=Settings(secret=Secret(SECRET)))
    pbxs = {"north": Pbx(), "south": Pbx()}
    for pbx in pbxs.values():
        pbx.add_ivr("8000", "Sales")
    apis = {
        label: make_api(pbx, token=Secret(f"the-token-of-{label}")) for label, pbx in pbxs.items()
    }
    async with (
        running(app) as url,
        running(apis["north"], lifespan="off") as north,
        running(apis["south"], lifespan="off") as south,
    ):
        monkeypatch.setenv("RECEIVER_PUBLIC_URL", url)
        for label, where in (("north", north), ("south", south)):
            monkeypatch.setenv(f"RECEIVER_{label.upper()}_PBX_URL", where)
            monkeypatch.setenv(f"RECEIVER_{label.upper()}_PBX_TOKEN", f"the-token-of-{label}")
        yield Two(pbxs, monkeypatch)
    sys.modules.pop("several_app", None)


async def test_every_command_goes_over_both(two: Two) -> None:
    shown = await two.run(f"plan {NAME} --exit-code", 1)
    headings = [line for line in shown.stdout.splitlines() if line.startswith("PBX")]
    assert [line.split(",")[0] for line in headings] == ["PBX north", "PBX south"]
    assert (await two.run(f"apply {NAME}")).stdout.count("1 change made and read back.") == 2
    assert (two.urls("north"), two.urls("south")) == (["north/8000/pick"], ["south/8000/pick"])
    assert (await two.run(f"drift {NAME}")).stdout.count("Nothing to do.") == 2
    assert (await two.run(f"doctor {NAME}")).stdout.count("0 faults, 0 warnings, 3 checks") == 2
    assert (await two.run(f"rotate {NAME}")).stdout.count("1 of 1 action URL moved") == 2
    finished = (await two.run(f"rotate {NAME} --finish")).stdout
    assert finished.count("1 action URL checked: all have the credentials of epoch 2.") == 2
    assert finished.count("Now set RECEIVER_EPOCH=2") == 1
    assert (await two.run(f"destroy {NAME} --yes")).stdout.count("1 action URL deleted.") == 2
    assert two.urls("north") == two.urls("south") == []


async def test_json_is_a_list_for_several_and_an_object_for_one(two: Two) -> None:
    both = await two.json(f"plan {NAME}")
    assert [(item["pbx"], item["counts"]["create"]) for item in both["pbxs"]] == [
        ("north", 1),
        ("south", 1),
    ]
    one = await two.json(f"plan {NAME} --pbx south")
    assert one == {key: value for key, value in both["pbxs"][1].items() if key != "pbx"}


async def test_one_can_be_chosen(two: Two) -> None:
    shown = await two.run(f"apply {NAME} --pbx south")
    assert "PBX" not in shown.stdout
    assert (two.urls("north"), two.urls("south")) == ([], ["south/8000/pick"])
    assert [item["pending"] for item in (await two.json(f"drift {NAME}", 1))["pbxs"]] == [
        True,
        False,
    ]
    await two.run(f"rotate {NAME} --pbx south")
    finished = await two.run(f"rotate {NAME} --pbx south --finish")
    assert "once --finish ended well for the PBXs north too" in finished.stdout
    refused = await two.run(f"plan {NAME} --pbx west", 2)
    assert "declares no IVR on a PBX 'west': there are north, south" in refused.stderr


async def test_one_that_is_down_does_not_keep_the_other_from_its_turn(two: Two) -> None:
    two.down("north")
    planned = await two.run(f"plan {NAME} --exit-code", 2)
    assert "Error: PBX north: " in planned.stderr
    assert "Plan: 1 to create." in planned.stdout
    applied = await two.json(f"apply {NAME}", 1)
    assert [sorted(item) for item in applied["pbxs"]] == [
        ["error", "pbx"],
        ["done", "left", "pbx", "plan"],
    ]
    assert two.urls("south") == ["south/8000/pick"]
    await two.run(f"drift {NAME}", 2)
    examined = await two.json(f"doctor {NAME}", 1)
    assert [item["healthy"] for item in examined["pbxs"]] == [False, True]
    rotated = await two.run(f"rotate {NAME}", 1)
    assert "1 of 1 action URL moved" in rotated.stdout
    assert "Now set RECEIVER_EPOCH" not in (await two.run(f"rotate {NAME} --finish", 1)).stdout
    await two.run(f"destroy {NAME} --yes", 1)
    assert two.urls("south") == []


async def test_each_public_url_is_probed_separately(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECEIVER_NORTH_PUBLIC_URL", "http://127.0.0.1:9")
    done = await two.run(f"apply {NAME}", 1)
    assert done.stderr.endswith("--unchecked (RECEIVER_NORTH_… applies to this one only)\n")
    assert (
        "Error: PBX north: nothing was changed, because the service did not answer a callback of"
        in (done.stderr)
    )
    assert (two.urls("north"), two.urls("south")) == ([], ["south/8000/pick"])


async def test_a_missing_setting_is_reported_with_the_variable_of_that_pbx(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECEIVER_NORTH_PBX_URL")
    shown = await two.run(f"plan {NAME}", 2)
    assert "RECEIVER_PBX_URL is not set" in shown.stderr
    assert "(RECEIVER_NORTH_… applies to this one only)" in shown.stderr
    monkeypatch.delenv("RECEIVER_SECRET")
    sys.modules.pop("several_app")  # it has read its settings
    monkeypatch.delenv("RECEIVER_SOUTH_PBX_TOKEN")
    missing = (await two.run(f"plan {NAME}", 2)).stderr.splitlines()
    assert [line.split(":")[1].split(" is ")[0] for line in missing] == [
        " RECEIVER_SECRET",
        " RECEIVER_PBX_URL",
        " the PBX needs a token or an account",
    ]


async def test_nothing_is_destroyed_without_a_yes(two: Two) -> None:
    await two.run(f"apply {NAME} --pbx south")
    refused = await two.run(f"destroy {NAME}", 2)
    assert "needs a yes at a terminal, or --yes" in refused.stderr
    assert two.urls("south") == ["south/8000/pick"]


@pytest.mark.allow_secrets
async def test_check_curl_and_dial(two: Two) -> None:
    checked = await two.run(f"check {NAME}")
    assert "north/8000/pick" in checked.stdout
    assert "2 actions on 2 IVRs" in checked.stdout
    assert "/action/south/8000/pick" in (await two.run(f"curl {NAME} south/8000/pick")).stdout
    dialled = await two.run(f"dial {NAME} north/8000 --press 1")
    assert "forwarded to 222" in dialled.stdout
    assert "/action/north/8000/pick" in dialled.stdout
    assert "choose one of north/8000, south/8000" in (await two.run(f"dial {NAME} 8000", 2)).stderr


async def test_a_plan_file_is_for_all_or_for_one(two: Two, tmp_path: Path) -> None:
    await two.run(f"plan {NAME} --out both.plan")
    await two.run(f"plan {NAME} --pbx south --out south.plan")
    await two.run("apply south.plan")
    assert (two.urls("north"), two.urls("south")) == ([], ["south/8000/pick"])
    refused = await two.run("apply both.plan", 1)  # of the south the plan is no longer current
    assert refused.stderr.startswith("Error: nothing was done at any PBX:\n")
    assert "PBX south: nothing was done: the PBX, the declarations" in refused.stderr
    assert two.urls("north") == []
    await two.run(f"plan {NAME} --out both.plan")
    (tmp_path / "several_app.py").write_text(APP.replace('"south"', '"west"'))
    del sys.modules["several_app"]
    assert "IVRs on other PBXs" in (await two.run("apply both.plan", 1)).stderr
