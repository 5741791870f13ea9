"""No process outlives its test, whether the test passed or failed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import Processes

ROOT = Path(__file__).parent.parent
FAILING = """
import subprocess, sys

CHILD = "import signal; print('the child runs', flush=True); signal.pause()"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"

def test_that_fails(processes):
    process = processes.start([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert process.stdout.readline() == "the child runs\\n"
    print("the group is", process.pid)
    raise AssertionError
"""


def is_alive(group: int) -> bool:
    """Return whether a process of the group is left, not counting those that only wait for init."""
    listed = subprocess.run(["ps", "-A", "-o", "pgid=,stat="], capture_output=True, text=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return any(int(pgid) == group and not stat.startswith("Z") for pgid, stat in rows)


def test_a_failing_test_leaves_no_process(tmp_path: Path, program: Callable[[str], str]) -> None:
    program("ps")
    (tmp_path / "test_failing.py").write_text(FAILING)
    (tmp_path / "conftest.py").write_text("from tests.conftest import processes\n")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-n",
            "0",
            "-c",
            os.devnull,
            "-p",
            "no:cacheprovider",
            ".",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert "1 failed" in done.stdout, done.stdout + done.stderr
    (group,) = map(int, re.findall(r"^the group is (\d+)$", done.stdout, re.MULTILINE))
    assert not is_alive(group)


def test_a_process_that_ignores_sigterm_is_ended(program: Callable[[str], str]) -> None:
    program("ps")
    processes = Processes()
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1); input()"
    process = processes.start(
        [sys.executable, "-uc", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    processes.end()
    assert not is_alive(process.pid)
    assert process.stdout.closed


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests" / "cli").glob("*.py")), ids=lambda p: p.stem
)
def test_commands_are_started_in_their_own_group(path: Path) -> None:
    """Commands within ``with subprocess.Popen`` are awaited, and end without a signal."""
    text = path.read_text()
    starts = re.findall(r"(?<!with )subprocess\.Popen\(|create_subprocess_exec\(", text)
    assert text.count("process_group=0") == len(starts)
