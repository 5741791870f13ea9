"""``receiver console`` and RECEIVER_CONSOLE."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver.callbacks.operator_access import operator_token
from receiver.cli import main
from receiver.console.security import TOKEN_NAME
from receiver.credentials import Secret
from receiver.errors import SettingsError
from receiver.settings import Settings
from tests.command_line import CliRunner

SECRET = "6d0f2c9ab17e4583f4c8d25e90ab3716"
APP = """
from receiver import Call, Forward, Ivr, Receiver

ivr = Ivr("8000")

@ivr.dtmf("1")
async def pick(call: Call):
    return Forward("222")

app = Receiver(ivr)
"""


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, **environ: str) -> str:
    (folder / "consoled.py").write_text(APP)
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(
        main, ["console", "consoled.py:app"], env={"RECEIVER_SECRET": SECRET, **environ}
    )
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.allow_secrets
def test_the_url_and_the_password_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = "https://ivr.example.com/calls"
    output = run(tmp_path, monkeypatch, RECEIVER_CONSOLE="true", RECEIVER_PUBLIC_URL=public)
    assert output.splitlines() == [
        "http://127.0.0.1:8001/",
        "or where a proxy forwards it at https://ivr.example.com",
        f"password: {operator_token(TOKEN_NAME, Secret(SECRET), 1).reveal()}",
    ]


@pytest.mark.allow_secrets
def test_a_disabled_console_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "RECEIVER_CONSOLE=true" in run(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("true", "127.0.0.1:8001"),
        ("0", ""),
        ("", ""),
        ("0.0.0.0:9000", "0.0.0.0:9000"),
        ("[::1]:0", "[::1]:0"),
        ("console:80", "console:80"),
    ],
)
def test_valid_addresses(text: str, address: str) -> None:
    assert Settings.read({"RECEIVER_CONSOLE": text}, None).console == address


@pytest.mark.parametrize(
    "text", ["9000", ":9000", "host", "host:", "host:99999", "http://h:1", "ü:1"]
)
def test_invalid_addresses(text: str) -> None:
    with pytest.raises(SettingsError, match="RECEIVER_CONSOLE is neither true nor false"):
        Settings.read({"RECEIVER_CONSOLE": text}, None)
