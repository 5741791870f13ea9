"""Run the tutorial of the guide as it is written: ``python -m tests.tutorial [WHEEL]``.

Its commands and files are taken from the page. They run in an empty folder, in a new virtual
environment into which pip installs the wheel (by default one that is built here) and what it needs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.documents import ROOT, Block, Runner, environ, parse

PAGE = ROOT / "receiver" / "guide" / "tutorial.md"


def build_wheel(folder: Path) -> Path:
    """Return a wheel of this package."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def run(
    folder: Path,
    variables: dict[str, str],
    port: Callable[[int], int] = lambda port: port,
    seen: Callable[[Block, Runner], None] = lambda block, runner: None,
) -> None:
    """Run the tutorial.

    Parameters:
        folder: an empty one.
        variables: the environment.
        port: see `tests.documents.Runner`.
        seen: called after each block.
    """
    runner = Runner(folder, variables, port)
    try:
        for block in runner.run(parse(PAGE)):
            seen(block, runner)
    finally:
        runner.close()


def clean(wheels: Path) -> dict[str, str]:
    """Return an environment in which pip finds the wheel, and Python finds nothing of here."""
    variables = environ(
        PIP_FIND_LINKS=str(wheels),
        PIP_CONSTRAINT=str(ROOT / "constraints.txt"),
        PIP_RETRIES="10",  # a registry that is slow for a moment is no failure
        PIP_DEFAULT_TIMEOUT="60",
    )
    del variables["PYTHONPATH"]
    here = str(Path(sys.executable).parent)
    variables["PATH"] = ":".join(p for p in variables["PATH"].split(":") if p != here)
    variables.pop("VIRTUAL_ENV", None)
    return variables


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        wheels, work = Path(folder, "wheels"), Path(folder, "work")
        work.mkdir()
        wheel = Path(sys.argv[1]) if sys.argv[1:] else build_wheel(wheels)

        def show(block: Block, runner: Runner) -> None:
            if block.language == "sh":
                print(f"\n$ {block.text.strip()}\n{runner.output.strip()}", flush=True)

        run(work, clean(wheel.parent.absolute()), seen=show)


if __name__ == "__main__":
    main()
