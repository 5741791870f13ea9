"""Run a job once: a coroutine in the event loop, a plain function in a thread.

Rule 1: at most ``max_concurrency`` run at once; a job that waits between two tries does not count.
Rule 2: an exception of the job is returned as a value; the log gets the text of `describe`.
"""

from __future__ import annotations

import asyncio
import random
from contextvars import ContextVar
from functools import partial
from queue import Full

from receiver.background.job_codec import Work
from receiver.execution.guarded_call import Failed, attempt, describe, settle
from receiver.execution.kinds import is_async
from receiver.execution.thread_pool import Threads

idempotency_key: ContextVar[str] = ContextVar("idempotency_key")
"""The key of the durable job that runs; a LookupError outside of one."""


def backoff(tries: int, first: float, longest: float) -> float:
    """Return the seconds to wait after this many ``tries``: exponential, with jitter of a half."""
    return random.uniform(0.5, 1) * min(longest, first * 2.0 ** (tries - 1))  # noqa: S311


class Runner:
    """Runs jobs in the event loop and in threads.

    Parameters:
        max_concurrency: jobs that run at once, and threads.
        limit: seconds after which a coroutine is cancelled; a thread cannot be.
        log_caller_data: whether exceptions are logged with their text.
    """

    def __init__(
        self, max_concurrency: int = 32, *, limit: float = 300, log_caller_data: bool = False
    ) -> None:
        self._slots = asyncio.Semaphore(max_concurrency)
        self._threads = Threads(max_concurrency)
        self._limit = limit
        self._log_caller_data = log_caller_data

    async def run(self, work: Work) -> object:
        """Run ``work`` once a slot is free; return what it returns, or `Failed` if it raises.

        If this is cancelled, so is a coroutine; a thread continues.
        """
        async with self._slots:
            try:
                return await (self._await(work) if is_async(work.function) else self._hand(work))
            except (asyncio.CancelledError, TimeoutError, Full) as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                return Failed(error)  # Full, or the work raised the other, or it took too long

    def describe(self, failed: Failed, work: object) -> str:
        """Return what ``work`` raised, for the log."""
        sensitive = isinstance(work, Work) and work.sensitive
        return describe(failed.error, with_text=self._log_caller_data and not sensitive)

    def close(self) -> None:
        """End idle threads."""
        self._threads.close()

    async def _await(self, work: Work) -> object:
        async with asyncio.timeout(self._limit):
            return await settle(work.function, *work.args, **work.kwargs)

    async def _hand(self, work: Work) -> object:
        run = partial(attempt, work.function, *work.args, **work.kwargs)
        return await settle(asyncio.wrap_future, self._threads.submit(run))
