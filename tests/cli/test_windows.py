"""The commands that work on Windows, run where Python has nothing that Windows lacks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import Processes
from tests.served import Service
from tests.support import SECRET

PRELUDE = """
import asyncio, logging, os, random, selectors, signal, socket, subprocess, sys, threading

def pair(*given):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        return near, listener.accept()[0]

def missing(*given, **options):
    raise NotImplementedError

socket.socketpair = pair
for module, names in (
    (signal, "SIGHUP SIGKILL SIGUSR1 SIGALRM"),
    (socket, "AF_UNIX send_fds recv_fds"),
    (os, "register_at_fork fork forkpty geteuid getuid sysconf getpgid killpg sched_getaffinity"),
):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
for name in ("resource", "fcntl", "pwd", "grp", "uvloop", "termios"):
    sys.modules[name] = None
for loop in (asyncio.SelectorEventLoop, asyncio.BaseEventLoop):
    for name in ("add_reader", "add_writer", "add_signal_handler", "remove_signal_handler",
                 "create_unix_server", "connect_accepted_socket", "subprocess_exec"):
        setattr(loop, name, missing)
subprocess.Popen = missing
from receiver.cli import main
main(prog_name="receiver")
"""
APP = """
from receiver import Call, Forward, Ivr, Receiver, Reply
ivr = Ivr("8000", fallback=Forward("0"))

@ivr.dtmf("1", auth=None)
async def pick(call: Call) -> Reply:
    print("picked")
    return Forward("222")

@ivr.dtmf("2")
def plain(call: Call) -> Reply:
    return Forward("333")

app = Receiver(ivr)
"""
Run = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def run(tmp_path: Path, processes: Processes) -> Run:
    (tmp_path / "myapp.py").write_text(APP)
    (tmp_path / "prelude.py").write_text(PRELUDE)

    def start(command: str, **environ: str) -> subprocess.Popen[str]:
        return processes.start(
            [sys.executable, "prelude.py", *command.split()],
            cwd=tmp_path,
            env={**os.environ, "RECEIVER_SECRET": SECRET.reveal(), "PYTHONPATH": "", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    return start


def done(process: subprocess.Popen[str]) -> str:
    """Return what a command printed that ended well."""
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    return output


def follow(process: subprocess.Popen[str]) -> Service:
    """Read the output of a running command."""
    assert process.stdout is not None
    process.stderr = process.stdout
    service = Service(process)
    service.reader = threading.Thread(target=service.read, daemon=True)
    service.reader.start()
    return service


def stop(service: Service) -> None:
    service.process.send_signal(signal.SIGINT)  # a Ctrl+C
    assert service.process.wait(60) == 0, service.lines
    assert service.reader is not None
    service.reader.join(60)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("check myapp:app", "2 actions on 1 IVR"),
        ("dial myapp:app 8000 --press 2", "333"),
        ("demo", "0 failed"),
    ],
)
def test_commands_that_end(command: str, expected: str, run: Run) -> None:
    assert expected in done(run(command))


def test_serve_answers_and_stops(run: Run) -> None:
    service = follow(run("serve myapp:app --port 0"))
    url = service.until(r"serving on (http://\S+)")[0]
    service.until("Application startup complete")
    request = urllib.request.Request(f"{url}/action/8000/pick?input=1", data=b"", method="POST")
    with urllib.request.urlopen(request, timeout=120) as response:
        assert json.load(response)["destination"] == "222"
    stop(service)
    assert "picked\n" in service.lines


def test_a_registration_is_planned_and_applied(run: Run) -> None:
    pbx = follow(run("simulate --port 0 --token an-access-token-of-the-tests --ivr 8000"))
    url = pbx.until(r"(http://127\.0\.0\.1:\d+)")[0]
    service = follow(run("serve myapp:app --port 0"))
    public = service.until(r"serving on (http://\S+)")[0]
    for one in (pbx, service):
        one.until("Application startup complete")
    environ = {
        "RECEIVER_PBX_URL": url,
        "RECEIVER_PBX_TOKEN": "an-access-token-of-the-tests",
        "RECEIVER_PUBLIC_URL": public,
    }
    assert "2 to create" in done(run("plan myapp:app", **environ))
    done(run("apply myapp:app", **environ))
    assert "Nothing to do." in done(run("plan myapp:app", **environ))
    stop(service)
    stop(pbx)


def test_the_simple_form_of_dev_registers_serves_and_stops(run: Run) -> None:
    pytest.importorskip("receiver.dev.develop", exc_type=ImportError)
    service = follow(run("dev myapp:app --port 0 --no-open"))
    url = service.until(r"The console: (http://\S+)")[0]
    service.until(
        r"running: myapp:app is loaded; on this system, restart the command after a change"
    )
    with urllib.request.urlopen(url, timeout=120) as response:
        assert response.status == 200
    stop(service)


@pytest.mark.parametrize("option", ["--workers 2", "--uds x", "--fd 3"])
def test_options_that_need_posix_are_refused_with_the_reason(option: str, run: Run) -> None:
    process = run(f"serve myapp:app {option}")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert output.startswith("Error: --")
    assert "Linux, macOS or another POSIX system" in output
