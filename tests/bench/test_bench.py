"""The commands of the guide that measure, with turns too short to mean anything."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "receiver" / "guide" / "speed.md").read_text()
COMMANDS = re.findall(r"^.*python -m tests\.bench\.([a-z]+)$", PAGE, re.MULTILINE)
SHORT = {
    "cost": ["--turns", "1", "--turn", "0.002"],
    "latency": ["--turns", "1", "--seconds", "0.1"],
}


def test_the_guide_names_both() -> None:
    assert sorted(COMMANDS) == sorted(SHORT)


@pytest.mark.parametrize("command", SHORT)
def test_it_prints_the_table_of_the_guide(command: str) -> None:
    contestants = ("--contestants", "L1|ours|ours, handler awaits")
    done = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{command}", *SHORT[command], *contestants],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,  # it is too short to reach a goal
    )
    head, line, *rows = done.stdout.splitlines()
    assert f"{head}\n{line}\n" in PAGE, done.stderr
    names = [row.split(" | ")[0].removeprefix("| ") for row in rows if row.startswith("|")]
    assert names[:3] == ["L1", "ours", "ours, handler awaits"]
    for name in names:
        assert f"\n| {name} | " in PAGE
