"""The README and the examples, run as they stand."""

import asyncio
import re
import shlex
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import httpx
import pytest

from receiver import Call, Forward, Receiver, Repeat
from receiver.cli import COMMANDS, GROUPS, main
from receiver.config.loader import load
from receiver.settings import Settings
from receiver.testing import Phone
from tests.command_line import CliRunner
from tests.documents import parse

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
GUIDE = ROOT / "receiver" / "guide"
EXAMPLES = sorted(path.relative_to(ROOT) for path in (ROOT / "examples").glob("*.py"))
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]


def test_the_readme_is_short_and_the_program_is_on_the_first_screen() -> None:
    lines = README.splitlines()
    assert len(lines) <= 150
    assert lines.index("app = Receiver(sales)") < 45
    assert len(PYTHON) == 1


def test_the_words_are_explained_before_their_first_use() -> None:
    for word in ("IVR", "action URL", "DTMF", "CALLER", "callback"):
        first = re.search(rf"\b{word}s?\b", README)
        explained = README.find(f"**{word}**")
        assert first is not None
        assert first.start() == explained + len("**"), word


def test_the_program_and_its_test_run() -> None:
    (program,) = PYTHON
    names: dict[str, Any] = {}
    exec(program, names)  # noqa: S102
    assert isinstance(names["app"], Receiver)
    (test,) = re.findall(r"`assert await (.*?)`", README)
    call, _, expected = test.partition(" == ")
    names["Call"], names["Forward"] = Call, Forward
    assert asyncio.run(eval(call, names)) == eval(expected, names)  # noqa: S307
    assert asyncio.run(names["pick"](Call(digits="1"))) == Repeat()


def test_the_picture_shows_the_call_of_the_program() -> None:
    names: dict[str, Any] = {}
    exec(PYTHON[0], names)  # noqa: S102
    (picture,) = re.findall(r"```text\n(.*?)```", README, re.DOTALL)

    async def end() -> tuple[str | None, list[str]]:
        async with Phone(names["app"]) as phone:
            call = await phone.dial("8000")
            await call.press("22")
            return call.forwarded_to, [one.url for step in call.steps for one in step.exchanges]

    destination, urls = asyncio.run(end())
    assert f"is connected to {destination}" in picture
    assert [f"POST {httpx.URL(url).path} " in picture for url in urls] == [True]


def test_the_two_commands_are_one_line_each_and_ci_runs_the_second() -> None:
    demo = [line for line in SHELL if line.endswith("receiver demo")]
    test = [line for line in SHELL if line.endswith("python -m pytest")]
    assert len(demo) == len(test) == 1
    assert demo[0].startswith("python3 -m venv .venv && ")
    assert "python -m pytest$" in (ROOT / ".ci" / "run").read_text()


def test_the_other_commands_are_those_of_the_tutorial() -> None:
    blocks = [block.text for block in parse(GUIDE / "tutorial.md").blocks]
    tutorial = [line.strip() for text in blocks for line in text.splitlines()]
    others = [line for line in SHELL if not line.startswith("python3 -m venv")]
    for command in [part for line in others for part in line.split(" && ")]:
        assert any(line.replace("-q ", "").startswith(command) for line in tutorial), command


def test_links_work_on_the_package_index() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    repository = project["urls"]["Repository"]
    links = dict(re.findall(r"^\[([\w-]+)\]: (\S+)$", README, re.MULTILINE))
    for target in links.values():
        path = re.sub(rf"^{re.escape(repository)}/(?:blob|tree)/main/", "", target)
        assert (ROOT / path).exists(), target
    text = re.sub(r"```.*?```|`[^`]*`", "", README, flags=re.DOTALL)
    used = re.findall(r"\[[^\]]+\]\[([\w-]+)\]|\[([\w-]+)\](?![\[:(])", text)
    assert {(name or alone).lower() for name, alone in used} == set(links)
    assert "](" not in text


def test_the_guide_is_shipped() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert "receiver" in build["targets"]["wheel"]["packages"]
    assert not list(GUIDE.glob("**/*.py"))
    linked = re.findall(r"/receiver/guide/([\w-]+)\.md$", README, re.MULTILINE)
    assert sorted(linked) == sorted(path.stem for path in GUIDE.glob("*.md"))


def test_every_setting_is_documented() -> None:
    page = (GUIDE / "settings.md").read_text()
    documented = re.findall(r"^\| `(RECEIVER_[A-Z_]+)` \|", page, re.MULTILINE)
    assert documented == [f"RECEIVER_{field.name.upper()}" for field in fields(Settings)]


def test_the_readme_has_every_command_in_its_group() -> None:
    table = re.findall(r"^\| ([\w ]+) \| (`[a-z-]+`(?:, `[a-z-]+`)*) \|$", README, re.MULTILINE)
    found = {group: re.findall(r"`([a-z-]+)`", names) for group, names in table}
    assert found == {group: list(names) for group, names in GROUPS.items()}


