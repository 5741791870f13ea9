"""A thread beside the event loop that sees it stuck, says where, and answers for it.

Rule 1: the loop proves that it runs by a beat every `PERIOD` seconds, and by nothing else.
Rule 2: a callback has one answer. Who takes it out of `Watchdog.armed` gives it; the loop, finding
        it gone, waits until the thread has written it, sends nothing and closes the connection.
Rule 3: the thread waits for nothing but time. What it has to say another thread says, for the loop
        may be stuck in the very log.
Rule 4: the log has files, lines and functions, and no values.

What the app has not begun with it can only have passed on to another worker (see
`receiver.serving.passing`), once the loop is stuck for `PATIENCE`; a single one has nobody to pass
it to.
It cannot help where nothing runs: a C function that does not let go of the interpreter (a regular
expression that backtracks) stops this thread too. Under TLS it only watches, for the keys are the
loop's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from types import CodeType, FrameType
from typing import Protocol

RESCUE = "receiver.rescue"
"""Key of the scope: the `Rescue` of a request, where there is one."""

PERIOD = 0.05
"""Seconds from beat to beat, and from look to look."""

STUCK = 0.1
"""Seconds without a beat after which the thread answers for the loop what is due."""

PATIENCE = 0.3
"""Seconds without a beat after which the log names the place, and callers are passed on."""

FRAMES = 6
"""How many of the innermost frames are named."""

log = logging.getLogger("receiver")


class Cycle(Protocol):
    """One request and its answer, as uvicorn has it."""

    disconnected: bool
    keep_alive: bool


class Connection(Protocol):
    """Where a `Rescue` writes."""

    transport: asyncio.Transport
    armed: Rescue | None


class Rescue:
    """The answer that one callback gets if the loop does not run when it is due.

    Made for each request by `receiver.serving.connections`.
    """

    __slots__ = ("_connection", "_cycle", "_watchdog", "answer", "deadline", "written")

    def __init__(self, watchdog: Watchdog, connection: Connection, cycle: Cycle) -> None:
        self._watchdog = watchdog
        self._connection = connection
        self._cycle = cycle
        self.deadline = 0.0
        self.answer = b""
        self.written = False

    def arm(self, deadline: float, answer: bytes) -> None:
        """Have ``answer`` sent if the loop is stuck at ``deadline``.

        Parameters:
            deadline: in the loop's time.
            answer: the body, JSON.
        """
        if self._connection.transport.get_write_buffer_size():
            return  # an earlier answer is still on its way, and nothing may overtake it
        self.deadline, self.answer = deadline, answer
        self._connection.armed = self
        self._watchdog.armed[self] = None

    def disarm(self) -> bool:
        """Whether the loop may answer; if not, it was done, and the connection closes."""
        self._connection.armed = None
        if self._watchdog.armed.pop(self, self) is None or not self.deadline:
            return True
        with self._watchdog.writing:
            if not self.written:
                return True
        self._cycle.disconnected = True  # or uvicorn would miss an answer, and send one
        self._connection.transport.close()
        return False

    def write(self) -> None:
        """Called by the thread, which holds `Watchdog.writing`: so the descriptor stays open."""
        whole = b"".join(
            (
                b"HTTP/1.1 200 OK\r\ndate: ",
                formatdate(usegmt=True).encode(),
                b"\r\ncontent-type: application/json\r\ncontent-length: ",
                str(len(self.answer)).encode(),
                b"\r\nconnection: close\r\n\r\n",
                self.answer,
            )
        )
        # It fits into the empty buffer of a socket; of one that is gone nobody waits for more. The
        # end is said too, for the loop may not come to close the connection for long.
        with contextlib.suppress(OSError):
            descriptor = os.dup(self._connection.transport.get_extra_info("socket").fileno())
            with socket.socket(fileno=descriptor) as connected:
                connected.settimeout(0)
                self.written = connected.send(whole) > 0
                connected.shutdown(socket.SHUT_WR)


class Watchdog:
    """Watches the loop that it is started in.

    Parameters:
        handlers: the code of handlers, and what the log shall call each.
        clock: that of the loop, as a thread can read it; uvloop's own stands still while the loop
            is stuck.

    Its ``hand_over``, which the server sets, passes on what the app has not begun with.
    """

    def __init__(
        self,
        handlers: Mapping[CodeType, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.armed: dict[Rescue, None] = {}
        self.writing = threading.Lock()
        self.hand_over: Callable[[], int] = int
        self._handlers = handlers or {}
        self._clock = clock
        self._beat = 0.0
        self._said = False
        self._over = threading.Event()
        self._loop_thread = 0
        self._timer: asyncio.TimerHandle | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; called in the loop."""
        self._loop_thread = threading.get_ident()
        self._beat = self._clock()
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
        if self._said:
            self._said = False
            log.error("the event loop runs again, after %.0f ms", (now - self._beat) * 1000)
        self._beat = now
        self._timer = asyncio.get_running_loop().call_later(PERIOD, self._on_beat)

    # What follows runs in the thread.

    def _watch(self) -> None:
        while not self._over.wait(PERIOD):
            self.look()

    def look(self) -> None:
        """Answer what is due and name the place, if the loop is stuck."""
        stuck = self._clock() - self._beat
        if stuck < STUCK:
            return
        saved = self._rescue()
        if saved:
            _say(log.error, "answered %d callbacks for an event loop that is stuck", saved)
        handed = self.hand_over() if stuck >= PATIENCE else 0
        if handed:
            _say(log.error, "passed %d callers on from an event loop that is stuck", handed)
        if stuck >= PATIENCE and not self._said:
            self._said = True
            frame = sys._current_frames().get(self._loop_thread)
            _say(log.error, "the event loop is stuck%s", describe(frame, self._handlers))

    def _rescue(self) -> int:
        now, saved = self._clock(), 0
        for rescue in list(self.armed):
            if now < rescue.deadline:
                continue
            with self.writing:
                if self.armed.pop(rescue, self) is None:
                    rescue.write()
                    saved += rescue.written
        return saved


def describe(frame: FrameType | None, handlers: Mapping[CodeType, str]) -> str:
    """Where a thread is: the handler, if it is in one, and the innermost frames."""
    places, handler = list[str](), ""
    while frame is not None:
        code = frame.f_code
        if len(places) < FRAMES:
            places.append(f"{code.co_filename}:{frame.f_lineno} {code.co_qualname}")
        handler = handlers.get(code, handler)
        frame = frame.f_back
    return "".join(
        (f" in the handler of {handler}" if handler else "", *(f"\n  {p}" for p in places))
    )


def _say(write: Callable[..., None], *what: object) -> None:
    with contextlib.suppress(RuntimeError):  # no thread is to be had
        threading.Thread(target=write, args=what, daemon=True).start()
