"""Several processes that answer on one port: started, watched, replaced, exchanged for new code.

Rule 1: the parent binds the port and never lets it go, so that what comes while a worker is
        replaced waits and is not refused. It runs no code of the app's, so that none can break it.
Rule 2: a worker proves that its event loop runs by a beat every `BEAT` seconds. One without a beat
        for `HANG` seconds is killed. One that is gone is replaced at once; one that was no good for
        long, after a pause that doubles.
Rule 3: the first worker starts alone. If it cannot, the others could not either: its own words on
        standard error are the command's, and so is its status.
Rule 4: new code is let in one worker at a time: the old one is told to go when the new one is
        ready. Where the new one does not start, the old ones stay.
Rule 5: each worker has a channel to its parent. Its end is the other's end: no worker outlives
        the parent, which might have been killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

from receiver.errors import SettingsError
from receiver.serving import GRACE, Server

BEAT = 0.25
"""Seconds from beat to beat."""

HANG = 5.0
"""Seconds without a beat after which a worker is killed."""

START = 60.0
"""Seconds that a worker has until its first beat, which says that it is ready."""

STOP = GRACE + 25.0
"""Seconds that a worker has to go: the calls in hand, what is done after them, and some more."""

ENDING = 1.0
"""Seconds from the end of its channel to the end of a process."""

STEADY = 10.0
"""Seconds after which a worker was good."""

PAUSES = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before the next try, after so many workers in a row that were not good."""

RETIRE = b"r"
"""What the parent says to a worker that another has replaced."""

log = logging.getLogger("receiver")


