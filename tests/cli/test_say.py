"""``receiver say``: the recording that the PBX would get, in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver.cli import main
from tests.command_line import CliRunner
from tests.recordings import script, wav


@pytest.fixture
def speaking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    body = f"Path(sys.argv[1]).write_bytes({wav([1] * 22_050, 22_050)!r})\n"
    monkeypatch.setenv("RECEIVER_VOICE_COMMAND", f"{script(tmp_path, body)} {{out}}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_writes_the_file_and_says_what_it_is(speaking: Path) -> None:
    result = CliRunner().invoke(main, ["say", "Hello", "--out", "hello.wav"])
    assert (result.exit_code, result.output) == (0, "hello.wav: 1.0 s at 16 kHz, by command\n")
    assert (speaking / "hello.wav").stat().st_size == 44 + 32_000 + 128  # with a mark


def test_an_existing_file_is_kept_without_yes(speaking: Path) -> None:
    (speaking / "hello.wav").write_text("mine")
    result = CliRunner().invoke(main, ["say", "Hello", "--out", "hello.wav"])
    assert (result.exit_code, "already exists: use --yes" in result.output) == (2, True)
    assert (speaking / "hello.wav").read_text() == "mine"
    assert CliRunner().invoke(main, ["say", "Hi", "--out", "hello.wav", "--yes"]).exit_code == 0


@pytest.mark.usefixtures("speaking")
@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["", "--out", "a.wav"], "the text of a Speech is empty"),
        (["Hello", "--voice", "-x", "--out", "a.wav"], "the voice of a Speech is a name"),
        (["Hello", "--out", "no/such/a.wav"], "cannot be written: No such file"),
    ],
)
def test_errors(arguments: list[str], problem: str) -> None:
    result = CliRunner().invoke(main, ["say", *arguments])
    assert result.exit_code == 2
    assert problem in result.output
