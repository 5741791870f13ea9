"""Unix sockets, and sockets of systemd."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from receiver.cli.listeners import activated, bind_unix
from receiver.errors import SettingsError


def test_a_path_that_is_no_socket_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(SettingsError, match="cannot listen on"):
        bind_unix(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize(
    ("pid", "count", "expected"),
    [("own", "1", 3), ("1", "1", None), ("own", "0", None), ("", "", None), ("own", "x", None)],
)
def test_sockets_of_systemd(
    pid: str, count: str, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()) if pid == "own" else pid)
    monkeypatch.setenv("LISTEN_FDS", count)
    assert activated() == expected
    assert "LISTEN_FDS" not in os.environ  # or the workers would take it for theirs


def test_several_sockets_of_systemd_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "2")
    with pytest.raises(SettingsError, match="systemd passed 2 sockets"):
        activated()
