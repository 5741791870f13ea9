"""The files of a project from ``receiver new``; nothing is overwritten."""

import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path

import click
import pytest
from click.testing import Result

from receiver.cli import main
from receiver.cli.new import FILES
from receiver.settings import Settings, unknown_settings
from tests.command_line import CliRunner


def new(name: str) -> Result:
    return CliRunner().invoke(main, ["new", name])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert new("shop-2").exit_code == 0
    return tmp_path / "shop-2"


def test_its_files_are_those_of_the_template(project: Path) -> None:
    found = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}
    assert found == set(FILES)
    for path in found:
        assert "PROJECT" not in (project / path).read_text()
    assert tomllib.loads((project / "pyproject.toml").read_text())["project"]["name"] == "shop-2"


def test_every_template_is_used_and_has_the_suffix_txt() -> None:
    names = {path.name for path in (files("receiver") / "templates" / "project").iterdir()}
    assert names == set(FILES.values())
    assert all(name.endswith(".txt") for name in names)


def test_the_settings_of_the_example_exist(project: Path) -> None:
    example = (project / ".env.example").read_text()
    assert not unknown_settings(dict.fromkeys(re.findall(r"^(RECEIVER_\w+)=", example, re.M), ""))
    assert Settings.read({}, project / ".env.example").public_url == "https://ivr.example.com"
    assert not Settings.read({}, project / ".env.example").secret
    assert ".env\n" in (project / ".gitignore").read_text()


def test_the_commands_of_its_documents_exist(project: Path) -> None:
    container = (project / "Dockerfile").read_text()
    commands = [
        json.loads(one)[1:] for one in re.findall(r'^CMD (\["receiver.*)$', container, re.M)
    ]
    for path in ("README.md", ".github/workflows/ci.yml", "app.py"):
        text = (project / path).read_text()
        commands += [
            one.split("  ")[0].split()
            for one in re.findall(r"^(?:    |.*run: )receiver (.*)$", text, re.M)
        ]
    assert len(commands) >= 7
    with click.Context(main) as context:
        for name, *args in commands:
            command = main.get_command(context, name)
            assert command is not None
            command.make_context(name, args, parent=context)


@pytest.mark.parametrize(
    "name", ["", "Shop", "2shop", "shop-", "a/b", "../shop", "shöp", "x" * 64, "a b", "shop\n"]
)
def test_invalid_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = new(name)
    assert (done.exit_code, "lower-case letters" in done.output) == (2, True)
    assert not list(tmp_path.iterdir())


def test_reserved_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert new("receiver").exit_code == 2


def test_nothing_is_overwritten(project: Path) -> None:
    (project / "app.py").write_text("mine")
    done = new("shop-2")
    assert (done.exit_code, "is not empty: nothing was written" in done.output) == (2, True)
    assert (project / "app.py").read_text() == "mine"


def test_an_empty_folder_is_accepted_and_a_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert new("empty").exit_code == 0
    done = new("file")
    assert (done.exit_code, "Not a directory" in done.output) == (2, True)
    assert "Traceback" not in done.output
