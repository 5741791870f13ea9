"""drain, undrain and guard on the command line; the service killed and started again, for real."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import shlex
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import Result

from receiver.cli import main
from receiver.cli.common import load_app
from receiver.cli.guards import declared, guard_configs, watch_as_worker
from receiver.credentials import Secret
from receiver.pbx.accounts import client
from receiver.registration.failover_drain import OFF, switch
from receiver.server.uvicorn_server import running
from receiver.server.worker import RETIRE
from receiver.simulator.api import make_api
from receiver.simulator.model import Pbx
from tests.command_line import CliRunner
from tests.documents import free_port
from tests.processes import kill_group
from tests.stores import Server

SECRET = "6d0f2c9ab17e4583f4c8d25e90ab3716"
TOKEN = "the-token-of-the-pbx"
APP = """
from receiver import Call, Forward, Ivr, Receiver, Reply

sales = Ivr("8000")

@sales.dtmf("1;22")
async def pick(call: Call) -> Reply:
    return Forward("222")

@sales.dtmf("3", auth="digest")
async def queue(call: Call) -> Reply:
    return Forward("333")

@sales.dtmf("9", enabled=False)
async def rests(call: Call) -> Reply:
    return Forward("999")

app = Receiver(sales)
"""
NAME = "guarded_app:app"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "guarded_app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("RECEIVER_SECRET", SECRET)
    monkeypatch.setenv("RECEIVER_PBX_TOKEN", TOKEN)
    return tmp_path


@pytest.fixture
async def pbx(project: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pbx]:
    """A simulated PBX on the network of this machine, and where its commands find it."""
    pbx = Pbx()
    pbx.add_ivr("8000", "Sales")
    async with running(make_api(pbx, token=Secret(TOKEN)), lifespan="off") as url:
        monkeypatch.setenv("RECEIVER_PBX_URL", url)
        monkeypatch.setenv("RECEIVER_PUBLIC_URL", "http://127.0.0.1:9")
        yield pbx
    sys.modules.pop("guarded_app", None)


async def run(command: str, status: int = 0) -> Result:
    def invoke() -> Result:
        return CliRunner().invoke(main, shlex.split(command), catch_exceptions=False)

    done = await asyncio.to_thread(invoke)
    assert done.exit_code == status, done.output
    return done


def enabled(pbx: Pbx) -> set[str]:
    ivr = pbx.ivr_at("8000")
    assert ivr is not None
    return {str(item["name"]) for item in pbx.action_urls(ivr.id) if item["enabled"]}


async def test_drain_and_undrain(pbx: Pbx) -> None:
    await run(f"apply {NAME} --unchecked")
    done = await run(f"drain {NAME}")
    assert done.stdout.splitlines()[:2] == ["  8000/pick … off", "  8000/queue … off"]
    assert "2 action URLs switched off, all others were off already." in done.stdout
    assert f"receiver undrain {NAME}; receiver apply switches them on too" in done.stdout
    assert enabled(pbx) == set()
    shown = (await run(f"plan {NAME} --exit-code", 1)).stdout
    assert shown.count("enabled: no → yes") == 2
    assert "0 action URLs switched off" in (await run(f"drain {NAME}")).stdout
    data = json.loads((await run(f"undrain {NAME} --json")).stdout)
    assert [item["name"] for item in data["switched"]] == ["pick", "queue"]
    assert data["switched"][0]["fields"] == [{"field": "enabled", "from": False, "to": True}]
    assert enabled(pbx) == {"pick", "queue"}
    assert "Nothing to do." in (await run(f"plan {NAME}")).stdout


async def test_undrain_says_what_is_not_there(pbx: Pbx) -> None:
    done = await run(f"undrain {NAME}")
    assert f"Not on the PBX: 8000/pick, 8000/queue; receiver apply {NAME}" in done.stdout


async def test_apply_ends_a_drain(pbx: Pbx) -> None:
    await run(f"apply {NAME} --unchecked")
    await run(f"drain {NAME} --json")
    await run(f"apply {NAME} --unchecked")
    assert enabled(pbx) == {"pick", "queue"}


async def test_the_help_has_the_defaults() -> None:
    shown = (await run("guard --help")).stdout
    assert re.findall(r"default: ([0-9.]+)", shown) == ["3.0", "3", "10.0", "3", "30.0"]


async def test_what_is_wrong_is_said_at_once(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "declares no IVR on a PBX 'north'" in (await run(f"guard {NAME} --pbx north", 2)).stderr
    monkeypatch.setenv("RECEIVER_STORE", "http://127.0.0.1")
    sys.modules.pop("guarded_app", None)
    assert "RECEIVER_STORE is neither" in (await run(f"guard {NAME}", 2)).stderr
    monkeypatch.delenv("RECEIVER_STORE")
    monkeypatch.delenv("RECEIVER_PBX_TOKEN")
    sys.modules.pop("guarded_app", None)
    for command in ("drain", "undrain", "guard"):
        assert "the PBX needs a token" in (await run(f"{command} {NAME}", 2)).stderr


# real processes ------------------------------------------------------------------------------


@asynccontextmanager
async def started(command: str, project: Path, **settings: str) -> AsyncIterator[Process]:
    """``receiver`` in a separate process; its log is its stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "receiver",
        *shlex.split(command),
        cwd=project,
        env={**os.environ, **settings, "PYTHONUNBUFFERED": "1"},
        stdout=PIPE,
        stderr=PIPE,
        process_group=0,
    )
    try:
        yield process
    finally:
        kill_group(process.pid)
        await process.communicate()


