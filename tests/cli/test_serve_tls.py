"""``receiver serve`` with a certificate, and its warning without one."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from receiver.cli import main, serve_worker
from receiver.cli.serve_options import Listen
from receiver.cli.serve_worker import crosses_public_network
from receiver.server import sockets
from receiver.server.uvicorn_server import Server
from tests.command_line import CliRunner

EVERYWHERE = "0.0.0.0"  # noqa: S104
FAKE = SimpleNamespace(context=None)
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
def test_what_crosses_a_public_network(host: str, urls: list[str], exposed: bool) -> None:
    assert crosses_public_network(host, urls) is exposed


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("--certfile nowhere.pem", "cannot read nowhere.pem: No such file"),
        ("--keyfile key.pem", "set --certfile too"),
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
    monkeypatch.setattr(sockets, "IS_POSIX", False)  # so it is this process that serves
    monkeypatch.setattr(Listen, "certificate", lambda options: FAKE if options.certfile else None)
    served = list[Server]()
    monkeypatch.setattr(serve_worker, "serve_on", lambda listener, server: served.append(server))
    more = " --certfile x.pem" if secure else ""
    result = serve(f"--port 0 --keep-alive 75 --host {EVERYWHERE}{more}", tmp_path, monkeypatch)
    assert result.exit_code == 0, result.output
    assert [server.config.timeout_keep_alive for server in served] == [75]
    assert ("are not encrypted" in result.output + caplog.text) is not secure


def serve(arguments: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (folder / "served.py").write_text(APP)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RECEIVER_SECRET", "6d0f2c9ab17e4583f4c8d25e90ab3716")
    return CliRunner().invoke(main, ["serve", "served.py", *arguments.split()])
