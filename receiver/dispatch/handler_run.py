"""Running handlers, also those that continue after their deadline.

Rule 1: every run has an owner, until it ends or is cancelled. A thread cannot be cancelled: it is
        watched, and its own end counts.
Rule 2: a handler that does not wait has answered when `Runs.start` returns.
Rule 3: a run that was handed over waits for the next callback of its call, up to a time limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass

from receiver.call_context import Deadline
from receiver.calls import Call
from receiver.declarations.actions import Action
from receiver.dispatch.eager_task import EagerTask, begin, ended
from receiver.execution.guarded_call import Failed, attempt, settle
from receiver.execution.thread_pool import Threads
from receiver.replies import is_reply

WAIT_TIMEOUT = 60.0
"""Seconds for which a run that was handed over waits for the next callback of its call."""

MAX_WAITING = 1000
"""Runs that may wait; past them the one that has waited longest is cancelled."""

log = logging.getLogger("receiver")


@dataclass(slots=True, eq=False)
class Run:
    """The run of a handler for ``call``.

    Attributes:
        deadline: when its answer must be ready.
        begun: its task; the result is that of the handler, or `Failed`.
        thread: its thread, if it is a plain function.
        is_cancelled: whether the task of its request was cancelled.
    """

    action: Action
    call: Call
    deadline: Deadline
    begun: EagerTask[object]
    thread: Future[object] | None = None
    is_cancelled: bool = False
    _owner: set[asyncio.Task[object]] | None = None
    _callback: Callable[[], object] | None = None
    _timer: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        """Cancel the run, unless it is done."""
        if not self.begun.done():
            self.begun.task.cancel()

    def keep_in(self, owner: set[asyncio.Task[object]]) -> None:
        """Keep a reference to the task in ``owner`` until it ends."""
        self._owner = owner
        owner.add(self.begun.task)
        self.begun.task.add_done_callback(self._on_end)

    def notify(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
        """Call ``callback`` once, when the handler ends or at the deadline."""
        self._callback = callback
        if self.begun.done():  # meanwhile
            loop.call_soon(self._on_time)
        else:
            self._timer = loop.call_at(self.deadline.due, self._on_time)

    async def wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for the handler's end or the deadline; if cancelled, cancel the handler."""
        if self.begun.done():
            return
        waiter = loop.create_future()

        def wake() -> None:
            if not waiter.done():
                waiter.set_result(None)

        self.notify(loop, wake)
        try:
            await waiter
        except BaseException:
            self.is_cancelled = True
            self.cancel()
            raise

    def _on_end(self, task: asyncio.Task[object]) -> None:
        if self._owner is not None:
            self._owner.discard(task)
        if self._timer is not None:
            self._timer.cancel()
        self._on_time()

    def _on_time(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()

    def report_late(self, clock: Callable[[], float]) -> None:
        """Log that the handler is late, and by how much after its end."""
        due, identity = clock(), self.action.identity
        log.error("%s is late: the caller got the fallback", identity)

        def report(ended: asyncio.Task[object] | Future[object]) -> None:
            if not ended.cancelled():
                after = (clock() - due) * 1000
                log.warning("%s ended %.0f ms after its answer was due", identity, after)

        # A thread cannot be cancelled: its own end counts, not that of the task that waited.
        (self.thread or self.begun.task).add_done_callback(report)


class Runs:
    """Owner of all running handlers of an app.

    Parameters:
        threads: the most plain handlers that run at the same time.
        wait_timeout, max_waiting: see `WAIT_TIMEOUT` and `MAX_WAITING`.
    """

    def __init__(
        self,
        threads: int,
        *,
        wait_timeout: float = WAIT_TIMEOUT,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._wait_timeout, self._max_waiting = wait_timeout, max_waiting
        self._threads = Threads(threads)
        self._tasks: set[asyncio.Task[object]] = set()
        self._at_once: Counter[str] = Counter()
        self._waiting: dict[Hashable, tuple[Run, asyncio.TimerHandle]] = {}

    def is_full(self, action: Action) -> bool:
        """Return whether the handler runs for as many calls as its limit allows."""
        return 0 < action.max_concurrency <= self._at_once[action.identity]

    def start(
        self, action: Action, call: Call, deadline: Deadline, loop: asyncio.AbstractEventLoop
    ) -> Run:
        """Run a handler that may wait; called in a task of ``loop``.

        Raises:
            queue.Full: it is a plain function, and no thread is free.
        """
        if action.manner == "task":
            run = Run(action, call, deadline, begin(settle(action.handler, call), loop))
        else:
            thread = self._threads.submit(attempt, action.handler, call)
            waiting = begin(settle(asyncio.wrap_future, thread), loop)
            run = Run(action, call, deadline, waiting, thread)
        if not run.begun.done():
            self._own(run, loop)
        return run

    def settled(
        self,
        action: Action,
        call: Call,
        deadline: Deadline,
        loop: asyncio.AbstractEventLoop,
        result: object,
    ) -> Run:
        """Return the run of a handler that returned ``result``, which may be awaitable."""
        if is_reply(result) or type(result) is Failed:  # anything else may be an awaitable
            return Run(action, call, deadline, ended(result))
        run = Run(action, call, deadline, begin(settle(lambda: result), loop))
        if not run.begun.done():
            self._own(run, loop)
        return run

    def hand_over(self, key: Hashable, run: Run) -> None:
        """Let the run continue until the next callback of the call at ``key``."""
        loop = asyncio.get_running_loop()
        self._give_up(key)  # of two concurrent requests only the later one has a next callback
        timer = loop.call_later(self._wait_timeout, self._give_up, key)
        self._waiting[key] = run, timer
        if len(self._waiting) > self._max_waiting:
            self._give_up(next(iter(self._waiting)))

    def take_over(self, key: Hashable) -> Run | None:
        """Return the run that continued for the call at ``key``; None for none."""
        run, timer = self._waiting.pop(key, (None, None))
        if timer is not None:
            timer.cancel()
        return run

    async def close(self) -> None:
        """Cancel the running handlers and wait for their end; blocked threads are left."""
        for key in list(self._waiting):
            self._give_up(key)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)
        self._threads.close()

    def _own(self, run: Run, loop: asyncio.AbstractEventLoop) -> None:
        """Keep and count the run until it ends: a thread may outlast its task."""
        run.keep_in(self._tasks)
        task, action = run.begun.task, run.action
        if not action.max_concurrency:
            return
        self._at_once[action.identity] += 1

        def leave(_: object) -> None:
            self._at_once[action.identity] -= 1

        def leave_thread(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(leave, None)

        if run.thread is None:
            task.add_done_callback(leave)
        else:
            run.thread.add_done_callback(leave_thread)

    def _give_up(self, key: Hashable) -> None:
        if (run := self.take_over(key)) is not None:
            log.warning(
                "%s: late result discarded, the call sent no further callback", run.action.identity
            )
            run.cancel()
