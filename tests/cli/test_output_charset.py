"""Every command can print on a terminal of any code page."""

import io
import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from receiver.cli import COMMANDS, main
from receiver.cli.output_charset import accept_any_character

CODE_PAGES = ["cp1252", "cp437", "latin-1", "cp932", "utf-8"]


def printed(text: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> str:
    octets = io.BytesIO()
    stream = io.TextIOWrapper(octets, encoding=encoding)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stream)
        accept_any_character()
        print(text, end="", flush=True)
    return octets.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", *CODE_PAGES])
@given(text=st.text(st.characters(exclude_characters="\r\n\\~¥‾")))
def test_any_text_can_be_printed(encoding: str, text: str) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        shown = printed(text, encoding, monkeypatch)
        if encoding == "utf-8" and text.isprintable():
            assert shown == text
        shown = printed(json.dumps("é中😀" + text), "ascii", monkeypatch)
        assert json.loads(shown) == "é中😀" + text


def test_missing_characters_are_replaced_by_look_alikes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed("├─ a → b …│", "ascii", monkeypatch) == "+- a -> b ...|"
    assert printed("é中😀", "ascii", monkeypatch) == "\\u00e9\\u4e2d\\ud83d\\ude00"
    assert printed("é…", "cp1252", monkeypatch) == "é…"


def test_decoding_errors_are_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    printed("", "ascii", monkeypatch)
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("utf-8", "receiver.output_charset")


def test_a_stream_without_an_encoding_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", None)
    accept_any_character()


@pytest.mark.parametrize("encoding", CODE_PAGES)
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_prints_its_help(command: str, encoding: str) -> None:
    result = CliRunner(charset=encoding).invoke(main, [*command.split(), "--help"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("encoding", ["cp1252", "cp437"])
def test_the_demo_runs_with_another_code_page(encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "receiver", "demo"]
    done = subprocess.run(command, capture_output=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    done.stdout.decode(encoding)
