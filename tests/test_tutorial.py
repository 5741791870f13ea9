"""The tutorial, run as it is written, in a virtual environment that has only the wheel.

Without network: pip finds the wheel in a folder, and the other packages in a folder of links to
those of this environment. ``python -m tests.tutorial`` downloads them, as a reader does.
"""

import asyncio
import re
import site
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.async_api import async_playwright, expect

from tests.console.tab import PATIENCE, Tab
from tests.documents import Block, Runner, free_ports, parse
from tests.tutorial import PAGE, build_wheel, clean, run

EXAMPLES = PAGE.parents[2] / "examples" / "tutorial"


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a clean machine whose package index is this environment."""
    build_wheel(tmp_path / "wheels")
    packages, programs = tmp_path / "packages", tmp_path / "bin"
    packages.mkdir()
    programs.mkdir()
    for folder in site.getsitepackages():
        for path in Path(folder).iterdir():
            if "portsip" not in path.name and path.suffix != ".pth":
                packages.joinpath(path.name).symlink_to(path)
    for name in ("pytest", "uvicorn"):  # the scripts that pip would install
        programs.joinpath(name).write_text(f'#!/bin/sh\nexec python -m {name} "$@"\n')
        programs.joinpath(name).chmod(0o755)
    variables = clean(tmp_path / "wheels")
    search = f"{programs}:{variables['PATH']}"
    return {**variables, "PATH": search, "PYTHONPATH": str(packages), "PIP_NO_INDEX": "1"}


async def call_in_the_browser(url: str, path: str) -> None:
    """Press Call and 1 on the page of receiver dev."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"], timeout=PATIENCE
        )
        page = await browser.new_page(reduced_motion="reduce", locale="en-GB")
        tab = Tab(page)
        await page.goto(url)
        await expect(tab.at("#connection")).to_have_text("connected")
        await tab.dial("1")
        await expect(tab.at("#announcer")).to_contain_text("forwarded to 222")
        await browser.close()


def test_the_tutorial(
    tmp_path: Path, offline: dict[str, str], program: Callable[[str], str]
) -> None:
    seen: list[str] = []

    def look(block: Block, runner: Runner) -> None:
        if block.text.startswith("receiver dev"):
            url = re.findall(r"http://\S+", runner.output)[0]
            asyncio.run(call_in_the_browser(url, program("chromium")))
            seen.append("a call in the browser")
        if "receiver doctor" in block.text:
            assert "0 faults, 0 warnings" in runner.output
            seen.append("a green doctor")
        if block.text.startswith("receiver load"):
            _, crm, *_ = runner.services
            crm.wait_for("logged a call to 201")
            seen.append("a call to the service")

    work = tmp_path / "work"
    work.mkdir()
    run(work, offline, free_ports().__getitem__, look)
    assert seen == ["a call in the browser", "a green doctor", "a call to the service"]
    for command in ("check", "format --check"):  # with the rules of the new project
        ruff = [sys.executable, "-m", "ruff", *command.split(), "."]
        done = subprocess.run(ruff, cwd=work / "reception", capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
    (installed,) = work.glob(".venv/lib/python*/site-packages/receiver/guide/tutorial.md")
    assert installed.read_text() == PAGE.read_text()


def test_the_finished_project_is_in_the_examples() -> None:
    blocks = parse(PAGE).blocks
    same = {path: block for block in blocks if (path := block.note("same as"))}
    assert sorted(EXAMPLES.parents[1] / path for path in same) == sorted(EXAMPLES.glob("*.py"))
    for path, block in same.items():
        assert block.text == (EXAMPLES.parents[1] / path).read_text()
    apps = [block for block in blocks if block.note("file") == "app.py"]
    assert apps[-1] is same["examples/tutorial/app.py"]
