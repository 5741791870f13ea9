"""Starts, watches, replaces and reloads worker processes.

Rule 1: the parent binds the port, runs no code of the app, and closes the port first when the
        service stops: connections wait in the accept queue while a worker is replaced, and are
        refused once the last worker accepts no more.
Rule 2: a worker without a heartbeat for `HANG_TIMEOUT` seconds is killed. A worker that has ended
        is replaced: immediately if it had served for `MIN_UPTIME` seconds, otherwise after a delay
        that doubles.
Rule 3: the first worker starts alone. If it fails, the service ends with its exit status; it also
        ends if no worker serves and the last `MAX_FAILED_STARTS` starts failed.
Rule 4: on SIGHUP, or above the memory limit, workers are replaced one at a time: an old worker
        stops when the new one serves. If the new one does not start, the old ones stay. Another
        SIGHUP restarts the reload.
Rule 5: when the service stops, workers whose event loop is blocked stop first and hand their
        connections over to the others.

`uvicorn.supervisors.Multiprocess` does not meet these rules: a thread answers its health check, so
a blocked event loop looks healthy; a restart blocks that check; crash loops have no backoff.

POSIX only, as `receiver.server.worker` is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Sequence

from receiver.server.worker import GRACE_PERIOD, HEARTBEAT, Worker, resident

HANG_TIMEOUT = 5.0
"""Seconds without a heartbeat after which a worker is killed."""

MAX_PARENT_DELAY = 1.0
"""Seconds by which the parent itself may be late. Beyond them the machine was suspended, and
workers get another `HANG_TIMEOUT` seconds for their next heartbeat."""

STOP_TIMEOUT = GRACE_PERIOD + 25.0
"""Seconds in which a worker must stop: for calls in progress and their background jobs."""

MIN_UPTIME = 10.0
"""Seconds of serving after which a worker's start counts as successful."""

