"""A thread that answers callbacks while the event loop is blocked, and logs the blocking code.

Rule 1: only a heartbeat every `HEARTBEAT` seconds shows that the loop runs. A loop that is late
        while it waits for events is not blocked: the machine is busy.
Rule 2: a callback has one answer: the loop or the thread sends it, whichever removes it first from
        `Watchdog.armed`. If it is the thread, the loop waits until the answer is written, sends
        nothing and closes the connection.
Rule 3: the thread waits for time only. Another thread writes its log lines, because the loop may be
        blocked in the log itself.
Rule 4: the log contains files, lines and functions, but no values.

`receiver.server.blocked_loop` answers requests whose handlers have not started, once the loop is
blocked for `RELIEVE_TIME`. A C function that keeps the interpreter's lock (a regular expression
that backtracks) stops this thread too. With TLS it only logs, because the loop has the keys.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import selectors
import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import CodeType, FrameType

from receiver.server.exchange import Exchange
from receiver.text import counted

HEARTBEAT = 0.05
"""Seconds between two heartbeats of the event loop, and between two checks by the thread."""

BLOCKED_TIME = 0.1
"""Seconds without a heartbeat after which the thread sends the answers that are due."""

RELIEVE_TIME = 0.3
"""Seconds without a heartbeat after which the log names the blocking code, and `relieve` runs."""

URGENT_TIME = 4.0
"""Seconds without a heartbeat after which all requests get the fallback immediately: the parent is
about to kill the worker, see `receiver.server.supervisor.HANG_TIMEOUT`."""

MAX_FRAMES = 6
"""Number of innermost frames in the log."""

log = logging.getLogger("receiver")


class Watchdog:
    """Watches the event loop in which it is started.

    Parameters:
        handlers: the names of handlers for the log, by their code.
        clock: the loop's time, readable from a thread; uvloop's own stops while it is blocked.
        handover: whether the server may set ``relieve``.

    Attributes:
        relieve: answers the requests whose handlers have not started, see
            `receiver.server.blocked_loop.BlockedLoop`.
        advice: added to the log line, the first time.
    """

    def __init__(
        self,
        handlers: Mapping[CodeType, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        handover: bool = True,
    ) -> None:
        self.handover = handover
        self.armed: dict[Exchange, None] = {}
        self.writing = threading.Lock()
        self.relieve: Callable[[float, bool], tuple[int, int]] = lambda since, urgent: (0, 0)
        self.advice = ""
        self._handlers = handlers or {}
        self._clock = clock
        self._last_beat = 0.0
        self._is_logged = False
        self._over = threading.Event()
        self._loop_thread = 0
        self._timer: asyncio.TimerHandle | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; called in the loop."""
        self._loop_thread = threading.get_ident()
        self._last_beat = self._clock()
        self._on_beat()
        self._thread = threading.Thread(target=self._watch, name="receiver-watchdog", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End; called in the loop."""
        self._over.set()
        if self._timer:
            self._timer.cancel()
        if self._thread:
            self._thread.join()

    def _on_beat(self) -> None:
        now = self._clock()
        if self._is_logged:
            self._is_logged = False
            log.error("the event loop runs again, after %.0f ms", (now - self._last_beat) * 1000)
        self._last_beat = now
        self._timer = asyncio.get_running_loop().call_later(HEARTBEAT, self._on_beat)

    # The following methods run in the thread.

    def _watch(self) -> None:
        while not self._over.wait(HEARTBEAT):
            self.look()

    def look(self) -> None:
        """If the loop is blocked, send due answers, run `relieve`, and log the blocking code."""
        blocked = self._clock() - self._last_beat
        if blocked < BLOCKED_TIME:
            return
        is_urgent = blocked >= URGENT_TIME
        answered, handed = self._rescue(is_urgent), 0
        frame = sys._current_frames().get(self._loop_thread)
        if blocked >= RELIEVE_TIME and not is_idle(frame):
            if not self._is_logged:
                self._is_logged = True
                where, advice = describe(frame, self._handlers), self.advice
                self.advice = ""
                _log(log.error, "the event loop is blocked%s%s", where, advice)
            try:
                handed, more = self.relieve(self._last_beat, is_urgent)
                answered += more
            except Exception as error:  # the thread must continue
                _log(log.critical, "%s inside the watchdog", type(error).__name__)
        if answered:
            _log(log.error, "answered %s for a blocked event loop", counted(answered, "request"))
        if handed:
            _log(
                log.error, "handed %s over from a blocked event loop", counted(handed, "connection")
            )

    def _rescue(self, is_urgent: bool) -> int:
        now, saved = self._clock(), 0
        for exchange in list(self.armed):
            if now < exchange.due and not is_urgent:
                continue
            with self.writing:
                if self.armed.pop(exchange, self) is None:
                    exchange.write_late()
                    saved += exchange.written
        return saved


def is_idle(frame: FrameType | None) -> bool:
    """Return whether an event loop is waiting for events in ``frame``.

    If it is late although it waits, the machine is too busy to run it, and nothing blocks it.
    """
    return frame is not None and frame.f_code.co_filename in _LOOP_FILES


_LOOP_FILES = {asyncio.base_events.__file__, asyncio.runners.__file__, selectors.__file__}


def describe(frame: FrameType | None, handlers: Mapping[CodeType, str]) -> str:
    """Return the code that a thread runs: the handler, if any, and the innermost frames."""
    places, handler = list[str](), ""
    while frame is not None:
        code = frame.f_code
        if len(places) < MAX_FRAMES:
            places.append(f"{code.co_filename}:{frame.f_lineno} {code.co_qualname}")
        handler = handlers.get(code, handler)
        frame = frame.f_back
    return "".join(
        (f" in the handler of {handler}" if handler else "", *(f"\n  {p}" for p in places))
    )


def _log(write: Callable[..., None], *what: object) -> None:
    with contextlib.suppress(RuntimeError):  # no thread can be started
        threading.Thread(target=write, args=what, daemon=True).start()