async def said(process: Process, pattern: str) -> re.Match[str]:
    """The first line of its log that matches."""
    assert process.stderr is not None
    seen = ""
    async with asyncio.timeout(240):
        while line := (await process.stderr.readline()).decode():
            seen += line
            if found := re.search(pattern, line):
                return found
    pytest.fail(f"it ended without {pattern!r}:\n{seen}")


async def state(url: str) -> set[str]:
    """The names of what is enabled, as the PBX's API says."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=f"{url}/api", headers=headers) as client:
        (ivr,) = (await client.get("/ivrs")).json()["items"]
        items: list[dict[str, Any]] = (await client.get(f"/ivrs/{ivr['id']}/action_urls")).json()[
            "items"
        ]
        return {item["name"] for item in items if item["enabled"]}


async def test_a_guard_watches_over_every_pbx(pbx: Pbx, project: Path) -> None:
    both = APP.replace(
        'sales = Ivr("8000")', 'sales, other = Ivr("8000", pbx="north"), Ivr("8000", pbx="south")'
    ).replace('@sales.dtmf("1;22")', '@sales.dtmf("1;22")\n@other.dtmf("1;22")')
    (project / "both_app.py").write_text(both.replace("Receiver(sales)", "Receiver(sales, other)"))
    async with started("guard both_app:app --interval 0.1", project) as guard:
        assert (await said(guard, "guarding .* on PBX (north|south)"))[1] == "north"
        await said(guard, "guarding .* on PBX south")
        guard.terminate()
        assert await guard.wait() == 0


QUICK = "--interval 0.1 --failing 0.3 --hold 0.2"


@contextlib.contextmanager
def store_of(kind: str, program: Callable[[str], str], tmp_path: Path) -> Iterator[str]:
    """The value of ``RECEIVER_STORE``; empty for a single guard."""
    if kind != "redis":
        yield str(tmp_path / "store.db") if kind == "file" else ""
        return
    server = Server(program("redis-server"))
    try:
        server.start()
        yield server.url.reveal()
    finally:
        server.close()


@pytest.mark.parametrize("kind", ["alone", "file", "redis"])
async def test_a_guard_follows_a_service_that_is_killed_and_restarted(
    kind: str, project: Path, program: Callable[[str], str], tmp_path: Path
) -> None:
    """The PBX, the service and the guards are processes; the guards rely on probes alone."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(command: str, **settings: str) -> Process:
            return await stack.enter_async_context(started(command, project, **settings))

        simulator = await start(f"simulate --port 0 --token {TOKEN} --ivr 8000")
        url = (await said(simulator, r"serving on (http://\S+)"))[1]
        service = await start(f"serve {NAME} --port 0")
        public = (await said(service, r"serving on (http://\S+)"))[1]
        port = public.rpartition(":")[2]
        settings = {
            "RECEIVER_PBX_URL": url,
            "RECEIVER_PUBLIC_URL": public,
            "RECEIVER_STORE": stack.enter_context(store_of(kind, program, tmp_path)),
        }
        applied = await start(f"apply {NAME} --unchecked", **settings)
        assert await applied.wait() == 0
        assert await state(url) == {"pick", "queue"}
        guard = await start(f"guard {NAME} {QUICK}", **settings)
        await said(guard, "guarding http")
        if kind != "alone":
            second = await start(f"guard {NAME} {QUICK}", **settings)
        service.kill()
        await said(guard, "2 action URLs of .* switched off, it does not answer")
        assert await state(url) == set()
        service = await start(f"serve {NAME} --port {port}")
        await said(guard, "2 action URLs of .* switched on, it is healthy")
        assert await state(url) == {"pick", "queue"}
        drained = await start(f"drain {NAME}", **settings)
        assert await drained.wait() == 0
        guard.terminate()  # gives its lease back
        assert await guard.wait() == 0
        assert await state(url) == set()
        if kind != "alone":
            await said(second, "guarding http")
            second.terminate()
            assert await second.wait() == 0


