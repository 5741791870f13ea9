"""Commands on a real terminal: colours, and with NO_COLOR no escape code at all."""

from __future__ import annotations

import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.apps import TWO_ACTIONS, WRONG_CALLS


def on_terminal(command: str, folder: Path, **environ: str) -> str:
    """Return all that a command writes to a terminal."""
    parent, child = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "receiver", *shlex.split(command)],
        cwd=folder,
        env={**os.environ, "TERM": "xterm-256color", **environ},
        stdin=child,
        stdout=child,
        stderr=child,
    ):
        os.close(child)
        written = b""
        while chunk := _read(parent):
            written += chunk
    os.close(parent)
    return written.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the last process closed its end
        return b""


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("dial colours:app 8000 --press 1", "forwarded to 222"),
        ("dial colours:app 8000 --press 2", "ValueError"),
        ("scenario colours.calls.toml colours:app", "1 call, 1 failed"),
        ("load colours:app 8000 --press 1 --rate 50 --for 0.3", "15 of 15"),
        ("handlers menu", "a handler that chooses by the digits"),
    ],
)
def test_no_color_leaves_no_escape_codes(command: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "colours.py").write_text(TWO_ACTIONS)
    (tmp_path / "colours.calls.toml").write_text(WRONG_CALLS)
    plain = on_terminal(command, tmp_path, NO_COLOR="1")
    assert expected.lower() in plain.lower()
    assert "\x1b" not in plain
    coloured = on_terminal(command, tmp_path, NO_COLOR="")
    assert ("\x1b[" in coloured) == ("load" not in command)
