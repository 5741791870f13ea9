"""Refuse modules that have lost their tests: ``python -m tests.coverage_gate``, after a run.

It reads the lines that were run, child processes included (tests/coverage.toml). Tests that drive a
browser or an installer are not in the measured run; every module reaches its floor without them.
The pure modules have a stricter rule, every branch (see .ci/run).
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "tests" / "coverage.toml"

FLOOR = 85.0
"""Percent of the lines of a module that tests run; a little below the lowest that was measured."""

LOWER = {
    "receiver/dispatch/eager_task.py": 65.0,  # half of it is for other versions of Python
}
"""Modules with another floor, and why."""


def problems(measured: Mapping[str, float]) -> Iterable[str]:
    """Return a line for each module below its floor, and for each entry without a module.

    Parameters:
        measured: percent of the lines that were run, by path.
    """
    for path, percent in sorted(measured.items()):
        floor = LOWER.get(path, FLOOR)
        if percent < floor:
            yield f"{path}: {percent:.0f} % of its lines are run by tests, {floor:.0f} % are needed"
    for path in LOWER.keys() - measured.keys():
        yield f"{path} is in LOWER of tests/coverage_gate.py, but was not measured"


def read() -> dict[str, float]:
    """Return what the last run measured."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "coverage", "json", "--rcfile", str(CONFIG)]
        subprocess.run([*command, "-q", "-o", str(report)], check=True, cwd=ROOT)
        files = json.loads(report.read_text())["files"]
    return {path: one["summary"]["percent_covered"] for path, one in files.items()}


def status(measured: Mapping[str, float]) -> str | int:
    """Return the argument of `sys.exit`: the problems, or 0. (An empty text would be status 1.)"""
    return "\n".join(problems(measured)) or 0


if __name__ == "__main__":
    sys.exit(status(read()))
