"""A new project, from the templates that are installed with this package.

Rule 1: nothing is overwritten: the folder is new, or empty.
Rule 2: a template is the file as it will be but for the word PROJECT, and ends in ``.txt``: no tool
        takes it for a part of this project.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from receiver.errors import ReceiverError
from receiver.printable import short

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
"""What a project has, and its template."""

_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_TAKEN = {"app", "handlers", "portsip-receiver", "receiver", "test", "tests"}


class StartingError(ReceiverError):
    """A project cannot be begun there, or under that name."""

    exit_code = 2


def start(name: str, parent: Path) -> list[Path]:
    """Make a project in the folder ``name`` of ``parent``; the files that it has.

    Raises:
        StartingError: the name is none, the folder is not empty, or cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise StartingError(
            f"{short(name)!r} cannot be the name of a project: use 1 to 63 lower-case letters, "
            "digits and -, with a letter in front and no - at the end"
        )
    if name in _TAKEN:
        raise StartingError(f"{name} is the name of something else here: choose another")
    folder = parent / name
    try:
        if folder.exists() and any(folder.iterdir()):
            raise StartingError(f"{folder} is not empty: nothing was written")
        return [_write(folder / path, template, name) for path, template in FILES.items()]
    except OSError as error:
        raise StartingError(f"{error.filename or folder}: {error.strerror}") from None


def _write(path: Path, template: str, name: str) -> Path:
    text = (files("receiver") / "templates" / "project" / template).read_text(encoding="utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text.replace("PROJECT", name))
    return path
