"""In the child: what happens within a callback, told to the parent.

Rule 1: a callback has a `Story` in its context, which whatever it starts inherits: the handler, its
        thread, its log lines, what it asks others.
Rule 2: nothing of it can cost a caller his answer: what is told is put together and sent a moment
        later, and what is too much is left out.
Rule 3: seconds count from the arrival of the callback.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import itertools
import logging
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import httpx
from starlette.types import Scope

from receiver.actions import Action, Handler
from receiver.calls import Call
from receiver.dev import places
from receiver.dev.messages import Asked, Error, Line, Mischief, Report
from receiver.functions.manners import is_async
from receiver.telemetry.records import STAGES, Record
from receiver.upstream import witness

MOST_LINES = 200
"""Log lines, and requests to others, that are told of one callback."""

MOMENT = 0.02
"""Seconds for which news of a callback gather."""

CRM_SLOW = 3.0
"""Seconds that everybody takes who is asked while the CRM is slow."""

_LONGEST = 2000

STORY: ContextVar[Story | None] = ContextVar("receiver.dev.story", default=None)


class Story:
    """One callback. A witness of what its handler asks others, and the tracer's trace."""

    def __init__(self, reporter: Reporter, action: str, handler: str, before: float) -> None:
        self._reporter = reporter
        self._begun = time.monotonic() - before
        self._id = next(reporter.numbers)
        self._action = action
        self._handler = handler
        self._session = ""
        self._stages: dict[str, float] | None = None
        self._reason: str | None = None
        self._log: list[Line] = []
        self._error: Error | None = None
        self._upstream: list[Asked] = []
        self._planned = False

    def begin(self, call: Call) -> None:
        """The handler is asked."""
        self._session = call.session_id
        self._tell()

    def fail(self, error: BaseException) -> None:
        """The handler raised ``error``."""
        self._error = places.described(error)
        self._tell()

    def log(self, record: logging.LogRecord) -> None:
        """Something was logged."""
        if len(self._log) < MOST_LINES:
            text = record.getMessage()[:_LONGEST]
            self._log.append(Line(self._at(), record.levelname, record.name, text))
            self._tell()

    def end(self, record: Record, handled: float) -> None:
        """It was answered."""
        self._session = str(record.session)
        self._reason = record.reason
        self._stages = dict(zip(STAGES, record.seconds, strict=True))
        self._tell()

    # As a witness ------------------------------------------------------------------------------
    def asked(self, what: witness.Asked) -> None:
        """Somebody else was asked."""
        if len(self._upstream) < MOST_LINES:
            begun = max(0.0, self._at() - what.seconds)
            self._upstream.append(Asked(begun, *what))
            self._tell()

    async def before(self) -> None:
        """The CRM may be out of order."""
        crm = self._reporter.mischief.crm
        if crm == "slow":
            await asyncio.sleep(CRM_SLOW)
        elif crm == "down":
            raise httpx.ConnectError("the CRM is down, as receiver dev was told")

    def _at(self) -> float:
        return time.monotonic() - self._begun

    def _tell(self) -> None:
        """From any thread."""
        if not self._planned:
            self._planned = True
            self._reporter.planned.add(self)
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._reporter.loop.call_soon_threadsafe(self._plan)

    def _plan(self) -> None:
        self._reporter.loop.call_later(MOMENT, self._send)

    def _send(self) -> None:
        if self._planned:
            self.send()

    def send(self) -> None:
        """Tell now what was put off."""
        self._planned = False
        self._reporter.planned.discard(self)
        self._reporter.send(
            Report(
                id=self._id,
                action=self._action,
                session=self._session,
                handler=self._handler,
                stages=self._stages,
                reason=self._reason,
                log=self._log.copy(),
                error=self._error,
                upstream=self._upstream.copy(),
            )
        )


class Reporter:
    """Tells the parent.

    Parameters:
        send: sends a message to it.

    Attributes:
        mischief: what shall go wrong at the moment.
        numbers: of the callbacks.
        planned: those that have something to tell in a moment.
    """

    def __init__(self, send: Callable[[Report], None]) -> None:
        self.send = send
        self.mischief = Mischief()
        self.numbers = itertools.count(1)
        self.planned: set[Story] = set()

    def flush(self) -> None:
        """Tell what is not told yet; the service has ended, and its loop with it."""
        for story in list(self.planned):
            story.send()

    @functools.cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where the service runs."""
        return asyncio.get_running_loop()

    def observed(self, handler: Handler) -> Handler:
        """``handler``, which tells of itself, and takes longer if it shall."""
        if is_async(handler):

            @functools.wraps(handler)
            async def asked(call: Call) -> Any:
                with _telling(call):
                    await asyncio.sleep(self.mischief.slow)
                    result: Any = handler(call)
                    while inspect.isawaitable(result):
                        result = await result
                    return result

            return asked

        @functools.wraps(handler)
        def asked_in_thread(call: Call) -> Any:
            with _telling(call):
                time.sleep(self.mischief.slow)
                return handler(call)

        return asked_in_thread


@contextlib.contextmanager
def _telling(call: Call) -> Any:
    story = STORY.get()
    if story is None:
        yield
        return
    story.begin(call)
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:
        story.fail(error)
        raise


class Tracer:
    """Begins the story of each callback of ``action``; a `telemetry.observing.Tracer`."""

    def __init__(self, reporter: Reporter, action: Action, handler: str) -> None:
        self._reporter = reporter
        self._identity = action.identity
        self._handler = handler

    def begin(self, scope: Scope, arrived: float, admitted: float, read: float) -> Story:
        """A callback was read just now; times are the event loop's."""
        _ = self._reporter.loop
        story = Story(self._reporter, self._identity, self._handler, read - arrived)
        STORY.set(story)
        witness.WITNESS.set(story)
        return story


class Listener(logging.Handler):
    """Gives each line to the story that it belongs to; our own lines are told otherwise."""

    def emit(self, record: logging.LogRecord) -> None:
        story = STORY.get()
        if story is not None and record.name.partition(".")[0] not in ("receiver", "uvicorn"):
            try:
                story.log(record)
            except Exception:
                self.handleError(record)
