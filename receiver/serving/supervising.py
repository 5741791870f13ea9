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
Rule 5: one that came to have too much memory is exchanged in the same way. A limit that a new one
        is past at once is no limit, and is given up: workers would come and go for ever.
Rule 6: what runs beside the workers, such as a guard, is watched and exchanged as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from receiver.serving.passing import Passage
from receiver.serving.server import GRACE
from receiver.serving.working import BEAT, Launch, Program, Worker

HANG = 5.0
"""Seconds without a beat after which a worker is killed."""

HELD_UP = 1.0
"""Seconds by which the parent itself may be late: past them the machine, or the container, stood
still, and who was without a beat meanwhile is given `HANG` seconds more."""

STOP = GRACE + 25.0
"""Seconds that a worker has to go: the calls in hand, what is done after them, and some more."""

STEADY = 10.0
"""Seconds after which a worker was good."""

PAUSES = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before the next try, after so many workers in a row that were not good."""

LOOK = 1.0
"""Seconds between two looks at how much memory the workers have."""

MIB = 1024 * 1024

log = logging.getLogger("receiver")


def resident(pid: int) -> int:
    """Octets of memory that a process has now; 0 if that is not known here."""
    with contextlib.suppress(OSError, ValueError, LookupError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0


class Supervisor:
    """Keeps so many workers running.

    Parameters:
        launch: starts a worker.
        count: how many.
        beside: start what runs beside them; one of each is kept.
        notice: seconds for which a worker serves on after a signal.
        hang: seconds, see `HANG`.
        pauses: seconds, see `PAUSES`.
        most_memory: octets past which a worker is exchanged; 0 for no limit.
        memory: octets that a process has.
    """

    def __init__(
        self,
        launch: Launch,
        count: int,
        *,
        beside: Sequence[Launch] = (),
        notice: float = 0.0,
        hang: float = HANG,
        pauses: Sequence[float] = PAUSES,
        most_memory: int = 0,
        memory: Callable[[int], int] = resident,
    ) -> None:
        self._launches = [*[launch] * count, *beside]  # one a slot
        self._stop_within = notice + STOP
        self._hang = hang
        self._pauses = pauses
        self._most_memory = most_memory
        self._memory = memory
        self._launched = 0
        self._workers: list[Worker] = []  # whoever was started and is not known to be gone
        self._slots: list[Worker] = []  # who serves
        self._stopping = asyncio.Event()
        self._reloads = asyncio.Event()
        self._exchanging = asyncio.Lock()

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
            first = self._start(0)
            if not await first.ready():
                return 0 if self._stopping.is_set() else abs(first.status) or 1
            serving()
            slots = range(len(self._launches))
            self._slots = [first, *map(self._start, slots[1:])]
            tasks = [loop.create_task(self._keep(slot)) for slot in slots]
            tasks += [loop.create_task(self._renew()), loop.create_task(self._slim())]
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

    def _start(self, slot: int) -> Worker:
        self._launched += 1
        worker = self._launches[slot](self._launched)
        self._workers.append(worker)
        if self._stopping.is_set():  # they were told before this one was there
            worker.stop()
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
                    self._slots[slot] = self._start(slot)
                except OSError as error:  # no memory, no process, no descriptor to be had
                    log.error("no worker can be started: %s", error.strerror)
                    await asyncio.sleep(self._pauses[-1] / 10)

    async def _renew(self) -> None:
        """Exchange the workers, one by one, whenever that is asked for."""
        while True:
            await self._reloads.wait()
            self._reloads.clear()
            log.info("reloading: the workers are exchanged one by one")
            for slot in range(len(self._slots)):
                if not await self._exchange(slot):
                    break
            else:
                log.info("reloaded")

    async def _slim(self) -> None:
        """Exchange whoever came to have too much memory, one by one."""
        while self._most_memory:
            await asyncio.sleep(LOOK)
            for slot, worker in enumerate(self._slots):
                found = self._memory(worker.pid)
                if found <= self._most_memory or time.monotonic() - worker.started <= STEADY:
                    continue
                said = "worker %d has %d MiB of memory, %d are allowed: it is exchanged"
                log.warning(said, worker.pid, found // MIB, self._most_memory // MIB)
                if not await self._exchange(slot):
                    await asyncio.sleep(self._pauses[-1])
                elif (least := self._memory(self._slots[slot].pid)) > self._most_memory:
                    said = "a new worker has %d MiB at once: RECEIVER_WORKER_MEMORY is too low, and"
                    log.error(f"{said} given up until the next start", least // MIB)
                    self._most_memory = 0
                    break

    async def _exchange(self, slot: int) -> bool:
        async with self._exchanging:
            try:
                new = self._start(slot)
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
        step, excused = min(BEAT, self._hang / 4), 0.0
        while True:
            before = time.monotonic()
            await asyncio.sleep(step)
            now = time.monotonic()
            if now - before > step + HELD_UP:
                excused = now + self._hang
            for worker in list(self._workers):
                problem = worker.look(self._hang, self._stop_within)
                if problem and now >= excused:
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
    workers: Program,
    count: int,
    environ: Mapping[str, str],
    *,
    beside: Sequence[Program] = (),
    notice: float = 0.0,
    most_memory: int = 0,
    serving: Callable[[], None],
) -> int:
    """Serve with ``count`` processes, until SIGINT or SIGTERM.

    Parameters:
        workers: what they run.
        count: how many.
        environ: the variables that all get on top of the parent's.
        beside: of each of which one process is kept running in the same way.
        notice: seconds for which they serve on after a signal.
        most_memory: octets past which one is exchanged; 0 for no limit.
        serving: called when the first is ready.

    Returns:
        The exit status.
    """
    if most_memory and not resident(os.getpid()):
        log.warning("RECEIVER_WORKER_MEMORY counts for nothing: this system has no /proc")
    supervisor = Supervisor(
        workers.launch(environ, Passage.make()),
        count,
        beside=[one.launch(environ) for one in beside],
        notice=notice,
        most_memory=most_memory,
    )
    return asyncio.run(supervisor.run(serving))
