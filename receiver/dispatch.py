"""Runs a handler inside its deadline; whatever it does, a reply comes out.

Rule 1: the deadline counts from the arrival of the request and comes from the ``request_timeout``
        that is registered on the PBX, less a margin for the way back.
Rule 2: late, raised, nonsense or no thread free: the action's fallback, else the PBX's, else
        the app's.
Rule 3: every task has an owner; what is late is cancelled, or watched if it cannot be.
Rule 4: what a handler raised is logged as `receiver.attempts` says.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Full
from typing import Literal

from receiver.actions import Action
from receiver.attempts import Failed, attempt, describe, is_async, settle
from receiver.calls import Call
from receiver.replies import Reply
from receiver.threads import Threads

MARGIN = 0.5
"""Seconds of the PBX's ``request_timeout`` that are kept for the way there and back."""

Reason = Literal["handled", "late", "raised", "invalid", "shed"]
"""Why the caller gets this reply; all but the first mean the fallback."""

log = logging.getLogger("receiver")


@dataclass(frozen=True, slots=True)
class Decision:
    """What the PBX is told, and why."""

    reply: Reply
    reason: Reason


class Dispatcher:
    """Owner of all running handlers of an app.

    Parameters:
        fallback: the reply of actions that have no fallback of their own.
        fallbacks: by the label of a PBX, what counts there instead of ``fallback``.
        margin: seconds, see `MARGIN`.
        threads: how many plain handlers may run at once.
        log_caller_data: whether exceptions are logged with their text.
    """

    def __init__(
        self,
        fallback: Reply,
        *,
        fallbacks: Mapping[str, Reply] | None = None,
        margin: float = MARGIN,
        threads: int = 32,
        log_caller_data: bool = False,
    ) -> None:
        self._fallback = fallback
        self._fallbacks = fallbacks or {}
        self._margin = margin
        self._threads = Threads(threads)
        self._log_caller_data = log_caller_data
        self._tasks: set[asyncio.Task[object]] = set()

    def deadline(self, action: Action, arrived: float) -> float:
        """When the answer to a request that ``arrived`` then must be ready (the loop's time)."""
        return arrived + action.request_timeout - self._margin

    def fallback(self, action: Action, reason: Reason) -> Decision:
        """What is answered when the handler cannot be asked, or gave no answer."""
        of_pbx = self._fallbacks.get(action.pbx, self._fallback)
        return Decision(of_pbx if action.fallback is None else action.fallback, reason)

    async def decide(self, action: Action, call: Call, arrived: float) -> Decision:
        """Ask the action's handler, and give its reply or a fallback before the deadline."""
        loop = asyncio.get_running_loop()
        if self.deadline(action, arrived) <= loop.time():
            log.error("%s was not asked: the request came too late", action.identity)
            return self.fallback(action, "late")
        try:
            run = self._start(action, call)
        except Full:
            log.error("%s shed: all threads for plain handlers are busy", action.identity)
            return self.fallback(action, "shed")
        try:
            wait = self.deadline(action, arrived) - loop.time()
            await asyncio.wait({run.task}, timeout=max(wait, 0))
        finally:
            run.task.cancel()  # does nothing to a task that is done
        if not run.task.done():
            self._report_late(action, run, loop.time())
            return self.fallback(action, "late")
        return self._judge(action, run.task)

    async def close(self) -> None:
        """Cancel what still runs and wait for it to end; threads that are stuck are left."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)
        self._threads.close()

    def _start(self, action: Action, call: Call) -> _Run:
        thread: Future[object] | None = None
        if is_async(action.handler):
            task = asyncio.create_task(settle(action.handler, call))
        else:
            thread = self._threads.submit(attempt, action.handler, call)
            task = asyncio.create_task(settle(asyncio.wrap_future, thread))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return _Run(task, thread)

    def _judge(self, action: Action, task: asyncio.Task[object]) -> Decision:
        if task.cancelled():
            log.error("%s raised CancelledError", action.identity)
            return self.fallback(action, "raised")
        result = task.result()
        if isinstance(result, Failed):
            error = describe(result.error, with_text=self._log_caller_data)
            log.error("%s raised %s", action.identity, error)
            return self.fallback(action, "raised")
        if not isinstance(result, Reply):
            kind = type(result).__name__
            log.error("%s returned %s, not Forward(…), Hangup() or Repeat()", action.identity, kind)
            return self.fallback(action, "invalid")
        return Decision(result, "handled")

    def _report_late(self, action: Action, run: _Run, due: float) -> None:
        log.error("%s is late: the caller got the fallback", action.identity)
        clock = asyncio.get_running_loop().time

        def report(ended: asyncio.Task[object] | Future[object]) -> None:
            if not ended.cancelled():
                after = (clock() - due) * 1000
                log.warning("%s ended %.0f ms after its answer was due", action.identity, after)

        # A thread cannot be cancelled: its own end counts, not that of the task that waited.
        (run.task if run.thread is None else run.thread).add_done_callback(report)


@dataclass(frozen=True, slots=True)
class _Run:
    task: asyncio.Task[object]
    thread: Future[object] | None
