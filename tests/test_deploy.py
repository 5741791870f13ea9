"""All that the documents about production name exists."""

import json
import re
import shlex
from dataclasses import fields
from pathlib import Path

import click
import pytest

from receiver.callbacks.health import health_routes
from receiver.cli import main
from receiver.server.supervisor import STOP_TIMEOUT
from receiver.settings import Settings
from tests.command_line import CliRunner

DEPLOY = Path(__file__).parent.parent / "examples" / "deploy"
UNIT = (DEPLOY / "receiver.service").read_text()
CONTAINER = (DEPLOY / "Containerfile").read_text()


def commands() -> list[list[str]]:
    unit = re.findall(r"^ExecStart=\S+/receiver (.*)$", UNIT, re.MULTILINE)
    container = re.findall(r"^CMD (\[.*\])$", CONTAINER, re.MULTILINE)
    return [*map(shlex.split, unit), *(json.loads(line)[1:] for line in container)]


def test_each_has_a_command() -> None:
    assert [command[:2] for command in commands()] == [["serve", "app:app"]] * 2


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_the_commands_can_be_run(command: list[str]) -> None:
    with click.Context(main) as context:
        serve = main.get_command(context, command[0])
        assert serve is not None
        assert serve.make_context("serve", command[1:], parent=context).params["workers"] == 2


def test_the_time_to_stop_is_enough() -> None:
    notice = re.search(r'"--notice", "(\d+)"', CONTAINER)
    seconds = re.search(r"--stop-timeout (\d+)", CONTAINER)
    unit = re.search(r"^TimeoutStopSec=(\d+)", UNIT, re.MULTILINE)
    assert notice
    assert seconds
    assert unit
    assert int(seconds[1]) >= STOP_TIMEOUT + int(notice[1])
    assert int(unit[1]) >= STOP_TIMEOUT


def test_health_checks_of_proxies_are_answered() -> None:
    asked = set[str]()
    for path in DEPLOY.iterdir():
        asked |= set(re.findall(r"(?:health_uri |:8000)(/[a-z]+)", path.read_text()))
    assert asked == {route.path for route in health_routes({})}


@pytest.mark.parametrize(
    ("name", "sets", "removes"),
    [
        ("nginx.conf", r"proxy_set_header (\S+) \$remote_addr;", r'proxy_set_header (\S+) "";'),
        ("Caddyfile", r"header_up (\S+) \{remote_host\}", r"header_up -(\S+)"),
    ],
)
def test_no_forwarding_header_of_a_client_passes_a_proxy(
    name: str, sets: str, removes: str
) -> None:
    text = (DEPLOY / name).read_text()
    assert re.findall(sets, text) == ["X-Forwarded-For"]
    others = {"Forwarded", "X-Real-IP"}
    others |= {f"X-Forwarded-{of}" for of in ("Host", "Port", "Prefix", "Proto", "Server")}
    assert {*re.findall(removes, text)} - {"Connection"} == others


def test_the_settings_exist_with_valid_values(tmp_path: Path) -> None:
    known = {f"RECEIVER_{field.name.upper()}" for field in fields(Settings)}
    for path in DEPLOY.iterdir():
        assert set(re.findall(r"RECEIVER_[A-Z_]+", path.read_text())) <= known
    unit = dict(re.findall(r"^Environment=(\w+)=(\S+)$", UNIT, re.MULTILINE))
    (line,) = re.findall(r"^ENV (.*)$", CONTAINER, re.MULTILINE)
    container = dict(pair.split("=") for pair in line.split())
    assert unit == container
    assert Settings.read(unit, tmp_path / ".env").worker_memory == 512


def test_the_job_queue_is_in_a_writable_folder() -> None:
    (folder,) = re.findall(r"^StateDirectory=(\w+)$", UNIT, re.MULTILINE)
    assert f"Environment=RECEIVER_JOBS=/var/lib/{folder}/" in UNIT
    (volume,) = re.findall(r"^VOLUME (\S+)$", CONTAINER, re.MULTILINE)
    assert f"RECEIVER_JOBS={volume}/" in CONTAINER
    assert f"install -d -o receiver -m 700 {volume}\n" in CONTAINER


def test_the_guide_names_them() -> None:
    page = (DEPLOY.parent.parent / "receiver" / "guide" / "running.md").read_text()
    assert "examples/deploy/" in page
    assert CliRunner().invoke(main, ["serve", "--help"]).output.count("--as-worker") == 0
