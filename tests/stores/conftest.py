"""The stores under test: memory, a file, and a real Redis."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import redis

from receiver.secrets import Secret
from receiver.stores import Memory, Store
from receiver.stores.guarded import LIMIT, Guarded
from receiver.stores.redis import Redis
from receiver.stores.sqlite import Sqlite

LIFE = 300.0
NOW = 1_800_000_000.0
LATEST = LIMIT + 0.35  # seconds; a busy machine is not late


class Server:
    """A redis-server on a socket of its own."""

    def __init__(self, path: str) -> None:
        self._path = path
        # The paths of sockets are short; pytest's folders are not.
        self._folder = tempfile.TemporaryDirectory(prefix="redis")
        self._socket = f"{self._folder.name}/s"
        self.url = Secret(f"unix://{self._socket}")
        self._process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> None:
        where = ("--port", "0", "--unixsocket", self._socket, "--dir", self._folder.name)
        command = [self._path, *where, "--save", "", "--appendonly", "no", *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "ready to accept connections" in line.lower():
                return
        pytest.fail("redis-server ended before it was ready")

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def close(self) -> None:
        self.kill()
        self._folder.cleanup()


@pytest.fixture(scope="session")
def lasting_server(program: Callable[[str], str]) -> Iterator[Server]:
    server = Server(program("redis-server"))
    server.start()
    yield server
    server.close()


@pytest.fixture
def redis_url(lasting_server: Server) -> Secret:
    """Of a Redis that is empty."""
    with redis.Redis.from_url(lasting_server.url.reveal()) as client:
        client.flushall()
    return lasting_server.url


@pytest.fixture
def server(program: Callable[[str], str]) -> Iterator[Server]:
    """One to kill and to pause."""
    server = Server(program("redis-server"))
    server.start()
    yield server
    server.close()


Open = Callable[[], Store]


@pytest.fixture
async def open_shared(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens one more worker's store on the same place; `request.param` says which kind."""
    opened: list[Store] = []
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    memory = Memory(life=LIFE)

    def one_more() -> Store:
        if request.param == "memory":
            return memory
        store = Redis(url, life=LIFE) if url else Sqlite(tmp_path / "shared.db", life=LIFE)
        opened.append(store)
        return store

    yield one_more
    for store in opened:
        await store.close()


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def guard(clock: Clock) -> AsyncIterator[Callable[[Store], Guarded]]:
    """One more worker, before a shared store."""
    made: list[Guarded] = []

    def one_more(store: Store) -> Guarded:
        made.append(Guarded(store, "Kind", Memory(life=LIFE), clock))
        return made[-1]

    yield one_more
    for guarded in made:
        await guarded.close()


Guard = Callable[[Store], Guarded]


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [f"{r.levelname} {r.getMessage()}" for r in caplog.records if r.name == "receiver"]


def out(reason: str) -> str:
    return (
        f"ERROR the shared store (Kind) is out of order ({reason}): "
        "each worker goes by its own memory"
    )


BACK = "WARNING the shared store (Kind) is back"


async def use(store: Store, count: int) -> bool:
    """Uses a count up, in time."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    good = await store.use("n", count, NOW, NOW)
    assert loop.time() - begin < LATEST
    return good
