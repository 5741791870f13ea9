"""A bounded thread pool for plain handlers only.

The standard library's pool joins its threads when the process ends, so one handler that blocks
forever would keep the service from stopping. These are daemon threads, and a full queue raises
`queue.Full` instead of growing.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Queue
from typing import Any, TypeVar

T = TypeVar("T")


class Threads:
    """Runs functions in at most ``max_threads`` threads; up to four times as many may wait.

    Threads are started as they are needed, and kept.
    """

    def __init__(self, max_threads: int = 32) -> None:
        self._max_threads = max_threads
        self._queue: Queue[Callable[[], None] | None] = Queue(maxsize=4 * max_threads)
        self._idle = threading.Semaphore(0)
        self._started = 0

    def submit(self, function: Callable[..., T], *args: Any) -> Future[T]:
        """Run ``function(*args)`` in a thread, with the context of the caller.

        Called from one thread only, that of the event loop.

        Raises:
            queue.Full: all threads are busy and the queue is full.
        """
        future: Future[T] = Future()
        context = contextvars.copy_context()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(context.run(function, *args))
            except BaseException as error:  # SystemExit too: it must not end a thread unseen
                future.set_exception(error)

        self._queue.put_nowait(job)
        if not self._idle.acquire(blocking=False) and self._started < self._max_threads:
            self._started += 1
            threading.Thread(target=self._work, name="receiver-handler", daemon=True).start()
        return future

    def close(self) -> None:
        """End idle threads; a blocked one ends with the process."""
        for _ in range(min(self._started, self._queue.maxsize - self._queue.qsize())):
            self._queue.put_nowait(None)
        self._started = 0

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            job()
            del job  # an idle thread must not keep the data of the last call
            self._idle.release()
