"""Exit statuses over the command tree: 1 is a finding, 2 is wrong use or a missing setting."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result

from receiver.cli import main
from receiver.cli.exit_status import UNEXPECTED
from tests.cli.apps import TWO_ACTIONS, WRONG_CALLS
from tests.command_line import CliRunner


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "status_app.py").write_text(TWO_ACTIONS)
    (tmp_path / "wrong.calls.toml").write_text(WRONG_CALLS)
    (tmp_path / "mute.wav").write_bytes(b"no recording")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("status_app", None)


def run(command: str) -> Result:
    return CliRunner().invoke(main, shlex.split(command), catch_exceptions=False)


def commands(
    command: click.Command = main, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    """Yield each command that is no group, with its words."""
    if not isinstance(command, click.Group):
        yield " ".join(path), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from commands(found, (*path, name))


COMMANDS = dict(commands())

# For each command a use that is wrong: a setting is missing, or an argument has no such value.
WRONG = {
    "action-urls create": "action-urls create 8000 --set name=x",
    "action-urls delete": "action-urls delete 8000 pick --yes",
    "action-urls list": "action-urls list 8000",
    "action-urls show": "action-urls show 8000 pick",
    "action-urls update": "action-urls update 8000 pick --set name=y",
    "apply": "apply status_app:app",
    "check": "check status_app:nothing",
    "console": "console status_app:app",
    "curl": "curl status_app:app pick",
    "demo": "demo --keep 9",
    "destroy": "destroy status_app:app --yes",
    "dev": "dev status_app:app --port 70000",
    "dial": "dial status_app:app 8000 --press x",
    "doctor": "doctor status_app:app",
    "drain": "drain status_app:app",
    "drift": "drift status_app:app",
    "files delete": "files delete x.wav --yes",
    "files download": "files download",
    "files list": "files list",
    "files show": "files show x.wav",
    "files upload": "files upload mute.wav",
    "guard": "guard status_app:app",
    "guide": "guide nothing",
    "handlers": "handlers nothing",
    "holidays create": "holidays create --set name=x",
    "holidays delete": "holidays delete x --yes",
    "holidays list": "holidays list",
    "holidays show": "holidays show x",
    "holidays update": "holidays update x --set name=y",
    "import": "import --format xml",
    "ivrs create": "ivrs create --set extension_number=8000",
    "ivrs delete": "ivrs delete 8000 --yes",
    "ivrs list": "ivrs list",
    "ivrs show": "ivrs show 8000",
    "ivrs status": "ivrs status 8000",
    "ivrs update": "ivrs update 8000 --set name=x",
    "jobs drop": "jobs drop",
    "jobs list": "jobs list --top 0",
    "jobs rescue": "jobs rescue",
    "jobs retry": "jobs retry",
    "load": "load status_app:app 9999 --for 0.1",
    "metrics": "metrics status_app:app",
    "new": "new Not-A-Name",
    "plan": "plan status_app:app",
    "replay": "replay nothing.jsonl status_app:app",
    "rotate": "rotate status_app:app",
    "say": "say '' --out said.wav",
    "scenario": "scenario nothing.toml status_app:app",
    "schema": "schema further",
    "serve": "serve status_app:app --port 0 --keyfile x.pem",
    "servers create": "servers create --set name=x",
    "servers delete": "servers delete x --yes",
    "servers list": "servers list",
    "servers show": "servers show x",
    "servers status": "servers status x",
    "servers update": "servers update x --set name=y",
    "simulate": "simulate --username admin",
    "undrain": "undrain status_app:app",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_use_exits_with_two(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if command == "jobs rescue":
        monkeypatch.setenv("RECEIVER_JOBS", "redis://127.0.0.1:9")
    done = run(WRONG[command])
    assert done.exit_code == 2, done.output
    assert "Error: " in done.stderr
    assert run(f"{command} --no-such-option").exit_code == 2


def test_every_command_has_a_wrong_use_here() -> None:
    assert sorted(WRONG) == sorted(COMMANDS)


@pytest.mark.parametrize(
    "command", [name for name in WRONG if WRONG[name].endswith("status_app:app")]
)
def test_a_missing_setting_exits_with_two(command: str) -> None:
    if command not in ("dial", "check", "replay", "scenario"):
        done = run(WRONG[command])
        assert (done.exit_code, "RECEIVER_SECRET is not set" in done.stderr) == (2, True)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_documents_the_exit_statuses(command: str) -> None:
    text = run(f"{command} --help").stdout
    found = re.findall(r"^  +(\d+)  \S", text.partition("Exit status:")[2], re.MULTILINE)
    assert found == (["0", "1", "2", "3"] if command == "apply" else ["0", "1", "2"])


def test_the_help_of_all_documents_the_exit_statuses() -> None:
    text = run("--help").stdout
    assert [f"{n} " in text for n in (1, 2, UNEXPECTED, 130)] == [True] * 4


@pytest.mark.parametrize(
    "command",
    [
        "scenario wrong.calls.toml status_app:app",
        "load status_app:app 8000 --press 9 --for 0.1",
    ],
)
def test_a_finding_exits_with_one(command: str) -> None:
    assert run(command).exit_code == 1


# all at once ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", ["plan", "drift", "apply", "destroy", "rotate", "doctor", "drain", "guard"]
)
def test_all_missing_and_wrong_settings_are_listed_at_once(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECEIVER_PUBLIC_URL", "ivr.example")
    monkeypatch.setenv("RECEIVER_EPOCH", "none")
    found = run(f"{command} status_app:app").stderr.splitlines()
    assert [re.sub(r"^Error: (\S+ \S+ \S+).*", r"\1", line) for line in found] == [
        "RECEIVER_EPOCH is not",
        "RECEIVER_PUBLIC_URL is not",
        "RECEIVER_SECRET is not",
        "RECEIVER_PBX_URL is not",
        "the PBX needs",
    ]


def test_resources_list_all_missing_and_wrong_settings_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RECEIVER_PBX_INSECURE", "perhaps")
    found = run("ivrs list").stderr.splitlines()
    assert [line.split()[1] for line in found] == [
        "RECEIVER_PBX_INSECURE",
        "RECEIVER_PBX_URL",
        "the",
    ]


def test_check_lists_all_problems_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECEIVER_EPOCH", "none")
    lines = run("check status_app:app").stdout.splitlines()
    assert lines[-3] == "2 actions on 1 IVR. The declarations are valid."
    assert [line.split()[5] for line in lines[-2:]] == ["RECEIVER_EPOCH", "RECEIVER_SECRET"]


@pytest.mark.parametrize(
    "command",
    ["apply {}", "check {}.py", "check {}.toml", "replay {} status_app:app", "jobs list"],
)
def test_a_name_that_no_file_can_have_is_wrong_use(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "a" * 300
    monkeypatch.setenv("RECEIVER_JOBS", f"{name}.db")
    assert run(command.format(name)).exit_code == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
@pytest.mark.parametrize(
    "command", ["dial status_app:app 8000 --press 1", "guide tutorial", "--help", "dial --help"]
)
def test_a_full_disk_behind_the_output_is_a_failed_operation(command: str, project: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "receiver", *command.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=project,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert b"Error: the output cannot be written: No space left on device" in done.stderr
