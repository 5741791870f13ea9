"""Work in this process: it runs once the answer is on its way, and ends with the process.

Rule 1: every task has an owner; at most `MOST` wait or run. What comes beyond is dropped with a
        line in the log: the callback neither waits for it nor fails.
Rule 2: what fails is tried `TRIES` times; the failure that remains is logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from functools import partial

from tenacity import AsyncRetrying, RetryCallState
from tenacity.retry import retry_if_result
from tenacity.stop import stop_after_attempt

from receiver.after.bodies import Work, name_of
from receiver.after.running import Runner, backoff
from receiver.functions.attempts import Failed

MOST = 10_000
"""Pieces of work that wait or run at once."""

TRIES = 5
FIRST, LONGEST = 0.5, 30.0  # seconds between two tries

log = logging.getLogger("receiver")


class Soon:
    """Owner of the work that this process has accepted.

    Parameters:
        runner: runs it.
        sleep: waits between two tries, for seconds.
        most: see `MOST`.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        sleep: Callable[[float], Awaitable[None]],
        most: int = MOST,
    ) -> None:
        self._runner = runner
        self._most = most
        self._closing = False
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._retrying = AsyncRetrying(
            sleep=sleep,
            stop=stop_after_attempt(TRIES),
            wait=_wait,
            retry=retry_if_result(lambda result: isinstance(result, Failed)),
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )

    def start(self, work: Work, context: Context) -> None:
        """Run ``work`` from now on, in ``context``; called in the event loop's thread."""
        name = name_of(work.function)
        if self._closing or len(self._tasks) >= self._most:
            why = "the service ends" if self._closing else f"{self._most} others wait already"
            log.error("%s is dropped: %s", name, why)
            return
        task = asyncio.get_running_loop().create_task(self._run(work, name), context=context)
        self._tasks[task] = name
        task.add_done_callback(self._tasks.pop)

    async def close(self, limit: float) -> None:
        """Wait up to ``limit`` seconds for the work; then cancel it, and log what that was."""
        self._closing = True
        if not self._tasks:
            return
        _, left = await asyncio.wait(self._tasks, timeout=limit)
        for task in left:
            log.error("%s is left undone: the service ends", self._tasks[task])
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=1)

    async def _run(self, work: Work, name: str) -> None:
        failed: object = await self._retrying.copy()(partial(self._runner.run, work))
        if isinstance(failed, Failed):
            what = self._runner.describe(failed)
            log.error("%s failed for good after %d tries: %s", name, TRIES, what)


def _wait(state: RetryCallState) -> float:
    return backoff(state.attempt_number, FIRST, LONGEST)
