"""A process that forks workers and kills each of them at another step of its jobs, for a test.

Of two jobs one fails once and then succeeds, the other always fails. A worker accepts and runs them
and is killed (SIGKILL) at one step; a second one, a lease later, accepts them again and finishes
them. Steps are each statement of SQLite, before and after each request to Redis, and before and
after the effect of a job; the first `MAX_REPEATS` of a kind, as a worker that is not killed lists
them. The clock counts how often it is read, so leases and backoff take no time.

Prints what was left behind after each kill, as a line of JSON.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis import Redis

from receiver.background import BackgroundJobs
from receiver.background.job_worker import Policy
from receiver.credentials import Secret
from receiver.storage.jobs_redis import RedisJobs
from receiver.storage.sqlite_file import File
from tests.background.conftest import SECRET, make_jobs
from tests.background.killed_worker import note
from tests.stores import LONG

POLICY = Policy(tries=4, first=3.0, longest=9.0, lease=30.0, poll=0.001)
AFTER_A_LEASE = 10_000

MAX_REPEATS = 3

step: list[Callable[[str], None]] = []
"""Called at each step of a worker, with the kind of the step."""


def noted(folder: Path, name: str) -> list[str]:
    path = folder / name
    return path.read_text().splitlines() if path.exists() else []


async def succeed(folder: str) -> str:
    """Succeed at the second try."""
    await asyncio.sleep(0.01)  # the lease is renewed meanwhile
    if not noted(Path(folder), "failed"):
        note(f"{folder}/failed", "x")
        raise ValueError
    step[0]("before the effect")
    note(f"{folder}/effects", "x")
    step[0]("after the effect")
    return "record 4711"


async def fail(folder: str) -> None:
    note(f"{folder}/failures", "x")
    raise ValueError


def watch_sqlite() -> None:
    """Step before each statement but those by which an idle worker polls."""
    connect, poll = File._connect, "select 1 from jobs where state = 'open' and"
    last = [""]

    def trace(statement: str) -> None:
        if not statement.startswith(poll):
            kind = re.sub(r"'.*?'|[0-9.]+", "", statement)
            step[0](f"between {last[0]} and {kind}")
            last[0] = kind

    def watched(self: File) -> sqlite3.Connection:
        connection = connect(self)
        connection.set_trace_callback(trace)
        return connection

    File._connect = watched  # type: ignore[method-assign]


def watch_redis() -> None:
    """Step before and after each request; of claims only after those that find a job."""
    run = RedisJobs._run

    async def watched(self: RedisJobs, script: str, *args: object) -> Any:
        is_claim = "ZRANGEBYSCORE', DUE" in script
        if not is_claim:
            step[0](f"before {script}")
        answer = await run(self, script, *args)
        if answer or not is_claim:
            step[0](f"after {script}")
        return answer

    RedisJobs._run = watched  # type: ignore[method-assign]


async def work(where: Secret, folder: Path, begin: int) -> None:
    """Accept both jobs and run them until one is done and one is dead."""
    ticks, jobs = itertools.count(begin), make_jobs(where)
    owner = BackgroundJobs(
        jobs, SECRET, durable=POLICY, clock=lambda: float(next(ticks)), accept_limit=LONG
    )
    after = owner.of_call()
    for key, function in (("a", succeed), ("b", fail)):
        if await after.durably(function, str(folder), idempotency_key=key):
            note(str(folder / "accepted"), key)
    owner.start()
    while True:
        states = [await jobs.state(key) for key in "ab"]
        if [one and one.state for one in states] == ["done", "dead"]:
            break
        await asyncio.sleep(0.001)
    assert states[0] is not None
    note(str(folder / "result"), states[0].result)
    await owner.close(LONG)


def forked(where: Secret, folder: Path, begin: int, at_step: Callable[[str], None]) -> bool:
    """Run a worker in a fork of this process; return whether it was killed."""
    if child := os.fork():
        status = os.waitpid(child, 0)[1]
        assert os.WIFSIGNALED(status) or status == 0
        return os.WIFSIGNALED(status)
    step[:] = [at_step]
    try:
        asyncio.run(work(where, folder, begin))
    except BaseException as error:
        sys.stderr.write(f"{error!r}\n")
        os._exit(1)
    os._exit(0)


def killer(kind: str, repeat: int) -> Callable[[str], None]:
    """Return a function that kills its process at the given one of all steps of a kind."""
    repeats = itertools.count(1)

    def kill(reached: str) -> None:
        if reached == kind and next(repeats) == repeat:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill


def run() -> None:
    """Kill workers; the arguments are the URL of a Redis, or empty for SQLite, and a folder."""
    url, folder = sys.argv[1], Path(sys.argv[2])
    (watch_redis if url else watch_sqlite)()

    def queue(own: Path) -> Secret:
        own.mkdir()
        if url:
            with Redis.from_url(url) as client:
                client.flushall()
        return Secret(url or str(own / "jobs.db"))

    whole = folder / "whole"
    forked(queue(whole), whole, 0, lambda kind: note(str(whole / "steps"), json.dumps(kind)))
    kinds = Counter(map(json.loads, noted(whole, "steps")))
    points = [(kind, n) for kind in kinds for n in range(1, min(kinds[kind], MAX_REPEATS) + 1)]
    for number, point in enumerate(points):
        own = folder / str(number)
        where = queue(own)
        killed = forked(where, own, 0, killer(*point))
        forked(where, own, AFTER_A_LEASE, lambda kind: None)
        counts = [len(noted(own, name)) for name in ("effects", "failures")]
        found = [point, killed, noted(own, "accepted"), *counts, noted(own, "result")[-1]]
        sys.stdout.write(json.dumps(found) + "\n")
