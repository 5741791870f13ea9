"""After kill -9 amid events and a restart no event is lost, and repeated ones are dropped."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from receiver.credentials import derive
from tests.background.conftest import soon
from tests.stores import Server
from tests.support import SECRET

EVENTS = 300
AT_ONCE = 16  # jobs of a worker: a kill repeats at most these
HEADERS = {"Authorization": f"Bearer {derive(SECRET, 'events').token.reveal()}"}

Start = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the service; the end of the test kills it."""
    started: list[subprocess.Popen[bytes]] = []
    program = "from tests.callbacks.killed_service import run; run()"

    def begin(jobs: str) -> subprocess.Popen[bytes]:
        (tmp_path / "url").unlink(missing_ok=True)
        command = [sys.executable, "-c", program, jobs, str(tmp_path)]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        started.append(subprocess.Popen(command, env=environ))
        return started[-1]

    yield begin
    for service in started:
        service.kill()
        service.wait()


def done(folder: Path) -> list[str]:
    path = folder / "done"
    return path.read_text().splitlines() if path.exists() else []


async def post_all(folder: Path, numbers: range) -> set[int]:
    """Send events until the service is killed; return those that were acknowledged."""
    await soon((folder / "url").exists, 60)
    acknowledged = set[int]()
    async with httpx.AsyncClient(base_url=(folder / "url").read_text(), timeout=30) as http:
        for number in numbers:
            body = {"event_type": "call_cdr", "session_id": str(number)}
            try:
                answer = await http.post("/events", json=body, headers=HEADERS)
            except httpx.TransportError:
                break
            if answer.status_code == 200:
                acknowledged.add(number)
    return acknowledged


@pytest.mark.parametrize("backend", ["sqlite", "redis"])
async def test_no_acknowledged_event_is_lost(
    backend: str, start: Start, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    jobs = str(tmp_path / "jobs.db")
    if backend == "redis":
        server: Server = request.getfixturevalue("redis_server")
        jobs = server.url.reveal()
    service = start(jobs)
    await soon((tmp_path / "url").exists, 60)
    async with httpx.AsyncClient(base_url=(tmp_path / "url").read_text()) as http:
        call = {"from": "101", "to": "8000", "input": "1", "session_id": "0"}
        assert (await http.post("/action/8000/pick", json=call)).status_code == 200
    sending = asyncio.create_task(post_all(tmp_path, range(EVENTS)))
    await soon(lambda: len(done(tmp_path)) >= EVENTS // 3, 60)
    service.kill()
    service.wait()
    acknowledged = await sending
    assert len(acknowledged) >= EVENTS // 3
    start(jobs)
    again = await post_all(tmp_path, range(EVENTS))  # the PBX repeats what it may have lost
    assert again == set(range(EVENTS))
    await soon(lambda: {int(one.split()[0]) for one in done(tmp_path)} == again, 60)
    lines = done(tmp_path)
    assert len(lines) - EVENTS <= AT_ONCE
    assert len({one for one in lines if one.startswith("0 ")}) == 1
    assert "0 1" in lines  # the digits of the call's callback
