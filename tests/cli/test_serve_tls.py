"""``receiver serve`` with a certificate, and its warning where there is none."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from receiver.cli import main
from receiver.cli.running import in_the_open
from receiver.serving import listening
from receiver.serving import server as serving

EVERYWHERE = "0.0.0.0"  # noqa: S104
APP = "from receiver import Ivr, Receiver\napp = Receiver(Ivr('8000'))\n"


@pytest.mark.parametrize(
    ("host", "urls", "exposed"),
    [
        ("127.0.0.1", [""], False),
        ("localhost", [""], False),
        ("10.0.0.5", [""], False),
        (EVERYWHERE, [""], True),
        ("::", [""], True),
        ("", [""], True),
        ("8.8.8.8", [""], True),
        (EVERYWHERE, ["https://ivr.example.com"], False),
        ("127.0.0.1", ["http://ivr.example.com"], True),
        ("127.0.0.1", ["http://8.8.8.8:8000"], True),
        ("127.0.0.1", ["http://10.0.0.5", "http://ivr", "http://ivr.internal"], False),
        ("127.0.0.1", ["https://ivr.example.com", "http://ivr.example.com"], True),
        (EVERYWHERE, ["http://10.0.0.5"], True),
    ],
)
def test_what_is_in_the_open(host: str, urls: list[str], exposed: bool) -> None:
    assert in_the_open(host, urls) is exposed


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("--certfile nowhere.pem", "cannot read nowhere.pem: No such file"),
        ("--keyfile key.pem", "name that with --certfile"),
    ],
)
def test_a_bad_certificate_is_one_clear_line(
    arguments: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = serve(arguments, tmp_path, monkeypatch)
    assert result.exit_code == 2
    assert problem in result.output
    assert len(result.output.strip().splitlines()) == 1


@pytest.mark.parametrize("secure", [True, False])
def test_plain_http_in_public_is_warned_of(
    secure: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    given: list[Any] = []
    context = object()
    monkeypatch.setattr(listening, "secured", lambda *files: context)
    monkeypatch.setattr(serving, "serve", lambda *found, **options: given.extend(found))
    more = " --certfile x.pem" if secure else ""
    result = serve(f"--host {EVERYWHERE}{more}", tmp_path, monkeypatch)
    assert result.exit_code == 0, result.output
    assert given[1:] == [EVERYWHERE, 8000, context if secure else None]
    assert ("travel unencrypted" in result.output + caplog.text) is not secure


def serve(arguments: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (folder / "served.py").write_text(APP)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RECEIVER_SECRET", "a secret of the tests of TLS")
    return CliRunner().invoke(main, ["serve", "served.py", *arguments.split()])
