"""``receiver serve`` as an operator runs it: stopped, forked, blocked, on other sockets."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes import Processes
from tests.served import Service
from tests.support import SECRET

APP = """
import asyncio, multiprocessing, os, signal, sys, time
from concurrent.futures import ProcessPoolExecutor
from receiver import Call, Forward, Ivr, Receiver, Reply

ivr = Ivr("8000", fallback=Forward("0"))
pool = ProcessPoolExecutor(1, multiprocessing.get_context("fork"))

@ivr.dtmf("1", auth=None)
async def pick(call: Call) -> Reply:
    return Forward(str(os.getpid()))

@ivr.dtmf("2", auth=None, request_timeout=30)
async def slow(call: Call) -> Reply:
    await asyncio.sleep(1)
    return Forward("222")

@ivr.dtmf("3", auth=None)
async def job(call: Call) -> Reply:
    call.after(asyncio.sleep, 6)
    return Forward("222")

def work() -> str:
    return str(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)

def linger() -> None:
    time.sleep(60)

@ivr.dtmf("4", auth=None)
async def fork(call: Call) -> Reply:
    print("forked", pool.submit(work).result(), flush=True)
    child = multiprocessing.get_context("fork").Process(target=linger, daemon=False)
    child.start()
    print("child", child.pid, file=sys.stderr)
    return Forward("222")

@ivr.dtmf("5", auth=None)
async def chat(call: Call) -> Reply:
    print("x" * 3000)
    print("y" * 3000, file=sys.stderr)
    return Forward("222")

