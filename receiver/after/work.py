"""What goes on after the caller was answered: ``call.after``.

Rule 1: the work of a call begins when its answer is on its way. `After` keeps it until then, and
        whoever answers the call releases it, whatever the answer.
Rule 2: ``call.after(function, …)`` costs the callback nothing and never fails it. That work ends
        with the process: shutdown waits for it, a kill loses it.
Rule 3: ``await call.after.durably(function, …)`` returns when the job is kept where no kill reaches
        it, or raises `AfterError` after `LIMIT` seconds at the latest. It is done at least once, by
        any worker, and maybe before the caller was answered.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import ParamSpec

from receiver.after.bodies import Work, check_function, name_of, write
from receiver.after.jobs import AfterError, Jobs
from receiver.after.lasting import LEASE, POLL, Lasting
from receiver.after.running import Runner
from receiver.after.soon import MOST, Soon
from receiver.secrets import Secret, derive_key
from receiver.shared.patience import StoreError

LIMIT = 0.2
"""Seconds for a durable job to be kept; the PBX gives up after about two."""

_SURELY = 1.0  # seconds that a thread waits for the event loop's word

log = logging.getLogger("receiver")

P = ParamSpec("P")


class AfterWork:
    """Owner of all work after the calls of this process, and a worker of the durable queue.

    Made and used in the thread of the event loop.

    Parameters:
        jobs: the durable queue (see `receiver.after.open_jobs`), closed with this; None for none.
        secret: the service secret; what is signed with another one is not run.
        running: pieces of work that run at once, and threads for plain functions.
        waiting: pieces of work in this process that may wait or run.
        limit: seconds after which a coroutine is cancelled and counts as failed.
        lease, poll: seconds, see `receiver.after.lasting`.
        log_caller_data: whether exceptions are logged with their text.
        clock: seconds since the epoch.
        sleep: waits for seconds.
    """

    def __init__(
        self,
        jobs: Jobs | None,
        secret: Secret,
        *,
        running: int = 32,
        waiting: int = MOST,
        limit: float = 300,
        lease: float = LEASE,
        poll: float = POLL,
        log_caller_data: bool = False,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._jobs = jobs
        self._seal = derive_key(secret, "after", "jobs")
        self._clock = clock
        self._lock = threading.Lock()  # of all calls: it is held for a moment only
        self._runner = Runner(running, limit=limit, log_caller_data=log_caller_data)
        self._soon = Soon(self._runner, sleep=sleep, most=waiting)
        self._lasting: Lasting | None = None
        if jobs is not None:
            self._lasting = Lasting(
                jobs,
                self._runner,
                self._seal,
                clock=clock,
                sleep=sleep,
                most=max(running // 2, 1),
                lease=lease,
                poll=poll,
            )

    def start(self) -> None:
        """Begin to do what the queue holds, from before too."""
        if self._lasting:
            self._lasting.start()

    def of_call(self, loop: asyncio.AbstractEventLoop | None = None) -> After:
        """``call.after`` for one call, which is answered in ``loop``, the running one."""
        return After(self, loop or asyncio.get_running_loop(), self._lock)

    def soon(self, work: Work, context: Context) -> None:
        """Run ``work`` in this process, from now on."""
        self._soon.start(work, context)

    async def keep(self, work: Work, key: str) -> bool:
        """Put ``work`` into the durable queue; parameters and errors as for `After.durably`."""
        name = name_of(work.function)
        if self._jobs is None or self._lasting is None:
            raise AfterError(f"{name} was not accepted: this service has no durable queue")
        body = write(self._seal, key, work)
        try:
            async with asyncio.timeout(LIMIT):
                accepted = await self._jobs.accept(key, body, self._clock())
        except (StoreError, TimeoutError) as error:
            reason = str(error) if isinstance(error, StoreError) else type(error).__name__
            log.error("%s was not accepted: the durable queue is out of order (%s)", name, reason)
            raise AfterError(f"{name} was not accepted ({reason})") from None
        if accepted:
            self._lasting.wake()
        else:
            log.info("%s is a duplicate by its key: it is not run again", name)
        return accepted

    async def close(self, limit: float) -> None:
        """Wait up to ``limit`` seconds for work in hand, log what is left undone, and end.

        Durable jobs in hand are given back to the queue; plain functions that still run are done
        again when their lease is over.
        """
        closing = [self._soon.close(limit)]
        if self._lasting:
            closing.append(self._lasting.close(limit))
        await asyncio.gather(*closing)
        self._runner.close()
        if self._jobs is not None:
            try:
                async with asyncio.timeout(1):
                    await self._jobs.close()
            except Exception as error:  # it ends anyway
                log.warning("the durable queue did not close: %s", type(error).__name__)


class After:
    """``call.after``: what shall be done after one call was answered. Any thread may use it."""

    __slots__ = ("_held", "_lock", "_loop", "_owner", "_thread")

    def __init__(
        self, owner: AfterWork, loop: asyncio.AbstractEventLoop, lock: threading.Lock
    ) -> None:
        self._owner = owner
        self._loop = loop
        self._thread = threading.get_ident()
        self._lock = lock
        self._held: list[tuple[Work, Context]] | None = []

    def __call__(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call ``function`` with these arguments once the answer is on its way.

        It may be async or plain; a failure is tried again a few times and then logged.

        Raises:
            TypeError: that is no function.
        """
        check_function(function)
        work = Work(function, args, kwargs), copy_context()
        with self._lock:
            if self._held is not None:
                self._held.append(work)
                return
        try:
            self._loop.call_soon_threadsafe(self._owner.soon, *work)
        except RuntimeError:  # the loop is closed
            log.error("%s is dropped: the service has ended", name_of(function))

    async def durably(
        self,
        function: Callable[..., object],
        *args: object,
        idempotency_key: str = "",
        **kwargs: object,
    ) -> bool:
        """Have ``function`` called at least once, even if this process is killed.

        Parameters:
            function: async or plain, at the top of a module. If it takes ``idempotency_key``, it
                gets it; else it finds it in `receiver.after.idempotency_key`. What is done twice
                has the same one.
            args, kwargs: made of str, int, float, bool, None, list and dict only.
            idempotency_key: what makes this piece of work the one that it is, such as the session
                and the purpose; at most 500 characters. Made at random if empty.

        Returns:
            Whether it was accepted; False marks a duplicate: the key is taken, by a job that is
            open or dead, or was done within a day.

        Raises:
            AfterError: it was not accepted, or no word of it came within `LIMIT` seconds.
            TypeError, ValueError: no such function or arguments can be kept.
        """
        if len(idempotency_key) > 500:
            raise ValueError("the idempotency_key is longer than 500 characters")
        check_function(function)
        # The PBX's fields may hold halves of characters, which no store takes.
        key = idempotency_key.encode("utf-8", "backslashreplace").decode() or uuid.uuid4().hex
        return await self._owner.keep(Work(function, args, kwargs), key)

    def durably_from_thread(
        self,
        function: Callable[..., object],
        *args: object,
        idempotency_key: str = "",
        **kwargs: object,
    ) -> bool:
        """`durably` for plain handlers, which run in a thread; it waits.

        Raises:
            RuntimeError: this is the event loop's own thread, which must not wait.
        """
        if threading.get_ident() == self._thread:
            raise RuntimeError("an async handler writes: await call.after.durably(…)")
        job = self.durably(function, *args, idempotency_key=idempotency_key, **kwargs)
        try:
            return asyncio.run_coroutine_threadsafe(job, self._loop).result(_SURELY)
        except TimeoutError:
            raise AfterError(f"{name_of(function)} was not accepted (TimeoutError)") from None

    def release(self) -> None:
        """The answer is on its way: begin. Called in the event loop's thread."""
        with self._lock:
            held, self._held = self._held, None
        for work in held or ():
            self._owner.soon(*work)
