"""Completion in bash, set up as ``receiver --help`` says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from receiver.cli import main
from tests.command_line import CliRunner

COMPLETE = """
{line}
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_receiver_completion receiver
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("receiver pl", ["plan"]),
        ("receiver dr", ["drain", "drift"]),
        ("receiver load app:app 8000 --ht", ["--html", "--http"]),
        ("receiver jobs re", ["rescue", "retry"]),
    ],
)
def test_bash_completes_commands_and_options(
    words: str, expected: list[str], program: Callable[[str], str], tmp_path: Path
) -> None:
    text = " ".join(CliRunner().invoke(main, ["--help"]).stdout.split())
    (line,) = re.findall(r'eval "\$\([^)]+\)"', text)
    folder = Path(sys.executable).parent
    done = subprocess.run(
        [program("bash"), "--norc", "-c", COMPLETE.format(line=line, words=words)],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert sorted(done.stdout.split()) == expected, done.stderr
