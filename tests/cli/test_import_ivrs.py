"""``receiver import``, at a simulated PBX: what it writes, and what it refuses to overwrite."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from receiver import Secret
from receiver.cli import main
from receiver.cli.import_ivrs import find_ivrs
from receiver.declarations.ivr import desired_ivrs
from receiver.pbx.pbx_client import PbxClient
from receiver.registration.imported_prompts import PromptCopies
from receiver.registration.registrar import apply, make_plan
from receiver.settings import Settings
from tests.command_line import CliRunner
from tests.full_ivr import PIN, full_ivr
from tests.simulated_pbx import Stage

BASE = "https://ivr.example.com"
SECRET = "6d0f2c9ab17e4583f4c8d25e90ab3716"
THEIRS = "hush-of-another-service"

Run = Callable[..., Result]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A PBX with one IVR that has every field, and one that has none."""
    made = Stage()
    recordings = tmp_path / "recordings"
    recordings.mkdir()

    async def fill() -> None:
        async with made.client() as client:
            ivrs = desired_ivrs([full_ivr(recordings)])
            plan = await make_plan(client, [], BASE, Secret(SECRET), ivrs=ivrs)
            await apply(client, plan, allow_deletes=False)

    asyncio.run(fill())
    made.pbx.add_ivr("8001", "Support")
    made.add("8001", name="crm", url=f"https://crm.example.com/{THEIRS}", dtmf_mask="9")
    return made


