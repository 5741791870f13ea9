"""A flood of bad requests, and true callbacks in the middle of it: memory and answers.

    python -m tests.bench.flood [--requests 200000] [--store memory|sqlite|redis] [--connections 64]

Serves once with a list of allowed sources, of which a quarter of the flood says it comes, and once
without. Ends with status 1 if a true callback was answered wrong or after more than `LATEST`, if a
bad request was accepted or met an internal error, or if memory grew by `GROWTH` in the last part,
which is 21 bytes for each request. A separate process sends the flood.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from statistics import median
from typing import Any, NamedTuple

import httpx

from tests.bench.attacks import IDENTITY, LISTED, Attacks
from tests.bench.service import STORES, Service, serving
from tests.support import ANSWER, FIELDS, credentials

LATEST = 1.0
"""Seconds; the PBX waits for two."""

GROWTH = 1024 * 1024
"""Bytes."""

PAUSE = 0.05
"""Seconds between two true callbacks."""

_BATCH = 16  # pipelined at once
_MIB = 1024 * 1024


@dataclass
class Watched:
    """The observations from outside."""

    seconds: list[float] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)
    memory: list[int] = field(default_factory=list)

    @property
    def growth(self) -> int:
        """Bytes that the last quarter adds: the service warms up before it."""
        start, tenth = len(self.memory) * 3 // 4, max(1, len(self.memory) // 10)
        return int(median(self.memory[-tenth:]) - median(self.memory[start : start + tenth]))


class Flood(NamedTuple):
    """One flood: what was seen meanwhile, the statuses of its answers, its seconds, log lines."""

    watched: Watched
    statuses: Counter[str]
    took: float
    lines: int

    @property
    def let_in(self) -> dict[str, int]:
        """The answers that should not have been given."""
        wrong = ("200", "500", "503")
        return {k: n for k, n in self.statuses.items() if not k.isdigit() or k in wrong}


# the flood -----------------------------------------------------------------------------------


async def _flood(port: int, requests: int, connections: int, listed: float) -> Counter[str]:
    attacks = Attacks(listed)
    statuses: Counter[str] = Counter()
    await _use_up(port, attacks.replayed)

    async def one() -> None:
        while (
            statuses.total() < requests
        ):  # what a closed connection leaves unanswered is sent again
            host = f"127.0.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(host, 0))
            for _ in range(random.randrange(4, 20)):
                writer.write(attacks.some(_BATCH))
                if not await _read(reader, _BATCH, statuses) or statuses.total() >= requests:
                    break
            else:
                writer.write(attacks.closing())
                await _read(reader, -1, statuses)
            writer.transport.abort()

    await asyncio.gather(*(one() for _ in range(connections)))
    return statuses


async def _read(reader: asyncio.StreamReader, count: int, statuses: Counter[str]) -> bool:
    """Answers until there are ``count`` or the connection ends; whether it stays open."""
    try:
        while count:
            async with asyncio.timeout(10):
                head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: ([0-9]+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            statuses[head[9:12].decode("latin-1")] += 1
            count -= 1
    except asyncio.IncompleteReadError:
        return False
    except (TimeoutError, ConnectionError) as error:
        statuses[type(error).__name__] += 1
        return False
    return True


async def _use_up(port: int, header: bytes) -> None:
    """The one time that the credentials are good which are replayed from then on."""
    async with httpx.AsyncClient(trust_env=False) as http:
        headers = {"Authorization": header.decode(), "X-Forwarded-For": f"{LISTED}9"}
        url = f"http://127.0.0.1:{port}/action/{IDENTITY}"
        answer = await http.post(url, json=FIELDS, headers=headers)
    if answer.content != ANSWER:
        raise SystemExit(f"credentials that are good were refused: {answer.status_code}")


def _flood_apart(answer: Any, *arguments: Any) -> None:
    answer.send(asyncio.run(_flood(*arguments)))


# true callbacks ------------------------------------------------------------------------------


def _call(http: httpx.Client, port: int, mode: str, watched: Watched) -> None:
    """One callback on a new connection, as a PBX sends it."""
    action = f"888/post-{mode}"
    known = credentials(action)
    login: Any = None
    headers = {"X-Forwarded-For": f"{LISTED}7"}
    if mode == "bearer":
        headers["Authorization"] = f"Bearer {known.token.reveal()}"
    else:
        kind = httpx.BasicAuth if mode == "basic" else httpx.DigestAuth
        login = kind(known.username, known.password.reveal())
    begun = time.perf_counter()
    try:
        url = f"http://127.0.0.1:{port}/action/{action}"
        answer = http.post(url, json=FIELDS, headers=headers, auth=login)
        problem = "" if answer.content == ANSWER else f"{mode}: {answer.status_code}"
    except httpx.HTTPError as error:
        problem = f"{mode}: {type(error).__name__}"
    watched.seconds.append(time.perf_counter() - begun)
    if problem:
        watched.wrong[problem] += 1


def _watch(service: Service, process: BaseProcess) -> Watched:
    watched = Watched()
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(limits=limits, trust_env=False, timeout=5) as http:
        while process.is_alive():
            for mode in ("bearer", "basic", "digest"):
                _call(http, service.port, mode, watched)
                watched.memory.append(service.memory)
                time.sleep(PAUSE)
    return watched


# both ----------------------------------------------------------------------------------------


def flood(store: str, requests: int, connections: int, listed: bool) -> Flood:
    """Return what was seen of one flood."""
    environ = {"TRUSTED_PROXIES": "127.0.0.0/8"}
    if listed:
        environ["ALLOWED_SOURCES"] = f"{LISTED}0/24"
    with serving(store, **environ) as service:
        spawn = multiprocessing.get_context("spawn")
        mine, theirs = spawn.Pipe()
        arguments = (theirs, service.port, requests, connections, 0.25 if listed else 0.0)
        process = spawn.Process(target=_flood_apart, args=arguments)
        begun = time.perf_counter()
        process.start()
        watched = _watch(service, process)
        took = time.perf_counter() - begun
        statuses: Counter[str] = mine.recv() if mine.poll() else Counter({"the flood broke off": 1})
        return Flood(watched, statuses, took, service.lines)


def run(store: str, requests: int, connections: int, listed: bool) -> bool:
    """Report one flood; return whether the service passed."""
    watched, statuses, took, lines = found = flood(store, requests, connections, listed)
    seconds = sorted(watched.seconds)
    memory, let_in = watched.memory, found.let_in
    print(
        f"{store}, {'with' if listed else 'without'} a list of allowed sources: "
        f"{statuses.total()} answers in {took:.0f} s ({statuses.total() / took:.0f}/s)\n"
        f"  statuses {dict(sorted(statuses.items()))}, {lines} lines of log\n"
        f"  {len(seconds)} true callbacks, wrong {dict(watched.wrong)}: median "
        f"{median(seconds) * 1000:.1f} ms, p99 {seconds[len(seconds) * 99 // 100] * 1000:.1f} ms, "
        f"worst {seconds[-1] * 1000:.1f} ms\n"
        f"  memory in MiB, in tenths: "
        f"{' '.join(f'{memory[len(memory) * n // 10] / _MIB:.1f}' for n in range(10))} "
        f"{memory[-1] / _MIB:.1f}; growth in the last quarter {watched.growth / _MIB:+.2f}"
    )
    good = not (let_in or watched.wrong) and seconds[-1] < LATEST and watched.growth < GROWTH
    print("  good" if good else f"  NOT GOOD {let_in or ''}", flush=True)
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--store", choices=STORES, default="memory")
    asked = parser.parse_args()
    runs = [run(asked.store, asked.requests, asked.connections, listed) for listed in (True, False)]
    sys.exit(0 if all(runs) else 1)


if __name__ == "__main__":
    main()
