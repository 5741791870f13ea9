"""Times that a busy machine does not spoil.

A test of an upper bound measures what the code took, not for how long the machine did not let it
run: a thread that only sleeps sees how much later than due it continues.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType

STEP = 0.01
"""Seconds between two looks at the clock."""

LATE = 0.03
"""Seconds by which a look may be late without being a stall."""


class Stopwatch:
    """Measures times less the stalls of this process, inside of ``with``."""

    def __init__(self) -> None:
        self._stalls = list[tuple[float, float]]()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Stopwatch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()

    def seconds(self, begin: float, end: float | None = None) -> float:
        """Return the seconds between two times of `time.monotonic`, less stalls.

        Parameters:
            begin: the earlier one.
            end: the later one; None for now.
        """
        if end is None:
            end = time.monotonic()
            time.sleep(2 * STEP)  # until a stall that ends now is noted
        stalled = sum(max(0.0, min(end, until) - max(begin, at)) for at, until in self._stalls)
        return end - begin - stalled

    def _run(self) -> None:
        due = time.monotonic() + STEP
        while not self._end.wait(STEP):
            now = time.monotonic()
            if now - due > LATE:
                self._stalls.append((due, now))
            due = now + STEP
