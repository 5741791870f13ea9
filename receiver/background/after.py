"""Background jobs of a call: ``call.after``.

Rule 1: the jobs of a call start when its answer is sent. `After` holds them until then; the code
        that sends the answer releases them, for any answer.
Rule 2: ``call.after(function, …)`` costs the callback nothing and never fails it. Such a job ends
        with the process: shutdown waits for it, a kill loses it.
Rule 3: ``await call.after.durably(function, …)`` returns once the job is stored, so that a kill
        does not lose it, or raises `AfterError` after `ACCEPT_TIMEOUT` seconds at the latest. The
        job runs at least once, in any worker, and perhaps before the caller was answered. In a
        handler's thread the same without ``await``.
Rule 4: a durable job that an async handler does not await is stored anyway; a log line, one
        for each function, says that ``await`` is missing.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec

from receiver.background.in_process import IN_PROCESS, MAX_JOBS, InProcessJobs
from receiver.background.job_codec import Work, check_function, name_of, read, write
from receiver.background.job_worker import DURABLE, JobWorker, Policy
from receiver.background.runner import Runner
from receiver.call_context import Acceptance
from receiver.credentials import Secret, derive_key
from receiver.execution.to_thread import LoopUnavailable, in_loop
from receiver.storage.breaker import StoreError
from receiver.storage.job_queue import AfterError, JobQueue

ACCEPT_TIMEOUT = 0.2
"""Seconds in which the queue must accept a durable job; the PBX gives up after about two."""

_LOOP_TIMEOUT = 1.0  # seconds that a thread waits for the event loop

log = logging.getLogger("receiver")

P = ParamSpec("P")
_Accept = Callable[[float], Awaitable[bool]]


class BackgroundJobs:
    """All background jobs of this process; made and used in the event loop's thread.

    Parameters:
        jobs: the durable queue (see `receiver.background.open_jobs`), closed with this; None for
            none.
        secret: the service secret; what is signed with another one is not run.
        max_concurrency: jobs that run at once, and threads for plain functions.
        waiting: jobs of this process that may wait or run.
        limit: seconds after which a coroutine is cancelled and counts as failed.
        accept_limit: see `ACCEPT_TIMEOUT`.
        durable, in_process: how the jobs of the two queues are run.
        log_caller_data: whether exceptions are logged with their text.
        clock: seconds since the epoch, for the durable queue.
        monotonic: in seconds, for the queue in memory.

    Attributes:
        declared: functions that durable jobs find by their names, without importing them.
    """

    def __init__(
        self,
        jobs: JobQueue[str] | None,
        secret: Secret,
        *,
        max_concurrency: int = 32,
        waiting: int = MAX_JOBS,
        limit: float = 300,
        accept_limit: float = ACCEPT_TIMEOUT,
        durable: Policy = DURABLE,
        in_process: Policy = IN_PROCESS,
        log_caller_data: bool = False,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jobs = jobs
        self._seal = derive_key(secret, "after", "jobs")
        self._accept_limit = accept_limit
        self._clock = clock
        self._lock = threading.Lock()  # of all calls: it is held for a moment only
        self._runner = Runner(max_concurrency, limit=limit, log_caller_data=log_caller_data)
        self._in_process = InProcessJobs(
            self._runner, in_process, clock=monotonic, max_claimed=max_concurrency, waiting=waiting
        )
        self.declared: dict[str, Callable[..., object]] = {}
        self._storing, self._unawaited = set[asyncio.Task[bool]](), set[str]()
        self._worker: JobWorker[str] | None = None
        if jobs is not None:
            self._worker = JobWorker(
                jobs,
                self._runner,
                durable,
                lambda job: read(self._seal, job.key, job.body, self.declared),
                clock=clock,
                max_claimed=max(max_concurrency // 2, 1),
            )

    def start(self) -> None:
        """Start to run the jobs in the queue, also those of earlier processes."""
        if self._worker:
            self._worker.start()

    def of_call(
        self,
        loop: asyncio.AbstractEventLoop | None = None,
        thread: int | None = None,
        *,
        sensitive: bool = False,
    ) -> After:
        """Return ``call.after`` for one call.

        Parameters:
            loop: in which the call is answered; by default the running one.
            thread: that of ``loop``; by default the one that calls.
            sensitive: whether the log never has the text of an exception.
        """
        thread = thread or threading.get_ident()
        return After(self, loop or asyncio.get_running_loop(), thread, self._lock, sensitive)

    def soon(self, work: Work) -> None:
        """Run ``work`` in this process, from now on."""
        self._in_process.start(work)

    def keep(self, work: Work, key: str, limit: float = 0.0) -> Coroutine[Any, Any, bool]:
        """Put ``work`` into the durable queue; parameters and errors as for `After.durably`.

        What is wrong with ``work`` is raised at once. ``limit``: seconds; 0 as for a callback.
        """
        name, jobs, worker = name_of(work.function), self._jobs, self._worker
        if jobs is None or worker is None:
            raise AfterError(f"{name} was not accepted: this service has no durable queue")
        body = write(self._seal, key, work, self.declared)
        return self._keep(name, partial(jobs.accept, key, body), worker, limit)

    async def _keep(self, name: str, accept: _Accept, worker: JobWorker[str], limit: float) -> bool:
        try:
            async with asyncio.timeout(limit or self._accept_limit):
                accepted = await accept(self._clock())
        except (StoreError, TimeoutError) as error:
            reason = str(error) if isinstance(error, StoreError) else type(error).__name__
            log.error("%s was not accepted: the durable queue is unavailable (%s)", name, reason)
            raise AfterError(f"{name} was not accepted ({reason})") from None
        if accepted:
            worker.wake()
        else:
            log.info("%s is a duplicate by its key: it is not run again", name)
        return accepted

    def begin_to_keep(self, work: Work, key: str) -> asyncio.Task[bool]:
        """Begin `keep` now, awaited or not; in the event loop's thread."""
        task = asyncio.get_running_loop().create_task(self.keep(work, key))
        self._storing.add(task)
        task.add_done_callback(self._stored)
        return task

    def _stored(self, task: asyncio.Task[bool]) -> None:
        self._storing.discard(task)
        if not task.cancelled():
            task.exception()  # `keep` has logged it: asyncio need not, without await

    def report_unawaited(self, function: Callable[..., object]) -> None:
        """Log once for each function that a handler does not await its durable job."""
        name = name_of(function)
        if name not in self._unawaited:
            self._unawaited.add(name)
            log.warning(
                "call.after.durably(%s, …) is not awaited: it is stored, but perhaps after the "
                "answer, and the handler gets no error. Write: await call.after.durably(…)",
                name,
            )

    async def idle(self) -> None:
        """Wait until no job of this process is due or runs."""
        await self._in_process.idle()
        await (self._worker.idle() if self._worker else asyncio.sleep(0))

    async def close(self, limit: float) -> None:
        """Wait up to ``limit`` seconds for the jobs, log lost ones, and close.

        Durable jobs in progress are returned to the queue; plain functions that still run are done
        again when their lease is over.
        """
        if self._storing:
            await asyncio.wait(self._storing, timeout=limit)
        closing = [self._in_process.close(limit)]
        if self._worker:
            closing.append(self._worker.close(limit))
        await asyncio.gather(*closing)
        self._runner.close()
        if self._jobs is not None:
            try:
                async with asyncio.timeout(1):
                    await self._jobs.close()
            except Exception as error:  # the process ends anyway
                log.warning("the durable queue did not close: %s", type(error).__name__)


