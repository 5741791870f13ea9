"""Real processes on one file or one Redis: no update is lost, no dead holder is in the way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from receiver.secrets import Secret
from receiver.sessions import Key, SessionLost
from receiver.sessions.shelf import LEASE
from tests.sessions.conftest import KEY, InFile, InRedis, Workers, add_one, soon, stored

WORKER = """
import asyncio, sys
from receiver.secrets import Secret
from receiver.sessions import Key, open_sessions

async def work(where, times):
    sessions = open_sessions(Secret(where))
    until = asyncio.get_running_loop().time() + 60
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


def place_of(where: str) -> InFile | InRedis:
    return InRedis(Secret(where)) if "://" in where else InFile(Path(where))


async def test_processes_that_count_together_lose_nothing(where: str, workers: Workers) -> None:
    processes = [start(where, 30) for _ in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0, 0, 0]
    place = place_of(where)
    assert await stored(workers.on(place.shelf())) == {"count": 90}
    place.close()


async def test_a_process_killed_in_the_middle(where: str, workers: Workers) -> None:
    place = place_of(where)
    sessions = workers.on(place.shelf())
    await add_one(sessions)
    with start(where, 1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "held\n"
        process.kill()
    place.catch_up()
    with pytest.raises(SessionLost):
        async with sessions.open(KEY, until=soon(0)):
            pytest.fail("two at once")
    assert await stored(sessions, Key("another call")) == {}
    place.go_on(LEASE)
    await add_one(sessions)
    assert await stored(sessions) == {"count": 2}
    place.close()
