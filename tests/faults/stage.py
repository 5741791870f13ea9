"""A service in real processes, with all that it depends on, and the levers that break it.

Rule 1: a lever blocks, and is pulled in a thread.
Rule 2: nothing of the machine itself is broken: clock, disk and limits are the own ones of the
        service.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import redis

from receiver.credentials import Secret
from tests.cli.test_workers import SECRET
from tests.damage import garbage
from tests.faults.callers import Callers
from tests.served import Service
from tests.stores import Server

ROOT = Path(__file__).resolve().parents[2]

FILES = 64
"""Descriptors that a process of a limited stage may have."""

IDLE = 200
"""Connections that say nothing: more than all workers have descriptors for."""

LIMITED = f'ulimit -n {FILES} && exec "$0" "$@"'
"""A shell command that limits the descriptors of another command."""

SLOW = 0.5
"""Seconds that a slow Redis takes for an answer."""

DISK = "1.0"
"""Seconds that a file of the machine may take: a busy disk is not among the faults."""


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


class Way:
    """A proxy of a Redis, on a separate port, that delays answers."""

    def __init__(self, path: str) -> None:
        self.delay = 0.0
        self._path = path
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # it is not connected
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        with near, socket.socket(socket.AF_UNIX) as far, contextlib.suppress(OSError):
            far.connect(self._path)
            back = threading.Thread(target=self._pump, args=(far, near, True), daemon=True)
            back.start()
            self._pump(near, far)
            back.join()

    def _pump(self, source: socket.socket, sink: socket.socket, slow: bool = False) -> None:
        with contextlib.suppress(OSError):
            while octets := source.recv(65536):
                if slow and self.delay:
                    time.sleep(self.delay)
                sink.sendall(octets)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Stage:
    """``receiver serve`` with `tests.faults.faulty`, in ``folder``.

    Parameters:
        folder: for its files.
        server: the Redis it shares; None for a SQLite file.
        limited: whether it has few descriptors.
        workers: how many.
    """

    def __init__(
        self,
        folder: Path,
        server: Server | None = None,
        *,
        limited: bool = False,
        workers: int = 2,
    ) -> None:
        self.folder = folder
        self.server = server
        self.crm = Crm()
        self.way = Way(server.path) if server else None
        self.secret = Secret(SECRET)
        self._idle: list[socket.socket] = []
        self._disk = folder / "disk"
        self._disk.mkdir()
        self._offset = folder / "offset"
        self._offset.write_bytes(struct.pack("d", 0))
        self._limited, self._count = limited, workers
        self._start(limited=limited, workers=workers)

    def _start(self, *, limited: bool, workers: int) -> None:
        command = [sys.executable, "-m", "receiver", "serve", "tests.faults.faulty:app"]
        command += ["--port", "0", "--workers", str(workers)]
        if limited:
            command = ["sh", "-c", LIMITED, *command]
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env={
                **{name: v for name, v in os.environ.items() if not name.startswith("RECEIVER_")},
                "RECEIVER_SECRET": SECRET,
                "RECEIVER_STORE": self.way.url if self.way else str(self._disk / "store.sqlite"),
                "RECEIVER_JOBS": str(self._disk / "queue.sqlite"),
                **({} if self.way else {"STORE_LIMIT": DISK}),
                "CRM_URL": f"http://127.0.0.1:{self.crm.port}",
                "CLOCK_OFFSET": str(self._offset),
                "PYTHONPATH": f"{ROOT / 'tests' / 'faults' / 'clock'}{os.pathsep}{ROOT}",
            },
            stdout=subprocess.PIPE,  # which is not read
            stderr=subprocess.PIPE,
            text=True,
        )
        self.service = Service(process)
        self._reader = threading.Thread(target=self.service.read, daemon=True)
        self._reader.start()
        self.service.until(r"Application startup complete", workers)
        url = self.service.until(r"serving on (http://\S+)")[0]
        self.callers = Callers(int(url.rpartition(":")[2]), self.secret)

    def close(self) -> None:
        self.let_go()
        self.crm.close()
        if self.service.process.poll() is None:
            self.service.process.terminate()
        try:
            self.service.process.wait(60)
        finally:
            self.service.process.kill()
            self._close_output()
            self._reader.join(20)
            if self.way:
                self.way.close()

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

    def slow_redis(self) -> None:
        self._delay_redis(SLOW)

    def mend_redis(self) -> None:
        self._delay_redis(0)

    def fill_redis(self) -> None:
        self._limit_redis(1)

    def empty_redis(self) -> None:
        self._limit_redis(0)

    def delete_store(self) -> None:
        for file in self._disk.glob("store.sqlite*"):
            file.unlink()

    def damage_files(self) -> None:
        """Replace the store and the queue by garbage, and their write-ahead logs.

        A file that is overwritten in place need not be noticed: a worker that has all pages in its
        cache continues, and writes them back. All open another file of this name again.
        """
        for name in ("store.sqlite", "store.sqlite.failures", "queue.sqlite"):
            for file in (self._disk / f"{name}-wal", self._disk / name):
                if file.exists():
                    shutil.copy(file, new := file.with_name("damaged"))
                    garbage(new)
                    new.replace(file)

    def delete_queue(self) -> None:
        """Delete the queue, as an operator may."""
        for file in self._disk.glob("queue.sqlite*"):
            file.unlink()

    def kill_oldest_worker(self) -> None:
        os.kill(self._workers()[0], signal.SIGKILL)

    def terminate(self) -> None:
        self.service.process.terminate()

    def start_again(self) -> None:
        assert self.service.process.wait(30) == 0
        self._close_output()
        self._start(limited=self._limited, workers=self._count)

    def _close_output(self) -> None:
        assert self.service.process.stdout is not None
        self.service.process.stdout.close()

    def kill_worker(self) -> None:
        os.kill(self.service.workers()[-1], signal.SIGKILL)

    def reload(self) -> None:
        self.service.process.send_signal(signal.SIGHUP)

    def turn_clock_back(self) -> None:
        self._offset_by(-3600)

    def set_clock_right(self) -> None:
        times = re.findall(r"^[\d-]+ [\d:]+", "".join(self.service.lines), re.M)
        assert times[-1] < max(times), "no clock was set back"
        self.turn_clock_forth()

    def turn_clock_forth(self) -> None:
        self._offset_by(0)

    def hold(self) -> None:
        """Connect, and say nothing; not so fast that a caller, too, says nothing meanwhile."""
        for _ in range(IDLE):
            self._idle.append(socket.create_connection(("127.0.0.1", self.callers.port), 5))
            time.sleep(0.004)

    def let_go(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def fill_disk(self) -> None:
        self._limit_files(0)

    def empty_disk(self) -> None:
        self._limit_files(resource.RLIM_INFINITY)

    def _limit_files(self, octets: int) -> None:
        """Have no file of a worker's grow: there is no right to make a disk that is full."""
        for worker in self._workers():
            _, hard = resource.prlimit(worker, resource.RLIMIT_FSIZE)
            resource.prlimit(worker, resource.RLIMIT_FSIZE, (octets, hard))

    def _workers(self) -> list[int]:
        """Return the running workers, the oldest first."""
        pid = self.service.process.pid
        return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]

    def _offset_by(self, seconds: float) -> None:
        with self._offset.open("r+b") as file:  # in place, for it is mapped
            file.write(struct.pack("d", seconds))

    def _redis(self) -> Server:
        assert self.server is not None
        return self.server

    def _delay_redis(self, seconds: float) -> None:
        assert self.way is not None
        self.way.delay = seconds

    def _limit_redis(self, octets: int) -> None:
        with redis.Redis.from_url(self._redis().url.reveal()) as client:
            client.config_set("maxmemory", octets)


Lever = Callable[[Stage], None]
