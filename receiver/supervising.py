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
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence

from receiver.passing import Passage
from receiver.serving import GRACE
from receiver.working import BEAT, Worker

HANG = 5.0
"""Seconds without a beat after which a worker is killed."""

STOP = GRACE + 25.0
"""Seconds that a worker has to go: the calls in hand, what is done after them, and some more."""

STEADY = 10.0
"""Seconds after which a worker was good."""

PAUSES = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before the next try, after so many workers in a row that were not good."""

log = logging.getLogger("receiver")


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

    passage = Passage.make()

    def launch(number: int) -> Worker:
        return Worker([*command, str(number)], listener, environ, passage)

    return asyncio.run(Supervisor(launch, count, notice=notice).run(serving))
