"""A service in real processes, with all that it depends on, and the levers that break it.

Rule 1: a lever blocks, and is pulled in a thread.
Rule 2: nothing of the machine itself is broken: clock, disk and limits are the own ones of the
        service.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import redis

from receiver.secrets import Secret
from tests.cli.test_workers import SECRET, Service
from tests.faults.callers import Callers
from tests.shared_stage import Server

ROOT = Path(__file__).resolve().parents[2]

FILES = 64
"""Descriptors that a process of a limited stage may have."""

IDLE = 200
"""Connections that say nothing: more than all workers have descriptors for."""

LIMITED = f'mount -t tmpfs -o size=16m none "$0" && ulimit -n {FILES} && exec "$@"'
"""Of a shell in a mount namespace of its own: a small disk, few descriptors, and a command that has
them. A file of SQLite's takes up to 4 MiB on top of its own size."""


class Crm:
    """Another service: ``good``, ``slow`` (no answer) or ``cut`` (half an answer); or not there."""

    def __init__(self) -> None:
        self.mode = "good"
        self.changed = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self.port = self.start()

    def start(self, port: int = 0) -> int:
        server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Desk, self))
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self._server = server
        return server.server_port

    def close(self) -> None:
        self.changed.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def turn(self, mode: str) -> None:
        self.mode = mode
        self.changed.set()
        self.changed = threading.Event()


class _Desk(BaseHTTPRequestHandler):
    def __init__(self, crm: Crm, *rest: object) -> None:
        self._crm = crm
        super().__init__(*rest)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        mode, changed = self._crm.mode, self._crm.changed
        if mode == "slow":
            changed.wait(10)
        with contextlib.suppress(OSError):  # it has gone meanwhile
            self.send_response(200)
            self.send_header("Content-Length", "100" if mode == "cut" else "2")
            self.end_headers()
            self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        pass


class Stage:
    """``receiver serve --workers 2`` with `tests.faults.faulty`, in ``folder``.

    Parameters:
        folder: for its files.
        server: the Redis it shares; None for a SQLite file.
        limited: whether it has few descriptors, and its store on a small disk of its own.
    """

    def __init__(
        self, folder: Path, server: Server | None = None, *, limited: bool = False
    ) -> None:
        self.folder = folder
        self.server = server
        self.crm = Crm()
        self.secret = Secret(SECRET)
        self._idle: list[socket.socket] = []
        self._disk = folder / "disk"
        self._disk.mkdir()
        self._offset = folder / "offset"
        self._offset.write_bytes(struct.pack("d", 0))
        self._start(limited=limited)

    def _start(self, *, limited: bool) -> None:
        command = [sys.executable, "-m", "receiver", "serve", "tests.faults.faulty:app"]
        command += ["--port", "0", "--workers", "2"]
        if limited:
            command = ["unshare", "-rm", "sh", "-c", LIMITED, str(self._disk), *command]
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env={
                **{name: v for name, v in os.environ.items() if not name.startswith("RECEIVER_")},
                "RECEIVER_SECRET": SECRET,
                "RECEIVER_STORE": (
                    self.server.url.reveal() if self.server else str(self._disk / "store.sqlite")
                ),
                "CRM_URL": f"http://127.0.0.1:{self.crm.port}",
                "CLOCK_OFFSET": str(self._offset),
                "PYTHONPATH": f"{ROOT / 'tests' / 'faults' / 'clock'}{os.pathsep}{ROOT}",
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        self.service = Service(process)
        self._reader = threading.Thread(target=self.service.read, daemon=True)
        self._reader.start()
        self.service.until(r"Application startup complete", 2)
        url = self.service.until(r"serving on (http://\S+)")[0]
        self.callers = Callers(int(url.rpartition(":")[2]), self.secret)

    def close(self) -> None:
        self.let_go()
        self.crm.close()
        if self.service.process.poll() is None:
            self.service.process.terminate()
        try:
            self.service.process.wait(20)
        finally:
            self.service.process.kill()
        self._reader.join(20)

    # The levers.

    def stop_crm(self) -> None:
        self.crm.close()

    def slow_crm(self) -> None:
        self.crm.turn("slow")

    def cut_crm(self) -> None:
        self.crm.turn("cut")

    def mend_crm(self) -> None:
        self.crm.turn("good")
        self.crm.close()
        self.crm.start(self.crm.port)

    def kill_redis(self) -> None:
        self._redis().kill()

    def start_redis(self) -> None:
        self._redis().start()

    def pause_redis(self) -> None:
        self._redis().send(signal.SIGSTOP)

    def resume_redis(self) -> None:
        self._redis().send(signal.SIGCONT)

    def fill_redis(self) -> None:
        self._limit_redis(1)

    def empty_redis(self) -> None:
        self._limit_redis(0)

    def delete_store(self) -> None:
        for file in self._disk.glob("store.sqlite*"):
            file.unlink()

    def kill_worker(self) -> None:
        os.kill(self.service.workers()[-1], signal.SIGKILL)

    def reload(self) -> None:
        self.service.process.send_signal(signal.SIGHUP)

    def turn_clock_back(self) -> None:
        self._offset_by(-3600)

    def set_clock_right(self) -> None:
        times = re.findall(r"^[\d-]+ [\d:]+", "".join(self.service.lines), re.M)
        assert times[-1] < max(times), "no clock was set back"
        self._offset_by(0)

    def hold(self) -> None:
        """Connect, and say nothing."""
        address = "127.0.0.1", self.callers.port
        self._idle += [socket.create_connection(address, 5) for _ in range(IDLE)]

    def let_go(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def fill_disk(self) -> None:
        with contextlib.suppress(OSError), self._filling().open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def empty_disk(self) -> None:
        self._filling().unlink()

    def _filling(self) -> Path:
        """Seen from within the service's own mounts."""
        return Path(f"/proc/{self.service.process.pid}/root{self._disk}/filling")

    def _offset_by(self, seconds: float) -> None:
        with self._offset.open("r+b") as file:  # in place, for it is mapped
            file.write(struct.pack("d", seconds))

    def _redis(self) -> Server:
        assert self.server is not None
        return self.server

    def _limit_redis(self, octets: int) -> None:
        with redis.Redis.from_url(self._redis().url.reveal()) as client:
            client.config_set("maxmemory", octets)


Lever = Callable[[Stage], None]