COMMAND_ROWS = re.findall(
    r"^(\| `receiver ([a-z-]+).*)", (GUIDE / "commands.md").read_text(), re.MULTILINE
)


def test_every_command_is_documented() -> None:
    assert [name for _, name in COMMAND_ROWS] == list(COMMANDS)


def command_of(name: str) -> click.Command:
    with click.Context(main) as context:
        command = main.get_command(context, name)
    assert command is not None
    assert command.name == name
    return command


@pytest.mark.parametrize(("row", "name"), COMMAND_ROWS, ids=[name for _, name in COMMAND_ROWS])
def test_every_option_in_the_table_of_commands_exists(row: str, name: str) -> None:
    command = command_of(name)
    there = {o for p in command.params if isinstance(p, click.Option) for o in p.opts}
    assert set(re.findall(r"--[a-z-]+", row)) <= there


# How the call in each example's first lines ends; None where there is no call.
ENDS = {
    "01_first": "forwarded to 222",
    "02_four_modes": None,
    "03_caller": "forwarded to 300",
    "04_fallback": "forwarded to 0",
    "05_menu": "forwarded to 333",
    "06_table": "forwarded to 222",
    "07_modules": "hung up",
    "08_mounted": None,
    "09_crm_in_time": "forwarded to 0",
    "10_hours": "forwarded to 8999",
    "11_account": "forwarded to 202",
    "12_relay": "forwarded to 222",
    "13_balance": "forwarded to 8001",
    "14_screen": "hung up",
    "15_crm": "forwarded to 0",
    "18_plain": "forwarded to 0",
    "19_fastapi": None,  # run by tests/test_mounted.py
    "20_litestar": None,
    "21_django": None,
    "22_sqlalchemy": None,
    "23_structlog": "forwarded to 222",
    "24_ivr_as_code": "forwarded to 8999",
    "25_spoken_prompt": "forwarded to 8801",
    "26_call_outcome": "forwarded to 222",
    "27_crm_outcome": "forwarded to 0",
}


def test_every_example_is_tested() -> None:
    assert list(ENDS) == [path.stem for path in EXAMPLES]


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_examples_are_short_and_load(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert 20 <= len((ROOT / path).read_text().splitlines()) <= 50
    assert isinstance(load(f"{path}:app"), Receiver)


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_the_call_of_an_example_ends_as_documented(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    command = re.search(r"^    receiver (dial .*)$", (ROOT / path).read_text(), re.MULTILINE)
    if ENDS[path.stem] is None:
        assert command is None
        return
    assert command is not None
    done = CliRunner().invoke(main, shlex.split(command[1]))
    assert done.exit_code == 0
    assert f"= {ENDS[path.stem]} (" in done.output


def test_dial_reports_events_in_the_order_of_a_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    command = ["dial", "examples/26_call_outcome.py:app", "8000", "--press", "1"]
    missed = CliRunner().invoke(main, [*command, "--talk", "0"])
    shown = [
        line for line in missed.output.splitlines() if line.startswith(("the PBX", "the caller"))
    ]
    assert shown == [
        "the PBX reports call_start, cdr_target_add, cdr_target_ringing, cdr_target_answer",
        'the caller presses 1: the PBX asks the DTMF action URL "pick"',
        "the PBX reports cdr_target_end, cdr_target_add, cdr_target_ringing",
        "the PBX reports cdr_target_noanswer, call_cdr",
    ]
    assert "not acknowledged" not in missed.output
    assert "call back the caller of" in missed.output
    talked = CliRunner().invoke(main, [*command, "--talk", "7"])
    assert "1 ('222', 7.0)" in talked.output
    assert "call back" not in talked.output


def test_dial_shows_the_declaration_that_keys_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(main, ["dial", "examples/01_first.py:app", "8000", "--press", "7"])
    assert "no action matches these keys; one that does:" in done.output
    assert '  @ivr.dtmf("7")\n  async def key_7(call: Call) -> Reply:\n' in done.output
    done = CliRunner().invoke(main, ["dial", "examples/01_first.py:app", "8000", "--press", "22"])
    assert "no action matches" not in done.output
    done = CliRunner().invoke(main, ["dial", "examples/01_first.py:app", "8000", "--press", "*"])
    assert "  # a mask cannot contain the keys * and #" in done.output
    done = CliRunner().invoke(
        main, ["dial", "examples/11_account.py:app", "8000", "--press", "777"]
    )
    assert '@ivr.dtmf("***")' in done.output  # beside a sensitive action


def test_no_machine_is_named() -> None:
    for path in [*ROOT.glob("*.md"), *ROOT.glob("receiver/**/*.py"), *EXAMPLES]:
        assert not re.search(r"(?<![\w.])/(?:work|home|root)/", (ROOT / path).read_text()), path