class After:
    """``call.after``: the background jobs of one call. Any thread may use it."""

    __slots__ = ("_accepted", "_held", "_lock", "_loop", "_owner", "_sensitive", "_thread")

    def __init__(
        self,
        owner: BackgroundJobs,
        loop: asyncio.AbstractEventLoop,
        thread: int,
        lock: threading.Lock,
        sensitive: bool = False,
    ) -> None:
        self._owner = owner
        self._loop = loop
        self._thread = thread
        self._lock = lock
        self._sensitive = sensitive
        self._accepted: list[tuple[Acceptance, Callable[..., object]]] = []
        self._held: list[Work] | None = []

    def __call__(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call ``function`` with these arguments after the answer was sent.

        It may be async or plain; a failure is tried again a few times and then logged.

        Raises:
            TypeError: ``function`` is not callable.
        """
        check_function(function)
        work = Work(function, args, kwargs, copy_context(), self._sensitive)
        with self._lock:
            if self._held is not None:
                self._held.append(work)
                return
        try:
            self._loop.call_soon_threadsafe(self._owner.soon, work)
        except RuntimeError:  # the loop is closed
            log.error("%s is dropped: the service has ended", name_of(function))

    def durably(
        self,
        function: Callable[..., object],
        *args: object,
        idempotency_key: str = "",
        **kwargs: object,
    ) -> Acceptance:
        """Run ``function`` at least once, even if this process is killed.

        In the event loop's thread the result is to be awaited; in any other thread, such as that
        of a plain handler, the job is stored when this returns.

        Parameters:
            function: async or plain, at the top of a module. If it takes ``idempotency_key``, it
                gets it; else it finds it in `receiver.background.idempotency_key`. Both runs of a
                job that runs twice have the same key.
            args, kwargs: made of str, int, float, bool, None, list and dict only.
            idempotency_key: identifies this job, such as the session and the purpose; at most 500
                characters. Random if empty.

        Returns:
            Whether it was accepted; False marks a duplicate: the key is taken, by a job that is
            open or dead, or was done within a day.

        Raises:
            AfterError: it was not accepted, or not within `ACCEPT_TIMEOUT` seconds.
            TypeError, ValueError: the function or the arguments cannot be stored.
        """
        if len(idempotency_key) > 500:
            raise ValueError("the idempotency_key is longer than 500 characters")
        check_function(function)
        # The PBX's fields may hold halves of characters, which no store takes.
        key = idempotency_key.encode("utf-8", "backslashreplace").decode() or uuid.uuid4().hex
        work = Work(function, args, kwargs, sensitive=self._sensitive)
        if threading.get_ident() != self._thread:
            return Acceptance(self._keep_from_thread(work, key))
        accepted = Acceptance(self._owner.begin_to_keep(work, key))
        self._accepted.append((accepted, function))
        return accepted

    def _keep_from_thread(self, work: Work, key: str) -> bool:
        try:
            return in_loop(self._loop, self._owner.keep(work, key), _LOOP_TIMEOUT)
        except LoopUnavailable as error:
            raise AfterError(f"{name_of(work.function)} was not accepted ({error})") from None

    def release(self) -> None:
        """Start the jobs after the answer was sent; in the event loop's thread."""
        for accepted, function in self._accepted:
            if not accepted.is_awaited:
                self._owner.report_unawaited(function)
        self._accepted.clear()
        with self._lock:
            held, self._held = self._held, None
        for work in held or ():
            self._owner.soon(work)
