"""The README and the examples, run as they stand."""

import asyncio
import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from receiver import Call, Receiver, Repeat
from receiver.cli import COMMANDS, main
from receiver.loader import load
from receiver.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLES = sorted(path.relative_to(ROOT) for path in (ROOT / "examples").glob("*.py"))
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]


def test_the_program_stands_by_line_twelve() -> None:
    assert README.splitlines()[11] == "app = Receiver(sales)"


def test_the_program_and_its_test_run() -> None:
    program, _, test = PYTHON
    names: dict[str, Any] = {}
    exec(program + test, names)  # noqa: S102
    assert isinstance(names["app"], Receiver)
    asyncio.run(names["test_pick"]())
    assert asyncio.run(names["pick"](Call(digits="1"))) == Repeat()


def test_the_declarations_are_good() -> None:
    from receiver import Ivr

    handler = "async def handler(call): ...\n"
    one = PYTHON[1].replace("\n@ivr.caller", f"\n{handler.replace('handler', 'one')}@ivr.caller")
    ivr = Ivr("8000")
    exec(one + handler.replace("handler", "two"), {"ivr": ivr})  # noqa: S102
    assert [action.kind for action in ivr] == ["DTMF", "CALLER"]


def test_the_two_commands_are_one_line_each_and_ci_runs_the_second() -> None:
    demo = [line for line in SHELL if line.endswith("receiver demo")]
    test = [line for line in SHELL if line.endswith("python -m pytest")]
    assert len(demo) == len(test) == 1
    assert demo[0].startswith("python3 -m venv .venv && ")
    assert "python -m pytest$" in (ROOT / ".ci" / "run").read_text()


def test_every_setting_is_documented() -> None:
    documented = re.findall(r"^\| `(RECEIVER_[A-Z_]+)` \|", README, re.MULTILINE)
    assert documented == [f"RECEIVER_{field.name.upper()}" for field in fields(Settings)]


def test_every_command_is_documented() -> None:
    documented = re.findall(r"^\| `receiver ([a-z-]+)", README, re.MULTILINE)
    assert documented == list(COMMANDS)


def command_of(name: str) -> click.Command:
    with click.Context(main) as context:
        command = main.get_command(context, name)
    assert command is not None
    assert command.name == name
    return command


def test_every_option_of_a_command_in_the_readme_exists() -> None:
    for line in re.findall(r"^\| `receiver ([a-z-]+).*", README, re.MULTILINE):
        command = command_of(line)
        row = re.search(rf"^\| `receiver {line}.*", README, re.MULTILINE)
        assert row is not None
        there = {o for p in command.params if isinstance(p, click.Option) for o in p.opts}
        assert set(re.findall(r"--[a-z-]+", row[0])) <= there


@pytest.mark.parametrize("line", [line for line in SHELL if line.startswith("receiver dial")])
def test_the_calls_of_the_readme_end_well(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(main, shlex.split(line)[1:])
    assert (done.exit_code, "forwarded to 222" in done.output) == (0, True)


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
}


def test_every_example_is_tested() -> None:
    assert list(ENDS) == [path.stem for path in EXAMPLES]


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_examples_are_short_and_load(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert 20 <= len((ROOT / path).read_text().splitlines()) <= 50
    assert isinstance(load(f"{path}:app"), Receiver)


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_the_call_of_an_example_ends_as_it_says(
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


def test_no_machine_is_named() -> None:
    for path in [*ROOT.glob("*.md"), *ROOT.glob("receiver/**/*.py"), *EXAMPLES]:
        assert not re.search(r"(?<![\w.])/(?:work|home|root)/", (ROOT / path).read_text()), path
