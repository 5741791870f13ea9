"""Announcements on the command line: listed by check, played by dial."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver.cli import main
from tests.command_line import CliRunner

EXAMPLE = Path(__file__).parents[2] / "examples" / "25_spoken_prompt.py"


def test_check_lists_them() -> None:
    result = CliRunner().invoke(main, ["check", f"{EXAMPLE}:app"])
    line = "announcement 8801  We are closed. Your call goes to our mailbox.  then 8999\n"
    assert (result.exit_code, line in result.output) == (0, True)


def test_dial_plays_them_and_goes_on() -> None:
    result = CliRunner().invoke(main, ["dial", f"{EXAMPLE}:app", "8000", "--press", "1"])
    assert result.exit_code == 0
    assert result.output.splitlines()[-3:] == [
        "the announcement 8801 plays: Announcement 8801",
        "the caller presses nothing: nothing for 1 s",
        "  = forwarded to 8999",
    ]


def test_check_names_one_that_is_not_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = EXAMPLE.read_text().replace("Receiver(sales, late)", "Receiver(sales)")
    (tmp_path / "undeclared.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["check", "undeclared.py:app"])
    assert result.exit_code == 2
    assert "undeclared.py:19: the handler of 8000/pick names the announcement" in result.output