class Worker:
    """One process and the parent's end of the channel to it.

    Parameters:
        command: what is run; the descriptors of the listener and of the channel come behind it.
        listener: the socket that all share.
        environ: the variables that the process gets on top of the parent's.
    """

    def __init__(
        self, command: Sequence[str], listener: socket.socket, environ: Mapping[str, str]
    ) -> None:
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        descriptors = (listener.fileno(), theirs.fileno())
        with theirs:
            try:
                # In a group of its own: a Ctrl+C is the parent's to pass on.
                self._process = subprocess.Popen(  # noqa: S603 - it is this very program
                    [*command, *map(str, descriptors)],
                    pass_fds=descriptors,
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
        self._process.wait()
        self._loop.remove_reader(self._channel)
        self._channel.close()
        self.is_gone.set()


class Supervisor:
    """Keeps so many workers running.

    Parameters:
        launch: starts the worker with this number; they are counted from 1.
        count: how many.
        notice: seconds for which a worker serves on after a signal.
        hang: seconds, see `HANG`.
        pauses: seconds, see `PAUSES`.
    """

    def __init__(
        self,
        launch: Callable[[int], Worker],
        count: int,
        *,
        notice: float = 0.0,
        hang: float = HANG,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self._launch = launch
        self._count = count
        self._stop_within = notice + STOP
        self._hang = hang
        self._pauses = pauses
        self._launched = 0
        self._workers: list[Worker] = []  # whoever was started and is not known to be gone
        self._slots: list[Worker] = []  # who serves
        self._stopping = asyncio.Event()
        self._reloads = asyncio.Event()

    async def run(self, serving: Callable[[], None] = lambda: None) -> int:
        """Run until SIGTERM or SIGINT; ``serving`` is called when the first worker is ready.

        Returns:
            The exit status: 0, or that of a first worker that could not start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        watch = loop.create_task(self._watch())
        try:
            first = self._start()
            if not await first.ready():
                return 0 if self._stopping.is_set() else abs(first.status) or 1
            serving()
            self._slots = [first, *(self._start() for _ in range(self._count - 1))]
            tasks = [loop.create_task(self._keep(slot)) for slot in range(self._count)]
            tasks.append(loop.create_task(self._renew()))
            await self._stopping.wait()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*(worker.is_gone.wait() for worker in self._workers))
            return 0
        finally:
            watch.cancel()
            for worker in self._workers:
                worker.kill()

    def stop(self) -> None:
        """Stop all workers; the second time end them."""
        for worker in list(self._workers):
            if self._stopping.is_set():
                worker.kill()
            else:
                worker.stop()
        self._stopping.set()

    def reload(self) -> None:
        """Exchange the workers for such with new code."""
        self._reloads.set()

    def _start(self) -> Worker:
        self._launched += 1
        worker = self._launch(self._launched)
        self._workers.append(worker)
        return worker

    async def _keep(self, slot: int) -> None:
        """Have somebody serve in this place."""
        bad = 0
        while True:
            worker = self._slots[slot]
            await worker.is_gone.wait()
            if self._slots[slot] is not worker:
                bad = 0
                continue  # it was exchanged
            good = time.monotonic() - worker.started > STEADY
            pause = self._pauses[min(0 if good else bad, len(self._pauses) - 1)]
            bad = 1 if good else bad + 1
            log.error(
                "worker %d is gone (%s): it is replaced %s",
                worker.pid,
                _ending(worker.status),
                f"in {pause:g} s" if pause else "at once",
            )
            await asyncio.sleep(pause)
            while self._slots[slot] is worker:
                try:
                    self._slots[slot] = self._start()
                except OSError as error:  # no memory, no process, no descriptor to be had
                    log.error("no worker can be started: %s", error.strerror)
                    await asyncio.sleep(self._pauses[-1] / 10)

    async def _renew(self) -> None:
        """Exchange the workers, one by one, whenever that is asked for."""
        while True:
            await self._reloads.wait()
            self._reloads.clear()
            log.info("reloading: the workers are exchanged one by one")
            for slot in range(self._count):
                if not await self._exchange(slot):
                    break
            else:
                log.info("reloaded")

    async def _exchange(self, slot: int) -> bool:
        try:
            new = self._start()
            started = await new.ready()
        except OSError:
            started = False
        if not started:
            log.error("the new code does not start: the old workers stay")
            return False
        old, self._slots[slot] = self._slots[slot], new
        old.retire()
        await old.is_gone.wait()
        return True

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(min(BEAT, self._hang / 4))
            for worker in list(self._workers):
                if problem := worker.look(self._hang, self._stop_within):
                    log.error("worker %d %s and is killed", worker.pid, problem)
                    worker.kill()
                if worker.is_gone.is_set():
                    self._workers.remove(worker)


def _ending(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def supervise(
    command: Sequence[str],
    listener: socket.socket,
    count: int,
    environ: Mapping[str, str],
    *,
    notice: float = 0.0,
    serving: Callable[[], None],
) -> int:
    """Serve on ``listener`` with ``count`` processes, until SIGINT or SIGTERM.

    Parameters:
        command: what a worker runs; behind it come its number and two descriptors.
        listener: bound already.
        count: how many.
        environ: the variables that they get on top of the parent's.
        notice: seconds for which they serve on after a signal.
        serving: called when the first is ready.

    Returns:
        The exit status.
    """

    def launch(number: int) -> Worker:
        return Worker([*command, str(number)], listener, environ)

    return asyncio.run(Supervisor(launch, count, notice=notice).run(serving))


class Channel:
    """The worker's end: it beats, and it hears when to go.

    Parameters:
        descriptor: as it came from the parent.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)
        self._socket.set_inheritable(False)

    async def beat(self, server: Server) -> None:
        """Runs beside ``server``, and stops it when the parent says so or is gone."""
        while True:
            server.should_exit |= self._told_to_go()
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
        with socket.socket(fileno=descriptor) as found:
            family, kept = found.family, found.detach()
        # With the protocol's number, as in `receiver.serving.bind`: not every system tells it.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=kept)
    except OSError:
        raise ReceiverError(
            "a worker is started by receiver serve --workers, not by hand"
        ) from None
    listener.set_inheritable(False)
    return listener
