"""How work is run once: a coroutine in the event loop, a plain function in a thread.

Rule 1: no more than `most` run at once; who waits between two tries is not counted.
Rule 2: whatever the work raises comes out as a value. The log gets what `describe` gives.
"""

from __future__ import annotations

import asyncio
import random
from contextvars import ContextVar
from queue import Full

from receiver.after.bodies import Work
from receiver.functions.attempts import Failed, attempt, describe, settle
from receiver.functions.manners import is_async
from receiver.functions.threads import Threads

idempotency_key: ContextVar[str] = ContextVar("idempotency_key")
"""The key of the durable job that runs; a LookupError outside of one."""


def backoff(tries: int, first: float, longest: float) -> float:
    """Seconds to wait after so many ``tries``: twice as long each time, less up to a half."""
    return random.uniform(0.5, 1) * min(longest, first * 2.0 ** (tries - 1))  # noqa: S311


class Runner:
    """Runs work, at most ``most`` at once, in as many threads.

    Parameters:
        most: see above.
        limit: seconds after which a coroutine is cancelled; a thread cannot be.
        log_caller_data: whether exceptions are logged with their text.
    """

    def __init__(
        self, most: int = 32, *, limit: float = 300, log_caller_data: bool = False
    ) -> None:
        self._slots = asyncio.Semaphore(most)
        self._threads = Threads(most)
        self._limit = limit
        self._log_caller_data = log_caller_data

    async def run(self, work: Work) -> Failed | None:
        """Run ``work`` when there is room; what it raised, if it did.

        If this is cancelled, so is a coroutine; a thread goes on.
        """
        async with self._slots:
            try:
                result = await (self._await(work) if is_async(work.function) else self._hand(work))
            except (asyncio.CancelledError, TimeoutError, Full) as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                return Failed(error)  # Full, or the work raised the other, or it took too long
        return result if isinstance(result, Failed) else None

    def describe(self, failed: Failed) -> str:
        """For the log."""
        return describe(failed.error, with_text=self._log_caller_data)

    def close(self) -> None:
        """Let idle threads end."""
        self._threads.close()

    async def _await(self, work: Work) -> object:
        async with asyncio.timeout(self._limit):
            return await settle(work.function, *work.args, **work.kwargs)

    async def _hand(self, work: Work) -> object:
        def run() -> object:
            return attempt(work.function, *work.args, **work.kwargs)

        return await settle(asyncio.wrap_future, self._threads.submit(run))
