"""Real processes with one file or one Redis: no update is lost, a dead holder blocks no other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from receiver.credentials import Secret
from receiver.dispatch.sessions import Key, SessionLost
from receiver.storage.protocols import SESSION_LEASE
from tests.storage.session_workers import KEY, Workers, add_one, soon, stored
from tests.storage.stage import Backend, RedisBackend, SqliteBackend

WORKER = """
import asyncio, sys
from receiver.credentials import Secret
from receiver.dispatch.sessions import Key, open_sessions

async def work(where, times):
    sessions = open_sessions(Secret(where), limit=60)
    until = asyncio.get_running_loop().time() + 240
    for _ in range(int(times)):
        async with sessions.open(Key("a call", 3600.0), until=until) as session:
            session["count"] = session.read("count", 0) + 1
            if times == "1":
                print("held", flush=True)
                await asyncio.Event().wait()
    await sessions.close()

sys.stdin.readline()  # all begin at once
asyncio.run(work(*sys.argv[1:]))
"""


@pytest.fixture(params=["sqlite", "redis"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "shared.db")
    url: Secret = request.getfixturevalue("redis_url")
    return url.reveal()


def start(where: str, times: int) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", WORKER, where, str(times)]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)


def backend_at(where: str) -> Backend:
    if "://" in where:
        return RedisBackend(Secret(where))
    return SqliteBackend(Path(where).parent)


async def test_concurrent_processes_lose_no_update(where: str, workers: Workers) -> None:
    processes = [start(where, 30) for _ in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=240)
    assert [process.returncode for process in processes] == [0, 0, 0]
    backend = backend_at(where)
    assert await stored(workers.on(backend.sessions())) == {"count": 90}
    backend.close()


async def test_the_lock_of_a_killed_process_expires(where: str, workers: Workers) -> None:
    backend = backend_at(where)
    sessions = workers.on(backend.sessions())
    await add_one(sessions)
    with start(where, 1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "held\n"
        process.kill()
    backend.sync_clock()
    with pytest.raises(SessionLost):
        async with sessions.open(KEY, until=soon(0)):
            pytest.fail("two at once")
    assert await stored(sessions, Key("another call")) == {}
    backend.advance(SESSION_LEASE)
    await add_one(sessions)
    assert await stored(sessions) == {"count": 2}
    backend.close()
