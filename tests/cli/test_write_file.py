"""Files that commands write: whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from receiver.cli.common import write_file
from receiver.errors import SettingsError


def test_what_was_there_is_replaced_and_only_the_owner_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "changes.plan"
    file.write_text("before")
    write_file(file, b"after")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"after", 0o600)
    assert os.listdir(tmp_path) == ["changes.plan"]


def test_a_command_that_is_killed_while_it_writes_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """The simulated end of the process."""

    def killed(*_: object) -> None:
        raise Killed

    file = tmp_path / "changes.plan"
    file.write_text("before")
    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(Killed):
        write_file(file, b"after")
    assert file.read_text() == "before"


def test_a_file_that_must_be_new_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_text("before")
    with pytest.raises(SettingsError, match=r"^--save .* cannot be written: File exists$"):
        write_file(file, b"after", option="--save", replaces=False)
    assert file.read_text() == "before"


def test_a_link_stays_and_a_device_is_written_to(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("before")
    link.symlink_to(target)
    write_file(link, b"after")
    assert (link.is_symlink(), target.read_text()) == (True, "after")
    write_file(Path(os.devnull), b"dropped")
    assert not os.path.isfile(os.devnull)
