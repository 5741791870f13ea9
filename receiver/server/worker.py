"""A worker process, and the channel between it and its parent.

Rule 1: a worker sends heartbeats on its channel while its event loop runs; the first one reports
        that it serves. When the channel closes, the worker ends: no worker outlives its parent.
Rule 2: a worker inherits the listener and its end of the channel; a program that it starts
        inherits neither.
Rule 3: secrets reach it through the environment, never on the command line.

POSIX only: a worker inherits sockets, and has a process group.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from receiver.errors import SettingsError
from receiver.server.handover import Handover
from receiver.server.sockets import stream_socket

WORKER = "--as-worker"
"""The option by which the parent gives a worker its number, listener and channel."""

HEARTBEAT = 0.25
"""Seconds between two heartbeats."""

BLOCKED_TIME = 2 * HEARTBEAT
"""Seconds without a heartbeat after which the event loop counts as blocked."""

START_TIMEOUT = 60.0
"""Seconds in which a worker must send its first heartbeat."""

GRACE_PERIOD = 5
"""Seconds in which calls in progress must end when a worker stops."""

EXIT_TIMEOUT = 1.0
"""Seconds from the end of its channel until a process ends itself."""

FAILED_EXIT_TIMEOUT = 10.0
"""The same for a worker that did not start: its exit status says why, and no caller waits."""

RETIRE = b"r"
"""The message to a worker that has been replaced."""


class Worker:
    """One process and the parent's end of the channel to it; see `Program.start`.

    Attributes:
        started: time of the start, in seconds of `time.monotonic`.
        is_ready: set when it serves.
        is_gone: set when it has ended.
    """

    def __init__(self, process: Process, channel: socket.socket) -> None:
        self.pid = process.pid
        self.started = self._heard = time.monotonic()
        self.is_ready = asyncio.Event()
        self.is_gone = asyncio.Event()
        self._stopped = 0.0
        self._process = process
        self._channel = channel
        self._end = asyncio.create_task(self._wait())

    @property
    def status(self) -> int:
        """The exit status, or the negative number of the signal that ended it."""
        return self._process.returncode or 0

    @property
    def is_blocked(self) -> bool:
        """Whether it has served, and its event loop seems to be blocked."""
        is_serving = self.is_ready.is_set() and not self.is_gone.is_set()
        return is_serving and time.monotonic() - self._heard > BLOCKED_TIME

    def stop(self) -> None:
        """Send SIGTERM, if it was not stopped before."""
        if not self._stopped:
            self._stopped = time.monotonic()
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    def retire(self) -> None:
        """Stop it without a notice period: its successor serves."""
        self._stopped = self._stopped or time.monotonic()
        with contextlib.suppress(OSError):
            self._channel.send(RETIRE)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def problem(self, hang: float, stop: float) -> str:
        """Return the problem of the worker, or ``""``. Parameters are in seconds."""
        now = time.monotonic()
        if self.is_gone.is_set():
            return ""
        if self._stopped and now - self._stopped > stop:
            return "did not stop in time"
        if not self.is_ready.is_set():
            return "did not start in time" if now - self.started > START_TIMEOUT else ""
        return "hangs" if now - self._heard > hang else ""

    async def _wait(self) -> None:
        hearing = asyncio.create_task(self._hear())
        await self._process.wait()
        hearing.cancel()
        await asyncio.wait([hearing])
        self._channel.close()
        self.is_gone.set()

    async def _hear(self) -> None:
        with contextlib.suppress(OSError):
            while await asyncio.get_running_loop().sock_recv(self._channel, 4096):
                self._heard = time.monotonic()
                self.is_ready.set()
        await asyncio.sleep(EXIT_TIMEOUT if self.is_ready.is_set() else FAILED_EXIT_TIMEOUT)
        self.kill()


def resident(pid: int) -> int:
    """Return the resident memory of a process in octets; 0 without /proc."""
    with contextlib.suppress(OSError, ValueError, LookupError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


class Program(NamedTuple):
    """The command of a worker, or of another process of the service.

    Attributes:
        command: its number and two descriptors are appended.
        environ: variables in addition to the parent's.
        further: additional sockets to inherit; the command names them.
    """

    command: Sequence[str]
    listener: socket.socket
    environ: Mapping[str, str]
    handover: Handover | None = None
    further: Sequence[socket.socket] = ()

    async def start(self, number: int) -> Worker:
        """Start the process with this number; they are counted from 1.

        Raises:
            OSError: no process, memory or descriptor is available.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        descriptors = (self.listener.fileno(), theirs.fileno())
        with theirs:
            try:
                if self.handover is not None:
                    self.handover.share(ours)
                process = await asyncio.create_subprocess_exec(
                    *self.command,
                    *map(str, (number, *descriptors)),
                    pass_fds=(*descriptors, *(one.fileno() for one in self.further)),
                    process_group=0,  # only the parent gets Ctrl+C
                    env={**os.environ, **self.environ},
                    stdin=DEVNULL,
                )
            except BaseException:
                ours.close()
                raise
        return Worker(process, ours)


class Stoppable(Protocol):
    """The interface of a server or a guard, as a worker runs it."""

    should_exit: bool


class Channel:
    """The worker's end of the channel to its parent; ``handover`` reaches the other workers."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)
        self._socket.set_inheritable(False)
        self.handover = Handover.received(self._socket)

    async def beat(self, server: Stoppable) -> None:
        """Send heartbeats, and stop ``server`` when the parent asks for it or has ended."""
        while True:
            if self._has_to_stop():  # never set to False: a signal may have set it
                server.should_exit = True
            await asyncio.sleep(HEARTBEAT)

    def send_heartbeat(self) -> None:
        """Send one heartbeat; the first one says that the worker serves."""
        with contextlib.suppress(OSError):  # `beat` sees that the parent is gone
            self._socket.send(b".")

    def _has_to_stop(self) -> bool:
        try:
            self._socket.send(b".")
            return self._socket.recv(1) in (b"", RETIRE)
        except BlockingIOError:
            return False
        except OSError:  # the parent has ended
            return True


def inherited(descriptor: int) -> socket.socket:
    """Return the listener that the parent bound.

    Raises:
        SettingsError: the descriptor is not a socket.
    """
    try:
        listener = stream_socket(descriptor)
    except OSError:
        raise SettingsError("only receiver serve can start a worker") from None
    listener.set_inheritable(False)
    return listener
