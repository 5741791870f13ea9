"""A real Redis and a clock that the test sets, for tests of shared stores."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator

import pytest
import redis

from receiver.credentials import Secret
from receiver.storage.sqlite_file import Waits
from tests.clock import Clock


class Server:
    """A redis-server on a Unix socket."""

    def __init__(self, path: str) -> None:
        self._program = path
        # The paths of sockets are short; pytest's folders are not.
        self._folder = tempfile.TemporaryDirectory(prefix="redis")
        self.path = f"{self._folder.name}/s"
        self.url = Secret(f"unix://{self.path}")
        self._process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> None:
        where = ("--port", "0", "--unixsocket", self.path, "--dir", self._folder.name)
        command = [self._program, *where, "--save", "", "--appendonly", "no", *options]
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


LATEST = 30.0
"""Seconds within which a request of a failing store must end."""


SHORT, LONG = 3.0, 60.0
"""Seconds for a request to a store that fails, and to one that works; a busy machine is slow."""

WAITS = Waits(busy=LONG, opening=LONG)
"""For a SQLite file that works: a process that holds its lock may be descheduled."""


@pytest.fixture
def redis_url(lasting_server: Server) -> Secret:
    """Return the URL of an empty Redis."""
    with redis.Redis.from_url(lasting_server.url.reveal()) as client:
        client.flushall()
    return lasting_server.url


@pytest.fixture
def server(program: Callable[[str], str]) -> Iterator[Server]:
    """A Redis for one test, which may kill or pause it."""
    server = Server(program("redis-server"))
    server.start()
    yield server
    server.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()