@pytest.fixture
def receiver(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder; the output has no secret."""

    def client(settings: Settings) -> PbxClient:
        return stage.client()

    for module in ("import_ivrs", "plan"):
        monkeypatch.setattr(f"receiver.cli.{module}.client", client)
    monkeypatch.setenv("RECEIVER_PBX_URL", "http://localhost")
    monkeypatch.setenv("RECEIVER_PBX_TOKEN", "t")
    monkeypatch.setenv("RECEIVER_SECRET", SECRET)
    folder = tmp_path / "app"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def invoke(*args: str, status: int = 0) -> Result:
        done = CliRunner().invoke(main, args, catch_exceptions=False)
        assert done.exit_code == status, done.output
        assert not [one for one in (SECRET, THEIRS, PIN) if one in done.output]
        return done

    return invoke


@pytest.mark.parametrize(
    ("args", "file", "target"),
    [
        ((), "ivrs.py", "ivrs.py:app"),
        ((), "receiver.toml", "receiver.toml"),
        (("--format", "toml"), "ivrs.conf.toml", "ivrs.conf.toml"),
    ],
)
def test_the_plan_of_the_file_has_nothing_to_do(
    receiver: Run, args: tuple[str, ...], file: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = receiver("import", *args, "--out", file)
    assert done.stdout == ""
    assert f"Wrote {file} and 2 prompts. Next: receiver plan {target}" in done.stderr
    assert "IVR 8000 Sales: 16 options, not declared: pin" in done.stderr
    assert "IVR 8001 Support: " in done.stderr
    assert sorted(path.name for path in Path().iterdir()) == sorted(
        [file, "one-moment.wav", "welcome.wav"]
    )
    text = Path(file).read_text()
    assert not [one for one in (SECRET, THEIRS, PIN) if one in text]
    monkeypatch.setenv("RECEIVER_PUBLIC_URL", BASE)
    plan = receiver("plan", target, "--exit-code")
    assert "Nothing to do." in plan.stdout
    assert "= IVR 8000 Sales" in plan.stdout


def test_an_imported_file_restores_what_was_changed_by_hand(
    receiver: Run, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver("import", "--out", "ivrs.py")
    stage.pbx.ivrs.update(stage.ivr("8000").id, {"dtmf_interval": 9})
    monkeypatch.setenv("RECEIVER_PUBLIC_URL", BASE)
    drift = receiver("drift", "ivrs.py:app", status=1)
    assert "dtmf_interval: 9 → 3" in drift.stdout


def test_without_a_file_it_is_printed_and_prompts_are_not_downloaded(receiver: Run) -> None:
    done = receiver("import")
    assert done.stdout.startswith('"""The IVRs of a PBX, as receiver import found them."""\n')
    assert "# prompt is not declared: receiver import --out FILE downloads it\n" in done.stdout
    assert "# Unmanaged action URL, left alone: 'crm', DTMF 9, POST" in done.stdout
    assert not list(Path().iterdir())
    assert receiver("import").stdout == done.stdout
    assert receiver("import", "--format", "toml").stdout.startswith("# The IVRs of a PBX")


def test_some_ivrs_by_number_and_name(receiver: Run) -> None:
    assert "app = Receiver(ivr_8001)\n" in receiver("import", "Support", "8001").stdout
    assert "no match for '9999'" in receiver("import", "9999", status=1).stderr


def test_action_urls_of_this_service(
    receiver: Run, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.add("8001", name="pick", url=f"{BASE}/action/8001/pick", dtmf_mask="1;2", auth="BEARER")
    assert "Unmanaged action URL, left alone: 'pick'" in receiver("import", "8001").stdout
    monkeypatch.setenv("RECEIVER_PUBLIC_URL", BASE)
    done = receiver("import", "8001")
    assert '# @ivr_8001.dtmf("1;2", name="pick")\n' in done.stdout
    assert "2 action URLs (1 of this service: declare their actions)" in done.stderr
    monkeypatch.delenv("RECEIVER_SECRET")
    assert '# @ivr_8001.dtmf("1;2", name="pick")\n' in receiver("import", "8001").stdout


def test_one_of_several_pbxs(receiver: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECEIVER_NORTH_PBX_URL", "http://localhost")
    done = receiver("import", "8001", "--pbx", "north")
    assert 'Ivr(\n    "8001",\n    pbx="north",\n' in done.stdout
    assert "pbx= is a label" in receiver("import", "--pbx", "North!", status=2).stderr


def test_nothing_is_overwritten(receiver: Run) -> None:
    Path("ivrs.py").write_text("mine")
    refused = receiver("import", "--out", "ivrs.py", status=2)
    assert "ivrs.py already exists: use --yes to overwrite it" in refused.stderr
    assert Path("ivrs.py").read_text() == "mine"
    receiver("import", "--out", "ivrs.py", "--yes")
    assert "Receiver(" in Path("ivrs.py").read_text()


def test_an_existing_file_is_kept_if_the_new_one_cannot_be_written(
    receiver: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    Path("ivrs.py").write_text("mine")
    monkeypatch.setattr(Path, "replace", fail)
    failed = receiver("import", "8001", "--out", "ivrs.py", "--yes", status=2)
    assert "ivrs.py cannot be written: No space left on device" in failed.stderr
    assert (Path("ivrs.py").read_text(), len(list(Path().iterdir()))) == ("mine", 1)


def test_a_prompt_is_not_overwritten_either_unless_it_is_the_same(receiver: Run) -> None:
    receiver("import", "--out", "ivrs.py")
    receiver("import", "--out", "more.py")
    before = Path("welcome.wav").read_bytes()
    Path("welcome.wav").write_bytes(b"mine")
    refused = receiver("import", "--out", "third.py", status=2)
    assert "welcome.wav already exists" in refused.stderr
    assert (Path("third.py").exists(), Path("welcome.wav").read_bytes()) == (False, b"mine")
    receiver("import", "--out", "third.py", "--yes")
    assert Path("welcome.wav").read_bytes() == before


def test_a_folder_that_is_not_there(receiver: Run) -> None:
    failed = receiver("import", "8001", "--out", "no/ivrs.py", status=2)
    assert "no/ivrs.py cannot be written: No such file or directory" in failed.stderr


def test_a_prompt_that_is_gone(receiver: Run, stage: Stage) -> None:
    next(iter(stage.pbx.files))["url"] = "/api/blobs/none"
    done = receiver("import", "--out", "ivrs.py")
    assert "IVR 8000 Sales: 15 options, not declared: prompt, pin" in done.stderr
    assert "# prompt is not declared: downloading a file" in Path("ivrs.py").read_text()


def test_an_account_that_sees_no_ivr(receiver: Run, stage: Stage) -> None:
    for number in ("8000", "8001"):
        stage.pbx.destroy_ivr(stage.ivr(number).id)
    assert "nothing was written" in receiver("import", "--out", "a.py", status=1).stderr


async def test_a_prompt_without_a_url_and_one_that_is_too_long(stage: Stage) -> None:
    first, second = stage.pbx.files
    second["url"] = ""
    async with stage.client() as client:
        found = await find_ivrs(client, ["8000"], None, PromptCopies(longest=100))
    problems = {option: copy.problem for option, copy in found[0].prompts.items()}
    assert problems == {
        "prompt": "it is longer than 100 bytes",
        "transfer_prompt": "the PBX shows no URL of it",
    }
    assert first["size"] > 100
