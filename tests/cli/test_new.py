"""A project that ``receiver new`` creates works, with its CI workflow and its container image.

Not tested, for want of network and containers: downloads of pip, accounts and folders of the image.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from packaging.requirements import Requirement

from receiver.cli.new import create_project
from receiver.server.supervisor import STOP_TIMEOUT
from receiver.settings import Settings
from tests.processes import Processes

ROOT = Path(__file__).parent.parent.parent
WAIT = 240.0
"""The timeout of a process in seconds."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    create_project("shop", tmp_path)
    return tmp_path / "shop"


def environ() -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # another version may be installed here
        "PYTEST_ADDOPTS": "-p pytest_asyncio.plugin -p receiver.testing.pytest_plugin",
    }


def run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run ``command`` as a Python module in the folder of the project."""
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=project, env=environ(), capture_output=True, text=True
    )


def workflow(project: Path) -> dict[Any, Any]:
    found = yaml.safe_load((project / ".github/workflows/ci.yml").read_text())
    assert isinstance(found, dict)
    return found


def commands(project: Path) -> list[str]:
    """Return the commands of the workflow."""
    (job,) = workflow(project)["jobs"].values()
    return [step["run"] for step in job["steps"] if "run" in step]


def instructions(project: Path) -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their arguments."""
    text = re.sub(r"^#.*\n", "", (project / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", "").splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines) if name]


def argument(project: Path, name: str) -> str:
    """Return the argument of the only instruction with that name."""
    (found,) = [rest for one, rest in instructions(project) if one == name]
    return found


def extras(folder: Path) -> set[str]:
    """Return the extras of the project in ``folder``."""
    data = tomllib.loads((folder / "pyproject.toml").read_text())
    return set(data["project"]["optional-dependencies"])


def check_install(command: str, project: Path) -> None:
    """Check that pip could install what ``command`` names, without a download.

    -e is removed, because it needs a further build package.
    """
    pip, install, *words = shlex.split(command)
    assert (pip, install) == ("pip", "install")
    words = [word for word in words if word != "-e"]
    assert {word for word in words if word.startswith("-")} <= {"--no-cache-dir"}
    dry = ["--dry-run", "--no-deps", "--no-index", "--no-build-isolation"]
    done = run(project, "pip", "install", *dry, *words)
    assert "Would install shop-0.1.0" in done.stdout, done.stderr
    assert "does not provide the extra" not in done.stderr
    for wanted in re.findall(r"\[(.*)\]", command):
        assert set(wanted.split(",")) <= extras(project)


def test_it_passes_its_own_tests(project: Path) -> None:
    done = run(project, "pytest")
    assert "3 passed" in done.stdout, done.stdout
    app = project / "app.py"
    # Another size: Python would use the bytecode of a file of this size and second.
    app.write_text(app.read_text().replace('"222"', '"2230"'))
    assert "1 failed, 2 passed" in run(project, "pytest").stdout


def test_its_imports_are_sorted(project: Path) -> None:
    done = run(project, "ruff", "check", "--isolated", "--select", "I", ".")
    assert done.returncode == 0, done.stdout


def test_it_is_typed(project: Path) -> None:
    done = run(project, "mypy", "--strict", "app.py", "tests/test_app.py")
    assert done.returncode == 0, done.stdout


def test_its_call_is_forwarded(project: Path) -> None:
    done = run(project, "receiver", "dial", "app:app", "8000", "--from", "101", "--press", "1")
    assert "forwarded to 222" in done.stdout


def test_its_requirements_on_this_package_exist(project: Path) -> None:
    table = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    every = [*table["dependencies"], *chain(*table["optional-dependencies"].values())]
    mine = [one for one in map(Requirement, every) if one.name == "portsip-receiver"]
    assert len(mine) == 2
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for one in mine:
        assert one.extras <= extras(ROOT)
        assert one.specifier.contains(version)


def test_the_workflow_is_valid(project: Path) -> None:
    found = workflow(project)
    assert found[True] == ["push", "pull_request"]  # YAML reads the key "on" as true
    assert found["permissions"] == {"contents": "read"}
    (job,) = found["jobs"].values()
    assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    (python,) = [step["with"] for step in job["steps"] if "with" in step]
    assert python == {"python-version": "3.13"}  # 3.1 would be a number
    assert argument(project, "FROM") == f"python:{python['python-version']}-slim"


def test_each_command_of_the_workflow_succeeds(project: Path) -> None:
    install, *others = commands(project)
    check_install(install, project)
    assert len(others) == 4
    for command in others:
        done = run(project, *shlex.split(command))
        assert done.returncode == 0, (command, done.stdout, done.stderr)


def test_each_check_of_the_workflow_detects_an_error(project: Path) -> None:
    app = project / "app.py"
    app.write_text(app.read_text().replace('"1;2;9"', '"1;2;x"') + "import  os\n")
    failed = [run(project, *shlex.split(one)).returncode for one in commands(project)[1:]]
    assert [bool(status) for status in failed] == [True, True, True, True]


def test_the_install_command_of_the_readme(project: Path) -> None:
    (line,) = re.findall(r"(pip install .*)$", (project / "README.md").read_text(), re.MULTILINE)
    check_install(line, project)


@pytest.fixture
def image(project: Path, tmp_path: Path) -> Path:
    """Return the folder of the image: the copied files, if .dockerignore allows them.

    The project has a second module, as after the second step of the tutorial.
    """
    app = project / "app.py"
    app.write_text(f"import customers  # noqa: F401\n{app.read_text()}")
    (project / "customers.py").touch()
    *names, target = argument(project, "COPY").split()
    allowed = (project / ".dockerignore").read_text().split()
    assert (target, allowed[0]) == ("./", "*")
    folder = tmp_path / "image"
    folder.mkdir()
    for name in names:
        assert f"!{name}" in allowed
        for path in project.glob(name):
            shutil.copy(path, folder)
    return folder


def test_the_image_can_be_built(project: Path, image: Path) -> None:
    runs = [rest for name, rest in instructions(project) if name == "RUN"]
    for one in runs:
        subprocess.run(["sh", "-n", "-c", one], check=True)
    check_install(runs[0].partition(" && ")[0], image)
    done = run(image, "hatchling", "build", "-t", "wheel")
    assert done.returncode == 0, done.stderr
    (wheel,) = (image / "dist").iterdir()
    with ZipFile(wheel) as packed:
        assert "app.py" in packed.namelist()
    user = argument(project, "USER")
    assert f"useradd --system {user}" in runs[0]
    volume = argument(project, "VOLUME")
    assert runs[1] == f"install -d -o {user} -m 700 {volume}"
    values = dict(pair.split("=") for pair in argument(project, "ENV").split())
    assert Settings.read(values, None).jobs.reveal().startswith(f"{volume}/")


@pytest.fixture
def served(project: Path, image: Path, processes: Processes) -> tuple[subprocess.Popen[str], str]:
    """Start the image's command on a free loopback port; return the process and the port."""
    name, *words = json.loads(argument(project, "CMD"))
    assert (name, argument(project, "EXPOSE")) == ("receiver", words[words.index("--port") + 1])
    words[words.index("--port") + 1] = "0"
    words[words.index("--host") + 1] = "127.0.0.1"
    process = processes.start(
        [sys.executable, "-m", name, *words],
        cwd=image,
        env={
            **environ(),
            "RECEIVER_SECRET": "6d0f2c9ab17e4583f4c8d25e90ab3716",
            "RECEIVER_JOBS": str(image / "jobs.db"),
        },
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    log = ""
    while not (found := re.search(r"serving on http://127\.0\.0\.1:([0-9]+) ", log)):
        line = process.stderr.readline()
        assert line, log
        log += line
    return process, found[1]


def test_the_container_serves_is_healthy_and_stops(
    project: Path, served: tuple[subprocess.Popen[str], str]
) -> None:
    process, port = served
    options, command = argument(project, "HEALTHCHECK").split("CMD ", 1)
    python, *words = json.loads(command)
    assert (python, words[0], "--timeout=2s" in options) == ("python", "-c", True)
    check = [sys.executable, "-c", words[1].replace(":8000/", f":{port}/")]
    assert check[2] != words[1]
    subprocess.run(check, check=True, timeout=WAIT)
    notice = json.loads(argument(project, "CMD"))[-1]
    (stop_timeout,) = re.findall(r"--stop-timeout (\d+)", (project / "README.md").read_text())
    assert STOP_TIMEOUT + int(notice) <= int(stop_timeout)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT) in (0, -signal.SIGTERM)
    assert subprocess.run(check, stderr=subprocess.DEVNULL).returncode == 1
