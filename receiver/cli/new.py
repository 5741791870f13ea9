"""``receiver new``: create a project from the templates that are installed with this package.

Rule 1: nothing is overwritten: the folder is new or empty.
Rule 2: a template is the file itself apart from the word PROJECT; its suffix ``.txt`` keeps tools
        from treating it as a part of this project.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import click

from receiver.errors import ReceiverError
from receiver.text import short

FILES = {
    "app.py": "app.py.txt",
    "tests/test_app.py": "test_app.py.txt",
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    ".env.example": "env.example.txt",
    ".gitignore": "gitignore.txt",
    ".dockerignore": "dockerignore.txt",
    "Dockerfile": "Dockerfile.txt",
    ".github/workflows/ci.yml": "ci.yml.txt",
}
"""The files of a project and their templates."""

_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_TAKEN = {"app", "handlers", "portsip-receiver", "receiver", "test", "tests"}


class ProjectError(ReceiverError):
    """The project cannot be created there or under that name."""

    exit_code = 2


@click.command()
@click.argument("name")
def new(name: str) -> None:
    """Create a project in the new folder NAME: a handler, tests, a Dockerfile and CI."""
    for path in create_project(name, Path()):
        click.echo(path)
    click.echo(f"Next: cd {name} and follow its README.md")


def create_project(name: str, parent: Path) -> list[Path]:
    """Create a project in the folder ``name`` of ``parent`` and return its files.

    Raises:
        ProjectError: the name is invalid, or the folder is not empty or not writable.
    """
    if not _NAME.fullmatch(name):
        raise ProjectError(
            f"{short(name)!r} is not a valid project name: use 1 to 63 lower-case letters, "
            "digits and -, starting with a letter and not ending with -"
        )
    if name in _TAKEN:
        raise ProjectError(f"{name} is a reserved name: choose another")
    folder = parent / name
    try:
        if folder.exists() and any(folder.iterdir()):
            raise ProjectError(f"{folder} is not empty: nothing was written")
        return [_write(folder / path, template, name) for path, template in FILES.items()]
    except OSError as error:
        raise ProjectError(f"{error.filename or folder}: {error.strerror}") from None


def _write(path: Path, template: str, name: str) -> Path:
    text = (files("receiver") / "templates" / "project" / template).read_text(encoding="utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text.replace("PROJECT", name))
    return path
