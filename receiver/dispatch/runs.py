"""Handlers that run, and those that run on although their caller could not wait.

Rule 1: every run has an owner, until it ends or is cancelled. A thread cannot be cancelled: it is
        watched, and its own end counts.
Rule 2: a handler that does not wait has answered when `Runs.start` returns.
Rule 3: a run that was handed over waits for its call to ask again, and no longer than `PATIENCE`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass

from receiver.actions import Action
from receiver.calls import Call
from receiver.contexts import Deadline
from receiver.dispatch.eager import Begun, begin, ended
from receiver.functions.attempts import Failed, at_once, attempt, settle
from receiver.functions.threads import Threads
from receiver.replies import Forward, Hangup, Repeat

PATIENCE = 60.0
"""Seconds for which a run that was handed over waits for its call."""

MOST_WAITING = 1000
"""Runs that wait for their call at once; past them the one that waits longest is cancelled."""

_FINAL = (Forward, Hangup, Repeat, Failed)  # anything else may have to be waited for

log = logging.getLogger("receiver")


@dataclass(slots=True, eq=False)
class Run:
    """A handler that was asked about ``call``.

    Attributes:
        deadline: when its answer must be ready.
        begun: gives what it returned, or `Failed`.
        thread: where it runs, if it is a plain function.
    """

    action: Action
    call: Call
    deadline: Deadline
    begun: Begun
    thread: Future[object] | None = None

    def cancel(self) -> None:
        """Does nothing to a run that is done."""
        if not self.begun.done():
            self.begun.task.cancel()

    async def wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """Until it ends, but no longer than until its deadline.

        As `asyncio.wait` does, which takes 5 µs more of every callback.
        """
        if self.begun.done():
            return
        waiter = loop.create_future()

        def wake(_: object = None) -> None:
            if not waiter.done():
                waiter.set_result(None)

        timer = loop.call_at(self.deadline.due, wake)
        self.begun.task.add_done_callback(wake)
        try:
            await waiter
        finally:
            timer.cancel()
            self.begun.task.remove_done_callback(wake)

    def report_late(self, clock: Callable[[], float]) -> None:
        """Log that it is late, and once it ends by how much."""
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
        threads: how many plain handlers may run at once.
    """

    def __init__(self, threads: int) -> None:
        self._threads = Threads(threads)
        self._tasks: set[asyncio.Task[object]] = set()
        self._at_once: Counter[str] = Counter()
        self._waiting: dict[Hashable, tuple[Run, asyncio.TimerHandle]] = {}

    def is_full(self, action: Action) -> bool:
        """Whether as many calls are with the handler as may be there at once."""
        return 0 < action.at_once <= self._at_once[action.identity]

    def start(
        self, action: Action, call: Call, deadline: Deadline, loop: asyncio.AbstractEventLoop
    ) -> Run:
        """Ask the handler; called in a task of ``loop``.

        Raises:
            queue.Full: it is a plain function, and no thread is free.
        """
        if action.manner == "at once":
            # In a context of its own: what it sets there is not for the next on this connection.
            result = copy_context().run(at_once, action.handler, call)
            if type(result) in _FINAL:
                return Run(action, call, deadline, ended(result))
            run = Run(action, call, deadline, begin(settle(lambda: result), loop))
        elif action.manner == "task":
            run = Run(action, call, deadline, begin(settle(action.handler, call), loop))
        else:
            thread = self._threads.submit(attempt, action.handler, call)
            waiting = begin(settle(asyncio.wrap_future, thread), loop)
            run = Run(action, call, deadline, waiting, thread)
        if not run.begun.done():
            self._own(run, loop)
        return run

    def hand_over(self, key: Hashable, run: Run) -> None:
        """Let it run on until the call at ``key`` asks again."""
        loop = asyncio.get_running_loop()
        self._give_up(key)  # of two requests at once only the later one is asked for again
        timer = loop.call_later(PATIENCE, self._give_up, key)
        self._waiting[key] = run, timer
        if len(self._waiting) > MOST_WAITING:
            self._give_up(next(iter(self._waiting)))

    def take_over(self, key: Hashable) -> Run | None:
        """The run that waits for the call at ``key``; None if none does."""
        run, timer = self._waiting.pop(key, (None, None))
        if timer is not None:
            timer.cancel()
        return run

    async def close(self) -> None:
        """Cancel what still runs and wait for it to end; threads that are stuck are left."""
        for key in list(self._waiting):
            self._give_up(key)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)
        self._threads.close()

    def _own(self, run: Run, loop: asyncio.AbstractEventLoop) -> None:
        """Hold it until it ends, and count it: a thread may outlast its task."""
        task, action = run.begun.task, run.action
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if not action.at_once:
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
            log.warning("%s: its call did not ask again", run.action.identity)
            run.cancel()
