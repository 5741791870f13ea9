"""One worker process: the parent's end of it, and its own.

Rule 1: each worker has a channel to its parent. It beats there while its event loop runs; the first
        beat says that it is ready. The end of the channel is the other's end: no worker outlives
        the parent, which might have been killed.
Rule 2: it inherits the listener and its end of the channel, and nothing that it starts inherits
        them from it.
Rule 3: what is secret reaches it through the environment, never on the command line.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from receiver.errors import SettingsError
from receiver.serving.passing import Passage, tcp

BEAT = 0.25
"""Seconds from beat to beat."""

START = 60.0
"""Seconds that a worker has until its first beat, which says that it is ready."""

ENDING = 1.0
"""Seconds from the end of its channel to the end of a process."""

RETIRE = b"r"
"""What the parent says to a worker that another has replaced."""


class Stoppable(Protocol):
    """What a worker runs: a server, or a guard."""

    should_exit: bool


class Worker:
    """One process and the parent's end of the channel to it.

    Parameters:
        command: what is run; the descriptors of the listener and of the channel come behind it.
        listener: the socket that all share.
        environ: the variables that the process gets on top of the parent's.
        passage: which all workers share; None for none.
        further: what it inherits, too; the command names it.
    """

    def __init__(
        self,
        command: Sequence[str],
        listener: socket.socket,
        environ: Mapping[str, str],
        passage: Passage | None = None,
        further: Sequence[socket.socket] = (),
    ) -> None:
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        descriptors = (listener.fileno(), theirs.fileno())
        with theirs:
            if passage is not None:
                passage.lay(self._channel)
            try:
                # In a group of its own: a Ctrl+C is the parent's to pass on.
                self._process = subprocess.Popen(  # noqa: S603 - it is this very program
                    [*command, *map(str, descriptors)],
                    pass_fds=(*descriptors, *(one.fileno() for one in further)),
                    process_group=0,
                    env={**os.environ, **environ},
                    stdin=subprocess.DEVNULL,
                )
            except BaseException:
                self._channel.close()
                raise
        self.pid = self._process.pid
        self.started = self.heard = time.monotonic()
        self.is_ready = asyncio.Event()
        self.is_gone = asyncio.Event()
        self._told_to_stop = 0.0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._channel, self._hear)

    @property
    def status(self) -> int:
        """How it ended, as `subprocess` says it."""
        return self._process.returncode or 0

    async def ready(self) -> bool:
        """Wait until it serves; False if it is gone before."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.is_ready, self.is_gone)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return self.is_ready.is_set() and not self.is_gone.is_set()

    def stop(self) -> None:
        """Have it stop as `SIGTERM` does."""
        self._process.send_signal(signal.SIGTERM)
        self._told_to_stop = self._told_to_stop or time.monotonic()

    def retire(self) -> None:
        """Have it stop without notice: another is ready."""
        with contextlib.suppress(OSError):
            self._channel.send(RETIRE)
        self._told_to_stop = self._told_to_stop or time.monotonic()

    def kill(self) -> None:
        """End it at once."""
        if not self.is_gone.is_set():
            self._process.kill()
            self._bury()

    def look(self, hang: float, stop: float) -> str:
        """What is wrong with it, if anything; all in seconds."""
        if self._process.poll() is not None:
            self._bury()
            return ""
        now = time.monotonic()
        if self._told_to_stop and now - self._told_to_stop > stop:
            return "did not stop in time"
        if not self.is_ready.is_set():
            return "did not start in time" if now - self.started > START else ""
        return "hangs" if now - self.heard > hang else ""

    def _hear(self) -> None:
        try:
            said = self._channel.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            self._loop.remove_reader(self._channel)
            self._await_end(time.monotonic())
            return
        self.heard = time.monotonic()
        self.is_ready.set()

    def _await_end(self, since: float) -> None:
        """Its end of the channel is closed: that is what a process begins to end with."""
        if self.is_gone.is_set():
            return
        if self._process.poll() is not None:
            self._bury()
        elif time.monotonic() - since > ENDING:
            self.kill()
        else:
            self._loop.call_later(0.005, self._await_end, since)

    def _bury(self) -> None:
        if self.is_gone.is_set():  # its channel, or whoever looks at it, was quicker
            return
        self._process.wait()
        self._loop.remove_reader(self._channel)
        self._channel.close()
        self.is_gone.set()


Launch = Callable[[int], Worker]
"""Starts the process with this number; they are counted from 1."""


class Program(NamedTuple):
    """What a worker runs, or what stands beside the workers.

    Attributes:
        command: behind it come its number and two descriptors.
        listener: bound already.
        further: what it inherits, too; the command names it.
    """

    command: Sequence[str]
    listener: socket.socket
    further: Sequence[socket.socket] = ()

    def launch(self, environ: Mapping[str, str], passage: Passage | None = None) -> Launch:
        """What starts it; parameters as for `Worker`."""
        return lambda number: Worker(
            [*self.command, str(number)], self.listener, environ, passage, self.further
        )


class Channel:
    """The worker's end: it beats, and it hears when to go.

    Parameters:
        descriptor: as it came from the parent.

    Its ``passage`` is that to the other workers, if the parent laid one.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)
        self._socket.set_inheritable(False)
        self.passage = Passage.laid(self._socket)

    async def beat(self, server: Stoppable) -> None:
        """Runs beside ``server``, and stops it when the parent says so or is gone."""
        while True:
            if self._told_to_go():  # and nothing else is written: a signal may have come meanwhile
                server.should_exit = True
            await asyncio.sleep(BEAT)

    def _told_to_go(self) -> bool:
        try:
            self._socket.send(b".")
            return self._socket.recv(1) in (b"", RETIRE)
        except BlockingIOError:
            return False
        except OSError:  # the parent is gone
            return True


def inherited(descriptor: int) -> socket.socket:
    """The listener that the parent bound.

    Raises:
        SettingsError: that is none.
    """
    try:
        listener = tcp(descriptor)
    except OSError:
        raise SettingsError(
            "a worker is started by receiver serve --workers, not by hand"
        ) from None
    listener.set_inheritable(False)
    return listener