RESTART_DELAYS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before the next start, by the number of unsuccessful starts in a row."""

MAX_FAILED_STARTS = 3
"""Failed starts in a row after which the service ends if no worker serves."""

MEMORY_INTERVAL = 1.0  # seconds between two checks of the workers' memory
MIB = 1024 * 1024

log = logging.getLogger("receiver")
Start = Callable[[int], Awaitable[Worker]]  # see `receiver.server.worker.Program.start`


class Supervisor:
    """Keeps ``count`` workers running, which ``start`` starts.

    Parameters:
        beside: start other processes, such as a guard; one of each is kept running.
        notice: seconds for which a worker continues to serve after a signal.
        hang, pauses, steady, memory_interval: in seconds, see the constants above.
        max_memory: octets above which a worker is replaced; 0 for no limit. A limit that a new
            worker exceeds at its start is dropped; otherwise replacing would never end.
        memory: returns the memory of a process in octets.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        start: Start,
        count: int,
        *,
        beside: Sequence[Start] = (),
        notice: float = 0.0,
        hang: float = HANG_TIMEOUT,
        pauses: Sequence[float] = RESTART_DELAYS,
        max_memory: int = 0,
        memory: Callable[[int], int] = resident,
        min_uptime: float = MIN_UPTIME,
        memory_interval: float = MEMORY_INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._starts = [*[start] * count, *beside]  # by slot
        self._count = count
        self._stop_within = notice + STOP_TIMEOUT
        self._hang = hang
        self._pauses = pauses
        self._max_memory = max_memory
        self._memory = memory
        self._min_uptime = min_uptime
        self._memory_interval = memory_interval
        self._clock = clock
        self._memory_from = 0.0
        self._launched = self._failed_starts = self._status = 0
        self._workers: list[Worker] = []  # all that have not ended, as far as known
        self._slots: list[Worker] = []  # those that serve
        self._stopping = asyncio.Event()
        self._reloads = asyncio.Event()
        self._on_stop: Callable[[], object] = bool

    async def run(
        self, on_ready: Callable[[], object] = bool, on_stop: Callable[[], object] = bool
    ) -> int:
        """Run until SIGTERM or SIGINT; return the exit status.

        The status is 0; that of the first worker if it did not start; or 1 if no later one did.

        Parameters:
            on_ready: called when the first worker serves.
            on_stop: called when the workers begin to stop.
        """
        loop, self._on_stop = asyncio.get_running_loop(), on_stop
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        tasks = [loop.create_task(self._watch())]
        try:
            first = await self._start(0)
            await first_of(first.is_ready, first.is_gone)
            if first.is_gone.is_set():
                return 0 if self._stopping.is_set() else abs(first.status) or 1
            on_ready()
            self._slots = [first]
            for slot in range(1, len(self._starts)):
                if self._stopping.is_set():
                    break
                self._slots.append(await self._start(slot))
            tasks += [loop.create_task(self._keep(slot)) for slot in range(len(self._slots))]
            tasks.append(loop.create_task(self._renew()))
            await self._stopping.wait()
            for task in tasks[1:]:
                task.cancel()
            await self._all_gone()
            return self._status
        finally:
            for task in tasks:
                task.cancel()
            for worker in self._workers:
                worker.kill()
            await self._all_gone()

    def stop(self) -> None:
        """Stop all workers; the second time end them."""
        if self._stopping.is_set():
            for worker in self._workers:
                worker.kill()
        self._stopping.set()
        self._on_stop()
        self._stop_workers()

    def reload(self) -> None:
        """Replace the workers one by one, for new code."""
        self._reloads.set()

    def _stop_workers(self) -> None:
        """Stop the workers; if the event loops of some are blocked, stop only these, see rule 5."""
        for worker in [one for one in self._workers if one.is_blocked] or self._workers:
            worker.stop()

    async def _all_gone(self) -> None:
        await asyncio.gather(*(worker.is_gone.wait() for worker in self._workers))

    async def _start(self, slot: int) -> Worker:
        self._launched += 1
        while True:
            if self._stopping.is_set():  # the listener is closed: wait to be cancelled
                await asyncio.get_running_loop().create_future()
            try:
                worker = await self._starts[slot](self._launched)
                break
            except OSError as error:  # memory, processes or descriptors are short
                if len(self._slots) < len(self._starts):
                    raise
                log.error("no worker can be started: %s", error.strerror)
                await asyncio.sleep(self._pauses[-1] / 10)
        self._workers.append(worker)
        if self._stopping.is_set():  # the others were stopped before this one started
            worker.stop()
        return worker

    async def _keep(self, slot: int) -> None:
        """Replace the worker of a slot when it has ended."""
        bad = 0
        while True:
            worker = self._slots[slot]
            await worker.is_gone.wait()
            if self._slots[slot] is not worker:
                bad = 0
                continue  # it was reloaded
            ended = _ending(worker.status)
            if slot < self._count and self._none_can_start(worker):
                text = "no worker serves and the last %d did not start (%s): the service ends; the"
                log.error(f"{text} log above says why", MAX_FAILED_STARTS, ended)
                self._status = 1
                self.stop()
                return
            bad = 1 if self._clock() - worker.started > self._min_uptime else bad + 1
            pause = self._pauses[min(bad, len(self._pauses)) - 1]
            when = f"in {pause:g} s" if pause else "at once"
            log.error("worker %d exited (%s): it is replaced %s", worker.pid, ended, when)
            await asyncio.sleep(pause)
            if self._slots[slot] is worker:
                new = await self._start(slot)
                if self._slots[slot] is worker:
                    self._slots[slot] = new
                else:  # a reload was faster
                    new.retire()

    def _none_can_start(self, gone: Worker) -> bool:
        self._failed_starts = 0 if gone.is_ready.is_set() else self._failed_starts + 1
        workers = self._slots[: self._count]
        serves = any(one.is_ready.is_set() and not one.is_gone.is_set() for one in workers)
        return self._failed_starts >= MAX_FAILED_STARTS and not serves

    async def _renew(self) -> None:
        """Replace workers: all on SIGHUP, or those with too much memory."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._memory_interval if self._max_memory else None):
                    await self._reloads.wait()
            if self._reloads.is_set():
                self._reloads.clear()
                log.info("reloading: the workers are replaced one by one")
                for slot in range(len(self._slots)):
                    if not await self._exchange(slot):
                        break
                else:
                    log.info("reloaded")
            elif self._clock() >= self._memory_from:
                await self._limit_memory()

    async def _limit_memory(self) -> None:
        for slot, worker in enumerate(self._slots):
            used, most = self._memory(worker.pid), self._max_memory
            if used <= most or self._clock() - worker.started <= self._min_uptime:
                continue
            text = "worker %d uses %d MiB of memory, the limit is %d: it is replaced"
            log.warning(text, worker.pid, used // MIB, most // MIB)
            if not await self._exchange(slot):
                self._memory_from = self._clock() + self._pauses[-1]
                return
            if (least := self._memory(self._slots[slot].pid)) > most:
                text = "a new worker uses %d MiB: RECEIVER_WORKER_MEMORY is too low, and ignored"
                log.error(f"{text} until the next start", least // MIB)
                self._max_memory = 0
                return

    async def _exchange(self, slot: int) -> bool:
        """Return whether it succeeded and no other SIGHUP came meanwhile."""
        new = await self._start(slot)
        await first_of(new.is_ready, new.is_gone, self._reloads)
        if new.is_ready.is_set() and not new.is_gone.is_set():
            old, self._slots[slot] = self._slots[slot], new
            old.retire()
            await first_of(old.is_gone, self._reloads)
            return not self._reloads.is_set()
        new.kill()
        if not self._reloads.is_set():
            log.error("reload failed, the new code does not start: the old workers stay")
        return False

    async def _watch(self) -> None:
        """Kill workers that hang, and stop those that could not be stopped at once."""
        step, excused = min(HEARTBEAT, self._hang / 4), 0.0
        while True:
            before = self._clock()
            await asyncio.sleep(step)
            now = self._clock()
            if now - before > step + MAX_PARENT_DELAY:
                excused = now + self._hang
            self._workers = [worker for worker in self._workers if not worker.is_gone.is_set()]
            for worker in self._workers:
                if (problem := worker.problem(self._hang, self._stop_within)) and now >= excused:
                    log.error("worker %d %s and is killed", worker.pid, problem)
                    worker.kill()
            if self._stopping.is_set():
                self._stop_workers()


async def first_of(*events: asyncio.Event) -> None:
    """Wait until one of ``events`` is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _ending(status: int) -> str:
    """Return the exit status of a process, or the name of the signal that ended it."""
    try:
        return signal.Signals(-status).name if status < 0 else f"status {status}"
    except ValueError:
        return f"signal {-status}"