# the guard that a service keeps --------------------------------------------------------------


def guards_of(parent: int) -> list[int]:
    def command(pid: str) -> bytes:
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:  # it has just ended
            return b""

    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in children if b"\0guard\0" in command(pid)]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks into /proc")
async def test_a_service_keeps_a_guard(
    pbx: Pbx, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard enables what another one disabled, is replaced when it is killed, and ends."""
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("RECEIVER_PUBLIC_URL", url)
    await run(f"apply {NAME} --unchecked")
    app = load_app(NAME)
    async with client(app.settings) as api:
        await switch(api, declared(app, ""), url, OFF, "guard")
    assert enabled(pbx) == set()
    port = url.rpartition(":")[2]
    async with started(f"serve {NAME} --port {port}", project, RECEIVER_GUARD="true") as service:
        await said(service, f"guarding {url} on the PBX")
        async with httpx.AsyncClient(base_url=url, timeout=60) as asker, asyncio.timeout(240):
            found: dict[str, object] = {}
            while (found.get("ready"), found.get("pbx")) != (True, True):
                await asyncio.sleep(0.05)
                found = (await asker.get("/ready")).json()
        await said(service, "2 action URLs of .* switched on, it is healthy")
        assert enabled(pbx) == {"pick", "queue"}
        (guard,) = guards_of(service.pid)
        os.kill(guard, signal.SIGKILL)
        await said(service, rf"worker {guard} exited \(SIGKILL\): it is replaced")
        async with asyncio.timeout(240):
            while guards_of(service.pid) in ([], [guard]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert len(guards_of(service.pid)) == 1
        service.terminate()
        assert await service.wait() == 0
    assert enabled(pbx) == {"pick", "queue"}


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # its process ends instead
@pytest.mark.parametrize("end", ["parent ends", "retired"])
async def test_a_guard_of_a_service_ends_with_its_parent(
    end: str, pbx: Pbx, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "receiver")
    app = load_app(NAME)
    parent, channel = socket.socketpair()
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    worker = (1, listener.detach(), channel.detach())
    with parent:
        async with asyncio.timeout(240):
            guard = asyncio.create_task(watch_as_worker(app, guard_configs(app, [""]), worker))
            heartbeat = await asyncio.to_thread(parent.recv, 1)
            with pytest.raises(ConnectionRefusedError):  # a guard answers no requests
                socket.create_connection(address)
            if end == "retired":
                parent.send(RETIRE)
            else:
                parent.close()
            await guard
    assert heartbeat == b"."
    assert "guarding http://127.0.0.1:9 on the PBX" in caplog.text


async def test_a_guard_that_cannot_be_ends_the_service_before_it_begins(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECEIVER_PUBLIC_URL", "http://127.0.0.1:9")
    async with started(f"serve {NAME} --port 0", project, RECEIVER_GUARD="true") as service:
        assert await service.wait() == 2
        await said(service, "Error: RECEIVER_PBX_URL is not set")


async def test_settings_in_code_start_no_guard(project: Path) -> None:
    own = APP.replace("import Call", "import Secret, Settings, Call").replace(
        "Receiver(sales)", f"Receiver(sales, settings=Settings(Secret('{SECRET}'), guard=True))"
    )
    (project / "own_app.py").write_text(own)
    async with started("serve own_app:app --port 0", project) as service:
        await said(service, "no guard runs: .*RECEIVER_GUARD")