app = Receiver(ivr)
"""
Start = Callable[..., Service]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    (tmp_path / "myapp.py").write_text(APP)
    services = list[Service]()

    def run(
        options: str = "", workers: int = 1, secret: str = SECRET.reveal(), **more: str
    ) -> Service:
        environ = {"RECEIVER_SECRET": secret, **more}
        services.append(service := Service.begin(tmp_path, "myapp:app", options, environ))
        if workers:
            service.wait(workers)
        return service

    yield run
    for service in services:
        service.end()


async def call(url: str, name: str = "pick", digits: str = "1", client: str = "") -> str:
    """Return the destination of a callback, the status of a refusal, or the name of the error.

    ``client`` is the one that a proxy names.
    """
    try:
        async with asyncio.timeout(60):
            if url.startswith("unix:"):
                reader, writer = await asyncio.open_unix_connection(url.removeprefix("unix:"))
            else:
                port = int(url.rpartition(":")[2])
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                head = f"POST /action/8000/{name}?input={digits} HTTP/1.1\r\nHost: x\r\n"
                head += f"X-Forwarded-For: {client}\r\n" if client else ""
                writer.write(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
                answer, _, body = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
        status = answer[9:12].decode()
        return str(json.loads(body)["destination"]) if status == "200" else f"HTTP {status}"
    except (OSError, ValueError, TimeoutError) as error:
        return type(error).__name__


async def burst(url: str, seconds: float, act: Callable[[], object]) -> list[str]:
    """100 callbacks a second, and ``act`` after 30, of which 25 are answered by then.

    Returns what each got, in the order in which they began.
    """
    tasks, loop = list[asyncio.Task[str]](), asyncio.get_running_loop()
    begin = loop.time()
    for number in range(round(seconds * 100)):
        await asyncio.sleep(begin + number / 100 - loop.time())
        if number == 30:
            await asyncio.gather(*tasks[:25])
            act()
        tasks.append(asyncio.create_task(call(url)))
    return await asyncio.gather(*tasks)


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_service_that_stops_answers_or_refuses_at_once(workers: int, start: Start) -> None:
    """The same holds while a background job keeps the process alive."""
    service = start(f"--workers {workers}", workers)
    assert [await call(service.url, "job", "3") for _ in range(4)] == ["222"] * 4
    got = await burst(service.url, 1.5, service.process.terminate)
    assert service.process.poll() is None, "the jobs did not keep it"
    answered = next(index for index, one in enumerate(got) if not one.isdecimal())
    assert answered >= 25
    assert set(got[answered:]) == {"ConnectionRefusedError"}
    assert await asyncio.to_thread(service.process.wait, 60) == 0


async def test_one_worker_is_reloaded_without_a_lost_call(start: Start, tmp_path: Path) -> None:
    service = start()
    slow = asyncio.create_task(call(service.url, "slow", "2"))
    (tmp_path / "myapp.py").write_text(APP.replace("Forward(str(os.getpid()))", 'Forward("777")'))
    got = await burst(service.url, 3, lambda: service.process.send_signal(signal.SIGHUP))
    assert {one for one in got if not one.isdecimal()} == set()
    await asyncio.to_thread(service.until, r"INFO reloaded")
    assert (await slow, await call(service.url)) == ("222", "777")


def test_errors_and_lines_of_the_app_while_it_is_loaded_are_json_too(
    start: Start, tmp_path: Path
) -> None:
    service = start(RECEIVER_LOG_FORMAT="json", RECEIVER_RECORD="recordings")
    broken = APP.replace("app =", "import logging\nlogging.warning('old')\napp = broken(")
    (tmp_path / "myapp.py").write_text(broken)
    service.process.send_signal(signal.SIGHUP)
    service.until("reload failed")
    lines = [json.loads(line) for line in service.lines]
    assert [one["level"] for one in lines if "was never closed" in one["message"]] == ["ERROR"]
    assert any("callbacks are recorded" in one["message"] for one in lines)


def test_a_wrong_setting_is_reported_in_json_too(tmp_path: Path) -> None:
    environ = {"RECEIVER_LOG_FORMAT": "json", "RECEIVER_EPOCH": "x", "RECEIVER_THREADS": "y"}
    service = Service.begin(tmp_path, "myapp:app", "", environ)
    assert service.process.wait(240) == 2
    service.end()
    messages = [json.loads(line)["message"] for line in service.lines]
    assert [text.split()[0] for text in messages] == ["RECEIVER_EPOCH", "RECEIVER_THREADS"]


async def test_child_processes_of_the_app_inherit_no_port_and_no_signals(start: Start) -> None:
    service = start()
    assert await call(service.url, "fork", "4") == "222"
    (child,) = map(int, await asyncio.to_thread(service.until, r"child (\d+)"))
    try:
        inodes = {os.readlink(f"/proc/{child}/fd/{fd}") for fd in os.listdir(f"/proc/{child}/fd")}
        port = int(service.url.rpartition(":")[2])
        served = {
            f"socket:[{line.split()[9]}]"
            for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
            if int(line.split()[1].partition(":")[2], 16) == port
        }
        assert served
        assert not served & inodes
        service.process.send_signal(signal.SIGTERM)
        while await call(service.url) != "ConnectionRefusedError":
            pass
        assert Path(f"/proc/{child}").exists()
    finally:
        os.kill(child, signal.SIGTERM)  # which ends it: the handler of the service is not its own
    await asyncio.to_thread(service.process.wait, 60)
    assert not Path(f"/proc/{child}").exists()


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_what_handlers_print_into_a_blocked_pipe_blocks_no_caller(
    stream: str, tmp_path: Path, processes: Processes
) -> None:
    (tmp_path / "myapp.py").write_text(APP)
    read, write = os.pipe()  # without a reader
    with bind_free() as listener:
        port = listener.getsockname()[1]
        command = [sys.executable, "-m", "receiver", "serve", "myapp:app", "--fd"]
        process = processes.start(
            [*command, str(listener.fileno())],
            cwd=tmp_path,
            env={**os.environ, "RECEIVER_SECRET": SECRET.reveal()},
            pass_fds=[listener.fileno()],
            stdout=write if stream == "stdout" else subprocess.DEVNULL,
            stderr=write if stream == "stderr" else subprocess.DEVNULL,
        )
    os.close(write)
    try:
        url = f"http://127.0.0.1:{port}"
        await answered(url)
        got, begin = list[str](), time.monotonic()
        for _ in range(200):
            got.append(await call(url, "chat", "5"))
        assert set(got) == {"222"}
        assert time.monotonic() - begin < 200  # a blocked one takes 1.5 s
        process.terminate()
        assert await asyncio.to_thread(process.wait, 60) == 0
    finally:
        os.close(read)


def bind_free() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
async def test_streams_that_are_closed_are_none_of_the_sockets(
    closed: str, tmp_path: Path, processes: Processes
) -> None:
    (tmp_path / "myapp.py").write_text(APP)
    path = tmp_path / "own.sock"
    command = f"exec {sys.executable} -m receiver serve myapp:app --workers 2 --uds {path} {closed}"
    environ = {**os.environ, "RECEIVER_SECRET": SECRET.reveal()}
    process = processes.start(
        ["sh", "-c", command],
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(1000):
        if (got := await call(f"unix:{path}", "chat", "5")) == "222":
            break
        await asyncio.sleep(0.02)
    assert got == "222"
    process.terminate()
    assert await asyncio.to_thread(process.wait, 60) == 0


async def test_a_unix_socket_is_for_the_group_and_removed(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "receiver.sock"
    with socket.socket(socket.AF_UNIX) as left:  # by a service that was killed
        left.bind(str(path))
    service = start(f"--uds {path} --workers 2", 0)
    await asyncio.to_thread(service.until, rf"serving on unix:{path} with 2 workers")
    assert path.stat().st_mode & 0o777 == 0o660
    assert {(await call(f"unix:{path}")).isdecimal() for _ in range(8)} == {True}
    second = start(f"--uds {path}", 0)
    assert second.process.wait(60) == 2
    second.until("another service listens there")
    service.process.send_signal(signal.SIGHUP)
    await asyncio.to_thread(service.until, r"INFO reloaded")
    assert (await call(f"unix:{path}")).isdecimal()
    service.process.terminate()
    assert service.process.wait(60) == 0
    assert not path.exists()


async def test_a_proxy_on_the_unix_socket_names_the_client(start: Start, tmp_path: Path) -> None:
    """``RECEIVER_TRUSTED_PROXIES=unix`` with ``--uds``: its header is believed, and needed."""
    path = tmp_path / "receiver.sock"
    more = {"RECEIVER_TRUSTED_PROXIES": "unix", "RECEIVER_ALLOWED_SOURCES": "198.51.100.7"}
    service = start(f"--uds {path}", 0, **more)
    await asyncio.to_thread(service.until, rf"serving on unix:{path}")
    assert (await call(f"unix:{path}", client="198.51.100.7")).isdecimal()
    assert await call(f"unix:{path}", client="198.51.100.8") == "HTTP 403"
    assert await call(f"unix:{path}") == "HTTP 403"
    await asyncio.to_thread(service.until, r"refused: .*, from 198\.51\.100\.8")


async def test_systemd_passes_a_socket(tmp_path: Path, processes: Processes) -> None:
    (tmp_path / "myapp.py").write_text(APP)
    with bind_free() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        command = f"exec {sys.executable} -m receiver serve myapp:app"
        shell = f"LISTEN_FDS=1 LISTEN_PID=$$ {command} 3<&{listener.fileno()}"
        process = processes.start(
            ["bash", "-c", shell],
            cwd=tmp_path,
            env={**os.environ, "RECEIVER_SECRET": SECRET.reveal()},
            pass_fds=[listener.fileno()],
        )
        try:
            assert (await answered(url)).isdecimal()
        finally:
            process.terminate()
            assert process.wait(60) == 0


async def answered(url: str) -> str:
    """Return the first answer that is neither a refusal nor a timeout."""
    async with asyncio.timeout(120):
        while (got := await call(url)) in ("ConnectionRefusedError", "TimeoutError"):
            pass
    return got


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("--uds x --fd 3", "exclude each other"),
        ("--fd 99", "descriptor 99 is not a listening stream socket"),
        ("--uds .", r"cannot listen on \.: "),
        ("--uds /nowhere/x", "cannot listen on /nowhere/x: No such file"),
    ],
)
def test_sockets_that_cannot_be(options: str, problem: str, start: Start) -> None:
    service = start(options, 0)
    assert service.process.wait(60) == 2
    service.until(f"Error: .*{problem}")


def test_a_worker_that_cannot_start_says_why_in_one_line(start: Start) -> None:
    service = start(workers=0, secret="")
    assert service.process.wait(60) == 2
    service.until("Error: RECEIVER_SECRET is not set: ")
    assert len(service.lines) == 1
