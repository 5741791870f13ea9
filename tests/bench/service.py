"""``receiver serve`` in a separate process, on a free port, and what it needs in memory."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.stores import Server
from tests.support import SECRET

STORES = ("memory", "sqlite", "redis")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Service:
    """A service that runs.

    Attributes:
        port: on 127.0.0.1.
        lines: of its log, so far.
    """

    def __init__(self, environ: dict[str, str]) -> None:
        self.lines = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "receiver", "serve", "tests.bench.served:app", "--port", "0"],
            env={**os.environ, "RECEIVER_SECRET": SECRET.reveal(), **environ},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.port = self._wait()
        self._reader = threading.Thread(target=self._drain, daemon=True)
        self._reader.start()

    @property
    def memory(self) -> int:
        """Resident bytes of the workers; their parent answers nothing."""
        pid = self._process.pid
        workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        found = [Path(f"/proc/{worker}/statm").read_text().split()[1] for worker in workers]
        return sum(map(int, found)) * _PAGE

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._reader.join(20)

    def _wait(self) -> int:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := re.search(r"serving on http://127\.0\.0\.1:([0-9]+)", line):
                return int(found[1])
            print(line, end="", file=sys.stderr)
        raise SystemExit("the service did not start")

    def _drain(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for _ in lines:
                self.lines += 1


@contextmanager
def serving(store: str, **environ: str) -> Iterator[Service]:
    """A service with a fresh store of that kind; ``environ`` are RECEIVER_* without the prefix."""
    with tempfile.TemporaryDirectory(prefix="bench") as folder, _store(store, folder) as where:
        service = Service({f"RECEIVER_{k}": v for k, v in {**environ, "STORE": where}.items()})
        try:
            yield service
        finally:
            with suppress(ProcessLookupError):
                service.close()


@contextmanager
def _store(kind: str, folder: str) -> Iterator[str]:
    if kind != "redis":
        yield "" if kind == "memory" else f"{folder}/store.sqlite"
        return
    path = shutil.which("redis-server")
    if path is None:
        raise SystemExit("redis-server is not installed")
    server = Server(path)
    server.start()
    try:
        yield server.url.reveal()
    finally:
        server.close()
