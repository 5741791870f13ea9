"""``receiver ivrs``, ``servers``, ``holidays``, ``files``, ``action-urls``, at a simulated PBX."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import shlex
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import Result
from rich.console import Console

from receiver.cli import main
from receiver.cli.progress_bar import megabytes, progress_bar
from receiver.cli.resources_input import FieldInput, gather
from receiver.cli.resources_output import echo_record, echo_table, public, render
from receiver.cli.resources_table import RESOURCES, default_group
from receiver.credentials import Secret
from receiver.errors import DeclarationError, ReceiverError
from receiver.pbx.access_tokens import GivenToken
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.pbx.models_ivr import Ivr, IvrStatus
from receiver.pbx.models_shared import Holiday
from receiver.pbx.pbx_client import PbxClient
from receiver.pbx.resource_types import ResourceType
from receiver.server.uvicorn_server import running
from receiver.simulator.api import make_api
from receiver.simulator.model import Pbx
from tests.command_line import CliRunner
from tests.pbx.fake_pbx import no_sleep

TOKEN = Secret("the-token-of-these-tests")
HIDDEN = ("135792", "the-token", "open-sesame", "topsecret", "hidden-value")


def wav(path: Path, rate: int = 16_000, seconds: int = 1) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(bytes(range(250)) * (rate * 2 * seconds // 250))
    return path


Run = Callable[..., Result]


@pytest.fixture
def requests() -> list[str]:
    return []


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requests: list[str]) -> Run:
    """Runs a command at a PBX in this process; its output holds no secret."""
    api = make_api(Pbx(), token=TOKEN)

    class Transport(httpx.ASGITransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            requests.append(f"{request.method} {request.url.path.removeprefix('/api')}")
            return await super().handle_async_request(request)

    def client(settings: object) -> PbxClient:
        transport = Transport(api)
        return PbxClient("http://localhost", GivenToken(TOKEN), transport=transport, sleep=no_sleep)

    monkeypatch.setattr("receiver.cli.resources_files.client", client)
    monkeypatch.setenv("RECEIVER_PBX_URL", "http://localhost")
    monkeypatch.setenv("RECEIVER_PBX_TOKEN", "t")
    monkeypatch.chdir(tmp_path)

    def run(command: str, stdin: str | None = None) -> Result:
        done = CliRunner().invoke(main, shlex.split(command), input=stdin, catch_exceptions=False)
        assert not [secret for secret in HIDDEN if secret in done.output]
        return done

    return run


def good(done: Result) -> str:
    assert (done.exit_code, done.stderr) == (0, ""), done.stderr
    return done.stdout


def bad(done: Result, problem: str, status: int = 1) -> None:
    assert re.search(problem, done.stderr), done.stderr
    assert (done.exit_code, done.stderr.count("\n"), done.stdout) == (status, 1, "")
    assert done.stderr.startswith("Error: ")


def made(run: Run, command: str) -> str:
    return str(json.loads(good(run(f"{command} --json")))["id"])


SALES = "ivrs create --set name=Sales --set extension_number=8000"
XMAS = "holidays create --set name=Xmas --set region=DEU --set consecutive=1 --set every_year=0"
ACTION = (
    "action-urls create 8000 --set name=a --set type=DTMF --set method=POST --set dtmf_mask=1 "
    "--set url=https://u:open-sesame@host.example/abcdef?hidden-value=1 "
    "--set headers='X-Key:hidden-value&Y:open-sesame' --set auth=BEARER --set token=topsecret"
)


def test_the_life_of_an_ivr(run: Run) -> None:
    key = good(run(SALES)).removeprefix("Created an IVR; its id is ").rstrip(".\n")
    assert (
        good(run("ivrs list")) == f"extension number  name   id\n8000              Sales  {key}\n"
    )
    assert "timeout_forward_rule.timeout       30\n" in good(run("ivrs show Sales"))
    change = "--set pin=135792 --set enable_pin=true --set timeout_forward_rule.timeout=9"
    assert good(run(f"ivrs update 8000 {change}")) == "Updated an IVR and read it back.\n"
    shown = json.loads(good(run(f"ivrs show {key} --json")))
    assert (shown["pin"], shown["enable_pin"], shown["language"]) == ("***", True, None)
    assert shown["timeout_forward_rule"] == {
        "action": None,
        "number": None,
        "timeout": 9,
        "repeat_times": 3,
    }
    assert good(run("ivrs status Sales")) == "status  ONLINE\n"
    assert json.loads(good(run("ivrs status 8000 --json"))) == {"status": "ONLINE"}
    bad(
        run("ivrs delete 8000"),
        "to delete the IVR 'Sales' with its action URLs, confirm .*--yes",
        2,
    )
    assert good(run("ivrs delete 8000 --yes")).startswith("Deleted the IVR 'Sales' with its action")
    bad(
        run("ivrs show 8000"),
        "no match for '8000' among the IVRs: this account sees none on the PBX",
    )


def test_an_ivr_is_created_with_the_given_fields_and_defaults(run: Run) -> None:
    made(run, SALES)
    assert json.loads(good(run("ivrs show 8000 --json")))["enable_pin"] is True
    for verb in ("create", "update"):
        assert "DISA PIN" in good(run(f"ivrs {verb} --help"))


def test_disa_without_a_pin_is_warned_of(run: Run) -> None:
    rules = '[{"user_input": "9", "office_hours_forward_rule": {"action": "DISA"}}]'
    disa = f"--set custom_forward_rules={shlex.quote(rules)}"
    warning = "Warning: its menu key 9 leads to DISA and enable_pin is false: every caller can"
    created = run(f"{SALES} {disa} --set enable_pin=false")
    assert created.exit_code == 0
    assert created.stderr.startswith(warning)
    assert run("ivrs update 8000 --set name=Desk").stderr.startswith(warning)
    assert good(run("ivrs update 8000 --set pin=135792 --set enable_pin=true"))
    assert run("ivrs update 8000 --set enable_pin=false").stderr.startswith(warning)


def test_shown_json_is_valid_input(run: Run, tmp_path: Path) -> None:
    made(run, SALES)
    holiday = made(run, f"{XMAS} --set month_start=12")
    rules = json.dumps([{"user_input": "1", "holidays": [holiday]}])
    good(run(f"ivrs update 8000 --set pin=135792 --set custom_forward_rules={shlex.quote(rules)}"))
    shown = good(run("ivrs show 8000 --json"))
    assert json.loads(shown)["custom_forward_rules"][0]["holidays"][0]["name"] == "Xmas"
    (tmp_path / "ivr.json").write_text(shown.replace('"Sales"', '"Support"'))
    good(run("ivrs update 8000 --file ivr.json"))
    again = good(run("ivrs update 8000 --file - --set language=de --json", stdin=shown))
    assert json.loads(again) == json.loads(shown) | {"language": "de"}
    assert "custom_forward_rules[0].holidays[0].region" in good(run("ivrs show 8000"))


def test_lists(run: Run) -> None:
    for n in range(3):
        made(run, f"{SALES.replace('8000', f'800{n}')} --set name=N{n}")
    listed = good(run("ivrs list --orderby 'name desc' --skip 1 --top 1"))
    assert re.fullmatch("8001 +N1 +.+", listed.splitlines()[1])
    assert len(listed.splitlines()) == 2
    found = json.loads(good(run("ivrs list --filter \"name eq 'N2'\" --json")))
    assert [ivr["extension_number"] for ivr in found] == ["8002"]
    nothing = run("ivrs list --search unknown")
    assert (nothing.exit_code, nothing.stdout, nothing.stderr) == (0, "", "None found.\n")
    assert good(run("ivrs list --search unknown --json")) == "[]\n"


def test_servers(run: Run) -> None:
    made(run, "servers create --set name=ivr2 --set ipv4=10.0.0.2")
    assert (
        json.loads(good(run("servers update ivr2 --set enabled=false --json")))["enabled"] is False
    )
    assert re.search(r"ivr2 +no +EXTERNAL +10\.0\.0\.2", good(run("servers list")))
    assert json.loads(good(run("servers status ivr2 --json"))).keys() >= {"cpu_usage", "status"}
    bad(run("servers update ivr2 --set name=x"), "only be set when it is created: name", 2)
    assert good(run("servers delete ivr2 --yes")) == "Deleted the IVR server 'ivr2'.\n"


def test_holidays(run: Run) -> None:
    bad(run(f"{XMAS} --set month_start=13"), "month_start must be from 1 to 12", 2)
    made(run, f"{XMAS} --set month_start=12")
    good(run("holidays update Xmas --set day_start=24"))
    assert re.search(r"Xmas +DEU +no +12 +24 ", good(run("holidays list")))
    assert json.loads(good(run("holidays delete Xmas --yes --json")))["deleted"] is True


def test_action_urls(run: Run) -> None:
    made(run, SALES)
    made(run, ACTION)
    listed = good(run("action-urls list 8000"))
    assert "POST    BEARER  https://***@host.example/abcdef?***" in listed
    shown = good(run("action-urls show Sales a --json"))
    assert json.loads(shown)["headers"] == "X-Key:***&Y:***"
    assert json.loads(shown)["token"] == "***"
    good(run("action-urls update 8000 a --set dtmf_mask=2"))
    good(run("action-urls update 8000 a --file - --set enabled=true", stdin=shown))
    assert re.search(r"a +yes +DTMF +1 ", good(run("action-urls list 8000")))
    bad(run("action-urls update 8000 a --set token=***"), "is how a secret is shown", 2)
    good(run("action-urls delete 8000 a --yes"))


def test_files_are_uploaded_and_downloaded(run: Run, tmp_path: Path) -> None:
    made(run, SALES)
    path = wav(tmp_path / "hello.wav", seconds=40)
    assert good(run("files upload hello.wav")).startswith("Uploaded 'hello.wav'; its id is ")
    wav(tmp_path / "short.wav")
    made(run, "files upload short.wav --name other.wav")
    assert re.search(f"hello.wav +{path.stat().st_size} ", good(run("files list --search hello")))
    assert json.loads(good(run("files show other.wav --json")))["size"] == 32044
    good(run("ivrs update 8000 --prompt hello.wav"))
    shown = json.loads(good(run("ivrs show 8000 --json")))
    assert shown["prompt_file_name"] == "hello.wav"
    bad(run("files download --ivr 8000"), "hello.wav already exists: use --yes", 2)
    assert good(run("files download --ivr 8000 --output x.wav")) == "Wrote x.wav.\n"
    assert good(run(f"files download {shown['prompt_file_url']} --output x.wav --yes"))
    assert Path("x.wav").read_bytes() == path.read_bytes()
    done = run("files download --ivr 8000 --output -")
    assert done.stdout_bytes == path.read_bytes()
    bad(run("files download --ivr 8000 --transfer"), "IVR 8000 'Sales' has no transfer prompt")
    bad(run("files download"), "nothing to download", 2)
    bad(run("files download abc --ivr 8000"), "nothing to download", 2)
    bad(run("files download abc --output x.wav --yes"), "downloading a file: .*404")
    bad(
        run("files download --ivr 8000 --output no/dir.wav"),
        "no/dir.wav cannot be written: No such",
        2,
    )
    target = tmp_path / "target.wav"
    target.touch()
    Path("link.wav").symlink_to(target)
    Path("link.wav.part").write_text("of another program")
    assert good(run("files download --ivr 8000 --output link.wav --yes"))
    assert (Path("link.wav").is_symlink(), target.read_bytes()) == (True, path.read_bytes())
    assert Path("link.wav.part").read_text() == "of another program"
    Path("null").symlink_to(os.devnull)
    assert good(run("files download --ivr 8000 --output null --yes"))
    assert Path("null").is_symlink()
    assert Path("x.wav").read_bytes() == path.read_bytes()
    assert [one.name for one in tmp_path.glob("*.part")] == ["link.wav.part"]


def test_an_ivr_is_created_with_its_prompts(run: Run, tmp_path: Path, requests: list[str]) -> None:
    wav(tmp_path / "a.wav")
    wav(tmp_path / "b.wav", 48_000)
    made(run, f"{SALES} --prompt a.wav --transfer-prompt b.wav")
    shown = json.loads(good(run("ivrs show 8000 --json")))
    names = [shown[f"{which}_file_name"] for which in ("prompt", "transfer_prompt")]
    assert all(map(re.fullmatch, ("a-[0-9a-f]{8}.wav", "b-[0-9a-f]{8}.wav"), names))
    wav(tmp_path / "c.wav", seconds=2)
    requests.clear()
    bad(run(f"{SALES} --prompt c.wav"), "400 ")
    assert requests[-2:] == ["POST /ivrs", requests[-1]]
    assert re.fullmatch("POST /files/.+/destroy", requests[-1])


def test_a_recording_that_the_pbx_has_is_not_uploaded_again(
    run: Run, tmp_path: Path, requests: list[str]
) -> None:
    wav(tmp_path / "a.wav")
    wav(tmp_path / "b.wav", 48_000)
    made(run, SALES)
    good(run("ivrs update 8000 --prompt a.wav"))
    requests.clear()
    good(run("ivrs update 8000 --prompt a.wav"))  # the IVR plays it
    good(run("ivrs update 8000 --transfer-prompt a.wav"))  # the PBX has it
    assert not [line for line in requests if "/blobs/" in line]
    good(run("ivrs update 8000 --prompt b.wav"))
    assert [line for line in requests if "/blobs/" in line]
    shown = json.loads(good(run("ivrs show 8000 --json")))
    names = [shown[f"{which}_file_name"][:1] for which in ("prompt", "transfer_prompt")]
    assert names == ["b", "a"]
    assert len(good(run("files list")).splitlines()) == 3
    requests.clear()
    bad(run(f"{SALES} --prompt a.wav"), "400 ")  # it is not deleted for that, either
    assert not [line for line in requests if "destroy" in line]


def test_a_recording_that_the_pbx_does_not_play(
    run: Run, tmp_path: Path, requests: list[str]
) -> None:
    made(run, SALES)
    wav(tmp_path / "tel.wav", 8000)
    requests.clear()
    bad(run("files upload tel.wav"), "8 kHz, .* convert it with  ffmpeg -i tel.wav", 2)
    bad(run("files upload none.wav"), "none.wav cannot be read: No such file", 2)
    bad(run("files upload ."), "\\. cannot be read: Is a directory", 2)
    assert requests == []
    bad(run("ivrs update 8000 --prompt tel.wav"), "8 kHz", 2)
    assert {line.split()[0] for line in requests} == {"GET"}
    assert good(run("files upload tel.wav --unchecked"))


@pytest.mark.parametrize(
    ("command", "status", "problem"),
    [
        ("ivrs show Unknown", 1, "no match for 'Unknown' among the IVRs: known are 8000, Sales"),
        ("ivrs show Sale", 1, "did you mean Sales"),
        ("ivrs update 8000", 2, "nothing to change: use --set FIELD=VALUE or --file"),
        ("ivrs update 8000 --set languag=de", 2, "no field languag: did you mean language"),
        ("ivrs update 8000 --set dtmf_interval=x", 2, "dtmf_interval must be a whole number"),
        ("ivrs update 8000 --set enable_pin=x", 2, "enable_pin must be true or false"),
        ("ivrs update 8000 --set pin=1x", 2, r"pin \(the DISA PIN\) must be made of digits only"),
        ("ivrs update 8000 --set pin=1x --unchecked", 1, "400 VALIDATE_FAILED"),
        ("ivrs update 8000 --set pin=12345", 1, "400 VALIDATE_FAILED.* pin "),
        ("ivrs update 8000 --set extension_number=1234", 2, "only be set when it is created"),
        ("ivrs update 8000 --set prompt_file_url=x", 2, "prompt_file_url is set by the PBX"),
        ("ivrs update 8000 --set name=", 2, "this cannot be emptied: name"),
        ("ivrs update 8000 --set name", 2, "write it as FIELD=VALUE"),
        ("ivrs update 8000 --set =x", 2, "write it as FIELD=VALUE"),
        ("ivrs update 8000 --set pin", 2, "--set 'pin': write it"),
        ("ivrs update 8000 --set custom_forward_rules=1;2", 2, "not JSON, which a list needs"),
        ("ivrs update 8000 --set custom_forward_rules=1", 2, "custom_forward_rules must be a list"),
        ("ivrs update 8000 --set custom_forward_rules.0.user_input=1", 2, "whole list as JSON"),
        ("ivrs update 8000 --set name.x=1", 2, "no field name.x: name is not an object"),
        ("ivrs update 8000 --set failure_forward_rule.number=", 2, "only a whole field"),
        ("ivrs update 8000 --set failure_forward_rule.x=1", 2, "no field failure_forward_rule.x"),
        ("ivrs update 8000 --file none.json", 2, "--file none.json cannot be read: No such file"),
        ("ivrs update 8000 --file latin.json", 2, "--file latin.json: this is not text in UTF-8"),
        ("ivrs update 8000 --file text.json", 2, "--file text.json: this is not JSON"),
        ("ivrs update 8000 --file list.json", 2, "--file list.json: this is not a JSON object"),
        ("ivrs create --set id=7", 2, "id is set by the PBX itself"),
        ("ivrs create", 2, "name is missing; extension_number is missing$"),
        ("action-urls list 9999", 1, "no match for '9999' among the IVRs"),
        ("files delete none.wav --yes", 1, "no match for 'none.wav' among the files"),
    ],
)
def test_a_mistake_is_one_clear_line(
    command: str, status: int, problem: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "text.json").write_text("{")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "latin.json").write_bytes(b"\xfc")
    made(run, SALES)
    bad(run(command), problem, status)


def test_a_yes_at_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made(run, SALES)
    monkeypatch.setattr("receiver.cli.resources.sys", Terminal())
    no = run("ivrs delete 8000", stdin="n\n")
    assert (no.exit_code, "Delete the IVR 'Sales'" in no.stdout, no.stderr) == (
        1,
        True,
        "Aborted!\n",
    )
    assert run("ivrs delete 8000", stdin="y\n").exit_code == 0


class Terminal(io.StringIO):
    """Stands for `sys` and for its files."""

    def isatty(self) -> bool:
        return True

    @property
    def stdin(self) -> Terminal:
        return self

    stdout = stderr = stdin


def test_tables_on_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made(run, SALES)
    screen = Terminal()
    monkeypatch.setattr("receiver.cli.resources_output.sys", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for command in ("ivrs list", "ivrs show 8000", "ivrs status 8000"):
        good(run(command))
    shown = screen.getvalue()
    assert "\x1b[1m" in shown
    assert re.search("\x1b\\[32mONLINE", shown)


def test_what_does_not_fit_on_a_terminal_is_folded() -> None:
    out = io.StringIO()
    render(("name", "id"), [("x" * 30, "[bold]1")], Console(file=out, width=20))
    assert max(map(len, out.getvalue().splitlines())) <= 20
    assert out.getvalue().count("x") == 30
    assert "[bold]1" in out.getvalue()


def test_a_progress_bar_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("receiver.cli.progress_bar.sys", screen)
    with progress_bar("a\x1b[2J.wav", megabytes) as progress:
        progress(50, 10_000_000)
        progress(10_000_000, 10_000_000)
    assert r"a\x1b[2J.wav  [####" in screen.getvalue()
    assert "10.0 MB of 10.0 MB" in screen.getvalue()
    assert "\x1b" not in screen.getvalue()


def test_no_color_leaves_no_escape_codes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made(run, SALES)
    screen = Terminal()
    monkeypatch.setattr("receiver.cli.resources_output.sys", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    echo_table(("name",), [Ivr(name="Sales")])
    echo_record(IvrStatus(status="ONLINE"))
    assert "ONLINE" in screen.getvalue()
    assert "\x1b" not in screen.getvalue()


def test_texts_of_the_pbx_move_no_cursor(run: Run) -> None:
    made(run, SALES)
    good(run("ivrs update 8000 --set name='a\x1b[2J\x9bm'"))
    for command in ("ivrs list", "ivrs show 8000", "ivrs list --json"):
        assert not set("\x1b\x9b") & set(good(run(command)))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host.example:8/a/b", "https://host.example:8/a/b"),
        ("https://u:p@host.example/a?b=c#d", "https://***@host.example/a?***#***"),
        ("http://[", "***"),
        ("", None),
    ],
)
def test_urls_show_no_secrets(url: str, shown: str | None) -> None:
    assert public(ActionUrl(url=url))["url"] == shown


def test_input_of_create_and_update() -> None:
    sets = (
        "name=A=B",
        "failure_forward_rule={}",
        "failure_forward_rule.action=HANGUP",
        "language=",
    )
    data = {"name": "A=B", "failure_forward_rule": {"action": "HANGUP"}}
    assert gather(Ivr, sets, None) == FieldInput(data, ("language",))
    over = ("failure_forward_rule=1", "failure_forward_rule.action=HANGUP")
    assert gather(Ivr, over, None) == FieldInput({"failure_forward_rule": {"action": "HANGUP"}})
    assert not gather(Ivr, (), None)
    with pytest.raises(DeclarationError):
        gather(Ivr, ("timeout_forward_rule.timeout.x=1",), None)


def test_each_verb_has_its_help() -> None:
    for resource in RESOURCES:
        for verb in resource.verbs:
            done = CliRunner().invoke(main, [resource.command, verb, "--help"])
            assert done.exit_code == 0
            assert done.stdout.startswith("Usage: ")


# with the settings, over a socket ------------------------------------------------------------


async def test_only_the_settings_of_the_pbx_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(make_api(Pbx(), token=TOKEN), lifespan="off") as url:
        done = await apart(f"{SALES} --json", url, tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert (
            json.loads((await apart("ivrs list --json", url, tmp_path)).stdout)[0]["name"]
            == "Sales"
        )
        wrong = await apart("ivrs list", url, tmp_path, RECEIVER_PBX_TOKEN="wrong-token")
        assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1)
        assert "RECEIVER_PBX_TOKEN is wrong or has expired" in wrong.stderr
        assert "wrong-token" not in wrong.stderr
    gone = await apart("ivrs list", "", tmp_path)
    assert (gone.returncode, gone.stderr.count("\n")) == (2, 1)
    assert "RECEIVER_PBX_URL is not set" in gone.stderr


async def apart(
    command: str, url: str, folder: Path, **environ: str
) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parent.parent.parent
    settings = {"RECEIVER_PBX_URL": url, "RECEIVER_PBX_TOKEN": TOKEN.reveal(), **environ}
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "receiver", *shlex.split(command)],
        env={**os.environ, "PYTHONPATH": str(root), **settings},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def test_errors_are_receiver_errors(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(settings: Any) -> PbxClient:
        raise ReceiverError("no")

    monkeypatch.setattr("receiver.cli.resources_files.client", broken)
    bad(run("ivrs list"), "no")


def test_a_resource_type_without_a_row_has_all_commands_and_columns() -> None:
    type = ResourceType(
        one="a queue", many="queues", path="/call_queues", whole=Holiday, summary=IvrSummary
    )
    group = default_group(type)
    assert (group.command, group.nested) == ("call-queues", False)
    assert group.columns == ("name", "extension_number", "enable_audio_recording", "id")
    assert group.verbs == ("list", "show", "create", "update", "delete")
    assert group.title == "The queues. NAME is its name or id."
