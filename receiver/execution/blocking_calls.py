"""Find synchronous calls that block the event loop in an async handler; for development.

Rule 1: a thread samples the stack of the event loop's thread (`sys._current_frames`) while a
        handler runs, and only then. It counts its own waits, not the elapsed time: a busy machine
        delays both threads and is not reported as a blocked event loop.
Rule 2: the place is the innermost line of the developer's code. A call into this package is not
        reported: the developer cannot change it.
Rule 3: the stack identifies the handler that blocks. A task that a handler started has no handler
        on its stack: then the report goes to all running handlers.

A C function that keeps the interpreter's lock (a regular expression that backtracks) is not found.
"""

from __future__ import annotations

import ast
import asyncio
import functools
import inspect
import linecache
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any, Self

from receiver.execution.kinds import is_async
from receiver.execution.source_files import PACKAGE, is_own

SAMPLES = 10
"""Waits of the thread after which the event loop is blocked."""

CURE = (
    "await an async client (receiver.upstream.Client, httpx.AsyncClient), or make the handler a "
    "plain def, which runs in a thread"
)

_LOOP = (asyncio.events.__file__, asyncio.base_events.__file__, asyncio.runners.__file__)


@dataclass(frozen=True, slots=True)
class BlockingCall:
    """A call that blocked the event loop.

    Attributes:
        file, line: of the call, in the developer's code.
        function: the function with that line.
        call: the called expression in the source, such as ``requests.get``; or else the line.
        seconds: the shortest time that it may have taken.
    """

    file: str
    line: int
    function: str
    call: str
    seconds: float

    @property
    def problem(self) -> str:
        """The problem and its cure, without the file and line."""
        return (
            f"{self.call} in {self.function} blocked the event loop for more than "
            f"{self.seconds * 1000:.0f} ms; {CURE}"
        )


Report = Callable[[BlockingCall], None]


class BlockingCallDetector:
    """Runs async handlers, and reports calls in them that block the event loop.

    Use it as a context manager, or call `close`.

    Parameters:
        seconds: the time after which a call is reported, once for each time the event loop blocks.
    """

    def __init__(self, seconds: float = 0.1) -> None:
        self._seconds = seconds
        self._running: dict[FrameType, Report] = {}
        self._busy = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._busy.set()
        if self._thread is not None:
            self._thread.join()

    async def run(self, handler: Callable[..., Any], call: object, report: Report) -> Any:
        """Return what an async ``handler`` returns.

        Parameters:
            handler: called with ``call``.
            report: called for each call that blocks, in another thread; it must not raise.
        """
        frame = inspect.currentframe()
        assert frame is not None  # noqa: S101 - CPython and PyPy have frames
        if self._thread is None:
            self._begin()
        self._running[frame] = report
        self._busy.set()
        try:
            result: Any = handler(call)
            while inspect.isawaitable(result):
                result = await result
            return result
        finally:
            del self._running[frame]
            if not self._running and not self._closed.is_set():
                self._busy.clear()

    def watched(self, handler: Callable[..., Any], report: Report) -> Callable[..., Any]:
        """Return an async ``handler`` wrapped by `run`; a plain one, which may block, unchanged."""
        if not is_async(handler):
            return handler

        @functools.wraps(handler)
        async def run(call: object) -> Any:
            return await self.run(handler, call, report)

        return run

    def _begin(self) -> None:
        args = (asyncio.get_running_loop(), threading.get_ident())
        self._thread = threading.Thread(
            target=self._sample, args=args, name="receiver-blocking-calls", daemon=True
        )
        self._thread.start()

    def _sample(self, loop: asyncio.AbstractEventLoop, loop_thread: int) -> None:
        period = self._seconds / SAMPLES
        while self._busy.wait() and not self._closed.is_set():
            turned = threading.Event()
            try:
                loop.call_soon_threadsafe(turned.set)
            except RuntimeError:  # the event loop is closed
                return
            if not any(turned.wait(period) or self._closed.is_set() for _ in range(SAMPLES)):
                self._report(sys._current_frames().get(loop_thread))
                while not turned.wait(self._seconds) and not self._closed.is_set():
                    pass
            self._closed.wait(period)

    def _report(self, frame: FrameType | None) -> None:
        stack = list(_stack(frame))
        running = dict(self._running)
        mine = next((one for one in stack if one in running), None)
        found = _place(stack, mine)
        if found is None:
            return
        blocking = BlockingCall(
            found.f_code.co_filename,
            found.f_lineno,
            found.f_code.co_qualname,
            called(found),
            self._seconds,
        )
        for report in [running[mine]] if mine else running.values():
            report(blocking)


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    """Return the frames of the code that the event loop is running, the innermost first."""
    while frame is not None and frame.f_code.co_filename not in _LOOP:
        yield frame
        frame = frame.f_back


def _place(stack: list[FrameType], handler: FrameType | None) -> FrameType | None:
    """Return the frame to report; None if the blocking call is not in the developer's code."""
    installed = None
    for frame in stack:
        file = frame.f_code.co_filename
        if file.startswith(PACKAGE):
            return installed if frame is handler else None  # an app may be an installed package
        if is_own(file):
            return frame
        installed = frame
    return None


def called(frame: FrameType) -> str:
    """Return the source of the call that a frame is executing, or else its line."""
    file = frame.f_code.co_filename
    whole = linecache.getline(file, frame.f_lineno).strip() or "a call"
    first, last, start, end = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    if first is None or last is None or whole == "a call":  # there is no source
        return whole
    lines = [linecache.getline(file, number).encode() for number in range(first, last + 1)]
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][start:]
    try:
        node = ast.parse(f"({b''.join(lines).decode()})", mode="eval").body
    except (SyntaxError, ValueError):
        return whole
    node = node.value if isinstance(node, ast.Await) else node
    return ast.unparse(node.func) if isinstance(node, ast.Call) else whole
