"""The package index and distributors get metadata, links, and the files of the sdist."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
from email import message_from_string
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
REPOSITORY = PROJECT["project"]["urls"]["Repository"]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The text of the files in an sdist, by their path."""
    folder = tmp_path_factory.mktemp("sdist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.iterdir()
    with tarfile.open(path) as archive:
        files = [member for member in archive.getmembers() if member.isfile()]
        return {
            file.name.partition("/")[2]: found.read().decode(errors="replace")
            for file in files
            if (found := archive.extractfile(file))
        }


@pytest.mark.parametrize(
    "path",
    [
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "README.md",
        "SECURITY.md",
        "constraints.txt",
        "pyproject.toml",
        "tests/test_packaging.py",
        "examples/01_first.py",
        "handlers/menu.py",
    ],
)
def test_the_sdist_contains_what_the_documents_use(path: str, sdist: dict[str, str]) -> None:
    assert sdist[path] == (ROOT / path).read_text()


def test_the_sdist_contains_nothing_that_is_installed_or_generated(sdist: dict[str, str]) -> None:
    assert not [path for path in sdist if re.search(r"node_modules|\.venv|__pycache__", path)]


def test_the_metadata_names_urls_versions_and_systems(sdist: dict[str, str]) -> None:
    metadata = message_from_string(sdist["PKG-INFO"])
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL", []))
    assert {"Repository", "Documentation", "Changelog", "Issues", "Security"} == set(urls)
    assert all(url.startswith(REPOSITORY) for url in urls.values())
    classifiers = metadata.get_all("Classifier", [])
    for system in ("POSIX :: Linux", "MacOS", "Microsoft :: Windows"):
        assert f"Operating System :: {system}" in classifiers
    named = [text.rpartition(" ")[2] for text in classifiers if "Python :: 3." in text]
    (others,) = re.findall(r"^for version in ([0-9. ]+); do$", (ROOT / ".ci/run").read_text(), re.M)
    assert named == ["3.11", *sorted(others.split())]
    assert metadata["Requires-Python"] == f">={named[0]}"


@pytest.mark.parametrize("name", ["README.md", "SECURITY.md", "CONTRIBUTING.md"])
def test_links_work_on_the_package_index(name: str) -> None:
    text = (ROOT / name).read_text()
    links = re.findall(r"\]\(([^)]+)\)|^\[[^]]+\]: (\S+)", text, re.MULTILINE)
    for link in (inline or reference for inline, reference in links):
        assert link.startswith(("https://", "#")), f"{name}: {link} is relative"
        path = link.removeprefix(f"{REPOSITORY}/blob/main/").removeprefix(
            f"{REPOSITORY}/tree/main/"
        )
        assert path == link or (ROOT / path.partition("#")[0]).exists(), f"{name}: {link}"


def test_dependency_groups_are_the_extras_of_the_same_name() -> None:
    groups, extras = PROJECT["dependency-groups"], PROJECT["project"]["optional-dependencies"]
    assert groups == {name: [f"portsip-receiver[{name}]"] for name in ("test", "fuzz")}
    assert set(groups) <= set(extras)


def test_contributing_names_every_layer() -> None:
    """The order is that of `tests.test_layers`, with the packages from the top."""
    from tests.test_layers import LAYERS

    text = (ROOT / "CONTRIBUTING.md").read_text()
    layers = text.partition("## The layers")[2].partition("## What")[0]
    named = [re.findall(r"`(\w+)`", line) for line in layers.splitlines() if line[:1].isdigit()]
    assert len(named) == 10
    levels = {name: level for level, row in enumerate(LAYERS) for name in row.split()}
    flat = [levels[name] for names in named for name in names if name in levels]
    assert flat == sorted(flat, reverse=True)
    packages = {path.parent.name for path in (ROOT / "receiver").glob("*/__init__.py")}
    assert packages <= {name for names in named for name in names}
